#ifdef VECTOR
/* The same for whole groups of four vectors in rows that `apart` bytes lie between. As many rows as
   the registers hold share what is loaded; the first stands in for one that is not there. */
static void gelu_steps_37_13_groups(size_t rows, size_t width, const uint8_t *curve, size_t apart,
    uint8_t *y)
{
    for (size_t j = 0; j < width; j += 4 * VECTOR, curve += 4 * VECTOR) {
        const octets knee = octets_load(curve), factor = octets_load(curve + 64),
            zero = octets_load(curve + 128);

#if VECTOR == 16
        for (size_t r = 0; r < rows; r += 9) {
            uint8_t *out0 = y + r * apart + j;
            const octets x0 = octets_load(out0), relu0 = octets_excess(x0, knee);
            const octets b0 = octets_min(x0, octets_excess(knee, relu0));
            octets v0 = octets_add(octets_product(relu0, factor), zero);
            uint8_t *out1 = y + (r + 1 < rows ? r + 1 : r) * apart + j;
            const octets x1 = octets_load(out1), relu1 = octets_excess(x1, knee);
            const octets b1 = octets_min(x1, octets_excess(knee, relu1));
            octets v1 = octets_add(octets_product(relu1, factor), zero);
            uint8_t *out2 = y + (r + 2 < rows ? r + 2 : r) * apart + j;
            const octets x2 = octets_load(out2), relu2 = octets_excess(x2, knee);
            const octets b2 = octets_min(x2, octets_excess(knee, relu2));
            octets v2 = octets_add(octets_product(relu2, factor), zero);
            uint8_t *out3 = y + (r + 3 < rows ? r + 3 : r) * apart + j;
            const octets x3 = octets_load(out3), relu3 = octets_excess(x3, knee);
            const octets b3 = octets_min(x3, octets_excess(knee, relu3));
            octets v3 = octets_add(octets_product(relu3, factor), zero);
            uint8_t *out4 = y + (r + 4 < rows ? r + 4 : r) * apart + j;
            const octets x4 = octets_load(out4), relu4 = octets_excess(x4, knee);
            const octets b4 = octets_min(x4, octets_excess(knee, relu4));
            octets v4 = octets_add(octets_product(relu4, factor), zero);
            uint8_t *out5 = y + (r + 5 < rows ? r + 5 : r) * apart + j;
            const octets x5 = octets_load(out5), relu5 = octets_excess(x5, knee);
            const octets b5 = octets_min(x5, octets_excess(knee, relu5));
            octets v5 = octets_add(octets_product(relu5, factor), zero);
            uint8_t *out6 = y + (r + 6 < rows ? r + 6 : r) * apart + j;
            const octets x6 = octets_load(out6), relu6 = octets_excess(x6, knee);
            const octets b6 = octets_min(x6, octets_excess(knee, relu6));
            octets v6 = octets_add(octets_product(relu6, factor), zero);
            uint8_t *out7 = y + (r + 7 < rows ? r + 7 : r) * apart + j;
            const octets x7 = octets_load(out7), relu7 = octets_excess(x7, knee);
            const octets b7 = octets_min(x7, octets_excess(knee, relu7));
            octets v7 = octets_add(octets_product(relu7, factor), zero);
            uint8_t *out8 = y + (r + 8 < rows ? r + 8 : r) * apart + j;
            const octets x8 = octets_load(out8), relu8 = octets_excess(x8, knee);
            const octets b8 = octets_min(x8, octets_excess(knee, relu8));
            octets v8 = octets_add(octets_product(relu8, factor), zero);
            octets first, more;

            first = octets_load(curve + 192);
            more = octets_load(curve + 256);
            v0 = octets_less_within(v0, b0, first, more);
            v1 = octets_less_within(v1, b1, first, more);
            v2 = octets_less_within(v2, b2, first, more);
            v3 = octets_less_within(v3, b3, first, more);
            v4 = octets_less_within(v4, b4, first, more);
            v5 = octets_less_within(v5, b5, first, more);
            v6 = octets_less_within(v6, b6, first, more);
            v7 = octets_less_within(v7, b7, first, more);
            v8 = octets_less_within(v8, b8, first, more);
            first = octets_load(curve + 320);
            more = octets_load(curve + 384);
            v0 = octets_less_within(v0, b0, first, more);
            v1 = octets_less_within(v1, b1, first, more);
            v2 = octets_less_within(v2, b2, first, more);
            v3 = octets_less_within(v3, b3, first, more);
            v4 = octets_less_within(v4, b4, first, more);
            v5 = octets_less_within(v5, b5, first, more);
            v6 = octets_less_within(v6, b6, first, more);
            v7 = octets_less_within(v7, b7, first, more);
            v8 = octets_less_within(v8, b8, first, more);
            first = octets_load(curve + 448);
            more = octets_load(curve + 512);
            v0 = octets_less_within(v0, b0, first, more);
            v1 = octets_less_within(v1, b1, first, more);
            v2 = octets_less_within(v2, b2, first, more);
            v3 = octets_less_within(v3, b3, first, more);
            v4 = octets_less_within(v4, b4, first, more);
            v5 = octets_less_within(v5, b5, first, more);
            v6 = octets_less_within(v6, b6, first, more);
            v7 = octets_less_within(v7, b7, first, more);
            v8 = octets_less_within(v8, b8, first, more);
            first = octets_load(curve + 576);
            more = octets_load(curve + 640);
            v0 = octets_less_within(v0, b0, first, more);
            v1 = octets_less_within(v1, b1, first, more);
            v2 = octets_less_within(v2, b2, first, more);
            v3 = octets_less_within(v3, b3, first, more);
            v4 = octets_less_within(v4, b4, first, more);
            v5 = octets_less_within(v5, b5, first, more);
            v6 = octets_less_within(v6, b6, first, more);
            v7 = octets_less_within(v7, b7, first, more);
            v8 = octets_less_within(v8, b8, first, more);
            first = octets_load(curve + 704);
            more = octets_load(curve + 768);
            v0 = octets_less_within(v0, b0, first, more);
            v1 = octets_less_within(v1, b1, first, more);
            v2 = octets_less_within(v2, b2, first, more);
            v3 = octets_less_within(v3, b3, first, more);
            v4 = octets_less_within(v4, b4, first, more);
            v5 = octets_less_within(v5, b5, first, more);
            v6 = octets_less_within(v6, b6, first, more);
            v7 = octets_less_within(v7, b7, first, more);
            v8 = octets_less_within(v8, b8, first, more);
            first = octets_load(curve + 832);
            more = octets_load(curve + 896);
            v0 = octets_less_within(v0, b0, first, more);
            v1 = octets_less_within(v1, b1, first, more);
            v2 = octets_less_within(v2, b2, first, more);
            v3 = octets_less_within(v3, b3, first, more);
            v4 = octets_less_within(v4, b4, first, more);
            v5 = octets_less_within(v5, b5, first, more);
            v6 = octets_less_within(v6, b6, first, more);
            v7 = octets_less_within(v7, b7, first, more);
            v8 = octets_less_within(v8, b8, first, more);
            first = octets_load(curve + 960);
            more = octets_load(curve + 1024);
            v0 = octets_less_within(v0, b0, first, more);
            v1 = octets_less_within(v1, b1, first, more);
            v2 = octets_less_within(v2, b2, first, more);
            v3 = octets_less_within(v3, b3, first, more);
            v4 = octets_less_within(v4, b4, first, more);
            v5 = octets_less_within(v5, b5, first, more);
            v6 = octets_less_within(v6, b6, first, more);
            v7 = octets_less_within(v7, b7, first, more);
            v8 = octets_less_within(v8, b8, first, more);
            first = octets_load(curve + 1088);
            more = octets_load(curve + 1152);
            v0 = octets_less_within(v0, b0, first, more);
            v1 = octets_less_within(v1, b1, first, more);
            v2 = octets_less_within(v2, b2, first, more);
            v3 = octets_less_within(v3, b3, first, more);
            v4 = octets_less_within(v4, b4, first, more);
            v5 = octets_less_within(v5, b5, first, more);
            v6 = octets_less_within(v6, b6, first, more);
            v7 = octets_less_within(v7, b7, first, more);
            v8 = octets_less_within(v8, b8, first, more);
            first = octets_load(curve + 1216);
            more = octets_load(curve + 1280);
            v0 = octets_less_within(v0, b0, first, more);
            v1 = octets_less_within(v1, b1, first, more);
            v2 = octets_less_within(v2, b2, first, more);
            v3 = octets_less_within(v3, b3, first, more);
            v4 = octets_less_within(v4, b4, first, more);
            v5 = octets_less_within(v5, b5, first, more);
            v6 = octets_less_within(v6, b6, first, more);
            v7 = octets_less_within(v7, b7, first, more);
            v8 = octets_less_within(v8, b8, first, more);
            first = octets_load(curve + 1344);
            more = octets_load(curve + 1408);
            v0 = octets_less_within(v0, b0, first, more);
            v1 = octets_less_within(v1, b1, first, more);
            v2 = octets_less_within(v2, b2, first, more);
            v3 = octets_less_within(v3, b3, first, more);
            v4 = octets_less_within(v4, b4, first, more);
            v5 = octets_less_within(v5, b5, first, more);
            v6 = octets_less_within(v6, b6, first, more);
            v7 = octets_less_within(v7, b7, first, more);
            v8 = octets_less_within(v8, b8, first, more);
            first = octets_load(curve + 1472);
            more = octets_load(curve + 1536);
            v0 = octets_less_within(v0, b0, first, more);
            v1 = octets_less_within(v1, b1, first, more);
            v2 = octets_less_within(v2, b2, first, more);
            v3 = octets_less_within(v3, b3, first, more);
            v4 = octets_less_within(v4, b4, first, more);
            v5 = octets_less_within(v5, b5, first, more);
            v6 = octets_less_within(v6, b6, first, more);
            v7 = octets_less_within(v7, b7, first, more);
            v8 = octets_less_within(v8, b8, first, more);
            first = octets_load(curve + 1600);
            more = octets_load(curve + 1664);
            v0 = octets_less_within(v0, b0, first, more);
            v1 = octets_less_within(v1, b1, first, more);
            v2 = octets_less_within(v2, b2, first, more);
            v3 = octets_less_within(v3, b3, first, more);
            v4 = octets_less_within(v4, b4, first, more);
            v5 = octets_less_within(v5, b5, first, more);
            v6 = octets_less_within(v6, b6, first, more);
            v7 = octets_less_within(v7, b7, first, more);
            v8 = octets_less_within(v8, b8, first, more);
            first = octets_load(curve + 1728);
            more = octets_load(curve + 1792);
            v0 = octets_less_within(v0, b0, first, more);
            v1 = octets_less_within(v1, b1, first, more);
            v2 = octets_less_within(v2, b2, first, more);
            v3 = octets_less_within(v3, b3, first, more);
            v4 = octets_less_within(v4, b4, first, more);
            v5 = octets_less_within(v5, b5, first, more);
            v6 = octets_less_within(v6, b6, first, more);
            v7 = octets_less_within(v7, b7, first, more);
            v8 = octets_less_within(v8, b8, first, more);
            octets_store(out0, v0);
            octets_store(out1, v1);
            octets_store(out2, v2);
            octets_store(out3, v3);
            octets_store(out4, v4);
            octets_store(out5, v5);
            octets_store(out6, v6);
            octets_store(out7, v7);
            octets_store(out8, v8);
        }
#else
        for (size_t r = 0; r < rows; r += 3) {
            uint8_t *out0 = y + r * apart + j;
            const octets x0 = octets_load(out0), relu0 = octets_excess(x0, knee);
            const octets b0 = octets_min(x0, octets_excess(knee, relu0));
            octets v0 = octets_add(octets_product(relu0, factor), zero);
            uint8_t *out1 = y + (r + 1 < rows ? r + 1 : r) * apart + j;
            const octets x1 = octets_load(out1), relu1 = octets_excess(x1, knee);
            const octets b1 = octets_min(x1, octets_excess(knee, relu1));
            octets v1 = octets_add(octets_product(relu1, factor), zero);
            uint8_t *out2 = y + (r + 2 < rows ? r + 2 : r) * apart + j;
            const octets x2 = octets_load(out2), relu2 = octets_excess(x2, knee);
            const octets b2 = octets_min(x2, octets_excess(knee, relu2));
            octets v2 = octets_add(octets_product(relu2, factor), zero);
            octets first, more;

            first = octets_load(curve + 192);
            more = octets_load(curve + 256);
            v0 = octets_less_within(v0, b0, first, more);
            v1 = octets_less_within(v1, b1, first, more);
            v2 = octets_less_within(v2, b2, first, more);
            first = octets_load(curve + 320);
            more = octets_load(curve + 384);
            v0 = octets_less_within(v0, b0, first, more);
            v1 = octets_less_within(v1, b1, first, more);
            v2 = octets_less_within(v2, b2, first, more);
            first = octets_load(curve + 448);
            more = octets_load(curve + 512);
            v0 = octets_less_within(v0, b0, first, more);
            v1 = octets_less_within(v1, b1, first, more);
            v2 = octets_less_within(v2, b2, first, more);
            first = octets_load(curve + 576);
            more = octets_load(curve + 640);
            v0 = octets_less_within(v0, b0, first, more);
            v1 = octets_less_within(v1, b1, first, more);
            v2 = octets_less_within(v2, b2, first, more);
            first = octets_load(curve + 704);
            more = octets_load(curve + 768);
            v0 = octets_less_within(v0, b0, first, more);
            v1 = octets_less_within(v1, b1, first, more);
            v2 = octets_less_within(v2, b2, first, more);
            first = octets_load(curve + 832);
            more = octets_load(curve + 896);
            v0 = octets_less_within(v0, b0, first, more);
            v1 = octets_less_within(v1, b1, first, more);
            v2 = octets_less_within(v2, b2, first, more);
            first = octets_load(curve + 960);
            more = octets_load(curve + 1024);
            v0 = octets_less_within(v0, b0, first, more);
            v1 = octets_less_within(v1, b1, first, more);
            v2 = octets_less_within(v2, b2, first, more);
            first = octets_load(curve + 1088);
            more = octets_load(curve + 1152);
            v0 = octets_less_within(v0, b0, first, more);
            v1 = octets_less_within(v1, b1, first, more);
            v2 = octets_less_within(v2, b2, first, more);
            first = octets_load(curve + 1216);
            more = octets_load(curve + 1280);
            v0 = octets_less_within(v0, b0, first, more);
            v1 = octets_less_within(v1, b1, first, more);
            v2 = octets_less_within(v2, b2, first, more);
            first = octets_load(curve + 1344);
            more = octets_load(curve + 1408);
            v0 = octets_less_within(v0, b0, first, more);
            v1 = octets_less_within(v1, b1, first, more);
            v2 = octets_less_within(v2, b2, first, more);
            first = octets_load(curve + 1472);
            more = octets_load(curve + 1536);
            v0 = octets_less_within(v0, b0, first, more);
            v1 = octets_less_within(v1, b1, first, more);
            v2 = octets_less_within(v2, b2, first, more);
            first = octets_load(curve + 1600);
            more = octets_load(curve + 1664);
            v0 = octets_less_within(v0, b0, first, more);
            v1 = octets_less_within(v1, b1, first, more);
            v2 = octets_less_within(v2, b2, first, more);
            first = octets_load(curve + 1728);
            more = octets_load(curve + 1792);
            v0 = octets_less_within(v0, b0, first, more);
            v1 = octets_less_within(v1, b1, first, more);
            v2 = octets_less_within(v2, b2, first, more);
            octets_store(out0, v0);
            octets_store(out1, v1);
            octets_store(out2, v2);
        }
#endif
    }
}
#endif

