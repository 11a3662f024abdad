/* Probabilities of a step's codes, and what leads up to them. */

#ifndef TABLES_H
#define TABLES_H

#include "layer.h"
#include "product.h"

enum { LOGIT_GRID = 64, MIDDLE = 1024, EXP_BITS = 20 }; /* of exact.py */

/* Log odds that a code is not 0; at last the frequency of 0. */
typedef union {
    float odds;
    int32_t none;
} Some;

/* How a code that is not 0 is coded, in 2^-24ths: what lies before it, and its probability. */
typedef struct {
    uint32_t before, probability;
} Which;

typedef struct {
    Some *some;        /* [groups,n] */
    Which *which;      /* [groups,n], of an encoder, or */
    int32_t *tables;   /* [..,padded], frequencies of codes but 0, of a decoder, */
    int64_t *offsets;  /* [groups], and in which row those of each group begin */
    int16_t *features; /* [n,hidden] */
    int64_t *list;     /* [n+1]; this and what follows are a thread's own */
    float *rows;       /* [BLOCK,the widest] */
    int16_t *entering; /* [BLOCK,hidden] */
    int32_t *weights;  /* [padded] */
} Scratch;

INLINE int64_t place(const Step *s, int64_t p) { return s->where ? s->where[p] : s->first + p; }

/* Log odds become frequencies of 0, as exact.py has them. */
INLINE void settle(const Step *s, Some *some, int64_t count) {
    for (int64_t i = 0; i < count; i++) {
        float index = some[i].odds * LOGIT_GRID;
        index = index < -MIDDLE ? -MIDDLE : index > MIDDLE ? MIDDLE : index;
        some[i].none = (int32_t)((index + ROUNDER) - ROUNDER) + MIDDLE;
    }
    for (int64_t i = 0; i < count; i++) some[i].none = s->falls[some[i].none];
}

/* Features of a block of positions, and their log odds: see Context.features, some_logits.
 *
 * A block at a time, for rows of arrays [groups,..] may share a cache's few lines. */
INLINE int look_at(const Step *s, const Scratch *t, int64_t from, int64_t count) {
    int16_t *features = t->features + from * s->hidden;
    int64_t width = (s->groups + LANES - 1) / LANES * LANES, pairs = (s->channels + 1) / 2;
    for (int64_t i = 0; i < BLOCK; i++) {
        float *row = t->rows + i * s->hidden;
        int16_t *entering = t->entering + i * s->hidden;
        int64_t p = from + (i < count ? i : count - 1), position = place(s, p);
        if ((uint64_t)position >= (uint64_t)s->total) return WRONG_CODE;
        memcpy(row, s->start, s->channels * sizeof *row);
        for (int64_t c = 0; s->trunk && c < s->channels; c++)
            row[c] += s->trunk[position * s->channels + c];
        for (int64_t c = 0; s->near && c < s->channels; c++) row[c] += s->near[p * s->channels + c];
        for (int64_t c = 0; c < s->channels; c++) entering[c] = rectified(row[c]);
        for (int64_t c = s->channels; c < s->hidden; c++) entering[c] = 0;
    }
    Weights middle = {s->middle_weight, s->middle_bias, s->middle_unit, pairs, 1, NULL};
    Weights last = {s->some_weight, s->some_bias, s->some_unit, pairs, 1, NULL};
    products(t->rows, s->hidden, t->entering, s->hidden, &middle);
    for (int64_t i = 0; i < BLOCK * s->hidden; i++) features[i] = rectified(t->rows[i]);
    products(t->rows, width, features, s->hidden, &last);
    for (int64_t i = 0; s->odds && i < count; i++) {
        const float *odds = s->odds + place(s, from + i) * s->odds_stride;
        for (int64_t g = 0; g < s->groups; g++) t->rows[i * width + g] += odds[g];
    }
    int64_t next = place(s, from + BLOCK < s->n ? from + BLOCK : from);
    for (int64_t g = 0; g < s->groups; g++) {
        float some[BLOCK];
        for (int64_t i = 0; i < count; i++) some[i] = t->rows[i * width + g];
        if (s->before) {
            const int64_t *before = s->before + g * s->total;
            const float *after = s->some_after + g * s->codebook;
            PREFETCH(before + next);
            PREFETCH(before + next + BLOCK / 2);
            for (int64_t i = 0; i < count; i++) {
                int64_t code = before[place(s, from + i)];
                if ((uint64_t)code >= (uint64_t)s->codebook) return WRONG_CODE;
                some[i] += after[code];
            }
        }
        memcpy(t->some + g * s->n + from, some, count * sizeof *some);
        if (s->mode != CHOOSE) settle(s, t->some + g * s->n + from, count);
    }
    return FINE;
}

