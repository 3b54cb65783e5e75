/*
 * border.h - filter patterns: exact zero padding. A tap outside the map does not count, so that limits differ by
 * position.
 *
 * Positions of an axis that see the same taps are a *zone*. A zone of rows and a zone of columns make a *border
 * pattern*: at all its positions the same taps count, and a filter has one limit. Example: a kernel of 3 x 3 on one
 * channel, a map of 6 rows and 8 columns with one row and column of zeros on each side. Taps that count:
 *
 *     column    0     1 .. 6    7         zones of rows:     start 0 1 5 (6), first 1 0 0, end 3 3 2
 *     row 0     A 4   B 6       C 4       zones of columns:  start 0 1 7 (8), first 1 0 0, end 3 3 2
 *     1 .. 4    D 6   E 9       F 6
 *     row 5     G 4   H 6       I 4
 *
 * 1. Most disagreements. The planes are 0 outside the map, where they disagree with weights of +1. So a filter's bit is
 *    1 if no more planes disagree than floor((taps that count + shift) / 2) + weights of +1 outside. With nine weights
 *    of +1 and the shift 1: A 2 + 5 = 7, B 3 + 3 = 6, D 6, E 5 + 0 = 5.
 * 2. Starts and limits. Nine inputs make counts of 4 digits, whose top digit is 1 from 8 on. If this is filter 0, the
 *    count starts at 7 - most disagreements: A 0, B 1, D 1, E 2. Filters 1 to 3 have a limit, coded by BF_LIMIT().
 * 3. Border words. Six border patterns make a *border*: all zones of columns with as many zones of rows as fit, here
 *    two. The first border is A .. F, the second D .. I. Digit i of its six numbers is six bits, five digits a word:
 *    filter 0 starts at A 0, B 1, C 0, D 1, E 2, F 1; digit 0 is 1 in B, D, F, the bits 1, 3, 5; digit 1 in E, bit 4;
 *    the first word is 010000 101010 in binary. Three words hold up to 13 digits.
 * 4. Border table. For a block of positions table[x] has the lanes of all patterns of the border whose bit is 1 in x,
 *    x = 0 .. 63. The first 32 positions are the rows 0 .. 3: A is lane 0, B the lanes 1 .. 6, ..; so table[101010] has
 *    the lanes of B, D and F, and is digit 0 of all lanes' starts. The rows 4 and 5, in the next block, have the
 *    patterns D .. I: the second border. A block with more zones of rows than one border has needs several tables.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef BITFLOW_BORDER_H
#define BITFLOW_BORDER_H

#include "limits.h"

#define BF_BORDER_TABLE 64u /* bf_lanes */

/* Completes the geometry of a layer with exact padding: zones, borders, tables; a record has room for the borders. */
void bf_border_of(bf_geometry *geometry);

/* A block of positions, whose quads run one after the other. */
typedef struct bf_block {
    const bf_geometry *k;
    bf_adder *add;
    const bf_lanes *planes;
    bf_count *counts;
    bf_lanes *table;                      /* exact: border tables, one after the other */
    bf_lanes columns[BF_BORDER_PATTERNS]; /* exact: lanes of each zone of columns */
    uint32_t border[BF_ZONES];            /* exact: which border each table is for */
    uint32_t tables;
    uint32_t whole;  /* 1 + the zone of all rows; 0: there are more, or columns that differ from block to block */
    uint32_t *to;    /* the first word of the block in the plane of channel 0 */
    uint32_t *page;  /* in that of the first channel of the quads' page */
    uint32_t stride; /* words from channel to channel */
} bf_block;

/* Which borders block `number` needs, and their tables. */
void bf_find_borders(bf_block *b, uint32_t number);

/*
 * The bits of a quad's filters where the block needs several tables, or where the top digit does not decide for filter
 * 0: four for each threshold, in the order of the record. Returns the list's end.
 */
const void *bf_run_border(const bf_block *b, const bf_quad *quad, const void *list, bf_lanes *bits);

/* The border words of four filters. */
bf_limits bf_border_limits;

#endif
