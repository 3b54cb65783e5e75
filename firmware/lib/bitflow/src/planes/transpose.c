/*
 * transpose.c - bit planes from and to the public form of maps.
 * SPDX-License-Identifier: MIT
 */
#include "transpose.h"
#include "planes.h"

/* The bits of a that `mask` says, `by` above those of b, change places with these (Warren, Hacker's Delight, 7-3). */
#define EXCHANGE(a, b, by, mask)                                                                                       \
    do {                                                                                                               \
        const uint32_t t = ((a) >> (by) ^ (b)) & (mask);                                                               \
        (b) ^= t;                                                                                                      \
        (a) ^= t << (by);                                                                                              \
    } while (0)

/*
 * Bit b of word i becomes bit i of word b. Reads `rows` words, `stride` words apart (others count as 0), and writes
 * `columns` words, `step` words apart. It works on eight words at a time, which fit the registers, then on four.
 */
BF_COLD static void turn(const uint32_t *from, uint32_t stride, uint32_t rows, uint32_t *to, uint32_t step,
                         uint32_t columns) {
    uint32_t all[BF_WORD_BITS];
    for (uint32_t i = 0; i < BF_WORD_BITS; i++, from += stride) {
        all[i] = i < rows ? *from : 0u;
        BF_KEEP_LOOP();
    }
    for (uint32_t *w = all; w < all + 4; w++) {
        uint32_t a = w[0], b = w[4], c = w[8], d = w[12], e = w[16], f = w[20], g = w[24], h = w[28];
        EXCHANGE(a, e, 16, 0xFFFFu);
        EXCHANGE(b, f, 16, 0xFFFFu);
        EXCHANGE(c, g, 16, 0xFFFFu);
        EXCHANGE(d, h, 16, 0xFFFFu);
        EXCHANGE(a, c, 8, 0x00FF00FFu);
        EXCHANGE(b, d, 8, 0x00FF00FFu);
        EXCHANGE(e, g, 8, 0x00FF00FFu);
        EXCHANGE(f, h, 8, 0x00FF00FFu);
        EXCHANGE(a, b, 4, 0x0F0F0F0Fu);
        EXCHANGE(c, d, 4, 0x0F0F0F0Fu);
        EXCHANGE(e, f, 4, 0x0F0F0F0Fu);
        EXCHANGE(g, h, 4, 0x0F0F0F0Fu);
        w[0] = a, w[4] = b, w[8] = c, w[12] = d, w[16] = e, w[20] = f, w[24] = g, w[28] = h;
    }
    for (uint32_t *w = all; w < all + columns; w += 4) {
        uint32_t a = w[0], b = w[1], c = w[2], d = w[3];
        EXCHANGE(a, c, 2, 0x33333333u);
        EXCHANGE(b, d, 2, 0x33333333u);
        EXCHANGE(a, b, 1, 0x55555555u);
        EXCHANGE(c, d, 1, 0x55555555u);
        w[0] = a, w[1] = b, w[2] = c, w[3] = d;
    }
    for (uint32_t i = 0; i < columns; i++, to += step) {
        *to = all[i];
        BF_KEEP_LOOP();
    }
}

BF_COLD static uint32_t at_most_a_word(uint32_t n) {
    return n < BF_WORD_BITS ? n : BF_WORD_BITS;
}

/* Rows of bits, `stride` words apart, become columns, `step` words apart. */
BF_COLD static void turn_all(const uint32_t *from, uint32_t rows, uint32_t stride, uint32_t *to, uint32_t columns,
                             uint32_t step) {
    for (uint32_t r = 0; r < rows; r += BF_WORD_BITS) {
        for (uint32_t c = 0; c < columns; c += BF_WORD_BITS) {
            turn(from + (size_t)r * stride + c / BF_WORD_BITS, stride, at_most_a_word(rows - r),
                 to + (size_t)c * step + r / BF_WORD_BITS, step, at_most_a_word(columns - c));
        }
    }
}

BF_COLD void bf_from_planes(const uint32_t *planes, uint32_t *to, uint32_t positions, uint32_t channels) {
    turn_all(planes, channels, bf_words_of_plane(positions), to, positions, bf_words(channels));
}

BF_COLD void bf_to_planes(const uint32_t *map, uint32_t *to, uint32_t positions, uint32_t channels) {
    turn_all(map, positions, bf_words(channels), to, channels, bf_words_of_plane(positions));
}
