/*
 * lanes.h - filter patterns: how the inputs of four filters are counted and compared, many positions side by side.
 *
 * Lanes are BF_LANES = 32 * BF_LANE_WORDS positions of a map side by side, one bit each: a bf_lanes. A *plane* is one
 * input (tap and channel) of a block of lanes. Each input has two: its bits and, right behind, their complement.
 *
 * Four filters are a *quad*. Each input has one of 8 *patterns*, which says where the filters 1, 2, 3 have another
 * weight than filter 0: pattern = (w1 ^ w0) << 2 | (w2 ^ w0) << 1 | (w3 ^ w0). Of each input the plane is added in
 * which a 1 means that filter 0 disagrees: the bits where w0 is -1, their complement where w0 is +1. Patterns are added
 * in Gray-code order, 0 1 3 2 6 7 5 4, to one running count, which is copied after each: counts[c] = start + the planes
 * of the patterns 0 .. c of this order. With C0 .. C7 for these copies, as many inputs disagree with a filter:
 *
 *   filter 0: C7 - start
 *   filter 1: V1 - start + F1,  V1 = 2 C3 - C7
 *   filter 2: V2 - start + F2,  V2 = C7 + 2 (C1 - C5)
 *   filter 3: V3 - start + F3,  V3 = C7 + 2 (C0 - C2 + C4 - C6)
 *
 * where Fj is the number of inputs with a pattern in which filter j differs from filter 0.
 *
 * A count is *vertical* (bit-sliced): its binary digits lie in a bf_lanes each, so that one operation adds in all
 * lanes.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef BITFLOW_LANES_H
#define BITFLOW_LANES_H

#include "../run/layer.h"

#define BF_LANES        (32u * BF_LANE_WORDS)
#define BF_QUAD         4u /* filters */
#define BF_PATTERNS     8u
#define BF_COUNT_DIGITS 12u /* of a count: start and inputs together are less than 4,096 */
#define BF_RUN          8u  /* entries of a list come in runs of as many */

#define BF_COUNTED (1u << BF_COUNT_DIGITS)

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

/* A count of each lane; digit i has the weight 2^i. */
typedef struct bf_count {
    bf_lanes digit[BF_COUNT_DIGITS];
} bf_count;

/* ---- The functions that have assembly forms. Those in C are in src/generic, a file each. ---- */

/* What bf_add_lists16() and bf_add_lists8() start from. */
#define BF_START(value, patterns) ((uint32_t)(value) | (uint32_t)(patterns) << 16)
#define BF_START_IS_SET           0x80000000u /* counts[0] holds the start, another one in each lane */

/*
 * Adds the planes that a list names, and returns the list's end.
 * counts: patterns + 1 of them; the last one is undefined afterwards.
 * start: BF_START(). Where BF_START_IS_SET and all counts are below 2^n, digits from n on of counts[0] may be
 * undefined; they are undefined in all counts then.
 */
typedef const void *bf_adder(const bf_lanes *planes, const void *list, bf_count *counts, uint32_t start);

/* A list of 16-bit numbers. For each pattern: the number of runs, then 8 entries a run, the byte offsets of planes. */
bf_adder bf_add_lists16;

/*
 * A list of bytes, aligned to 2 bytes. For each pattern: the number of runs of bytes, the number of runs of 16-bit
 * entries; then these runs. A byte is the distance, in planes, from the base. The base is the first plane at the start
 * of each pattern, and after a run the plane of its last entry. 16-bit entries are those of bf_add_lists16().
 */
bf_adder bf_add_lists8;

/*
 * to[j]: the lanes in which filter j is within its limit: for filter 0, C7 < 2^(digits - 1); for the filters 1 to 3,
 * Vj <= limits[j - 1], as BF_LIMIT() codes it.
 * digits: 4 .. 12; all counts are below 2^digits, all Vj in -2^digits .. 2^digits - 1.
 * (Assembly may write behind the digits of C7 meanwhile, and restores what was there.)
 */
void bf_compare(const bf_count *counts, const uint16_t *limits, uint32_t digits, bf_lanes *to);

/*
 * bf_compare() for several thresholds. limits: of the first one, three as above; then of each other one four, also of
 * filter 0, whose value is C7. to[4 * n + j]: threshold n of these, filter j. Leaves C7's digits, and no other count.
 */
void bf_compare_several(bf_count *counts, const uint16_t *limits, uint32_t digits, bf_lanes *to, uint32_t thresholds);

/*
 * bf_compare() where each lane has a limit of its own, by its border pattern (border.h).
 * limits: border words of the filters 1 to 3, three each, whose unused bits are 0; table: the border table.
 */
void bf_compare_each(const bf_count *counts, const uint32_t *limits, uint32_t digits, const bf_lanes *table,
                     bf_lanes *to);

/* The digits of each lane's number: of border words, at least `digits` of them. */
void bf_look_up(const uint32_t *words, const bf_lanes *table, uint32_t digits, bf_lanes *to);

/*
 * A limit of -2^digits .. 2^digits - 1 as a two's complement number of digits + 1 bits whose sign is inverted: so that
 * comparisons need not treat the sign in a way of its own.
 */
#define BF_LIMIT(limit, digits) (((uint32_t)(limit) & ((2u << (digits)) - 1u)) ^ 1u << (digits))

/*
 * Planes of three taps side by side in a row: for each channel the left tap's bits and their complement, the middle
 * one's, the right one's. A tap's lanes outside its mask are 0 (1 in the complement). Returns the end of what was
 * written.
 * from: the word of the first channel's plane that holds lane 0 of the left tap, at bit row->shift.
 */
typedef struct bf_row {
    uint32_t stride; /* words from channel to channel */
    uint32_t shift, channels;
    bf_lanes mask[3]; /* of the left, middle and right tap */
} bf_row;
bf_lanes *bf_planes_of_row(bf_lanes *to, const uint32_t *from, const bf_row *row);

/*
 * Planes of one tap: of each channel the bits and their complement.
 * from: the word of the first channel's plane that holds lane 0, at bit tap->shift; one word more may be read.
 */
typedef struct bf_tap {
    uint32_t stride; /* words from channel to channel, in `from` */
    uint32_t step;   /* planes from channel to channel, in `to` */
    uint32_t shift, channels;
    uint32_t chunk; /* channels; behind each chunk two planes, fillers, are left out */
    bf_lanes mask;  /* other lanes are 0 (1 in the complement) */
} bf_tap;
void bf_planes_of_tap(bf_lanes *to, const uint32_t *from, const bf_tap *tap);

#endif
