/*
 * sort.h - filter patterns: inputs by their pattern, how many there are of each, and their entries in lists.
 * SPDX-License-Identifier: MIT
 */
#ifndef BITFLOW_SORT_H
#define BITFLOW_SORT_H

#include "limits.h"

/* How many inputs each pattern of four filters has, in the order of lists. rows: the filters' channels. */
void bf_count_patterns(const bf_model *model, const bf_geometry *k, const uint16_t *rows, uint16_t *size);

/*
 * How entries follow from words of weights. (arm/append_words_v7m.S knows this layout.)
 * to: where the next entry of each pattern goes, in the order of lists.
 * weights: of the four filters.
 * at: bytes from there to the next words.
 * mask: 1 for each input of a word; weights of others are 0.
 * last: the entry of a word's bit 31 where filter 0 has a weight of -1.
 * ones: what an entry has more where filter 0 has a weight of +1.
 * step: what an entry has more than that of the bit below.
 * words: of a tap.
 * next_tap: what is added to `last` behind a tap.
 */
typedef struct bf_entries {
    uint16_t *to[BF_PATTERNS];
    const uint32_t *weights[BF_QUAD];
    uint32_t at, mask, last, ones, step, words, next_tap;
} bf_entries;

/* Append the entries of some taps, at least one; first those of the highest bit of a word. */
void bf_append_words(bf_entries *entries, uint32_t taps);

#endif
