/* The range coder of constriction, with words of 32 bits, a state of 64 and probabilities of 24: the
 * same bytes. (Martin 1979)
 */

#ifndef RANGE_CODER_H
#define RANGE_CODER_H

#include "common.h"

enum { PRECISION = 24 };
static const uint64_t TOTAL = 1u << PRECISION;

typedef struct {
    uint64_t lower, range, point; /* point: of the decoder */
    int64_t held;                 /* encoder: words that a carry may still change */
    uint64_t first;               /* the first of them; the others are all ones */
    uint8_t *bytes;               /* the decoder's payload, or where the encoder writes */
    int64_t at, length;           /* in bytes */
} Coder;

INLINE uint32_t next_word(Coder *c) {
    uint32_t word = 0; /* behind the payload lie zeros */
    for (int i = 0; i < 4 && c->at < c->length; i++) word |= (uint32_t)c->bytes[c->at++] << 8 * i;
    return word;
}

INLINE void write_word(Coder *c, uint32_t word) {
    for (int i = 0; i < 4; i++) c->bytes[c->at++] = (uint8_t)(word >> 8 * i);
}

/* Take the symbol that has `probability` / 2^24 behind `before` / 2^24. */
INLINE void take(Coder *c, uint64_t scale, uint32_t before, uint32_t probability) {
    c->lower += scale * before;
    c->range = scale * probability;
    if (c->range >> 32) return;
    c->lower <<= 32;
    c->range <<= 32;
    c->point = c->point << 32 | next_word(c);
}

INLINE void release(Coder *c, int carry) {
    write_word(c, (uint32_t)c->first + (uint32_t)carry);
    while (--c->held > 0) write_word(c, carry ? 0 : UINT32_MAX);
}

INLINE void put(Coder *c, uint32_t before, uint32_t probability) {
    uint64_t scale = c->range >> PRECISION, lower = c->lower + scale * before;
    c->range = scale * probability;
    if (c->held && lower + c->range > lower) release(c, lower < c->lower);
    c->lower = lower;
    if (c->range >> 32) return;
    uint32_t word = (uint32_t)(lower >> 32);
    c->lower <<= 32;
    c->range <<= 32;
    if (c->held) {
        c->held++;
    } else if (c->lower + c->range > c->lower) {
        write_word(c, word);
    } else {
        c->held = 1;
        c->first = word;
    }
}

#endif
