/* A product on one kind of processor. Included by product.c, once for each, with
 *
 * NAME                the function's
 * TARGET              its attribute
 * WIDTH               lanes of a vector
 * MOST, FEW           rows at once that its registers have room for; a few, at the end
 * DOT(sum, x, pairs)  sum + x[0] * the first of each pair + x[1] * the second
 *
 * all of which it undefines. */

#define JOINED(a, b) a##b
#define JOIN(a, b) JOINED(a, b)
#define VECTOR JOIN(NAME, _vector)
#define FLOATS JOIN(NAME, _floats)
#define SOME JOIN(NAME, _some)

typedef int32_t VECTOR __attribute__((vector_size(4 * WIDTH), aligned(4), may_alias));
typedef float FLOATS __attribute__((vector_size(4 * WIDTH), aligned(4), may_alias));

/* `product` of `rows` rows, which a compiler knows. */
TARGET INLINE void SOME(float *out, int64_t apart, const int16_t *const *x, const int rows,
                        const Weights *w, int64_t from, int64_t width) {
    for (int64_t k = from; k < from + width; k += LANES) {
        VECTOR sums[MOST][LANES / WIDTH];
        const int16_t *pairs = w->weight + 2 * k * w->taps * w->pairs;
        for (int r = 0; r < rows; r++)
            for (int v = 0; v < LANES / WIDTH; v++) sums[r][v] = (VECTOR){0};
        for (int64_t tap = 0; tap < w->taps; tap++) {
            const int16_t *seen[MOST];
            for (int r = 0; r < rows; r++) seen[r] = x[r] + (w->behind ? w->behind[tap] : 0);
            for (int64_t i = 0; i < w->pairs; i++, pairs += 2 * LANES) {
                VECTOR here[LANES / WIDTH];
                for (int v = 0; v < LANES / WIDTH; v++)
                    here[v] = *(const VECTOR *)(pairs + 2 * WIDTH * v);
                for (int r = 0; r < rows; r++)
                    for (int v = 0; v < LANES / WIDTH; v++)
                        sums[r][v] = DOT(sums[r][v], seen[r] + 2 * i, here[v]);
            }
        }
        for (int v = 0; v < LANES / WIDTH; v++) {
            int64_t at = k + WIDTH * v;
            FLOATS bias = w->bias ? *(const FLOATS *)(w->bias + at) : (FLOATS){0};
            for (int r = 0; r < rows; r++)
                *(FLOATS *)(out + r * apart + at - from) =
                    __builtin_convertvector(sums[r][v], FLOATS) * w->unit + bias;
        }
    }
}

TARGET static void NAME(float *out, int64_t apart, const int16_t *const *x, int64_t rows,
                        const Weights *w, int64_t from, int64_t width) {
    for (; rows > FEW; rows -= MOST, out += MOST * apart, x += MOST)
        SOME(out, apart, x, MOST, w, from, width);
    if (rows > 0) SOME(out, apart, x, FEW, w, from, width);
}

#undef JOINED
#undef JOIN
#undef VECTOR
#undef FLOATS
#undef SOME
#undef NAME
#undef TARGET
#undef WIDTH
#undef MOST
#undef FEW
#undef DOT
