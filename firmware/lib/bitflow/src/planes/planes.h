/*
 * planes.h - maps of bits as bit planes: what kernels that work on many positions at a time hand to each other.
 *
 * Each channel is a plane: bit p is position p = y * width + x, 32 a word, least significant first; channel after
 * channel. A plane takes bf_words_of_plane() words; the bits behind the last position are undefined. A map may be
 * of any width: a row need not begin on a word.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef BITFLOW_PLANES_H
#define BITFLOW_PLANES_H

#include "../run/layer.h"

/* Words of a channel's plane: whole bf_lanes. */
static inline uint32_t bf_words_of_plane(uint32_t positions) {
    return (bf_words(positions) + BF_LANE_WORDS - 1u) / BF_LANE_WORDS * BF_LANE_WORDS;
}

/* Words of a map. */
static inline size_t bf_words_of_planes(uint32_t positions, uint32_t channels) {
    return (size_t)bf_words_of_plane(positions) * channels;
}

/* Are the planes of a map no larger than a map may be? */
static inline int bf_planes_fit(uint32_t positions, uint32_t channels) {
    return (uint64_t)bf_words_of_plane(positions) * channels <= BF_MAP_LIMIT / 4u / sizeof(uint32_t);
}

/* The same of a layer's output, before its pool and after it. */
int bf_output_planes_fit(const bf_layer *layer);

/* 32 bits of a plane from bit `at` on; reads the word behind, too. */
static inline uint32_t bf_bits_at(const uint32_t *plane, uint32_t at) {
    const uint32_t *word = plane + at / BF_WORD_BITS;
    const uint32_t shift = at % BF_WORD_BITS;
    return word[0] >> shift | word[1] << 1 << (BF_WORD_BITS - 1u - shift);
}

/*
 * 32 columns of row y of a plane of rows of `width` bits, from column x on, which may lie left of the row. Columns
 * outside the row are 0, those inside exclusive-or'ed with `flip`.
 */
uint32_t bf_columns_at(const uint32_t *plane, int32_t width, int32_t y, int32_t x, uint32_t flip);

/* Appends bits to a plane, word by word. */
typedef struct bf_writer {
    uint32_t *to;
    uint32_t word, filled; /* bits that wait, fewer than 32 */
} bf_writer;

/* n <= 32 bits; those of `bits` above them are 0. */
void bf_write(bf_writer *w, uint32_t bits, uint32_t n);
void bf_write_end(bf_writer *w);

/* Bits 0, 2, 4 .. of x, side by side in the low half. */
uint32_t bf_even_bits(uint32_t x);

#endif
