/* A step of a layer's codes: their choice, and range coding. */

#include <math.h>
#include <stdlib.h>

#include "tables.h"

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

typedef struct {
    const Step *step;
    float *shared;
} Job;

enum { SHARE = 8, FEW = 2048 }; /* blocks of a thread's share; codes that are not worth one */

static int look_task(const void *about, int64_t from, int64_t to) {
    const Job *job = about;
    Scratch t = scratch_of(job->step, job->shared);
    int wrong = t.list ? run_look(job->step, &t, from, to) : NO_MEMORY;
    free(t.list);
    return wrong;
}

static int groups_task(const void *about, int64_t from, int64_t to) {
    const Job *job = about;
    Scratch t = scratch_of(job->step, job->shared);
    int wrong = t.list ? run_groups(job->step, &t, from, to) : NO_MEMORY;
    free(t.list);
    return wrong;
}

int64_t shared_of(const Step *s) { return (s->n + BLOCK) * s->hidden / 2 + 3 * s->groups * s->n; }

/* Code the step's groups at its positions: whether each is 0, then which the others are. Without a
 * coder codes are only chosen.
 *
 * An encoder needs room for 3 bytes for each of 2 n groups, and for what it holds. */
int code_step(const Step *s, Coder *coder, float *shared, Crew *crew) {
    Job job = {s, shared};
    int64_t few = s->n * s->groups < FEW ? s->groups : 1;
    int wrong = spread(crew, look_task, &job, s->n, SHARE * BLOCK);
    if (!wrong && s->mode != DECODE) wrong = spread(crew, groups_task, &job, s->groups, few);
    if (wrong) return wrong;
    Scratch t = scratch_of(s, shared);
    wrong = t.list ? run_code(s, &t, coder) : NO_MEMORY;
    free(t.list);
    return wrong;
}