/* y = factor * relu(x) - delta(|x|) about the zero point `knee`, in bytes, for 9 rows of 64 columns
   at most. `curve` has 64 bytes each of knee, factor, zero and of two for each of the 13 numbers
   that delta reaches: it is one more where b = max(knee - |x - knee|, 0) is from the first of both
   on and the second more. */
static void gelu_steps_37_13(size_t rows, size_t width, const uint8_t *restrict curve,
    uint8_t *restrict y)
{
#ifdef VECTOR
    if (width % (4 * VECTOR) == 0) {
        gelu_steps_37_13_groups(rows, width, curve, 37, y);
    } else {
        uint8_t held[576] VECTOR_PLACE = {0};

        for (size_t r = 0; r < rows; r++) {
            for (size_t j = 0; j < width; j++) {
                held[r * 64 + j] = y[r * 37 + j];
            }
        }
        gelu_steps_37_13_groups(rows, 64, curve, 64, held);
        for (size_t r = 0; r < rows; r++) {
            for (size_t j = 0; j < width; j++) {
                y[r * 37 + j] = held[r * 64 + j];
            }
        }
    }
#else
    for (size_t r = 0; r < rows; r++) {
        uint8_t *restrict out = y + r * 37;

        for (size_t j = 0; j < width; j++) {
            const uint8_t x = out[j], knee = curve[j];
            const uint8_t relu = x > knee ? (uint8_t)(x - knee) : 0;
            const uint8_t above = relu < knee ? (uint8_t)(knee - relu) : 0;
            const uint8_t b = x < above ? x : above;
            uint8_t d = 0;

            d = (uint8_t)(d + ((uint8_t)(b - curve[192 + j]) <= curve[256 + j]));
            d = (uint8_t)(d + ((uint8_t)(b - curve[320 + j]) <= curve[384 + j]));
            d = (uint8_t)(d + ((uint8_t)(b - curve[448 + j]) <= curve[512 + j]));
            d = (uint8_t)(d + ((uint8_t)(b - curve[576 + j]) <= curve[640 + j]));
            d = (uint8_t)(d + ((uint8_t)(b - curve[704 + j]) <= curve[768 + j]));
            d = (uint8_t)(d + ((uint8_t)(b - curve[832 + j]) <= curve[896 + j]));
            d = (uint8_t)(d + ((uint8_t)(b - curve[960 + j]) <= curve[1024 + j]));
            d = (uint8_t)(d + ((uint8_t)(b - curve[1088 + j]) <= curve[1152 + j]));
            d = (uint8_t)(d + ((uint8_t)(b - curve[1216 + j]) <= curve[1280 + j]));
            d = (uint8_t)(d + ((uint8_t)(b - curve[1344 + j]) <= curve[1408 + j]));
            d = (uint8_t)(d + ((uint8_t)(b - curve[1472 + j]) <= curve[1536 + j]));
            d = (uint8_t)(d + ((uint8_t)(b - curve[1600 + j]) <= curve[1664 + j]));
            d = (uint8_t)(d + ((uint8_t)(b - curve[1728 + j]) <= curve[1792 + j]));
            out[j] = (uint8_t)(relu * curve[64 + j] + curve[128 + j] - d);
        }
    }
#endif
}
