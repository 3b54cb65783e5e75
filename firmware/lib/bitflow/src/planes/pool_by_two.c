/*
 * pool_by_two.c - the max-pool that most networks have, on bit planes: windows of 2 x 2 side by side, inside the map.
 * SPDX-License-Identifier: MIT
 */
#include "planes.h"
#include "pool.h"

/* What is 1 in one of two columns side by side. */
static inline uint32_t by_two(uint32_t bits, uint32_t flip) {
    return bf_even_bits(bits | bits >> 1) ^ flip;
}

/* Two rows of at most 16 columns, from bit `at` on: what is 1 in a column of one of them. */
static inline uint32_t two_rows(const uint32_t *plane, uint32_t at, uint32_t width, uint32_t flip) {
    const uint32_t rows = bf_bits_at(plane, at) ^ flip;
    return rows | rows >> width;
}

/* Two rows of the output at a time, in the halves of a word. */
BF_COLD static void pool_narrow(const bf_layer *l, const uint32_t *plane, uint32_t flip, uint32_t *to) {
    const uint32_t width = l->conv_w, columns = l->out_w, mask = bf_tail_mask(columns), end = 2u * l->out_h * width;
    bf_writer writer = {to, 0, 0};
    uint32_t at = 0;
    for (; at + 2u * width < end; at += 4u * width) {
        const uint32_t upper = two_rows(plane, at, width, flip);
        const uint32_t lower = two_rows(plane, at + 2u * width, width, flip);
        const uint32_t bits = by_two((upper & 0xFFFFu) | lower << 16, flip);
        bf_write(&writer, (bits & mask) | (bits >> 8 & mask) << columns, 2u * columns);
    }
    if (at < end) {
        bf_write(&writer, by_two(two_rows(plane, at, width, flip) & 0xFFFFu, flip) & mask, columns);
    }
    bf_write_end(&writer);
}

/* Up to 16 columns of a row of the output at a time. */
BF_COLD static void pool_wide(const bf_layer *l, const uint32_t *plane, uint32_t flip, uint32_t *to) {
    const uint32_t width = l->conv_w, columns = l->out_w, end = 2u * l->out_h * width;
    bf_writer writer = {to, 0, 0};
    uint32_t at = 0, left = columns;
    while (at < end) {
        const uint32_t n = left < 16u ? left : 16u;
        const uint32_t upper = bf_bits_at(plane, at) ^ flip;
        const uint32_t lower = bf_bits_at(plane, at + width) ^ flip;
        bf_write(&writer, by_two(upper | lower, flip) & ((1u << n) - 1u), n);
        at += 2u * n;
        left -= n;
        if (left == 0) {
            at += 2u * (width - columns);
            left = columns;
        }
    }
    bf_write_end(&writer);
}

BF_COLD void bf_pool_by_two(const bf_layer *l, const uint32_t *plane, uint32_t flip, uint32_t *to) {
    if (l->conv_w > 16u) {
        pool_wide(l, plane, flip, to);
    } else {
        pool_narrow(l, plane, flip, to);
    }
}

BF_COLD int bf_is_by_two(const bf_layer *l) {
    return !l->pool_h || (l->pool_h == 2 && l->pool_w == 2 && l->pool_stride_h == 2 && l->pool_stride_w == 2 &&
                          !(l->pool_top | l->pool_left) && 2u * l->out_h <= l->conv_h && 2u * l->out_w <= l->conv_w);
}
