/* A step of a context model and its codes: probabilities, choice and range coding. */

#include <math.h>

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
    const float *middle_weight;  /* channels to hidden */
    const float *middle_bias;
    const float *some_weight;    /* to the groups, padded; such weights are laid out as Weights */
    const float *some_bias;
    int64_t odds_stride;         /* groups of the layer */
    const float *odds;           /* [total,odds_stride] from the step's first group on, or NULL */
    const int64_t *before;       /* [groups,total], codes of the layer before, or NULL */
    const float *some_after;     /* [groups,codebook] */
    int64_t padded;              /* ways, padded to whole LANES */
    const float *which_weight;   /* channels to padded, for each group */
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
    const float *look;
    float *known;
    int64_t look_stride, known_stride, known_rows; /* between the two of each */
    float rate_lambda;
} Step;

typedef struct {
    float *features;  /* [n,hidden] */
    float *some;      /* [groups,n], log odds that codes are not 0 */
    int64_t *list;    /* [n+1]; this and what follows are a thread's own */
    float *rows;      /* [BLOCK,the widest] */
    int32_t *weights; /* [padded] */
} Scratch;

INLINE int64_t place(const Step *s, int64_t p) { return s->where ? s->where[p] : s->first + p; }

/* Features of a block of positions, and their log odds: see Context.features, some_logits.
 *
 * A block at a time, for rows of arrays [groups,..] may share a cache's few lines. */
