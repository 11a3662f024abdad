/* Convolutions of rows of channels, at some positions. */

#include "layer.h"
#include "product.h"

enum { TILE = 32 };

INLINE int64_t even(const Convolution *v) { return (v->parts * v->part + 1) / 2 * 2; }

/* What is seen, with zeros around it, and how far behind the first each tap reads of it. */
static void surround(Convolution *v) {
    int64_t pad = v->kernel / 2 * v->dilation, wide = v->w + 2 * pad, C = even(v);
    memset(v->padded, 0, (v->h + 2 * pad) * wide * C * sizeof *v->padded);
    for (int64_t p = 0; p < v->h * v->w; p++)
        for (int64_t i = 0; i < v->parts; i++)
            memcpy(v->padded + ((p / v->w + pad) * wide + p % v->w + pad) * C + i * v->part,
                   v->x[i] + p * v->apart, v->part * sizeof *v->padded);
    for (int64_t i = 0; i < v->kernel * v->kernel; i++)
        v->behind[i] = (i / v->kernel * wide + i % v->kernel) * v->dilation * C;
}

static int convolve_task(const void *about, int64_t from, int64_t to) {
    const Convolution *v = about;
    int64_t wide = v->w + 2 * (v->kernel / 2 * v->dilation), C = even(v);
    Weights weights = {v->weight, v->bias, v->unit, C / 2, v->kernel * v->kernel, v->behind};
    for (; from < to; from += TILE) {
        const int16_t *x[TILE];
        int64_t count = to - from < TILE ? to - from : TILE;
        for (int64_t i = 0; i < TILE; i++) {
            int64_t p = from + (i < count ? i : count - 1);
            p = v->where ? v->where[p] : p;
            if ((uint64_t)p >= (uint64_t)(v->h * v->w)) return WRONG_CODE;
            x[i] = v->padded + (p / v->w * wide + p % v->w) * C;
        }
        for (int64_t k = 0; k < v->hidden; k += LANES) { /* so that weights stay in the cache */
            for (int64_t i = 0; i < count; i += ROWS) {
                float rows[ROWS * LANES];
                product(rows, LANES, x + i, ROWS, &weights, k, LANES);
                for (int64_t r = i; r < i + ROWS && r < count; r++) {
                    int64_t end = v->channels - k < LANES ? v->channels - k : LANES;
                    float *out = v->out + (from + r) * v->channels + k;
                    memcpy(out, rows + (r - i) * LANES, end * sizeof *out);
                    if (!v->more) continue;
                    int64_t p = v->where ? v->where[from + r] : from + r;
                    for (int64_t l = 0; l < end; l++) out[l] += v->more[p * v->channels + k + l];
                }
            }
        }
    }
    return FINE;
}

int64_t padded_of(const Convolution *v) {
    int64_t pad = v->kernel / 2 * v->dilation;
    return (v->h + 2 * pad) * (v->w + 2 * pad) * even(v);
}

/* A convolution of odd kernel that keeps the size, with zeros around, at some positions. */
int convolve(Convolution *v, Crew *crew) {
    surround(v);
    return spread(crew, convolve_task, v, v->n, TILE);
}
