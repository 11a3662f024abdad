/* What all kernels share: see ../kernels.py.
 *
 * Everything here gives the bits that context.py, exact.py and narrow.py give. Sums of products are
 * exact by the grids of narrow.py, so they may be taken in any order and fused; all else is
 * elementwise, and is done in the order in which it is done there.
 */

#ifndef COMMON_H
#define COMMON_H

#include <float.h>
#include <stdint.h>
#include <string.h>

#if FLT_EVAL_METHOD != 0
#error "floating point that keeps more bits than its type would round elsewhere"
#endif

#ifndef __GNUC__
#error "needs the vectors of GCC or Clang"
#endif

#ifdef _WIN32
#define EXPORT __declspec(dllexport)
#else
#define EXPORT __attribute__((visibility("default")))
#endif

/* Compiled for several kinds of processor, of which the loader takes the best one here. */
#if defined(__GLIBC__) && defined(__x86_64__) && !defined(__clang__)
#if __GNUC__ >= 12
#define CLONED __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define CLONED __attribute__((target_clones("avx512f", "avx2", "default")))
#endif
#define INLINE static inline __attribute__((always_inline))
#else
#define CLONED
#define INLINE static inline
#endif

/* Rows of arrays [groups,positions] lie pages apart: what a block needs is asked for a block early. */
#define PREFETCH(address) __builtin_prefetch(address)

enum { LANES = 16, BLOCK = 16, ROWS = 4 };               /* of products, see below */
enum { FINE, IMPOSSIBLE, NO_MEMORY, WRONG_CODE };        /* what functions return */
static const float ROUNDER = 12582912.0f; /* 1.5 * 2^23: adding it rounds to whole, to even */

typedef float Lanes __attribute__((vector_size(4 * LANES), aligned(4), may_alias));

typedef struct {
    const float *weight; /* [outputs/LANES,taps,channels,LANES] */
    const float *bias;   /* [outputs], or NULL for none */
    int64_t channels, taps;
    const int64_t *behind; /* [taps], how many floats behind the first each tap reads; NULL: one */
} Weights;

/* ROWS rows at once: out[r] = bias + x[r] W, for outputs from..from+width in whole LANES.
 *
 * Sums of exact products are exact, fused or not. */
CLONED static void product(float *out, int64_t apart, const float *const *x, const Weights *w,
                           int64_t from, int64_t width) {
    static const float none[LANES];
    for (int64_t k = from; k < from + width; k += LANES) {
        const float *bias = w->bias ? w->bias + k : none;
        Lanes a = *(const Lanes *)bias, b = a, c = a, d = a;
        const float *row = w->weight + k * w->taps * w->channels;
        for (int64_t tap = 0; tap < w->taps; tap++) {
            int64_t behind = w->behind ? w->behind[tap] : 0;
            const float *s = x[0] + behind, *t = x[1] + behind;
            const float *u = x[2] + behind, *v = x[3] + behind;
            for (int64_t i = 0, n = w->channels; i < n; i++, row += LANES) {
                const Lanes weights = *(const Lanes *)row;
                a += s[i] * weights;
                b += t[i] * weights;
                c += u[i] * weights;
                d += v[i] * weights;
            }
        }
        *(Lanes *)(out + k - from) = a;
        *(Lanes *)(out + apart + k - from) = b;
        *(Lanes *)(out + 2 * apart + k - from) = c;
        *(Lanes *)(out + 3 * apart + k - from) = d;
    }
}

/* `product` for BLOCK rows that lie one behind the other. */
INLINE void products(float *out, int64_t width, const float *x, int64_t apart, const Weights *w) {
    for (int64_t r = 0; r < BLOCK; r += ROWS) {
        const float *rows[ROWS];
        for (int i = 0; i < ROWS; i++) rows[i] = x + (r + i) * apart;
        product(out + r * width, width, rows, w, 0, width);
    }
}

/* Leaky rectifier and the grid of what enters a product, as narrow.py has them. */
INLINE float rectified(float x) {
    x = (x > 0 ? x : x * 0.125f) * 32.0f;
    x = x < -512.0f ? -512.0f : x > 512.0f ? 512.0f : x;
    return ((x + ROUNDER) - ROUNDER) * 0.03125f;
}

#endif
