/*
 * limits.c - filter patterns: what counts are compared with, where that is one number for all lanes.
 * SPDX-License-Identifier: MIT
 */
#include "limits.h"

BF_COLD bf_lanes bf_less_than(const bf_count *count, uint32_t threshold, uint32_t digits) {
    bf_lanes less = bf_no_lanes();
    for (uint32_t i = 0; i < digits + 1u; i++) {
        const bf_lanes digit = i < digits ? count->digit[i] : bf_no_lanes();
        less = threshold >> i & 1u ? less | ~digit : less & ~digit;
    }
    return less;
}

void bf_begin(const bf_model *model, const bf_geometry *k, const uint16_t *rows, bf_filters *g) {
    const uint32_t *weights = (const uint32_t *)bf_at(model, k->layer->weights);
    g->k = k;
    for (uint32_t j = 0; j < BF_QUAD; j++) {
        g->weights[j] = weights + (size_t)rows[j] * bf_words(k->inputs);
    }
}

BF_COLD uint32_t bf_weights_at(const bf_filters *g, uint32_t f, uint32_t at, uint32_t n) {
    const uint32_t *word = g->weights[f] + at / BF_WORD_BITS;
    const uint32_t shift = at % BF_WORD_BITS;
    uint32_t found = word[0] >> shift;
    if (shift + n > BF_WORD_BITS) {
        found |= word[1] << (BF_WORD_BITS - shift);
    }
    return found & bf_tail_mask(n);
}

BF_COLD int32_t bf_start_for(const bf_geometry *k, int32_t most) {
    const int32_t half = 1 << (k->digits - 1u);
    return most < half && most >= (int32_t)k->inputs - half ? half - 1 - most : -1;
}

BF_COLD void bf_plain_limits(const bf_filters *g, const int32_t *shift, uint32_t *to) {
    bf_quad *record = (bf_quad *)(void *)to;
    const bf_geometry *k = g->k;
    uint16_t *limit = (uint16_t *)(void *)(to + 1) + 1; /* as bf_limits_of() */
    int32_t most = 0, start = -1;
    uint32_t first = 0;
    for (uint32_t t = 0; t < k->thresholds && t < BF_FIRST_THRESHOLDS && start < 0; t++) {
        first = t;
        most = bf_most_disagreements(g, shift[BF_QUAD * t], k->inputs, 0);
        start = bf_start_for(k, most);
    }
    if (start < 0) {
        first = 0;
        most = bf_most_disagreements(g, shift[0], k->inputs, 0);
    }
    record->first =
        (uint16_t)(BF_FIRST_THRESHOLD(first) | (start < 0 ? BF_FIRST_LIMIT | (uint32_t)(most + 1) : (uint32_t)start));
    start = start < 0 ? 0 : start;
    for (uint32_t n = 0; n < k->thresholds; n++) {
        const int32_t *of = shift + BF_QUAD * bf_threshold_at(record, n);
        for (uint32_t j = n ? 0 : 1; j < BF_QUAD; j++) {
            *limit++ = bf_limit_of(g, j, bf_most_disagreements(g, of[j], k->inputs, 0), start);
        }
    }
}
