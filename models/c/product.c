/* Products, on the widest vectors that there are here. */

#include "product.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

static inline int32_t pair_of(const int16_t *x) {
    int32_t pair;
    memcpy(&pair, x, sizeof pair);
    return pair;
}

#if defined(__x86_64__)

#define NAME avx512
#define TARGET __attribute__((target("avx512f,avx512bw,avx512vl,avx512vnni,prefer-vector-width=512")))
#define WIDTH 16
#define MOST 8
#define FEW 4
#define DOT(sum, x, pairs) \
    (VECTOR) _mm512_dpwssd_epi32((__m512i)(sum), _mm512_set1_epi32(pair_of(x)), (__m512i)(pairs))
#include "product_rows.h"

#define NAME avx2
#define TARGET __attribute__((target("avx2")))
#define WIDTH 8
#define MOST 4
#define FEW 4
#define DOT(sum, x, pairs) \
    ((sum) + (VECTOR)_mm256_madd_epi16(_mm256_set1_epi32(pair_of(x)), (__m256i)(pairs)))
#include "product_rows.h"

#define NAME plain
#define TARGET
#define WIDTH 4
#define MOST 2
#define FEW 2
#define DOT(sum, x, pairs) \
    ((sum) + (VECTOR)_mm_madd_epi16(_mm_set1_epi32(pair_of(x)), (__m128i)(pairs)))
#include "product_rows.h"

#else

#define NAME plain
#define TARGET
#define WIDTH 4
#define MOST 4
#define FEW 4
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define DOT(sum, x, pairs) ((sum) + (x)[0] * ((pairs) << 16 >> 16) + (x)[1] * ((pairs) >> 16))
#else
#define DOT(sum, x, pairs) ((sum) + (x)[1] * ((pairs) << 16 >> 16) + (x)[0] * ((pairs) >> 16))
#endif
#include "product_rows.h"

#endif

typedef void Product(float *, int64_t, const int16_t *const *, int64_t, const Weights *, int64_t,
                     int64_t);

#if defined(__x86_64__)
enum { KINDS = 3 };
static Product *const products_of[KINDS] = {plain, avx2, avx512};
#else
enum { KINDS = 1 };
static Product *const products_of[KINDS] = {plain};
#endif

static int64_t used; /* kind of vectors: what every processor has, until use_vectors */

/* Use vectors of a kind, 0..KINDS-1, or of the widest kind below it that there is here; which. */
EXPORT int64_t use_vectors(int64_t kind) {
    used = kind < KINDS ? kind : KINDS - 1;
#if defined(__x86_64__)
    if (used == 2 && !(__builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("avx512bw") &&
                       __builtin_cpu_supports("avx512vl")))
        used = 1;
    if (used == 1 && !__builtin_cpu_supports("avx2")) used = 0;
#endif
    return used;
}

void product(float *out, int64_t apart, const int16_t *const *x, int64_t rows, const Weights *w,
             int64_t from, int64_t width) {
    products_of[used](out, apart, x, rows, w, from, width);
}