/* Logits of codes 1..ways of group g at up to ROWS places of the step from list[at] on, of `count`
 * in all: into rows[ROWS,padded]. */
INLINE void which_logits(const Step *s, const Scratch *t, int64_t g, int64_t at, int64_t count) {
    const int16_t *x[ROWS];
    int64_t pairs = (s->channels + 1) / 2, rows = count - at < ROWS ? count - at : ROWS;
    for (int64_t i = 0; i < ROWS; i++)
        x[i] = t->features + t->list[at + (i < rows ? i : 0)] * s->hidden;
    Weights which = {s->which_weight + 2 * g * pairs * s->padded, s->which_bias + g * s->padded,
                     s->which_unit, pairs, 1, NULL};
    product(t->rows, s->padded, x, rows, &which, 0, s->padded);
    for (int64_t i = 0; s->before && i < rows; i++) {
        int64_t code = s->before[g * s->total + place(s, t->list[at + i])];
        const float *after = s->which_after + (g * s->codebook + code) * s->padded;
        float *row = t->rows + i * s->padded;
        for (int64_t k = 0; k < s->padded; k++) row[k] += after[k];
    }
}

INLINE float greatest(const float *x, int64_t padded) {
    float most[LANES];
    memcpy(most, x, sizeof most);
    for (int64_t k = LANES; k < padded; k += LANES)
        for (int i = 0; i < LANES; i++) most[i] = x[k + i] > most[i] ? x[k + i] : most[i];
    for (int half = LANES / 2; half; half /= 2)
        for (int i = 0; i < half; i++) most[i] = most[i + half] > most[i] ? most[i + half] : most[i];
    return most[0];
}

/* Logits, of which `top` is the greatest, become weights of exact.py's softmax, whole numbers; their
 * sum. */
INLINE int64_t weigh(const Step *s, const float *logits, float top, int32_t *weights) {
    float last = (float)s->last;
    int32_t sums[LANES] = {0};
    int64_t sum = 0;
    for (int64_t k = 0; k < s->padded; k++) {
        float behind = (top - logits[k]) * LOGIT_GRID;
        behind = behind < last ? behind : last;
        weights[k] = (int32_t)((behind + ROUNDER) - ROUNDER);
    }
    for (int64_t k = 0; k < s->padded; k++) weights[k] = s->exponentials[weights[k]];
    for (int64_t k = 0; k < s->padded; k += LANES)
        for (int i = 0; i < LANES; i++) sums[i] += weights[k + i];
    for (int i = 0; i < LANES; i++) sum += sums[i];
    return sum;
}

/* Weights become frequencies, as in base.frequencies: each is one less than its 2^-24ths.
 *
 * A quotient is below 2^24, and its fraction a multiple of 1 / sum: where sum is at most 2^26, the
 * 2^-28 that a product with the reciprocal is off cannot carry it over a whole number behind which
 * it was moved by twice as much. */
INLINE void share(const Step *s, int32_t *weights, int64_t sum) {
    double available = (double)(TOTAL - (uint64_t)s->ways), total = (double)sum;
    double factor = available / total;
    int32_t given = 0;
    if (sum <= 1 << 26)
        for (int64_t k = 0; k < s->padded; k++)
            weights[k] = (int32_t)((double)weights[k] * factor + 0x1p-27);
    else
        for (int64_t k = 0; k < s->padded; k++)
            weights[k] = (int32_t)((double)weights[k] * available / total);
    for (int64_t k = 0; k < s->padded; k++) given += weights[k];
    weights[0] += (int32_t)available - given;
}

/* How a code but 0 is coded under frequencies. */
INLINE Which which_of(const Step *s, const int32_t *frequencies, int64_t code) {
    uint32_t before = 0;
    for (int64_t k = 0; k < s->padded; k++)
        before += k < code - 1 ? (uint32_t)frequencies[k] + 1 : 0;
    return (Which){before, (uint32_t)frequencies[code - 1] + 1};
}

#endif
