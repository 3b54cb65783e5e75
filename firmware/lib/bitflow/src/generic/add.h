/*
 * add.h - how the adders in C add.
 * SPDX-License-Identifier: MIT
 */
#ifndef BITFLOW_ADD_H
#define BITFLOW_ADD_H

#include "../patterns/lanes.h"

#define LOW_DIGITS 4u /* of the running count, held in registers; the others are added to in memory */

/*
 * Two bits of one weight, coded as the first and the exclusive or of both: so coded, two full adders in a row take 8
 * operations instead of 10 (Demenkov, Kojevnikov, Kulikov, Yaroslavtsev: New upper bounds on the Boolean circuit
 * complexity of symmetric functions, 2010).
 */
typedef struct bf_pair {
    bf_lanes first, differ;
} bf_pair;

/* Add four bits to a sum: what they carry is a pair of twice the weight. */
static inline bf_pair add_pairs(bf_lanes *sum, bf_pair a, bf_pair b) {
    const bf_lanes carried = (a.first ^ *sum) | a.differ;
    const bf_lanes half = *sum ^ a.differ;
    const bf_lanes chosen = (b.first ^ half) & ~b.differ;
    const bf_pair carry = {chosen ^ half, carried ^ chosen};
    *sum = half ^ b.differ;
    return carry;
}

static inline bf_pair pair_of(const bf_lanes *a, const bf_lanes *b) {
    const bf_pair pair = {*a, *a ^ *b};
    return pair;
}

/* Add two bits to a sum: what they carry is one bit. */
static inline bf_lanes add_pair(bf_lanes *sum, bf_pair a) {
    const bf_lanes carried = (a.first ^ *sum) | a.differ;
    *sum ^= a.differ;
    return carried ^ *sum;
}

static inline uint32_t any(bf_lanes lanes) {
#if BF_LANE_WORDS == 1
    return lanes;
#else
    uint32_t found = 0;
    for (unsigned i = 0; i < BF_LANE_WORDS; i++) {
        found |= lanes[i];
    }
    return found;
#endif
}

/* A run, with the running count's low digits, and all of its digits. */
static inline void add_run(bf_lanes *low, bf_count *count, const bf_lanes *const in[BF_RUN]) {
    bf_pair twos = add_pairs(&low[0], pair_of(in[0], in[1]), pair_of(in[2], in[3]));
    const bf_pair more = add_pairs(&low[0], pair_of(in[4], in[5]), pair_of(in[6], in[7]));
    const bf_lanes eights = add_pair(&low[2], add_pairs(&low[1], twos, more));
    bf_lanes carry = low[3] & eights;
    low[3] ^= eights;
    for (unsigned i = LOW_DIGITS; any(carry) && i < BF_COUNT_DIGITS; i++) {
        const bf_lanes digit = count->digit[i];
        count->digit[i] = digit ^ carry;
        carry &= digit;
    }
}

/* The first count, where it is not set, and the running count's low digits. */
static inline void begin(bf_lanes *low, bf_count *count, uint32_t start) {
    const bf_lanes none = {0};
    if (!(start & BF_START_IS_SET)) {
        for (unsigned i = 0; i < BF_COUNT_DIGITS; i++) {
            count->digit[i] = start >> i & 1u ? ~none : none;
        }
    }
    for (unsigned i = 0; i < LOW_DIGITS; i++) {
        low[i] = count->digit[i];
        BF_KEEP_LOOP();
    }
}

/* A pattern is added: complete its count, and go on from there. */
static inline void next_pattern(const bf_lanes *low, bf_count *count) {
    for (unsigned i = 0; i < LOW_DIGITS; i++) {
        count->digit[i] = low[i];
        BF_KEEP_LOOP();
    }
    for (unsigned i = LOW_DIGITS; i < BF_COUNT_DIGITS; i++) {
        count[1].digit[i] = count->digit[i];
        BF_KEEP_LOOP();
    }
}

static inline const uint16_t *add_runs16(bf_lanes *low, bf_count *count, const bf_lanes *planes, const uint16_t *entry,
                                         uint32_t runs) {
    for (; runs; runs--, entry += BF_RUN) {
        const bf_lanes *in[BF_RUN];
        for (unsigned i = 0; i < BF_RUN; i++) {
            in[i] = (const bf_lanes *)(const void *)((const uint8_t *)planes + entry[i]);
        }
        add_run(low, count, in);
    }
    return entry;
}

#endif
