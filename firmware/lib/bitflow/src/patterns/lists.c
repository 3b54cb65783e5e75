/*
 * lists.c - filter patterns: lists of a quad, made in RAM of the 1-bit weights.
 *
 * No index of an image is trusted: a list follows from weight bits and the layer's shape alone.
 *
 * SPDX-License-Identifier: MIT
 */
#include "lists.h"
#include "sort.h"

/* Entries of a tap whose weights do not begin on a word. */
BF_COLD static void append_tap(const bf_filters *g, uint32_t at, bf_entries *e) {
    uint32_t weights[BF_QUAD];
    uint32_t left = g->k->layer->in_c;
    for (uint32_t j = 0; j < BF_QUAD; j++) {
        e->weights[j] = &weights[j];
    }
    while (left) {
        const uint32_t n = left < BF_WORD_BITS ? left : BF_WORD_BITS;
        for (uint32_t j = 0; j < BF_QUAD; j++) {
            weights[j] = bf_weights_at(g, j, at, n);
        }
        e->mask = bf_tail_mask(n);
        e->at = 0;
        bf_append_words(e, 1);
        at += n;
        left -= n;
    }
}

BF_COLD static void append_inputs(const bf_filters *g, bf_entries *e) {
    const bf_geometry *k = g->k;
    const bf_layer *l = k->layer;
    const uint32_t words =
        l->in_c % BF_WORD_BITS == 0 ? l->in_c / BF_WORD_BITS : 0u; /* of a tap; 0: taps share words */
    uint32_t at = 0;
    e->step = 2u * l->kernel_w * (uint32_t)sizeof(bf_lanes);
    e->words = words ? words : 1u;
    e->next_tap = words ? 2u * (uint32_t)sizeof(bf_lanes) - words * BF_WORD_BITS * e->step : 0u;
    for (uint32_t ky = 0; ky < l->kernel_h; ky++) {
        for (uint32_t kx = 0; kx < l->kernel_w; kx += words ? l->kernel_w : 1u, at += l->in_c) {
            /* Filter 0 disagrees where its weight is -1 and the bit 1, or its weight +1 and the complement 1. */
            const uint32_t bit =
                (bf_plane_number(k, ky, kx, 0) + (bf_is_flipped(k) ? 1u : 0u)) * (uint32_t)sizeof(bf_lanes);
            e->last = bit + (BF_WORD_BITS - 1u) * e->step;
            if (words) {
                bf_append_words(e, l->kernel_w);
            } else {
                append_tap(g, at, e);
            }
        }
    }
}

BF_COLD static uint16_t *fill_list(const bf_filters *g, uint16_t *list) {
    const bf_geometry *k = g->k;
    const uint16_t filler = (uint16_t)(k->filler * sizeof(bf_lanes));
    uint16_t *end[BF_PATTERNS];
    bf_entries e;
    for (uint32_t j = 0; j < BF_QUAD; j++) {
        e.weights[j] = g->weights[j];
    }
    e.at = 0;
    e.mask = 0xFFFFFFFFu;
    e.ones = bf_is_flipped(k) ? 0u - (uint32_t)sizeof(bf_lanes) : (uint32_t)sizeof(bf_lanes);
    for (uint32_t c = 0; c < BF_PATTERNS; c++) {
        const uint32_t runs = (g->size[c] + BF_RUN - 1u) / BF_RUN;
        *list++ = (uint16_t)runs;
        e.to[c] = list;
        list += runs * BF_RUN;
        end[c] = list;
    }
    append_inputs(g, &e);
    for (uint32_t c = 0; c < BF_PATTERNS; c++) {
        while (e.to[c] < end[c]) {
            *e.to[c]++ = filler;
        }
    }
    return list;
}

/* Filter j differs from filter 0 in the patterns of half of the order. */
BF_COLD static void count_others(bf_filters *g) {
    const uint16_t *n = g->size;
    g->other[0] = 0;
    g->other[1] = (uint32_t)n[4] + n[5] + n[6] + n[7];
    g->other[2] = (uint32_t)n[2] + n[3] + n[4] + n[5];
    g->other[3] = (uint32_t)n[1] + n[2] + n[5] + n[6];
}

BF_COLD uint16_t *bf_make_list(const bf_model *model, const bf_geometry *k, const uint16_t *rows, const uint16_t *size,
                               bf_limits *limits, uint16_t *list, uint32_t *record) {
    const int32_t *shifts = (const int32_t *)bf_at(model, k->layer->shift);
    int32_t shift[BF_QUAD * BF_MAX_THRESHOLDS];
    bf_filters g;
    bf_begin(model, k, rows, &g);
    g.size = size;
    count_others(&g);
    for (uint32_t i = 0; i < BF_QUAD * k->thresholds; i++) {
        shift[i] = shifts[i / BF_QUAD * k->filters + rows[i % BF_QUAD]];
    }
    limits(&g, shift, record);
    return fill_list(&g, list);
}
