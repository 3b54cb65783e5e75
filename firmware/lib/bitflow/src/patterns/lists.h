/*
 * lists.h - filter patterns: lists of planes, made of the 1-bit weights.
 * SPDX-License-Identifier: MIT
 */
#ifndef BITFLOW_LISTS_H
#define BITFLOW_LISTS_H

#include "limits.h"

/* Words of the list of a quad, at most. */
static inline uint32_t bf_list_words(const bf_geometry *k) {
    return (k->inputs + (BF_RUN - 1u) * BF_PATTERNS + BF_PATTERNS + 1u) / 2u;
}

/*
 * Makes the list of a quad of the 1-bit weights, and its record but for the rows. Returns the end of the list.
 * rows: the filters' channels.
 * size: what bf_count_patterns() found.
 */
uint16_t *bf_make_list(const bf_model *model, const bf_geometry *k, const uint16_t *rows, const uint16_t *size,
                       bf_limits *limits, uint16_t *list, uint32_t *record);

#endif