INLINE int look_at(const Step *s, const Scratch *t, int64_t from, int64_t count) {
    float *features = t->features + from * s->hidden;
    int64_t width = (s->groups + LANES - 1) / LANES * LANES;
    for (int64_t i = 0; i < BLOCK; i++) {
        float *row = t->rows + i * s->hidden;
        int64_t p = from + (i < count ? i : count - 1), position = place(s, p);
        if ((uint64_t)position >= (uint64_t)s->total) return WRONG_CODE;
        memcpy(row, s->start, s->channels * sizeof *row);
        for (int64_t c = 0; s->trunk && c < s->channels; c++)
            row[c] += s->trunk[position * s->channels + c];
        for (int64_t c = 0; s->near && c < s->channels; c++) row[c] += s->near[p * s->channels + c];
        for (int64_t c = 0; c < s->channels; c++) row[c] = rectified(row[c]);
    }
    Weights middle = {s->middle_weight, s->middle_bias, s->channels, 1, NULL};
    Weights last = {s->some_weight, s->some_bias, s->channels, 1, NULL};
    products(features, s->hidden, t->rows, s->hidden, &middle);
    for (int64_t i = 0; i < BLOCK * s->hidden; i++) features[i] = rectified(features[i]);
    products(t->rows, width, features, s->hidden, &last);
    for (int64_t i = 0; s->odds && i < count; i++) {
        const float *odds = s->odds + place(s, from + i) * s->odds_stride;
        for (int64_t g = 0; g < s->groups; g++) t->rows[i * width + g] += odds[g];
    }
    int64_t next = place(s, from + BLOCK < s->n ? from + BLOCK : from);
    for (int64_t g = 0; g < s->groups; g++) {
        float *some = t->some + g * s->n + from;
        for (int64_t i = 0; i < count; i++) some[i] = t->rows[i * width + g];
        if (!s->before) continue;
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
    return FINE;
}

/* Logits of codes 1..ways of group g at ROWS places of the step from list[at] on, of `count` in
 * all: into rows[ROWS,padded]. */
INLINE void which_logits(const Step *s, const Scratch *t, int64_t g, int64_t at, int64_t count) {
    const float *x[ROWS];
    for (int64_t i = 0; i < ROWS; i++)
        x[i] = t->features + t->list[at + i < count ? at + i : count - 1] * s->hidden;
    Weights which = {s->which_weight + g * s->channels * s->padded, s->which_bias + g * s->padded,
                     s->channels, 1, NULL};
    product(t->rows, s->padded, x, &which, 0, s->padded);
    for (int64_t i = 0; s->before && i < ROWS && at + i < count; i++) {
        int64_t code = s->before[g * s->total + place(s, t->list[at + i])];
        const float *after = s->which_after + (g * s->codebook + code) * s->padded;
        float *row = t->rows + i * s->padded;
        for (int64_t k = 0; k < s->padded; k++) row[k] += after[k];
    }
}

/* Logits become weights of exact.py's softmax, whole numbers; their sum, and the greatest logit. */
INLINE int64_t weigh(const Step *s, const float *logits, int32_t *weights, float *greatest) {
    float most[LANES], last = (float)s->last;
    memcpy(most, logits, sizeof most);
    for (int64_t k = LANES; k < s->padded; k += LANES)
        for (int i = 0; i < LANES; i++)
            most[i] = logits[k + i] > most[i] ? logits[k + i] : most[i];
    for (int half = LANES / 2; half; half /= 2)
        for (int i = 0; i < half; i++) most[i] = most[i + half] > most[i] ? most[i + half] : most[i];
    *greatest = most[0];
    int64_t sum = 0;
    for (int64_t k = 0; k < s->padded; k++) {
        float behind = (most[0] - logits[k]) * LOGIT_GRID;
        behind = behind < last ? behind : last;
        weights[k] = (int32_t)((behind + ROUNDER) - ROUNDER);
    }
    for (int64_t k = 0; k < s->padded; k++) weights[k] = s->exponentials[weights[k]];
    for (int64_t k = 0; k < s->padded; k++) sum += weights[k];
    return sum;
}

/* Weights become frequencies, as in base.frequencies: each is one less than its 2^-24ths. */
INLINE void share(const Step *s, int32_t *weights, int64_t sum) {
    double available = (double)(TOTAL - (uint64_t)s->ways), total = (double)sum;
    int32_t given = 0;
    for (int64_t k = 0; k < s->padded; k++)
        weights[k] = (int32_t)((double)weights[k] * available / total);
    for (int64_t k = 0; k < s->padded; k++) given += weights[k];
    weights[0] += (int32_t)available - given;
}

INLINE int32_t none_of(const Step *s, float logit) {
    float index = logit * LOGIT_GRID;
    index = index < -MIDDLE ? -MIDDLE : index > MIDDLE ? MIDDLE : index;
    return s->falls[(int32_t)((index + ROUNDER) - ROUNDER) + MIDDLE];
}

/* What a dimension of the step has left to quantize. */
INLINE float rest(const Step *s, int64_t d, int64_t position) {
    float z = s->latent[d * s->total + position];
    return s->sum ? z - s->sum[position * s->dims + d] : z;
}

/* argmin over codes of |r - b|^2 - lambda log p, as photo_codes.pick has it. */
INLINE void choose(const Step *s, const Scratch *t, int64_t g) {
    const float *some = t->some + g * s->n;
    int64_t *codes = s->codes + g * s->total, count = 0;
    for (int64_t p = 0; p < s->n; p++) {
        float square = 0;
        for (int64_t i = 0; i < s->size; i++) {
            float r = rest(s, g * s->size + i, place(s, p));
            square += r * r;
        }
        codes[place(s, p)] = 0;
        t->list[count] = p;
        count += square + s->rate_lambda * some[p] > 0;
    }
    for (int64_t at = 0; at < count; at++) {
        if (at % ROWS == 0) which_logits(s, t, g, at, count);
        float *gains = t->rows + at % ROWS * s->padded, top;
        int64_t p = t->list[at], best = 0;
        const float *norms = s->norms + g * s->padded;
        double sum = ldexp((double)weigh(s, gains, t->weights, &top), -EXP_BITS);
        float whole = top + (float)log(sum), most = -s->rate_lambda * some[p];
        for (int64_t k = 0; k < s->padded; k++)
            gains[k] = (gains[k] - whole) * s->rate_lambda - norms[k];
        for (int64_t i = 0; i < s->size; i++) {
            const float *b = s->vectors + (g * s->size + i) * s->padded;
            const float factor = 2 * rest(s, g * s->size + i, place(s, p));
            for (int64_t k = 0; k < s->padded; k++) gains[k] += factor * b[k];
        }
        for (int64_t k = 0; k < s->ways; k++) {
            best = gains[k] > most ? k + 1 : best;
            most = gains[k] > most ? gains[k] : most;
        }
        codes[place(s, p)] = best;
    }
}

INLINE int code_some(const Step *s, const Scratch *t, Coder *coder) {
    for (int64_t g = 0; g < s->groups; g++) {
        for (int64_t p = 0; p < s->n; p++) {
            int64_t *code = s->codes + g * s->total + place(s, p);
            uint32_t none = (uint32_t)none_of(s, t->some[g * s->n + p]) + 1;
            if (s->mode != DECODE) {
                if (*code) put(coder, none, (uint32_t)TOTAL - none);
                else put(coder, 0, none);
                continue;
            }
            uint64_t scale = coder->range >> PRECISION, point = coder->point - coder->lower;
            if (point >= scale << PRECISION) return IMPOSSIBLE;
            *code = point >= scale * none;
            if (*code) take(coder, scale, none, (uint32_t)TOTAL - none);
            else take(coder, scale, 0, none);
        }
    }
    return FINE;
}

INLINE int code_which(const Step *s, const Scratch *t, Coder *coder) {
    for (int64_t g = 0; g < s->groups; g++) {
        int64_t *codes = s->codes + g * s->total, count = 0;
        for (int64_t p = 0; p < s->n; p++) {
            t->list[count] = p;
            count += codes[place(s, p)] > 0;
        }
        for (int64_t at = 0; at < count; at++) {
            if (at % ROWS == 0) which_logits(s, t, g, at, count);
            int64_t *code = codes + place(s, t->list[at]), k = 0;
            uint32_t below = 0;
            float top;
            share(s, t->weights, weigh(s, t->rows + at % ROWS * s->padded, t->weights, &top));
            if (s->mode != DECODE) {
                while (k < *code - 1) below += (uint32_t)t->weights[k++] + 1;
                put(coder, below, (uint32_t)t->weights[k] + 1);
                continue;
            }
            uint64_t scale = coder->range >> PRECISION;
            uint64_t quantile = (coder->point - coder->lower) / scale;
            if (quantile >= TOTAL) return IMPOSSIBLE;
            while (quantile - below > (uint64_t)t->weights[k])
                below += (uint32_t)t->weights[k++] + 1;
            take(coder, scale, below, (uint32_t)t->weights[k] + 1);
            *code = k + 1;
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
                const float *look = s->look + (g * s->codebook + code) * size;
                float *known = s->known + position * s->known_rows + g * size;
                for (int64_t i = 0; i < size; i++) {
                    known[i] = look[i];
                    known[s->known_stride + i] = look[s->look_stride + i];
                }
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

CLONED static int run_choose(const Step *s, const Scratch *t, int64_t from, int64_t to) {
    for (int64_t g = from; g < to; g++) choose(s, t, g);
    return FINE;
}

CLONED static int run_code(const Step *s, const Scratch *t, Coder *coder) {
    for (int64_t g = 0; g < s->groups && s->mode == ENCODE; g++)
        for (int64_t p = 0; p < s->n; p++)
            if ((uint64_t)s->codes[g * s->total + place(s, p)] >= (uint64_t)s->codebook)
                return WRONG_CODE;
    int wrong = coder ? code_some(s, t, coder) : FINE;
    if (coder && !wrong) wrong = code_which(s, t, coder);
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
    Scratch t = {shared, shared + (s->n + BLOCK) * s->hidden, NULL, NULL, NULL};
    t.list = malloc((s->n + 1) * sizeof(int64_t) + (BLOCK * widest + s->padded) * sizeof(float));
    t.rows = (float *)(t.list + s->n + 1);
    t.weights = (int32_t *)(t.rows + BLOCK * widest);
    return t;
}

static int look_task(const void *s, void *shared, int64_t from, int64_t to) {
    Scratch t = scratch_of(s, shared);
    int wrong = t.list ? run_look(s, &t, from, to) : NO_MEMORY;
    free(t.list);
    return wrong;
}

static int choose_task(const void *s, void *shared, int64_t from, int64_t to) {
    Scratch t = scratch_of(s, shared);
    int wrong = t.list ? run_choose(s, &t, from, to) : NO_MEMORY;
    free(t.list);
    return wrong;
}

/* How many floats code_step needs as scratch. */
EXPORT int64_t shared_of(const Step *s) { return (s->n + BLOCK) * s->hidden + s->groups * s->n; }

/* Code the step's groups at its positions: whether each is 0, then which the others are. Without a
 * coder codes are only chosen.
 *
 * An encoder needs room for 3 bytes for each of 2 n groups, and for what it holds. */
EXPORT int code_step(const Step *s, Coder *coder, float *shared, int64_t threads) {
    int wrong = spread(look_task, s, shared, s->n, BLOCK, threads);
    if (!wrong && s->mode == CHOOSE) wrong = spread(choose_task, s, shared, s->groups, 1, threads);
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
