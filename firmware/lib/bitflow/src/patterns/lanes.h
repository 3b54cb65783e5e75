/*
 * lanes.h - convolution by filter classes: what its adders, thresholds, planes and kernel share.
 *
 * Lanes are BF_LANES positions of a map side by side, one bit each: a bf_lanes. A *plane* is one input (tap and
 * channel) of a block of lanes: a plane for the bit itself and, right behind it, one for its complement.
 *
 * Four filters are a group. Every input falls into one of 8 classes, by which of the filters 1, 2, 3 have another
 * weight there than filter 0: class pattern = (w1 ^ w0) << 2 | (w2 ^ w0) << 1 | (w3 ^ w0). Of each input the plane is
 * added that says where filter 0 disagrees: the bit where w0 is -1, its complement where w0 is +1. Classes are added in
 * Gray-code order, 0 1 3 2 6 7 5 4, to one running count, of which a copy is kept after each: counts[c] = start + the
 * planes of the classes 0 .. c. With C0 .. C7 for these, how many inputs disagree with a filter is
 *
 *   filter 0: C7 - start
 *   filter 1: V1 - start + F1,  V1 = 2 C3 - C7
 *   filter 2: V2 - start + F2,  V2 = C7 + 2 (C1 - C5)
 *   filter 3: V3 - start + F3,  V3 = C7 + 2 (C0 - C2 + C4 - C6)
 *
 * where Fj is the number of inputs in the classes in which filter j differs from filter 0.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef BITFLOW_LANES_H
#define BITFLOW_LANES_H

#include "../run/layer.h"

#define BF_GROUP        4u /* filters */
#define BF_CLASSES      8u
#define BF_COUNT_PLANES 12u /* of a count: start and inputs together are less than 4,096 */
#define BF_RUN          8u  /* entries of a list come in runs of as many */

#define BF_COUNTED (1u << BF_COUNT_PLANES)

static inline bf_lanes bf_no_lanes(void) {
    const bf_lanes none = {0};
    return none;
}

static inline void bf_set_word(bf_lanes *lanes, uint32_t i, uint32_t word) {
    ((uint32_t *)(void *)lanes)[i] = word;
}

static inline int bf_any_lane(bf_lanes lanes) {
    const uint32_t *words = (const uint32_t *)(const void *)&lanes;
    uint32_t any = 0;
    for (uint32_t i = 0; i < BF_LANE_WORDS; i++) {
        any |= words[i];
    }
    return any != 0;
}

/* A count of each lane, plane i of weight 2^i. */
typedef struct bf_count {
    bf_lanes plane[BF_COUNT_PLANES];
} bf_count;

/* How bf_add_lists16() and bf_add_lists8() begin. */
#define BF_START(value, classes) ((uint32_t)(value) | (uint32_t)(classes) << 16)
#define BF_START_IS_SET          0x80000000u /* counts[0] holds the start, another one in each lane */

/*
 * Adds the planes that lists name. counts: classes + 1 of them, the last is left with no meaning. Where all counts are
 * below 2^width, the planes from `width` on may be left out of a start that is set: they have no meaning then. Returns
 * the list's end.
 */
typedef const void *bf_adder(const bf_lanes *planes, const void *list, bf_count *counts, uint32_t start);

/*
 * A list of 16 bits: for each class the number of runs, then 8 entries a run: the byte offset of a plane.
 */
bf_adder bf_add_lists16;

/*
 * A list of 8 bits, on 2 bytes: for each class the number of runs of bytes, the number of runs of 16 bits; then these.
 * A byte is the distance, in planes, from the base; the base is the first plane at the beginning of each class, and
 * after a run of 8 the plane of its last entry. The 16-bit entries are as above, counted from the first plane.
 */
bf_adder bf_add_lists8;

/*
 * Lanes where Vj <= limit, for the filters 1 to 3, and C7 < 2^(width - 1), for filter 0: to[0 .. 3]. All counts are
 * below 2^width, width is 4 .. 12, and all Vj lie in -2^width .. 2^width - 1. limits: of the filters 1, 2, 3, as
 * BF_LIMIT() codes them. (Assembly may write behind the planes of C7 meanwhile, and puts back what was there.)
 */
void bf_compare(const bf_count *counts, const uint16_t *limits, uint32_t width, bf_lanes *to);

/*
 * The same with a limit of its own for each lane, of six sets of lanes. limits: three words a filter; bit k of six bits
 * is bit i of the coded limit of the lanes of set k, five such groups of six bits a word, i = 0 .. width; all other
 * bits are 0. table[x]: the lanes of all sets k whose bit is 1 in x, so that table[six bits] is plane i of the coded
 * limits.
 */
void bf_compare_each(const bf_count *counts, const uint32_t *limits, uint32_t width, const bf_lanes *table,
                     bf_lanes *to);

/*
 * A limit of -2^width .. 2^width - 1 as the comparisons want it: a two's complement number of width + 1 bits, whose
 * sign is the other way round, so that they need not know about signs.
 */
#define BF_LIMIT(limit, width) (((uint32_t)(limit) & ((2u << (width)) - 1u)) ^ 1u << (width))

/*
 * Planes of three taps side by side of a row, of `channels` channels, one after the other: for each channel the bit and
 * its complement of the left tap, of the middle one, of the right one. from: the word of the first channel's string in
 * which the left tap's first lane is, at bit `shift`; stride: words from there to the next channel. A tap's lanes
 * outside its mask are 0 (its complement 1). Returns the end of what was written.
 */
typedef struct bf_row {
    uint32_t stride, shift, channels;
    bf_lanes mask[3];
} bf_row;
bf_lanes *bf_planes_of_row(bf_lanes *to, const uint32_t *from, const bf_row *row);

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

/* The planes that the words of a pack name, five a word: at least `width`. */
void bf_look_up(const uint32_t *words, const bf_lanes *table, uint32_t width, bf_lanes *to);

#endif
