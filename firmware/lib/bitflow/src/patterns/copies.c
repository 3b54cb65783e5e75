/*
 * copies.c - filter patterns: copies of the input, row by row as wide as the map of accumulators.
 * SPDX-License-Identifier: MIT
 */
#include "copies.h"
#include "../planes/planes.h"

/* Inner loops. They are not static: compilers take a static function that only cold functions call for a cold one. */
void bf_copy_rows(const uint32_t *plane, uint32_t rows, uint32_t step, uint32_t inside, int32_t left, uint32_t n,
                  uint32_t flip, uint32_t *to);
void bf_copy_three(const uint32_t *plane, uint32_t rows, uint32_t step, uint32_t inside, uint32_t left, uint32_t n,
                   uint32_t flip, uint32_t *to, size_t apart);
void bf_split_rows(const uint32_t *plane, uint32_t at, uint32_t rows, uint32_t width, uint32_t n, uint32_t flip,
                   uint32_t *to, size_t apart);

/*
 * `rows` rows, `step` bits apart: of each the bits of the mask `inside`, then n <= 32 of these from bit `left` on,
 * which is -31 .. 31.
 */
void bf_copy_rows(const uint32_t *plane, uint32_t rows, uint32_t step, uint32_t inside, int32_t left, uint32_t n,
                  uint32_t flip, uint32_t *to) {
    const uint32_t mask = bf_tail_mask(n), right = left < 0 ? 0u : (uint32_t)left, up = left < 0 ? (uint32_t)-left : 0u;
    uint32_t word = 0, filled = 0;
    for (uint32_t at = 0; rows; rows--, at += step) {
        const uint32_t bits = ((bf_bits_at(plane, at) ^ flip) & inside) >> right << up & mask;
        word |= bits << filled;
        filled += n;
        if (filled >= BF_WORD_BITS) {
            *to++ = word;
            filled -= BF_WORD_BITS;
            word = filled ? bits >> (n - filled) : 0u;
        }
    }
    if (filled) {
        *to = word;
    }
}

/* The same of bit `left` >= 0 and of the two to the right of it, n <= 30, to three places `apart` words from each
 * other. */
void bf_copy_three(const uint32_t *plane, uint32_t rows, uint32_t step, uint32_t inside, uint32_t left, uint32_t n,
                   uint32_t flip, uint32_t *to, size_t apart) {
    const uint32_t mask = bf_tail_mask(n);
    uint32_t first = 0, second = 0, third = 0, filled = 0;
    for (uint32_t at = left; rows; rows--, at += step) {
        const uint32_t bits = (bf_bits_at(plane, at) ^ flip) & inside;
        first |= (bits & mask) << filled;
        second |= (bits >> 1 & mask) << filled;
        third |= (bits >> 2 & mask) << filled;
        filled += n;
        if (filled >= BF_WORD_BITS) {
            to[0] = first;
            to[apart] = second;
            to[2u * apart] = third;
            to++;
            filled -= BF_WORD_BITS;
            first = filled ? (bits & mask) >> (n - filled) : 0u;
            second = filled ? (bits >> 1 & mask) >> (n - filled) : 0u;
            third = filled ? (bits >> 2 & mask) >> (n - filled) : 0u;
        }
    }
    if (filled) {
        to[0] = first;
        to[apart] = second;
        to[2u * apart] = third;
    }
}

/* The bits that 32 positions side by side see, the first one at column x. */
BF_COLD static uint32_t seen(const bf_layer *l, const uint32_t *plane, int32_t y, int32_t x, uint32_t flip) {
    const uint32_t bits = bf_columns_at(plane, l->in_w, y, x, flip);
    if (l->stride_w == 1u) {
        return bits;
    }
    return bf_even_bits(bits) | bf_even_bits(bf_columns_at(plane, l->in_w, y, x + 32, flip)) << 16;
}

