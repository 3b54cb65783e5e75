/*
 * classes.h - what the parts of the filter-class kernels share: conv_classes.c, class_maps.c, class_limits.c,
 * class_lists.c.
 *
 * Positions are the lanes: a block is as many positions of the map of accumulators, in the order of a string, as a
 * bf_lanes has bits. For each block the planes of all inputs are laid out once, then every group of filters adds those
 * that its lists name (filter_classes.h).
 *
 * Planes stand in the order [kernel row][chunk of channels][channel][kernel column][bit, complement]; two planes of
 * zeros end a chunk: fillers of lists. Chunks have 16 channels for lists of 8 bits, so that a filler is always in
 * reach; else all channels.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef BITFLOW_CLASSES_H
#define BITFLOW_CLASSES_H

#include "filter_classes.h"
#include "strings.h"

#define BF_BLOCK       (32u * BF_LANE_WORDS) /* positions */
#define BF_KERNEL_SIDE 16u                   /* rows and columns of a kernel, at most */
#define BF_PATTERNS    16u                   /* of an axis, at most */
#define BF_SETS        6u                    /* of lanes that bf_compare_each() tells apart */
#define BF_TABLE       64u
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

/* What there is besides where limits differ from lane to lane: axes, packs, passes; a record has room for these. */
void bf_sets_of(bf_geometry *geometry);

/* Are all bits of the copies inverted, so that 0 stands for a padding of +1? */
static inline int bf_is_flipped(const bf_geometry *k) {
    return k->source != BF_INPUT && k->layer->pad_value > 0;
}

/* Number of the plane that holds the bit of channel c under tap (ky, kx). Its complement is the next. */
static inline uint32_t bf_plane(const bf_geometry *k, uint32_t ky, uint32_t kx, uint32_t c) {
    const uint32_t kw = k->layer->kernel_w;
    return ky * k->row_planes + c / k->chunk * (2u * kw * k->chunk + 2u) + (c % k->chunk) * 2u * kw + 2u * kx;
}

/* ---- class_maps.c ---- */

/* Copies of the input, where taps read such. */
void bf_copy_input(const bf_geometry *k, const uint32_t *strings, uint32_t *copies);

/* Those planes that are the same in every block: they are 0. */
void bf_zero_fillers(const bf_geometry *k, bf_lanes *planes);

/* The other planes of block b; from: the input's strings or the copies. */
void bf_planes_of_block(const bf_geometry *k, const uint32_t *from, uint32_t b, bf_lanes *planes);

/*
 * Planes of one tap, of all channels: of each the bit and its complement, `step` planes after those of the channel
 * before, and two more, fillers, after a chunk. from: the word of the first channel's string in which lane 0 is, at bit
 * `shift`; stride: words from there to the next channel. Lanes outside the mask are 0. The word behind may be read.
 */
typedef struct bf_tap {
    uint32_t stride, step, shift, channels, chunk;
    bf_lanes mask;
} bf_tap;
void bf_planes_of_tap(bf_lanes *to, const uint32_t *from, const bf_tap *t);

/* Lanes of the positions from .. to - 1 in a block that begins at position `first`. */
bf_lanes bf_lanes_between(int32_t from, int32_t to, int32_t first);

/* Lanes of block b in the columns from .. to - 1. */
bf_lanes bf_lanes_in_columns(const bf_geometry *k, int32_t from, int32_t to, uint32_t b);

/* ---- class_limits.c ---- */

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

/* The planes that the words of a pack name, five a word: at least `width`. */
void bf_look_up(const uint32_t *words, const bf_lanes *table, uint32_t width, bf_lanes *to);

/*
 * A group where not one pack says all for the block's lanes, or where the top plane does not decide for filter 0: its
 * filters' bits. Returns the list's end.
 */
const void *bf_run_passes(const bf_block *b, const bf_group *group, const void *list, bf_lanes *bits);

/* Lanes whose count is less than `bound`: of filter 0, where the top plane cannot decide. */
bf_lanes bf_less_than(const bf_count *count, uint32_t bound, uint32_t width);

/* ---- class_lists.c ---- */

/* Words of the list of a group, at most. */
static inline uint32_t bf_list_words(const bf_geometry *k) {
    return (k->inputs + (BF_RUN - 1u) * BF_CLASSES + BF_CLASSES + 1u) / 2u;
}

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

/* Limits of four filters, of their weights and shifts, to the record of their group: one for all lanes; or packs. */
typedef struct bf_filters bf_filters;
typedef void bf_limits(const bf_filters *filters, const int32_t *shift, uint32_t *record);
bf_limits bf_plain_limits;
bf_limits bf_exact_limits;

/*
 * The list of four filters, of the 1-bit weights, and the record of their group but its rows. Returns the end of the
 * list. size: what bf_count_classes() says.
 */
uint16_t *bf_make_list(const bf_model *model, const bf_geometry *k, const uint16_t *rows, const uint16_t *size,
                       bf_limits *limits, uint16_t *list, uint32_t *record);

#endif
