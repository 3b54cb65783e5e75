/*
 * lists.h - filter classes: lists of planes, made of the 1-bit weights.
 * SPDX-License-Identifier: MIT
 */
#ifndef BITFLOW_LISTS_H
#define BITFLOW_LISTS_H

#include "limits.h"

/* Words of the list of a group, at most. */
static inline uint32_t bf_list_words(const bf_geometry *k) {
    return (k->inputs + (BF_RUN - 1u) * BF_CLASSES + BF_CLASSES + 1u) / 2u;
}

/*
 * The list of four filters, of the 1-bit weights, and the record of their group but its rows. Returns the end of the
 * list. size: what bf_count_classes() says.
 */
uint16_t *bf_make_list(const bf_model *model, const bf_geometry *k, const uint16_t *rows, const uint16_t *size,
                       bf_limits *limits, uint16_t *list, uint32_t *record);

#endif