/* What column `left` and those to the right of it see, in every stride_h-th row from row `phase` on, any width. */
BF_COLD static void copy_wide(const bf_layer *l, const uint32_t *plane, int32_t phase, int32_t left, uint32_t flip,
                              uint32_t *to) {
    bf_writer writer = {to, 0, 0};
    for (int32_t y = phase; y < l->in_h; y += l->stride_h) {
        for (int32_t x = 0; x < l->conv_w; x += (int32_t)BF_WORD_BITS) {
            const uint32_t n = (uint32_t)(l->conv_w - x) < BF_WORD_BITS ? (uint32_t)(l->conv_w - x) : 32u;
            bf_write(&writer, seen(l, plane, y, x * l->stride_w + left, flip) & bf_tail_mask(n), n);
        }
    }
    bf_write_end(&writer);
}

/* A copy for each kernel column and row phase: what that column of the kernel sees. */
BF_COLD static void copy_columns(const bf_geometry *k, const uint32_t *planes, uint32_t flip, uint32_t *copies) {
    const bf_layer *l = k->layer;
    const uint32_t stride = bf_words_of_plane((uint32_t)l->in_h * l->in_w);
    for (int32_t kx = 0; kx < l->kernel_w; kx++) {
        const int32_t left = kx * l->dilation_w - l->pad_left;
        for (int32_t phase = 0; phase < l->stride_h; phase++) {
            const uint32_t *plane = planes;
            for (uint32_t c = l->in_c; c; c--, copies += k->source_words, plane += stride) {
                copy_wide(l, plane, phase, left, flip, copies);
            }
        }
    }
}

/* The same of rows of at most 32 columns, with strides of 1; three kernel columns at a time where that is possible. */
BF_COLD static void copy_narrow(const bf_geometry *k, const uint32_t *planes, uint32_t flip, uint32_t *copies) {
    const bf_layer *l = k->layer;
    const uint32_t stride = bf_words_of_plane((uint32_t)l->in_h * l->in_w), inside = bf_tail_mask(l->in_w);
    for (uint32_t kx = 0; kx < l->kernel_w;) {
        const int32_t left = (int32_t)kx * l->dilation_w - l->pad_left;
        const int is_three = l->dilation_w == 1 && left >= 0 && kx + 3u <= l->kernel_w && l->conv_w <= 30u;
        const uint32_t *plane = planes;
        uint32_t *to = copies + kx * k->copy_words;
        for (uint32_t c = l->in_c; c; c--, to += k->source_words, plane += stride) {
            if (is_three) {
                bf_copy_three(plane, l->in_h, l->in_w, inside >> left, (uint32_t)left, l->conv_w, flip, to,
                              k->copy_words);
            } else {
                bf_copy_rows(plane, l->in_h, l->in_w, inside, left, l->conv_w, flip, to);
            }
        }
        kx += is_three ? 3u : 1u;
    }
}

/* Even bits to the low half, odd bits to the high half. */
static inline uint32_t unshuffle(uint32_t x) {
    uint32_t t = (x ^ x >> 1) & 0x22222222u;
    x ^= t ^ t << 1;
    t = (x ^ x >> 2) & 0x0C0C0C0Cu;
    x ^= t ^ t << 2;
    t = (x ^ x >> 4) & 0x00F000F0u;
    x ^= t ^ t << 4;
    t = (x ^ x >> 8) & 0x0000FF00u;
    return x ^ t ^ t << 8;
}

/* n bits to each of two places `apart` words from each other, behind the `filled` bits that wait there in words. */
#define APPEND(n)                                                                                                      \
    do {                                                                                                               \
        even_word |= even << filled;                                                                                   \
        odd_word |= odd << filled;                                                                                     \
        filled += (n);                                                                                                 \
        if (filled >= BF_WORD_BITS) {                                                                                  \
            filled -= BF_WORD_BITS;                                                                                    \
            to[0] = even_word;                                                                                         \
            to[apart] = odd_word;                                                                                      \
            to++;                                                                                                      \
            even_word = filled ? even >> ((n) - filled) : 0u;                                                          \
            odd_word = filled ? odd >> ((n) - filled) : 0u;                                                            \
        }                                                                                                              \
    } while (0)

