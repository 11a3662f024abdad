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

/* Frequencies of all codes of group g that are not 0, into [count,padded]. */
INLINE void tabulate(const Step *s, const Scratch *t, int64_t g, int32_t *tables) {
    for (int64_t at = 0, count = others(s, t, g); at < count; at++, tables += s->padded) {
        if (at % ROWS == 0) which_logits(s, t, g, at, count);
        const float *logits = t->rows + at % ROWS * s->padded;
        share(s, tables, weigh(s, logits, greatest(logits, s->padded), tables));
    }
}

INLINE int decode_which(const Step *s, int64_t g, const int32_t *tables, Coder *coder) {
    int64_t *codes = s->codes + g * s->total;
    for (int64_t p = 0; p < s->n; p++) {
        int64_t *code = codes + place(s, p), k = 0;
        if (!*code) continue;
        uint64_t scale = coder->range >> PRECISION;
        uint64_t quantile = (coder->point - coder->lower) / scale;
        if (quantile >= TOTAL) return IMPOSSIBLE;
        uint32_t before = 0;
        while (quantile - before > (uint64_t)tables[k]) before += (uint32_t)tables[k++] + 1;
        take(coder, scale, before, (uint32_t)tables[k] + 1);
        *code = k + 1;
        tables += s->padded;
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

/* A group's share of what comes before coding, or in a decoder between its two rounds. */
CLONED static int run_group(const Step *s, const Scratch *t, int64_t g) {
    if (s->mode == ENCODE) return prepare(s, t, g);
    if (s->mode == DECODE) {
        tabulate(s, t, g, t->tables + t->offsets[g] * s->padded);
    } else {
        choose(s, t, g);
        settle(s, t->some + g * s->n, s->n);
    }
    return FINE;
}

CLONED static void run_encode(const Step *s, const Scratch *t, Coder *coder) { encode(s, t, coder); }

CLONED static int run_some(const Step *s, const Scratch *t, Coder *coder) {
    return decode_some(s, t, coder);
}

CLONED static int run_which(const Step *s, const Scratch *t, int64_t g, Coder *coder) {
    return decode_which(s, g, t->tables + t->offsets[g] * s->padded, coder);
}

CLONED static void run_reveal(const Step *s) {
    if (s->size == 1) reveal(s, 1);
    else if (s->size == 4) reveal(s, 4);
    else reveal(s, s->size);
}

/* What `tables` and `which` share the memory of, in floats. */
static int64_t tables_of(const Step *s) {
    int64_t which = 2 * s->groups * s->n, tables = s->n * s->padded;
    return which > tables ? which : tables;
}

int64_t shared_of(const Step *s) {
    return s->groups * s->n + tables_of(s) + (s->n + BLOCK) * s->hidden / 2;
}

/* What a thread has of its own, beside what all share; `list` is to be freed, NULL if there is no
 * memory. */
static Scratch scratch_of(const Step *s, float *shared) {
    int64_t widest = s->groups + LANES;
    widest = widest > s->padded ? widest : s->padded;
    widest = widest > s->hidden ? widest : s->hidden;
    float *tables = shared + s->groups * s->n;
    Scratch t = {.some = (Some *)shared, .which = (Which *)tables, .tables = (int32_t *)tables};
    t.features = (int16_t *)(tables + tables_of(s));
    t.list = malloc((s->n + 1) * sizeof *t.list + BLOCK * widest * sizeof *t.rows +
                    s->padded * sizeof *t.weights + BLOCK * s->hidden * sizeof *t.entering);
    t.rows = (float *)(t.list + s->n + 1);
    t.weights = (int32_t *)(t.rows + BLOCK * widest);
    t.entering = (int16_t *)(t.weights + s->padded);
    return t;
}

/* `offsets`: of a decoder, where the tables of each group begin; they are those of groups from
 * `first` on. */
typedef struct {
    const Step *step;
    float *shared;
    int64_t *offsets, first;
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
    int wrong = t.list ? FINE : NO_MEMORY;
    t.offsets = job->offsets;
    for (int64_t i = from; i < to && !wrong; i++) wrong = run_group(job->step, &t, job->first + i);
    free(t.list);
    return wrong;
}

/* For so many groups from the first of the job on. */
static int for_groups(const Job *job, int64_t count, Crew *crew) {
    int64_t few = job->step->n * job->step->groups < FEW ? count : 1;
    return spread(crew, groups_task, job, count, few > 0 ? few : 1);
}

/* Decode the step's codes; tables are made for as many groups at a time as there is room for. */
static int decode(Job *job, Scratch *t, Coder *coder, Crew *crew) {
    const Step *s = job->step;
    int64_t room = tables_of(s) / s->padded;
    t->offsets = job->offsets = malloc(s->groups * sizeof *t->offsets);
    int wrong = t->offsets ? run_some(s, t, coder) : NO_MEMORY;
    for (int64_t g = 0, end = 0; g < s->groups && !wrong; g = end) {
        int64_t rows = 0, more;
        while (end < s->groups && rows + (more = others(s, t, end)) <= room) {
            t->offsets[end++] = rows;
            rows += more;
        }
        job->first = g;
        wrong = for_groups(job, end - g, crew);
        for (int64_t i = g; i < end && !wrong; i++) wrong = run_which(s, t, i, coder);
    }
    free(t->offsets);
    return wrong;
}

/* Code the step's groups at its positions: whether each is 0, then which the others are. Without a
 * coder codes are only chosen. */
int code_step(const Step *s, Coder *coder, float *shared, Crew *crew) {
    Scratch t = scratch_of(s, shared);
    Job job = {s, shared, NULL, 0};
    int wrong = t.list ? spread(crew, look_task, &job, s->n, SHARE * BLOCK) : NO_MEMORY;
    if (!wrong && s->mode == DECODE) {
        wrong = decode(&job, &t, coder, crew);
    } else if (!wrong) {
        wrong = for_groups(&job, s->groups, crew);
        if (!wrong && coder) run_encode(s, &t, coder);
    }
    if (!wrong && s->known) run_reveal(s);
    free(t.list);
    return wrong;
}
