/*
 * geometry.h - filter patterns: how a layer is cut into blocks of positions, planes of inputs and quads of filters.
 *
 * Positions are the lanes: a block is as many positions of the map of accumulators, row after row, as a bf_lanes has
 * bits. For each block the planes of all inputs are laid out once; then every quad of filters adds those that its lists
 * name (lanes.h).
 *
 * Planes lie in the order [kernel row][chunk of channels][channel][kernel column][bits, complement]. Two planes of
 * zeros end a chunk: lists are filled up with them. A chunk has 16 channels for 8-bit lists, so that a filler is never
 * too far away for a byte; else all channels.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef BITFLOW_GEOMETRY_H
#define BITFLOW_GEOMETRY_H

#include "lanes.h"

#define BF_BLOCK           (32u * BF_LANE_WORDS) /* positions */
#define BF_KERNEL_SIDE     16u                   /* rows and columns of a kernel, at most */
#define BF_ZONES           16u                   /* of an axis, at most */
#define BF_BORDER_PATTERNS 6u                    /* that lanes can have in one border table */
#define BF_BORDER_WORDS    12u                   /* of a quad and border: of each filter three (border.h) */
#define BF_LIST8_CHANNELS  16u                   /* of a chunk, in 8-bit lists */
#define BF_MAKING_PAYS     8u                    /* positions from which on it pays to make lists in every run */
#define BF_PAGE            64u                   /* quads, of 256 channels */

/* Zones of an axis: positions start[j] .. start[j + 1] - 1 see the taps first[j] .. end[j] - 1 inside the map. */
typedef struct bf_axis {
    uint32_t count; /* zones */
    uint16_t start[BF_ZONES + 1u];
    uint16_t first[BF_ZONES];
    uint16_t end[BF_ZONES];
} bf_axis;

/*
 * What taps read, so that a tap's lanes lie side by side whatever the row:
 * BF_INPUT: the input itself, where its rows are as wide as those of the map of accumulators;
 * BF_PHASES: one of four copies, which have every other row and column;
 * BF_COLUMNS: a copy for each kernel column and row phase, in which what lies outside the map is 0.
 */
enum { BF_INPUT = 0, BF_PHASES = 1, BF_COLUMNS = 2 };

typedef struct bf_geometry {
    const bf_layer *layer;
    uint32_t inputs;       /* of an accumulator */
    uint32_t digits;       /* of a count: inputs < 2^digits */
    uint32_t filters;      /* which give `thresholds` bits each */
    uint32_t thresholds;   /* of a filter */
    uint32_t quads;        /* of filters */
    uint32_t positions;    /* of the map of accumulators */
    uint32_t blocks;       /* of positions */
    uint32_t chunk;        /* channels of a chunk */
    uint32_t row_planes;   /* planes of a kernel row */
    uint32_t planes;       /* of a block */
    uint32_t filler;       /* number of a plane of zeros */
    uint32_t source;       /* what taps read: BF_INPUT, BF_PHASES or BF_COLUMNS */
    int exact;             /* padding counts 0 and there is some: limits differ from lane to lane (border.h) */
    uint32_t source_words; /* words of a channel's plane, in the input or in a copy */
    uint32_t copy_words;   /* words of a copy */
    uint32_t copies_words; /* words of all copies */
    bf_axis y, x;          /* exact: zones of rows, of columns */
    uint32_t borders;      /* exact: of a quad's record */
    uint32_t tables;       /* exact: border tables that one block may need */
    uint32_t record;       /* words of a quad's record */
} bf_geometry;

/*
 * What a quad's record begins with. For each other threshold four limits follow, BF_MORE_WORDS; where exact, not these
 * but for each threshold its borders, BF_BORDER_WORDS each. Thresholds come in their order, but for the first one.
 * row: the numbers of the filters, counted from the first one of the quad's page.
 * first: what the count starts at, so that its top digit decides for filter 0; or BF_FIRST_LIMIT + 1 + the most
 *     disagreements of filter 0, and the count starts at 0. Where exact: 0 or BF_FIRST_LIMIT, without a number.
 *     With the number of the first threshold, one of the lowest four, at BF_FIRST_THRESHOLD.
 * limit: of the filters 1, 2, 3, as BF_LIMIT() codes them. Where exact: 0.
 */
typedef struct bf_quad {
    uint8_t row[BF_QUAD];
    uint16_t first;
    uint16_t limit[BF_QUAD - 1u];
} bf_quad;

#define BF_FIRST_LIMIT        0x8000u
#define BF_FIRST_NUMBER       0x1FFFu
#define BF_FIRST_THRESHOLD(t) ((uint32_t)(t) << 13)
#define BF_MORE_WORDS         2u /* four limits */

/* All limits of a record that is not exact: of the first threshold three, of each other one four. */
static inline const uint16_t *bf_limits_of(const bf_quad *quad) {
    return (const uint16_t *)(const void *)quad + (sizeof *quad - sizeof quad->limit) / sizeof(uint16_t);
}

/* The threshold whose filter 0 the top digit decides. */
static inline uint32_t bf_first_threshold(const bf_quad *quad) {
    return (uint32_t)quad->first >> 13 & 3u;
}

/* The threshold whose numbers are at place `n` of a record: the first one, then the others in their order. */
static inline uint32_t bf_threshold_at(const bf_quad *quad, uint32_t n) {
    const uint32_t first = bf_first_threshold(quad);
    return n == 0 ? first : n <= first ? n - 1u : n;
}

/*
 * What a plan has for a quad whose list is made in RAM.
 * row: as in bf_quad.
 * size: how many inputs each pattern has, in the order of lists.
 */
typedef struct bf_sizes {
    uint8_t row[BF_QUAD];
    uint16_t size[BF_PATTERNS];
} bf_sizes;

/* Whether a layer is covered, with chunks of `chunk` channels (0: all); its geometry, where it is. */
int bf_patterns_cover(const bf_layer *layer, uint32_t chunk, bf_geometry *geometry);
void bf_geometry_of(const bf_layer *layer, uint32_t chunk, bf_geometry *geometry);

/* Are all bits of the copies inverted, so that 0 stands for a padding of +1? */
static inline int bf_is_flipped(const bf_geometry *k) {
    return k->source != BF_INPUT && k->layer->pad_value > 0;
}

/* Number of the plane that holds the bit of channel c under tap (ky, kx). Its complement is the next. */
static inline uint32_t bf_plane_number(const bf_geometry *k, uint32_t ky, uint32_t kx, uint32_t c) {
    const uint32_t kw = k->layer->kernel_w;
    return ky * k->row_planes + c / k->chunk * (2u * kw * k->chunk + 2u) + (c % k->chunk) * 2u * kw + 2u * kx;
}

#endif
