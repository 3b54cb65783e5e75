/*
 * limits.h - filter patterns: what counts are compared with.
 * SPDX-License-Identifier: MIT
 */
#ifndef BITFLOW_LIMITS_H
#define BITFLOW_LIMITS_H

#include "geometry.h"

/* Lanes whose count is less than `threshold`: filter 0's bits where the top digit cannot decide. */
bf_lanes bf_less_than(const bf_count *count, uint32_t threshold, uint32_t digits);

/* The filters of a quad while their list and record are made. */
typedef struct bf_filters {
    const bf_geometry *k;
    const uint32_t *weights[BF_QUAD];
    const uint16_t *size;    /* how many inputs each pattern has, in the order of lists */
    uint32_t other[BF_QUAD]; /* F of lanes.h: inputs where it differs from filter 0 */
} bf_filters;

/* The filters of the channels `rows`; size and other are not set. */
void bf_begin(const bf_model *model, const bf_geometry *k, const uint16_t *rows, bf_filters *g);

/* n <= 32 weights of filter f from number `at` on. The word behind is read only where there is one. */
uint32_t bf_weights_at(const bf_filters *g, uint32_t f, uint32_t at, uint32_t n);

/*
 * How many planes may disagree at most, where a filter's bit is 1: -1, never, to `inputs`, always.
 * accumulator = valid - 2 * (disagreements of valid taps); outside the map planes are 0, so weights of +1 disagree.
 */
BF_COLD static inline int32_t bf_most_disagreements(const bf_filters *g, int32_t shift, uint32_t valid,
                                                    uint32_t padded_ones) {
    const int32_t inputs = (int32_t)g->k->inputs;
    const int32_t sum = (int32_t)(valid + (uint32_t)shift); /* an image may have been changed: nothing overflows */
    const int32_t most = (sum - (sum & 1)) / 2 + (int32_t)padded_ones;
    return most < -1 ? -1 : most > inputs ? inputs : most;
}

/* What the count starts at so that its top digit decides for filter 0; -1: that is not possible. */
int32_t bf_start_for(const bf_geometry *k, int32_t most);

/* The limit of filter j, as BF_LIMIT() codes it. For filter 0: other[0] is 0. */
BF_COLD static inline uint16_t bf_limit_of(const bf_filters *g, uint32_t j, int32_t most, int32_t start) {
    const int32_t limit = most + start - (int32_t)g->other[j];
    return (uint16_t)BF_LIMIT(limit, g->k->digits);
}

/*
 * Writes the limits of a quad to its record: one number for all lanes, or border words.
 * shift: of the four filters, threshold after threshold.
 */
typedef void bf_limits(const bf_filters *filters, const int32_t *shift, uint32_t *record);

/* The first of the lowest four thresholds that a start decides; 0: there is none. */
#define BF_FIRST_THRESHOLDS 4u
bf_limits bf_plain_limits;

#endif
