/*
 * limits.h - filter classes: what counts are compared with.
 * SPDX-License-Identifier: MIT
 */
#ifndef BITFLOW_LIMITS_H
#define BITFLOW_LIMITS_H

#include "geometry.h"

/* Lanes whose count is less than `bound`: of filter 0, where the top plane cannot decide. */
bf_lanes bf_less_than(const bf_count *count, uint32_t bound, uint32_t width);

/* Filters of a group: where their weights are, and what the list says of them. */
typedef struct bf_filters {
    const bf_geometry *k;
    const uint32_t *weights[BF_GROUP];
    const uint16_t *size;     /* of the classes, in order */
    uint32_t other[BF_GROUP]; /* inputs in whose class it differs from filter 0 */
} bf_filters;

/* The filters of the channels `rows`; size and other are not set. */
void bf_begin(const bf_model *model, const bf_geometry *k, const uint16_t *rows, bf_filters *g);

/* n <= 32 weights of filter f from number `at` on. The word behind is read only where there is one. */
uint32_t bf_weights_at(const bf_filters *g, uint32_t f, uint32_t at, uint32_t n);

/*
 * A filter's bit is 1 if no more planes disagree than this: accumulator = valid - 2 * disagreements of valid taps, and
 * at a padded tap, whose plane is 0, those weights disagree that are +1. From -1, never, to `inputs`, always.
 */
BF_COLD static inline int32_t bf_most_disagreements(const bf_filters *g, int32_t shift, uint32_t valid,
                                                    uint32_t padded_ones) {
    const int32_t inputs = (int32_t)g->k->inputs;
    const int32_t sum = (int32_t)(valid + (uint32_t)shift); /* an image may have been changed: nothing overflows */
    const int32_t most = (sum - (sum & 1)) / 2 + (int32_t)padded_ones;
    return most < -1 ? -1 : most > inputs ? inputs : most;
}

/* Can the top plane of the count decide for filter 0? Then it starts at this; else -1. */
int32_t bf_start_for(const bf_geometry *k, int32_t most);

/* The limit of filter j, as BF_LIMIT() codes it. */
BF_COLD static inline uint16_t bf_limit_of(const bf_filters *g, uint32_t j, int32_t most, int32_t start) {
    const int32_t limit = most + start - (int32_t)g->other[j];
    return (uint16_t)BF_LIMIT(limit, g->k->width);
}

/* Limits of four filters, of their weights and shifts, to the record of their group: one for all lanes; or packs. */
typedef void bf_limits(const bf_filters *filters, const int32_t *shift, uint32_t *record);
bf_limits bf_plain_limits;

#endif
