/* A step of a context model and its codes: probabilities, choice and range coding. */

#include <math.h>

#include "product.h"
#include "range_coder.h"
#include "threads.h"

enum { LOGIT_GRID = 64, MIDDLE = 1024, EXP_BITS = 20 };  /* of exact.py */
enum { DECODE, ENCODE, CHOOSE };                         /* modes of code_step */

typedef struct {
    /* positions, channels, groups of the step, codes of a group but 0, dimensions of a group, codes
     * of a group, positions of the picture */
    int64_t mode, n, channels, groups, ways, size, codebook, total;
    int64_t first;               /* the first position, if `where` is NULL */
    const int64_t *where;        /* [n] */
    const float *start;          /* [channels] */
    const float *trunk;          /* [total,channels] or NULL */
    const float *near;           /* [n,channels] or NULL */
    int64_t hidden;              /* channels, padded to whole LANES */
    const int16_t *middle_weight; /* channels to hidden; such weights are laid out as Weights */
    const float *middle_bias;
    const int16_t *some_weight;  /* hidden to the groups, padded */
    const float *some_bias;
    int64_t odds_stride;         /* groups of the layer */
    const float *odds;           /* [total,odds_stride] from the step's first group on, or NULL */
    const int64_t *before;       /* [groups,total], codes of the layer before, or NULL */
    const float *some_after;     /* [groups,codebook] */
    int64_t padded;              /* ways, padded to whole LANES */
    const int16_t *which_weight; /* hidden to padded, for each group */
    const float *which_bias;     /* [groups,padded], far below all others in the padding */
    const float *which_after;    /* [groups,codebook,padded] */
    const int32_t *falls;        /* [2 * MIDDLE + 1], frequencies of code 0 */
    const int32_t *exponentials; /* [last + 1], the last of which is 0 */
    int64_t last;
    int64_t *codes;              /* [groups,total] */
    const float *latent;         /* CHOOSE: [dims,total], from the step's first dimension on */
    const float *sum;            /* CHOOSE: [total,dims] likewise, of coarser layers, or NULL */
    int64_t dims;
    const float *vectors;        /* CHOOSE: [groups,size,padded], of codes but 0 */
    const float *norms;          /* CHOOSE: [groups,padded], their squares, infinite in the padding */
    /* What later steps see of these codes, or NULL: [2][groups,codebook,size], and where it goes,
     * [2][total,known_rows] from the step's first dimension on. */
    const int16_t *look;
    int16_t *known;
    int64_t look_stride, known_stride, known_rows; /* between the two of each */
    float middle_unit, some_unit, which_unit, rate_lambda;
} Step;

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
    Which *which;      /* [groups,n], of an encoder */
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

/* What a dimension of the step has left to quantize. */
INLINE float rest(const Step *s, int64_t d, int64_t position) {
    float z = s->latent[d * s->total + position];
    return s->sum ? z - s->sum[position * s->dims + d] : z;
}

/* argmin over codes of |r - b|^2 - lambda log p, as photo_codes.pick has it. */
INLINE void choose(const Step *s, const Scratch *t, int64_t g) {
    const Some *some = t->some + g * s->n;
    int64_t *codes = s->codes + g * s->total, count = 0;
    for (int64_t p = 0; p < s->n; p++) {
        float square = 0;
        for (int64_t i = 0; i < s->size; i++) {
            float r = rest(s, g * s->size + i, place(s, p));
            square += r * r;
        }
        codes[place(s, p)] = 0;
        t->list[count] = p;
        count += square + s->rate_lambda * some[p].odds > 0;
    }
    for (int64_t at = 0; at < count; at++) {
        if (at % ROWS == 0) which_logits(s, t, g, at, count);
        float *gains = t->rows + at % ROWS * s->padded, top = greatest(gains, s->padded);
        int64_t p = t->list[at], best = 0;
        const float *norms = s->norms + g * s->padded;
        int64_t sum = weigh(s, gains, top, t->weights);
        float whole = top + (float)log(ldexp((double)sum, -EXP_BITS));
        for (int64_t k = 0; k < s->padded; k++)
            gains[k] = (gains[k] - whole) * s->rate_lambda - norms[k];
        for (int64_t i = 0; i < s->size; i++) {
            const float *b = s->vectors + (g * s->size + i) * s->padded;
            const float factor = 2 * rest(s, g * s->size + i, place(s, p));
            for (int64_t k = 0; k < s->padded; k++) gains[k] += factor * b[k];
        }
        top = greatest(gains, s->padded);
        if (!(top > -s->rate_lambda * some[p].odds)) continue;
        while (gains[best] < top) best++;
        codes[place(s, p)] = best + 1;
        share(s, t->weights, sum);
        t->which[g * s->n + p] = which_of(s, t->weights, best + 1);
    }
}

