#ifdef VECTOR
/* h = 2^(-z / 4096) in Q16, at most 65535, for the fractions of z, as power_of_half of one number:
   those of b above those of a. Multiples of 8 f lie in 15 bits, and the third sum is 32768 more,
   for which 8 f is taken off. */
static inline vector vector_powers(vector a, vector b)
{
    const vector f = vector_and(vector_left_halves(vector_lower_halves(a, b), 3),
        vector_all(0x7ff87ff8));
    vector h = vector_add_halves(vector_step_halves(vector_all_halves(449), f),
        vector_all_halves(-3489));

    h = vector_add_halves(vector_step_halves(h, f), vector_all_halves(15692));
    h = vector_add_halves(vector_step_halves(h, f), vector_all_halves(-12652));
    return vector_min_halves(vector_sub_halves(vector_step_halves(h, f), f), vector_all_halves(-1));
}
#endif
