/*
 * border.h - filter classes: exact zero padding, where limits differ from lane to lane.
 * SPDX-License-Identifier: MIT
 */
#ifndef BITFLOW_BORDER_H
#define BITFLOW_BORDER_H

#include "limits.h"

#define BF_TABLE 64u

/* What there is besides where limits differ from lane to lane: axes, packs, passes; a record has room for these. */
void bf_sets_of(bf_geometry *geometry);

/* A block of positions, whose groups run one after the other. */
typedef struct bf_block {
    const bf_geometry *k;
    bf_adder *add;
    const bf_lanes *planes;
    bf_count *counts;
    bf_lanes *tables;          /* of lanes by sets, one for each pass; where exact */
    bf_lanes columns[BF_SETS]; /* of the patterns of columns */
    uint32_t pack[BF_PATTERNS], passes;
    uint32_t whole;  /* 1 + the pattern of all rows; 0: there are more, or columns that differ from block to block */
    uint32_t *to;    /* the first word of the block in the string of channel 0 */
    uint32_t *page;  /* in that of the first channel of the groups' page */
    uint32_t stride; /* words from channel to channel */
} bf_block;

/* Which packs block `number` needs, and the lanes of their sets; where exact. */
void bf_find_packs(bf_block *b, uint32_t number);

/*
 * A group where not one pack says all for the block's lanes, or where the top plane does not decide for filter 0: its
 * filters' bits. Returns the list's end.
 */
const void *bf_run_passes(const bf_block *b, const bf_group *group, const void *list, bf_lanes *bits);

/* Border limits of four filters. */
bf_limits bf_exact_limits;

#endif
