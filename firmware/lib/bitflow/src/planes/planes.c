/*
 * planes.c - maps of bits as planes: their words, their rows, and how they are written.
 * SPDX-License-Identifier: MIT
 */
#include "planes.h"

BF_COLD int bf_output_planes_fit(const bf_layer *l) {
    return bf_planes_fit((uint32_t)l->conv_h * l->conv_w, l->out_c) &&
           bf_planes_fit((uint32_t)l->out_h * l->out_w, l->out_c);
}

BF_COLD uint32_t bf_columns_at(const uint32_t *plane, int32_t width, int32_t y, int32_t x, uint32_t flip) {
    const int32_t from = x < 0 ? 0 : x;
    const int32_t n = width - from;
    uint32_t bits;
    if (n <= 0 || from - x >= (int32_t)BF_WORD_BITS) {
        return 0;
    }
    bits = bf_bits_at(plane, (uint32_t)(y * width + from)) ^ flip;
    if (n < (int32_t)BF_WORD_BITS) {
        bits &= (1u << n) - 1u;
    }
    return bits << (from - x);
}

BF_COLD void bf_write(bf_writer *w, uint32_t bits, uint32_t n) {
    w->word |= bits << w->filled;
    w->filled += n;
    if (w->filled >= BF_WORD_BITS) {
        *w->to++ = w->word;
        w->filled -= BF_WORD_BITS;
        w->word = w->filled ? bits >> (n - w->filled) : 0;
    }
}

BF_COLD void bf_write_end(bf_writer *w) {
    if (w->filled) {
        *w->to = w->word;
    }
}

BF_COLD uint32_t bf_even_bits(uint32_t x) {
    x &= 0x55555555u;
    x = (x | x >> 1) & 0x33333333u;
    x = (x | x >> 2) & 0x0F0F0F0Fu;
    x = (x | x >> 4) & 0x00FF00FFu;
    return (x | x >> 8) & 0x0000FFFFu;
}
