/*
 * geometry.h - filter classes: how a layer is cut into blocks of positions, its inputs into planes, its filters into
 * groups.
 *
 * Positions are the lanes: a block is as many positions of the map of accumulators, in the order of a string, as a
 * bf_lanes has bits. For each block the planes of all inputs are laid out once, then every group of filters adds those
 * that its lists name (lanes.h).
 *
 * Planes stand in the order [kernel row][chunk of channels][channel][kernel column][bit, complement]; two planes of
 * zeros end a chunk: fillers of lists. Chunks have 16 channels for lists of 8 bits, so that a filler is always in
 * reach; else all channels.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef BITFLOW_GEOMETRY_H
#define BITFLOW_GEOMETRY_H

#include "lanes.h"

#define BF_BLOCK       (32u * BF_LANE_WORDS) /* positions */
#define BF_KERNEL_SIDE 16u                   /* rows and columns of a kernel, at most */
#define BF_PATTERNS    16u                   /* of an axis, at most */
#define BF_SETS        6u                    /* of lanes that bf_compare_each() tells apart */

#define BF_FIRST_LIMIT 0x8000u /* bf_group.first */

/*
 * Which taps of one axis lie inside the map, from position to position: it changes `count` - 1 times.
 * Positions start[j] .. start[j + 1] - 1 see the taps first[j] .. end[j] - 1.
 */
typedef struct bf_axis {
    uint32_t count;
    uint16_t start[BF_PATTERNS + 1u];
    uint16_t first[BF_PATTERNS];
    uint16_t end[BF_PATTERNS];
} bf_axis;

#define BF_LIST8_CHANNELS 16u /* between fillers in 8-bit lists */
#define BF_MAKING_PAYS    8u  /* positions from which on it pays to make lists in every run */

/*
 * Where a tap's window lies in one string of bits whatever the row: in the input itself, if its rows are as wide as
 * those of the map of accumulators; in one of four copies with every other row and column; else in a copy for each
 * kernel column and row phase, in which what lies outside the map is 0.
 */
enum { BF_INPUT = 0, BF_PHASES = 1, BF_COLUMNS = 2 };

/* A layer's geometry. Sizes in words. */
typedef struct bf_geometry {
    const bf_layer *layer;
    uint32_t inputs;    /* of an accumulator */
    uint32_t width;     /* planes of a count: inputs < 2^width */
    uint32_t groups;    /* of four filters */
    uint32_t positions; /* of the map of accumulators */
    uint32_t blocks;
    uint32_t chunk;        /* channels between fillers */
    uint32_t row_planes;   /* of a kernel row */
    uint32_t planes;       /* of a block */
    uint32_t filler;       /* number of a plane of zeros */
    uint32_t source;       /* what taps read: the input, or copies of it */
    int exact;             /* padding counts 0 and there is some: limits differ from lane to lane */
    uint32_t source_words; /* of a channel's string, in the input or in a copy */
    uint32_t copy_words;   /* of a copy */
    uint32_t copies_words; /* of all */
    bf_axis y, x;          /* where exact */
    uint32_t packs;        /* of sets of lanes that occur together; where exact */
    uint32_t passes;       /* packs that one block may need */
    uint32_t record;       /* of a group */
} bf_geometry;

/*
 * What a group needs to know, plain: row: its filters' channels, counted from the first one of the page of 64 groups
 * that it is in. first: the start value, with which the top plane of the count decides for filter 0; or BF_FIRST_LIMIT
 * + the limit that decides, and the start value is 0. limit: of the filters 1, 2, 3, as BF_LIMIT() codes them.
 */
typedef struct bf_group {
    uint8_t row[BF_GROUP];
    uint16_t first;
    uint16_t limit[BF_GROUP - 1u];
} bf_group;

#define BF_PAGE 64u /* groups, of 256 channels */

/*
 * Where exact: bf_group with limits unused and first 0 or BF_FIRST_LIMIT; then for each pack uint32_t[4][3], plane
 * after plane the sets of lanes whose bit is 1, as bf_compare_each() takes them: of filter 0's start (or limit), of the
 * limits.
 */
#define BF_PACK_WORDS 12u

/* What a plan has for a group whose list is made in RAM: its filters, and how many inputs each class has, in order. */
typedef struct bf_sizes {
    uint8_t row[BF_GROUP];
    uint16_t size[BF_CLASSES];
} bf_sizes;

/* Whether a layer is covered, with chunks of so many channels (0: all); its geometry, where it is. */
int bf_classes_cover(const bf_layer *layer, uint32_t chunk, bf_geometry *geometry);
void bf_geometry_of(const bf_layer *layer, uint32_t chunk, bf_geometry *geometry);

/* Are all bits of the copies inverted, so that 0 stands for a padding of +1? */
static inline int bf_is_flipped(const bf_geometry *k) {
    return k->source != BF_INPUT && k->layer->pad_value > 0;
}

/* Number of the plane that holds the bit of channel c under tap (ky, kx). Its complement is the next. */
static inline uint32_t bf_plane(const bf_geometry *k, uint32_t ky, uint32_t kx, uint32_t c) {
    const uint32_t kw = k->layer->kernel_w;
    return ky * k->row_planes + c / k->chunk * (2u * kw * k->chunk + 2u) + (c % k->chunk) * 2u * kw + 2u * kx;
}

#endif
