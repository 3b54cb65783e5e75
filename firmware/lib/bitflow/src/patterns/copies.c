/*
 * copies.c - filter patterns: copies of the input, row by row as wide as the map of accumulators.
 * SPDX-License-Identifier: MIT
 */
#include "copies.h"
#include "../planes/planes.h"

/* The bits that 32 positions side by side see, the first one at column x. */
BF_COLD static uint32_t seen(const bf_layer *l, const uint32_t *plane, int32_t y, int32_t x, uint32_t flip) {
    const uint32_t bits = bf_columns_at(plane, l->in_w, y, x, flip);
    if (l->stride_w == 1u) {
        return bits;
    }
    return bf_even_bits(bits) | bf_even_bits(bf_columns_at(plane, l->in_w, y, x + 32, flip)) << 16;
}

/* A copy for each kernel column and row phase: what that column of the kernel sees. */
BF_COLD static void copy_columns(const bf_geometry *k, const uint32_t *planes, uint32_t flip, uint32_t *copies) {
    const bf_layer *l = k->layer;
    const uint32_t stride = bf_words_of_plane((uint32_t)l->in_h * l->in_w);
    for (int32_t kx = 0; kx < l->kernel_w; kx++) {
        const int32_t left = kx * l->dilation_w - l->pad_left;
        for (int32_t phase = 0; phase < l->stride_h; phase++) {
            for (uint32_t c = 0; c < l->in_c; c++, copies += k->source_words) {
                const uint32_t *plane = planes + (size_t)c * stride;
                bf_writer writer = {copies, 0, 0};
                for (int32_t y = phase; y < l->in_h; y += l->stride_h) {
                    for (int32_t x = 0; x < l->conv_w; x += (int32_t)BF_WORD_BITS) {
                        const uint32_t n = (uint32_t)(l->conv_w - x) < BF_WORD_BITS ? (uint32_t)(l->conv_w - x) : 32u;
                        bf_write(&writer, seen(l, plane, y, x * l->stride_w + left, flip) & bf_tail_mask(n), n);
                    }
                }
                bf_write_end(&writer);
            }
        }
    }
}

/* Even bits to the low half, odd bits to the high half. */
BF_COLD static uint32_t unshuffle(uint32_t x) {
    uint32_t t = (x ^ x >> 1) & 0x22222222u;
    x ^= t ^ t << 1;
    t = (x ^ x >> 2) & 0x0C0C0C0Cu;
    x ^= t ^ t << 2;
    t = (x ^ x >> 4) & 0x00F000F0u;
    x ^= t ^ t << 4;
    t = (x ^ x >> 8) & 0x0000FF00u;
    return x ^ t ^ t << 8;
}

/*
 * Writes n even columns to the first writer and n odd ones to the second; if `rows` is 2, those of the next row to the
 * third and fourth. a: the rows after unshuffle(); if `twice`, b: rows that follow them.
 */
BF_COLD static void split(uint32_t a, uint32_t b, uint32_t n, uint32_t rows, uint32_t twice, bf_writer *writer) {
    const uint32_t mask = bf_tail_mask(n);
    for (; rows; rows--, writer += 2, a >>= n, b >>= n) {
        bf_write(&writer[0], (a & mask) | (b & mask) << n, n << twice);
        bf_write(&writer[1], (a >> 16 & mask) | (b >> 16 & mask) << n, n << twice);
    }
}

/* Four copies: even and odd columns of even rows, then of odd rows. */
BF_COLD static void copy_phases(const bf_geometry *k, const uint32_t *planes, uint32_t flip, uint32_t *copies) {
    const bf_layer *l = k->layer;
    const uint32_t stride = bf_words_of_plane((uint32_t)l->in_h * l->in_w);
    const int is_narrow = l->in_w <= 16u && l->in_w % 2u == 0; /* two rows fit a word */
    for (uint32_t c = 0; c < l->in_c; c++, planes += stride) {
        bf_writer writers[4];
        int32_t y = 0;
        for (uint32_t i = 0; i < 4u; i++) {
            writers[i].to = copies + i * k->copy_words + (size_t)c * k->source_words;
            writers[i].word = writers[i].filled = 0;
        }
        for (; l->in_w <= 32u && y + 3 < l->in_h; y += 4) {
            for (uint32_t phase = 0; phase < (is_narrow ? 1u : 2u); phase++) {
                const uint32_t at = ((uint32_t)y + phase) * l->in_w;
                split(unshuffle(bf_bits_at(planes, at) ^ flip), unshuffle(bf_bits_at(planes, at + 2u * l->in_w) ^ flip),
                      l->conv_w, is_narrow ? 2u : 1u, 1, writers + 2u * phase);
            }
        }
        for (; y < l->in_h; y++) {
            for (int32_t x = 0; x < l->conv_w; x += 16) {
                const uint32_t n = l->conv_w - x < 16 ? (uint32_t)(l->conv_w - x) : 16u;
                split(unshuffle(bf_columns_at(planes, l->in_w, y, 2 * x, flip)), 0, n, 1, 0, writers + (y % 2 ? 2 : 0));
            }
        }
        for (uint32_t i = 0; i < 4u; i++) {
            bf_write_end(&writers[i]);
        }
    }
}

BF_COLD void bf_copy_input(const bf_geometry *k, const uint32_t *planes, uint32_t *copies) {
    /* Planes are 0 outside the map. For a padding of +1 all bits are inverted; lists allow for it (bf_is_flipped()). */
    const uint32_t flip = k->layer->pad_value > 0 ? 0xFFFFFFFFu : 0u;
    if (k->source == BF_PHASES) {
        copy_phases(k, planes, flip, copies);
    } else {
        copy_columns(k, planes, flip, copies);
    }
}