/* Which of the step's places have a code of group g that is not 0, into list; how many. */
INLINE int64_t others(const Step *s, const Scratch *t, int64_t g) {
    const int64_t *codes = s->codes + g * s->total;
    int64_t count = 0;
    for (int64_t p = 0; p < s->n; p++) {
        t->list[count] = p;
        count += codes[place(s, p)] > 0;
    }
    return count;
}

/* How codes that are known are coded. */
INLINE int prepare(const Step *s, const Scratch *t, int64_t g) {
    const int64_t *codes = s->codes + g * s->total;
    for (int64_t p = 0; p < s->n; p++)
        if ((uint64_t)codes[place(s, p)] >= (uint64_t)s->codebook) return WRONG_CODE;
    for (int64_t at = 0, count = others(s, t, g); at < count; at++) {
        if (at % ROWS == 0) which_logits(s, t, g, at, count);
        const float *logits = t->rows + at % ROWS * s->padded;
        share(s, t->weights, weigh(s, logits, greatest(logits, s->padded), t->weights));
        int64_t p = t->list[at];
        t->which[g * s->n + p] = which_of(s, t->weights, codes[place(s, p)]);
    }
    return FINE;
}

INLINE void encode(const Step *s, const Scratch *t, Coder *coder) {
    Coder c = *coder;
    for (int64_t g = 0; g < s->groups; g++) {
        const int64_t *codes = s->codes + g * s->total;
        for (int64_t p = 0; p < s->n; p++) {
            uint32_t none = (uint32_t)t->some[g * s->n + p].none + 1;
            int64_t code = codes[place(s, p)];
            put(&c, code ? none : 0, code ? (uint32_t)TOTAL - none : none);
        }
    }
    for (int64_t g = 0; g < s->groups; g++) {
        const int64_t *codes = s->codes + g * s->total;
        const Which *which = t->which + g * s->n;
        for (int64_t p = 0; p < s->n; p++)
            if (codes[place(s, p)]) put(&c, which[p].before, which[p].probability);
    }
    *coder = c;
}

INLINE int decode_some(const Step *s, const Scratch *t, Coder *coder) {
    Coder c = *coder;
    for (int64_t g = 0; g < s->groups; g++) {
        int64_t *codes = s->codes + g * s->total;
        for (int64_t p = 0; p < s->n; p++) {
            uint32_t none = (uint32_t)t->some[g * s->n + p].none + 1;
            uint64_t scale = c.range >> PRECISION, point = c.point - c.lower;
            if (point >= scale << PRECISION) return IMPOSSIBLE;
            int64_t code = point >= scale * none;
            codes[place(s, p)] = code;
            take(&c, scale, code ? none : 0, code ? (uint32_t)TOTAL - none : none);
        }
    }
    *coder = c;
    return FINE;
}

INLINE int decode_which(const Step *s, const Scratch *t, Coder *coder) {
    for (int64_t g = 0; g < s->groups; g++) {
        int64_t *codes = s->codes + g * s->total;
        for (int64_t at = 0, count = others(s, t, g); at < count; at++) {
            if (at % ROWS == 0) which_logits(s, t, g, at, count);
            const float *logits = t->rows + at % ROWS * s->padded;
            share(s, t->weights, weigh(s, logits, greatest(logits, s->padded), t->weights));
            uint64_t scale = coder->range >> PRECISION;
            uint64_t quantile = (coder->point - coder->lower) / scale;
            if (quantile >= TOTAL) return IMPOSSIBLE;
            uint32_t before = 0;
            int64_t k = 0;
            while (quantile - before > (uint64_t)t->weights[k])
                before += (uint32_t)t->weights[k++] + 1;
            take(coder, scale, before, (uint32_t)t->weights[k] + 1);
            codes[place(s, t->list[at])] = k + 1;
        }
    }
    return FINE;
}

