/* What a context model sees of coarser layers. */

#include <math.h>
#include <stdlib.h>

#include "layer.h"
#include "product.h"

/* The sum of the coarser layers, and what the trunk sees of the last one. */
INLINE int gather(const View *v, int16_t *seen, int64_t from, int64_t end, int kind, int64_t size) {
    int64_t D = v->scalars + v->vectors * v->size, all = kind ? v->vectors : v->scalars;
    int64_t d = kind ? v->scalars : 0, before = kind ? v->scalars : 0;
    for (int64_t layer = 0; layer < v->layers; layer++) {
        const int16_t *look = layer == v->layers - 1 ? v->looks[kind] : NULL;
        for (int64_t g = 0; g < all; g++) {
            const int64_t *codes = v->codes[layer] + (before + g) * v->total;
            const float *book = v->books[2 * layer + kind] + g * v->codebook * size;
            PREFETCH(codes + end);
            PREFETCH(codes + end + BLOCK / 2);
            for (int64_t p = from; p < end; p++) {
                if ((uint64_t)codes[p] >= (uint64_t)v->codebook) return WRONG_CODE;
                float *restrict sum = v->sum + p * D + d + g * size;
                const float *restrict more = book + codes[p] * size;
                for (int64_t i = 0; i < size; i++) sum[i] += more[i];
            }
            for (int64_t p = from; look && p < end; p++) {
                int16_t *restrict last = seen + (p - from) * 4 * D + D + d + g * size;
                const int16_t *restrict row = look + (g * v->codebook + codes[p]) * size;
                memcpy(last, row, size * sizeof *last);
                memcpy(last + 2 * D, row + all * v->codebook * size, size * sizeof *last);
            }
        }
    }
    return FINE;
}

/* Context.look at a row, and what it is worth in the odds: all of D numbers. */
INLINE void look(const float *restrict sum, float per_step, const float *restrict own, int64_t D,
                 int16_t *restrict sign, int16_t *restrict size, float *restrict worth) {
    for (int64_t d = 0; d < D; d++) {
        float x = sum[d] * per_step, most = fabsf(x), pressed = most * 0.125f + 1.75f;
        most = most < pressed ? most : pressed;
        most = ((most < 4.0f ? most : 4.0f) * 32.0f + ROUNDER) - ROUNDER;
        float signed_most = copysignf(most, x);
        size[d] = (int16_t)(int32_t)most;
        sign[d] = (int16_t)(int32_t)signed_most;
        worth[d] = (signed_most * own[d] + most * own[D + d]) * 0.03125f;
    }
}

/* Sums over the dimensions of each group. */
INLINE void by_group(const View *v, float *restrict odds, const float *restrict worth, int64_t size) {
    memcpy(odds, worth, v->scalars * sizeof *odds);
    for (int64_t g = 0; g < v->vectors; g++) {
        float all = 0;
        for (int64_t i = 0; i < size; i++) all += worth[v->scalars + g * size + i];
        odds[v->scalars + g] = all;
    }
}

CLONED static int run_view(const View *v, int64_t from, int64_t to, float *scratch) {
    int64_t D = v->scalars + v->vectors * v->size;
    Weights coarser = {v->weight, v->bias, v->unit, 2 * D, 1, NULL};
    float *worth = scratch, *rows = worth + D;
    int16_t *seen = (int16_t *)(rows + BLOCK * v->hidden);
    for (int64_t p = from; p < to; p += BLOCK) {
        int64_t end = to - p < BLOCK ? to : p + BLOCK;
        memset(v->sum + p * D, 0, (end - p) * D * sizeof *v->sum);
        if (gather(v, seen, p, end, 0, 1)) return WRONG_CODE;
        if (v->size == 4 ? gather(v, seen, p, end, 1, 4) : gather(v, seen, p, end, 1, v->size))
            return WRONG_CODE;
        for (int64_t i = p; i < end; i++) {
            int16_t *sign = seen + (i - p) * 4 * D;
            float *odds = v->odds + i * (v->scalars + v->vectors);
            look(v->sum + i * D, v->per_step, v->own, D, sign, sign + 2 * D, worth);
            if (v->size == 4) by_group(v, odds, worth, 4);
            else by_group(v, odds, worth, v->size);
        }
        products(rows, v->hidden, seen, 4 * D, &coarser);
        for (int64_t i = p; i < end; i++) {
            const float *restrict row = rows + (i - p) * v->hidden;
            int16_t *restrict features = v->features + i * v->channels;
            for (int64_t c = 0; c < v->channels; c++) features[c] = rectified(row[c]);
        }
    }
    return FINE;
}

static int view_task(const void *about, int64_t from, int64_t to) {
    const View *v = about;
    int64_t D = v->scalars + v->vectors * v->size;
    float *scratch = malloc((D + BLOCK * (2 * D + v->hidden)) * sizeof *scratch);
    int wrong = scratch ? run_view(v, from, to, scratch) : NO_MEMORY;
    free(scratch);
    return wrong;
}

int view(const View *v, Crew *crew) { return spread(crew, view_task, v, v->total, 4 * BLOCK); }
