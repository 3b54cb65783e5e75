/*
 * sort.h - filter classes: inputs by their class, how many there are of each, and their entries in lists.
 * SPDX-License-Identifier: MIT
 */
#ifndef BITFLOW_SORT_H
#define BITFLOW_SORT_H

#include "limits.h"

/* How many inputs each class of four filters has, in the order of lists. rows: the filters' channels. */
void bf_count_classes(const bf_model *model, const bf_geometry *k, const uint16_t *rows, uint16_t *size);

/*
 * Entries of a group, word by word of its weights. to: where the next entries of the classes go, in the order of lists.
 * weights: of the four filters, of which the next words are `at` bytes further on. mask: inputs that there are in a
 * word, 1 bit each; weights of others are 0. last: the entry of a word's bit 31 where filter 0 has a weight of -1,
 * `ones` more where it has +1; less for lower bits, a `step` each. words: of a tap; behind it `last` goes on by
 * next_tap. (arm/lists_v7m.S knows this layout.)
 */
typedef struct bf_entries {
    uint16_t *to[BF_CLASSES];
    const uint32_t *weights[BF_GROUP];
    uint32_t at, mask, last, ones, step, words, next_tap;
} bf_entries;

/* Append the entries of some taps, at least one; first those of the highest bit of a word. */
void bf_append_words(bf_entries *entries, uint32_t taps);

#endif
