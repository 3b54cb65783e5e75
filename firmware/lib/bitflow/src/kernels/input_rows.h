/*
 * input_rows.h - the rows of the fast first layer: what input_sums.c calls in input_rows.c and in assembly.
 * SPDX-License-Identifier: MIT
 */
#ifndef BITFLOW_INPUT_ROWS_H
#define BITFLOW_INPUT_ROWS_H

#include "../run/job.h"

/*
 * A filter as the inner loop reads it, words:
 * BF_SUMS_START: the start of its sums in both lanes, never 0.
 * BF_SUMS_BITS: its bits of the row.
 * BF_SUMS_OFFSETS: byte offsets into its tables, from the base of each, two a word.
 * A word 0 follows the last filter. Before these words, two for each threshold t but the first:
 * BF_SUMS_MORE(t): what is added to the sums of the threshold before, in both lanes; and behind it the bits of t.
 */
#define BF_SUMS_START   0
#define BF_SUMS_BITS    1
#define BF_SUMS_OFFSETS 2
#define BF_SUMS_MORE(t) (-2 * (int)(t))

#define BF_SUMS_BUILT    4u /* words of a table that are made together */
#define BF_SUMS_LANES(x) ((x) * 0x10001u)
#define BF_SUMS_SIGNS    BF_SUMS_LANES(0x8000u)

/*
 * In arm/sums_v7m.S. Add up, for each filter, the same words of its tables, and shift the lanes' signs into its bits,
 * word after word: bits = bits >> 1 | (sum & BF_SUMS_SIGNS). bases: byte offsets from `bases` itself. bf_sums_8: eight
 * words. bf_sums_3: `words` words, a multiple of 4 up to 16, of 3 tables; bits that
 * the filter had are lost.
 */
void bf_sums_8(uint32_t *filters, const uint32_t *bases, uint32_t pointers, uint32_t filter_bytes);
void bf_sums_3(uint32_t *filters, const uint32_t *bases, uint32_t words);

/*
 * Add up the same words of all filters' tables, and shift the signs into the filters' bits as bf_sums_8() does.
 * filter_words: from filter to filter. They return how many words. bf_sums_of_several is what there is for several
 * thresholds.
 */
typedef uint32_t bf_sums_several(uint32_t *filters, const uint32_t *bases, uint32_t pointers, uint32_t filter_words,
                                 uint32_t thresholds);
bf_sums_several bf_sums;
#ifdef BF_ASM_SUMS
bf_sums_several bf_sums_of_several;
#else
#define bf_sums_of_several bf_sums
#endif

/* In arm/sums_v7m.S: of 2 .. BF_SUMS_THRESHOLDS thresholds. */
#define BF_SUMS_THRESHOLDS 4u
void bf_sums_8_several(uint32_t *filters, const uint32_t *bases, uint32_t pointers, uint32_t filter_bytes,
                       uint32_t thresholds);

/* Also there: as make_table() of input_rows.c. */
void bf_sums_table(const uint32_t *value, uint32_t n, uint32_t *to, uint32_t code_bytes, uint32_t apart_bytes);

/* How a layer is computed; input_sums.c explains the numbers. */
typedef struct bf_sums_plan {
    uint32_t values; /* of a kernel row */
    uint32_t segment, segments, last;
    uint32_t step;    /* words from a segment's sums to those of the next in the one table; 0: each has its own */
    uint32_t entries; /* sums for each x of a row */
    uint32_t pointers, filter;
    uint32_t outputs, half, words, row;
    uint32_t across, down; /* from the output of the low lane to that of the high one: columns, rows */
    uint32_t columns;      /* of the strip */
} bf_sums_plan;

/* A lane of the strip: the part of it that lies in the map, and where the strip begins in a row of pixels. */
typedef struct bf_sums_lane {
    int32_t begin, end;
    ptrdiff_t at;
} bf_sums_lane;

/* What a run needs. */
typedef struct bf_sums_work {
    bf_sums_plan p;
    const bf_layer *layer;
    const uint8_t *pixels;
    uint32_t flip, zero; /* a value is (pixel ^ flip) - zero */
    uint32_t *bases, *tables, *strip, *filters;
    bf_sums_several *several;
    bf_sums_lane lanes[2];
} bf_sums_work;

/* Lets the low lane of the strip begin in column `from` of the map. */
void bf_sums_columns(bf_sums_work *w, int32_t from);

/* Fills the strip: low lane, the values of an input row; high lane, of that further down; 0 outside of the map. */
void bf_sums_strip(const bf_sums_work *w, int32_t row);

/* Makes the tables of the row in the strip. */
void bf_sums_tables(const bf_sums_work *w, uint32_t *to);

/* Writes all 32 bits of each filter, of 16 summed words, to a word of its channel. bits: where a filter has them. */
void bf_sums_put_word(const bf_sums_work *w, int bits, uint32_t *to, uint32_t stride);

/*
 * Bits of each filter go to bit `at` of its channel's words, which are 0 from there on: the `low` lowest of those from
 * bit `right` on, after them the `high` lowest from bit right + 16 on. Where the lanes go to two rows, put the high
 * lane first: its bits are cleared for the next row.
 */
void bf_sums_put(const bf_sums_work *w, int bits, uint32_t right, uint32_t low, uint32_t high, uint32_t *to,
                 uint32_t at, uint32_t stride);

#endif
