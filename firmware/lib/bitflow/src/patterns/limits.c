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
    int32_t most[BF_QUAD], start;
    for (uint32_t j = 0; j < BF_QUAD; j++) {
        most[j] = bf_most_disagreements(g, shift[j], k->inputs, 0);
    }
    start = bf_start_for(k, most[0]);
    record->first = start < 0 ? (uint16_t)(BF_FIRST_LIMIT | (uint32_t)(most[0] + 1)) : (uint16_t)start;
    start = start < 0 ? 0 : start;
    for (uint32_t j = 1; j < BF_QUAD; j++) {
        record->limit[j - 1u] = bf_limit_of(g, j, most[j], start);
    }
}