/*
 * Every second row from bit `at` on, of width <= 32 bits: the n even columns, and the odd ones to a place `apart` words
 * further on. Rows of 16 columns go two at a time.
 */
void bf_split_rows(const uint32_t *plane, uint32_t at, uint32_t rows, uint32_t width, uint32_t n, uint32_t flip,
                   uint32_t *to, size_t apart) {
    const uint32_t inside = bf_tail_mask(width), mask = bf_tail_mask(n);
    uint32_t even_word = 0, odd_word = 0, filled = 0;
    for (; width <= 16u && rows > 1u; rows -= 2u, at += 4u * width) {
        const uint32_t first = (bf_bits_at(plane, at) ^ flip) & inside;
        const uint32_t second = (bf_bits_at(plane, at + 2u * width) ^ flip) & inside;
        const uint32_t both = unshuffle(first | second << 16);
        const uint32_t even = (both & mask) | (both >> 8 & mask) << n;
        const uint32_t odd = (both >> 16 & mask) | both >> 24 << n;
        APPEND(2u * n);
    }
    for (; rows; rows--, at += 2u * width) {
        const uint32_t both = unshuffle((bf_bits_at(plane, at) ^ flip) & inside);
        const uint32_t even = both & mask, odd = both >> 16;
        APPEND(n);
    }
    if (filled) {
        to[0] = even_word;
        to[apart] = odd_word;
    }
}

/* The same of any width. */
BF_COLD static void split_wide(const bf_layer *l, const uint32_t *plane, uint32_t flip, uint32_t *to, size_t apart) {
    for (uint32_t i = 0; i < 4u; i++, to += apart) {
        bf_writer writer = {to, 0, 0};
        for (int32_t y = i / 2u ? 1 : 0; y < l->in_h; y += 2) {
            for (int32_t x = 0; x < l->conv_w; x += 16) {
                const uint32_t n = l->conv_w - x < 16 ? (uint32_t)(l->conv_w - x) : 16u;
                const uint32_t bits = unshuffle(bf_columns_at(plane, l->in_w, y, 2 * x, flip));
                bf_write(&writer, bits >> (i % 2u ? 16 : 0) & bf_tail_mask(n), n);
            }
        }
        bf_write_end(&writer);
    }
}

/* Four copies: even and odd columns of even rows, then of odd rows. */
BF_COLD static void copy_phases(const bf_geometry *k, const uint32_t *planes, uint32_t flip, uint32_t *copies) {
    const bf_layer *l = k->layer;
    const uint32_t stride = bf_words_of_plane((uint32_t)l->in_h * l->in_w);
    for (uint32_t c = l->in_c; c; c--, planes += stride, copies += k->source_words) {
        if (l->in_w <= 32u) {
            for (uint32_t y = 0; y < 2u; y++) {
                bf_split_rows(planes, y * l->in_w, (l->in_h + 1u - y) / 2u, l->in_w, l->conv_w, flip,
                              copies + 2u * y * k->copy_words, k->copy_words);
            }
        } else {
            split_wide(l, planes, flip, copies, k->copy_words);
        }
    }
}

BF_COLD void bf_copy_input(const bf_geometry *k, const uint32_t *planes, uint32_t *copies) {
    /* Planes are 0 outside the map. For a padding of +1 all bits are inverted; lists allow for it (bf_is_flipped()). */
    const bf_layer *l = k->layer;
    const uint32_t flip = l->pad_value > 0 ? 0xFFFFFFFFu : 0u;
    if (k->source == BF_PHASES) {
        copy_phases(k, planes, flip, copies);
    } else if (l->in_w <= 32u && l->conv_w <= 32u && l->stride_h == 1u && l->stride_w == 1u &&
               (l->kernel_w - 1) * l->dilation_w < 32 && l->pad_left < 32u) {
        copy_narrow(k, planes, flip, copies);
    } else {
        copy_columns(k, planes, flip, copies);
    }
}
