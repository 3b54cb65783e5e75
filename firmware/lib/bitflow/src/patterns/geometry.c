/*
 * geometry.c - filter patterns: a layer's geometry.
 * SPDX-License-Identifier: MIT
 */
#include "geometry.h"
#include "../planes/planes.h"

BF_COLD static uint32_t bit_length(uint32_t n) {
    uint32_t bits = 0;
    for (; n; n >>= 1) {
        bits++;
    }
    return bits;
}

/* What taps read. */
BF_COLD static uint32_t source_of(const bf_layer *l, uint32_t padding) {
    if (l->stride_h == 2u && l->stride_w == 2u && l->conv_w == (l->in_w + 1u) / 2u) {
        return BF_PHASES;
    }
    return l->stride_h > 1 || l->stride_w > 1 || l->conv_w != l->in_w || (padding && l->pad_value > 0) ? BF_COLUMNS
                                                                                                       : BF_INPUT;
}

BF_COLD static uint32_t copies_of(const bf_layer *l, uint32_t source) {
    return source == BF_PHASES ? 4u : source == BF_COLUMNS ? (uint32_t)l->kernel_w * l->stride_h : 0u;
}

BF_COLD static uint32_t padding_of(const bf_layer *l) {
    return (uint32_t)l->pad_top | l->pad_left | l->pad_bottom | l->pad_right;
}

BF_COLD static uint32_t row_planes_of(const bf_layer *l, uint32_t chunk) {
    return 2u * l->kernel_w * l->in_c + ((uint32_t)l->in_c + chunk - 1u) / chunk * 2u;
}

/* Words of a channel's plane in a copy, or in the input. */
BF_COLD static uint32_t source_words_of(const bf_layer *l, uint32_t source) {
    const uint32_t rows = ((uint32_t)l->in_h + l->stride_h - 1u) / l->stride_h;
    return bf_words_of_plane(source != BF_INPUT ? rows * l->conv_w : (uint32_t)l->in_h * l->in_w);
}

BF_COLD void bf_geometry_of(const bf_layer *l, uint32_t chunk, bf_geometry *k) {
    const uint32_t padding = padding_of(l);
    bf_fill(k, 0, sizeof *k);
    k->layer = l;
    k->inputs = bf_taps(l);
    k->digits = bit_length(k->inputs) < 4u ? 4u : bit_length(k->inputs);
    k->thresholds = l->thresholds;
    k->filters = bf_filter_count(l);
    k->quads = k->filters / BF_QUAD;
    k->positions = (uint32_t)l->conv_h * l->conv_w;
    k->blocks = (k->positions + BF_BLOCK - 1u) / BF_BLOCK;
    k->chunk = chunk ? chunk : l->in_c;
    k->row_planes = row_planes_of(l, k->chunk);
    k->planes = k->row_planes * l->kernel_h;
    k->filler = k->row_planes - 1u;
    k->source = source_of(l, padding);
    k->exact = padding && l->pad_value == 0;
    k->source_words = source_words_of(l, k->source);
    k->copy_words = k->source_words * l->in_c;
    k->copies_words = k->copy_words * copies_of(l, k->source);
    k->record = sizeof(bf_quad) / sizeof(uint32_t) + (k->exact ? 0u : (k->thresholds - 1u) * BF_MORE_WORDS);
}

BF_COLD int bf_patterns_cover(const bf_layer *l, uint32_t chunk, bf_geometry *k) {
    if (l->output != BF_BITS || l->flags || l->groups != 1 || l->invert || bf_filter_count(l) % BF_QUAD ||
        l->stride_h > 2 || l->stride_w > 2 || l->kernel_h > BF_KERNEL_SIDE || l->kernel_w > BF_KERNEL_SIDE ||
        bf_taps(l) >> BF_COUNT_DIGITS) {
        return 0;
    }
    bf_geometry_of(l, chunk, k);
    /* There is at most one zone for each position at an end, and one more. */
    if (k->exact &&
        (l->pad_left + l->pad_right >= (int)BF_BORDER_PATTERNS || l->pad_top + l->pad_bottom >= (int)BF_ZONES)) {
        return 0;
    }
    /* A list entry is a byte offset of 16 bits. Nothing that lies in scratch may be larger than a map. */
    return k->planes * (uint32_t)sizeof(bf_lanes) <= 0x10000u && bf_planes_fit((uint32_t)l->in_h * l->in_w, l->in_c) &&
           bf_output_planes_fit(l) &&
           (uint64_t)k->source_words * l->in_c * copies_of(l, k->source) <= BF_MAP_LIMIT / 16u;
}
