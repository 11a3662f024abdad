/* Products of rows by weights, both in whole numbers. */

#ifndef PRODUCT_H
#define PRODUCT_H

#include <stdint.h>

#include "common.h"

enum { LANES = 16, ROWS = 8, BLOCK = 16 }; /* outputs of a panel, rows at once, rows of a block */

/* What enters is a multiple of 2^-5 within +-16, and narrow.py rounds weights so that sums have 24
 * bits: so either has 16, the sums of their whole numbers 32, and a float32 holds all of them. */
typedef struct {
    const int16_t *weight; /* [outputs/LANES,taps,pairs,LANES,2], times 1 / (32 * unit) */
    const float *bias;     /* [outputs], or NULL for none */
    float unit;            /* what 1 in a sum stands for, a power of two */
    int64_t pairs, taps;   /* half the inputs, made even by a weight of 0 */
    const int64_t *behind; /* [taps], how many numbers behind the first each tap reads; NULL: one */
} Weights;

/* Up to ROWS rows at once: out[r] = bias + x[r] W, for outputs from..from+width in whole LANES.
 *
 * Both have ROWS rows, of which those behind the first `rows` may be read and written too. */
void product(float *out, int64_t apart, const int16_t *const *x, int64_t rows, const Weights *w,
             int64_t from, int64_t width);

/* `product` for BLOCK rows that lie one behind the other. */
INLINE void products(float *out, int64_t width, const int16_t *x, int64_t apart, const Weights *w) {
    for (int64_t r = 0; r < BLOCK; r += ROWS) {
        const int16_t *rows[ROWS];
        for (int i = 0; i < ROWS; i++) rows[i] = x + (r + i) * apart;
        product(out + r * width, width, rows, ROWS, w, 0, width);
    }
}

/* Leaky rectifier and the grid of what enters a product, as narrow.py has them. */
INLINE int16_t rectified(float x) {
    x = (x > 0 ? x : x * 0.125f) * 32.0f;
    x = x < -512.0f ? -512.0f : x > 512.0f ? 512.0f : x;
    return (int16_t)(int32_t)((x + ROUNDER) - ROUNDER);
}

#endif
