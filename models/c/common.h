/* What all kernels share: see ../kernels.py.
 *
 * Everything here gives the bits that context.py, exact.py and narrow.py give. Sums of products are
 * exact by the grids of narrow.py, so they may be taken in any order and fused; all else is
 * elementwise, and is done in the order in which it is done there.
 *
 *   layer.c          a layer, step by step: what Python calls; layer.h: what it is given
 *   view.c           what a context model sees of coarser layers
 *   convolution.c    what it sees around a position
 *   tables.h         probabilities of a step's codes
 *   step.c           their choice and their coding, with range_coder.h
 *   product.c        products of rows by weights, on each kind of processor by product_rows.h
 *   crew.c           threads
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

enum { FINE, IMPOSSIBLE, NO_MEMORY, WRONG_CODE };        /* what functions return */
static const float ROUNDER = 12582912.0f; /* 1.5 * 2^23: adding it rounds to whole, to even */

#endif
