#ifdef VECTOR
/* The bytes 128 + round(v * factor / 2^22) of four vectors of numbers from -2^15 to 2^15, in order,
   for a factor below 2^15. A product's upper half is rounded down, as all of it is after: in one
   step or in two, it is the same. 2^15 counts as one less, which rounds to 127 as well. */
static inline void vector_store_codes(uint8_t *to, vector a, vector b, vector c, vector d,
    int32_t factor)
{
#if VECTOR == 16
    const vector order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    const vector by = _mm512_set1_epi16((int16_t)factor), more = _mm512_set1_epi16(128 * 64 + 32);
    vector lower = _mm512_mulhi_epi16(_mm512_packs_epi32(a, b), by);
    vector upper = _mm512_mulhi_epi16(_mm512_packs_epi32(c, d), by);

    lower = _mm512_srli_epi16(_mm512_add_epi16(lower, more), 6);
    upper = _mm512_srli_epi16(_mm512_add_epi16(upper, more), 6);
    _mm512_storeu_si512(to, _mm512_permutexvar_epi32(order, _mm512_packus_epi16(lower, upper)));
#else
    const vector order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
    const vector by = _mm256_set1_epi16((int16_t)factor), more = _mm256_set1_epi16(128 * 64 + 32);
    vector lower = _mm256_mulhi_epi16(_mm256_packs_epi32(a, b), by);
    vector upper = _mm256_mulhi_epi16(_mm256_packs_epi32(c, d), by);

    lower = _mm256_srli_epi16(_mm256_add_epi16(lower, more), 6);
    upper = _mm256_srli_epi16(_mm256_add_epi16(upper, more), 6);
    _mm256_storeu_si256((void *)to, _mm256_permutevar8x32_epi32(_mm256_packus_epi16(lower, upper),
        order));
#endif
}
#endif
