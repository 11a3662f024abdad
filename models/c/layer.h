/* What the coding of a layer is given, by ../kernels.py: see context.py for what it means. */

#ifndef LAYER_H
#define LAYER_H

#include "common.h"
#include "crew.h"
#include "range_coder.h"

enum { DECODE, ENCODE, CHOOSE }; /* modes */
enum { TAPS = 9 };               /* of a convolution, at most */

/* A convolution of rows of channels, at some positions; C fills in what is below the line. */
typedef struct {
    int64_t kernel, dilation;
    int64_t parts, part;      /* what is seen comes in so many parts of so many channels each */
    int64_t plane, dim;       /* of what is known of this layer: the first of both, see Layer */
    const int16_t *weight;    /* parts*part to hidden, kernel^2 taps; see Weights */
    const float *bias;        /* [hidden] or NULL */
    float unit;
    int64_t channels, hidden; /* of the output, and padded */
    /* ---- */
    int64_t h, w;
    const int16_t *x[2];      /* [h*w,apart] */
    int64_t apart;
    const float *more;        /* [h*w,channels], to be added, or NULL */
    int64_t n;                /* positions: the first n, or */
    const int64_t *where;     /* [n] flat ones */
    float *out;               /* [n,channels] */
    int16_t *padded;          /* scratch, see padded_of */
    int64_t behind[TAPS];     /* scratch */
} Convolution;

/* What a context model sees of coarser layers. */
typedef struct {
    int64_t total, scalars, vectors, size, codebook, layers;
    const int64_t *const *codes; /* [layers][scalars+vectors,total] */
    const float *const *books;   /* [2*layers]: [groups,codebook,size] of each kind */
    const int16_t *const *looks; /* [2]: [2,groups,codebook,size], Context.look at the last layer's */
    const float *own;            /* [2,D] */
    float per_step;
    int64_t channels, hidden;    /* of the trunk's features, and padded */
    const int16_t *weight;       /* 4*D to hidden; see Weights */
    const float *bias;
    float unit;
    /* ---- */
    float *sum;                  /* [total,D] */
    float *odds;                 /* [total,scalars+vectors] */
    int16_t *features;           /* [total,channels] */
} View;

/* A step of a layer. */
typedef struct {
    /* channels, groups of the step, codes of a group but 0, dimensions of a group, codes of a group */
    int64_t channels, groups, ways, size, codebook;
    int64_t group, dim;          /* the first of them in the layer, and of their dimensions */
    const Convolution *here;     /* what all steps from this one on see of this layer, or NULL */
    const Convolution *beside;   /* what only this one does, or NULL */
    const float *start;          /* [channels] */
    int64_t hidden;              /* channels, padded to whole LANES */
    const int16_t *middle_weight; /* channels to hidden; such weights are laid out as Weights */
    const float *middle_bias;
    const int16_t *some_weight;  /* channels to the groups, padded */
    const float *some_bias;
    const float *some_after;     /* [groups,codebook] */
    int64_t padded;              /* ways, padded to whole LANES */
    const int16_t *which_weight; /* channels to padded, for each group */
    const float *which_bias;     /* [groups,padded], far below all others in the padding */
    const float *which_after;    /* [groups,codebook,padded] */
    const int32_t *falls;        /* frequencies of code 0, see exact.falls */
    const int32_t *exponentials; /* [last + 1], the last of which is 0 */
    int64_t last;
    const float *vectors;        /* [groups,size,padded], of codes but 0 */
    const float *norms;          /* [groups,padded], their squares, infinite in the padding */
    const int16_t *look;         /* [2][groups,codebook,size]: what later steps see of a code */
    int64_t look_stride;         /* between the two; 0 if none sees it */
    float middle_unit, some_unit, which_unit;
    const int64_t *where;        /* [n], its positions; NULL for the first n */
    int64_t n;
    /* ---- */
    int64_t mode, total, first;  /* positions of the picture; the first of this piece */
    const float *trunk;          /* [total,channels] or NULL */
    const float *near;           /* [n,channels] or NULL */
    const float *odds;           /* [total,odds_stride] from the step's first group on, or NULL */
    int64_t odds_stride;         /* groups of the layer */
    const int64_t *before;       /* [groups,total], codes of the layer before, or NULL */
    int64_t *codes;              /* [groups,total] */
    const float *latent;         /* CHOOSE: [dims,total], from the step's first dimension on */
    const float *sum;            /* CHOOSE: [total,dims] likewise, of coarser layers, or NULL */
    int64_t dims;
    int16_t *known;              /* [2][total,known_rows] from the step's first dimension on, or NULL */
    int64_t known_stride, known_rows;
    float rate_lambda;
} Step;

typedef struct {
    int64_t mode, h, w, groups, dims;
    int64_t chunk;             /* positions that are coded at a time: bounds memory */
    int64_t steps_count;
    const Step *steps;
    const View *view;          /* of coarser layers, or NULL */
    const Convolution *past;   /* of the view's features */
    int64_t known_rows;        /* dimensions of what is known: [2,h*w,known_rows], signs and sizes */
    int64_t *codes;            /* [groups,h*w]: a decoder fills them in, an encoder reads them, */
    const float *latent;       /* [dims,h*w], or chooses them by this, */
    float rate_lambda;         /* argmin |r - b|^2 - lambda log p; r: less the view's sum */
} Layer;

int view(const View *v, Crew *crew);
int convolve(Convolution *v, Crew *crew);
int code_step(const Step *s, Coder *coder, float *shared, Crew *crew);
int64_t shared_of(const Step *s); /* floats that code_step needs */
int64_t padded_of(const Convolution *v); /* numbers that convolve needs, h and w given */

#endif
