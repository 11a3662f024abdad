/* The ends of a payload. */

#include "range_coder.h"

EXPORT void start_decoder(Coder *c) {
    c->lower = 0;
    c->range = UINT64_MAX;
    c->at = 0;
    c->point = (uint64_t)next_word(c) << 32;
    c->point |= next_word(c);
}

EXPORT void start_encoder(Coder *c) {
    c->lower = 0;
    c->range = UINT64_MAX;
    c->held = c->at = 0;
}

/* Write what is left, if anything was coded; needs room for held + 2 words. */
EXPORT void finish_encoder(Coder *c) {
    uint64_t point = c->lower + UINT32_MAX;
    if (c->held) release(c, point < c->lower);
    uint32_t word = (uint32_t)(point >> 32);
    write_word(c, word);
    if ((uint32_t)((c->lower + c->range) >> 32) == word) write_word(c, 0);
}