/* What later steps see of the step's codes. */
INLINE void reveal(const Step *s, int64_t size) {
    for (int64_t from = 0; from < s->n; from += BLOCK) {
        int64_t end = s->n - from < BLOCK ? s->n : from + BLOCK;
        for (int64_t g = 0; g < s->groups; g++) {
            for (int64_t p = from; p < end; p++) {
                int64_t position = place(s, p), code = s->codes[g * s->total + position];
                const int16_t *look = s->look + (g * s->codebook + code) * size;
                int16_t *known = s->known + position * s->known_rows + g * size;
                memcpy(known, look, size * sizeof *known);
                memcpy(known + s->known_stride, look + s->look_stride, size * sizeof *known);
            }
        }
    }
}

CLONED static int run_look(const Step *s, const Scratch *t, int64_t from, int64_t to) {
    int wrong = FINE;
    for (; from < to && !wrong; from += BLOCK)
        wrong = look_at(s, t, from, to - from < BLOCK ? to - from : BLOCK);
    return wrong;
}

CLONED static int run_groups(const Step *s, const Scratch *t, int64_t from, int64_t to) {
    int wrong = FINE;
    for (int64_t g = from; g < to && !wrong; g++) {
        if (s->mode == ENCODE) {
            wrong = prepare(s, t, g);
        } else {
            choose(s, t, g);
            settle(s, t->some + g * s->n, s->n);
        }
    }
    return wrong;
}

CLONED static int run_code(const Step *s, const Scratch *t, Coder *coder) {
    int wrong = FINE;
    if (s->mode == DECODE) {
        wrong = decode_some(s, t, coder);
        if (!wrong) wrong = decode_which(s, t, coder);
    } else if (coder) {
        encode(s, t, coder);
    }
    if (wrong || !s->known) return wrong;
    if (s->size == 1) reveal(s, 1);
    else if (s->size == 4) reveal(s, 4);
    else reveal(s, s->size);
    return FINE;
}

/* What a thread has of its own, beside what all share; `list` is to be freed, NULL if there is no
 * memory. */
static Scratch scratch_of(const Step *s, float *shared) {
    int64_t widest = s->groups + LANES;
    widest = widest > s->padded ? widest : s->padded;
    widest = widest > s->hidden ? widest : s->hidden;
    Which *which = (Which *)(shared + s->groups * s->n);
    Scratch t = {(Some *)shared, which, (int16_t *)(which + s->groups * s->n), NULL, NULL, NULL, NULL};
    t.list = malloc((s->n + 1) * sizeof *t.list + BLOCK * widest * sizeof *t.rows +
                    s->padded * sizeof *t.weights + BLOCK * s->hidden * sizeof *t.entering);
    t.rows = (float *)(t.list + s->n + 1);
    t.weights = (int32_t *)(t.rows + BLOCK * widest);
    t.entering = (int16_t *)(t.weights + s->padded);
    return t;
}

static int look_task(const void *s, void *shared, int64_t from, int64_t to) {
    Scratch t = scratch_of(s, shared);
    int wrong = t.list ? run_look(s, &t, from, to) : NO_MEMORY;
    free(t.list);
    return wrong;
}

static int groups_task(const void *s, void *shared, int64_t from, int64_t to) {
    Scratch t = scratch_of(s, shared);
    int wrong = t.list ? run_groups(s, &t, from, to) : NO_MEMORY;
    free(t.list);
    return wrong;
}

/* How many floats code_step needs as scratch. */
EXPORT int64_t shared_of(const Step *s) { return (s->n + BLOCK) * s->hidden / 2 + 3 * s->groups * s->n; }

/* Code the step's groups at its positions: whether each is 0, then which the others are. Without a
 * coder codes are only chosen.
 *
 * An encoder needs room for 3 bytes for each of 2 n groups, and for what it holds. */
EXPORT int code_step(const Step *s, Coder *coder, float *shared, int64_t threads) {
    int wrong = spread(look_task, s, shared, s->n, BLOCK, threads);
    if (!wrong && s->mode != DECODE) wrong = spread(groups_task, s, shared, s->groups, 1, threads);
    if (wrong) return wrong;
    Scratch t = scratch_of(s, shared);
    wrong = t.list ? run_code(s, &t, coder) : NO_MEMORY;
    free(t.list);
    return wrong;
}

/* So that the caller can see that it means the same by its structures. */
EXPORT int64_t size_of_step(void) { return sizeof(Step); }

EXPORT int64_t size_of_coder(void) { return sizeof(Coder); }

/* So that it can be built as a module, which nobody imports. */
EXPORT void *PyInit__kernels(void) { return NULL; }
