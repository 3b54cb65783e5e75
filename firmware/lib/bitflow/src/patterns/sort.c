/*
 * sort.c - filter patterns: inputs by their pattern, how many there are of each, and their entries in lists.
 * SPDX-License-Identifier: MIT
 */
#include "sort.h"

/* Which of 32 inputs are in each pattern, in the order of lists. mask: inputs that there are; weights of others are 0.
 */
static void sort_inputs(const uint32_t *weights, uint32_t mask, uint32_t *of) {
    const uint32_t a = weights[1] ^ weights[0];
    const uint32_t b = weights[2] ^ weights[0];
    const uint32_t c = weights[3] ^ weights[0];
    const uint32_t none = mask & ~a;
    of[0] = none & ~b & ~c; /* patterns 0 1 3 2 6 7 5 4: from one to the next a single filter changes sides */
    of[1] = none & ~b & c;
    of[2] = none & b & c;
    of[3] = none & b & ~c;
    of[4] = a & b & ~c;
    of[5] = a & b & c;
    of[6] = a & ~b & c;
    of[7] = a & ~b & ~c;
}

void bf_count_patterns(const bf_model *model, const bf_geometry *k, const uint16_t *rows, uint16_t *size) {
    bf_filters g;
    bf_begin(model, k, rows, &g);
    bf_fill(size, 0, BF_PATTERNS * sizeof *size);
    for (uint32_t i = 0; i < bf_words(k->inputs); i++) {
        const uint32_t mask = i + 1u < bf_words(k->inputs) ? 0xFFFFFFFFu : bf_tail_mask(k->inputs);
        uint32_t weights[BF_QUAD], of[BF_PATTERNS];
        for (uint32_t j = 0; j < BF_QUAD; j++) {
            weights[j] = g.weights[j][i] & mask;
        }
        sort_inputs(weights, mask, of);
        for (uint32_t c = 0; c < BF_PATTERNS; c++) {
            size[c] = (uint16_t)(size[c] + bf_popcount(of[c]));
        }
    }
}

#if !defined(BF_ASM_APPEND_WORDS)

/* Appends the entries of the bits that are 1; `last` is that of bit 31. */
static inline uint16_t *append(uint16_t *to, uint32_t set, uint32_t last, uint32_t step) {
    while (set) {
        const uint32_t above = bf_leading_zeros(set);
        *to++ = (uint16_t)(last - above * step);
        set &= ~(0x80000000u >> above);
    }
    return to;
}

void bf_append_words(bf_entries *e, uint32_t taps) {
    for (; taps; taps--, e->last += e->next_tap) {
        for (uint32_t i = 0; i < e->words;
             i++, e->at += (uint32_t)sizeof(uint32_t), e->last += BF_WORD_BITS * e->step) {
            uint32_t weights[BF_QUAD], of[BF_PATTERNS];
            for (uint32_t j = 0; j < BF_QUAD; j++) {
                weights[j] = e->weights[j][e->at / sizeof(uint32_t)];
            }
            sort_inputs(weights, e->mask, of);
            for (uint32_t c = 0; c < BF_PATTERNS; c++) {
                uint16_t *end = append(e->to[c], of[c] & ~weights[0], e->last, e->step);
                e->to[c] = append(end, of[c] & weights[0], e->last + e->ones, e->step);
            }
        }
    }
}

#endif
