/*
 * layer.h - what follows from the record of a layer: words, taps, bytes of its map; and how a check ends.
 * SPDX-License-Identifier: MIT
 */
#ifndef BITFLOW_LAYER_H
#define BITFLOW_LAYER_H

#include "bitflow.h"
#include "bitflow_port.h"

#define BF_WORD_BITS 32u

/* Bytes at most of a map, of all pinned maps together, of a window: so sums of sizes fit 32 bits. */
#define BF_MAP_LIMIT 0x10000000u

/* No more taps enter an accumulator: as int32_t they are a window of BF_MAP_LIMIT. */
#define BF_TAP_LIMIT (BF_MAP_LIMIT / 4u)

/* More layers than any network has, so that checking a hostile image takes bounded time. */
#define BF_LAYER_LIMIT 1024u

/* No accumulator is larger than this: twice as much still fits int32_t. */
#define BF_BOUND_LIMIT 0x3FFFFFFF

static inline uint32_t bf_words(uint32_t bits) {
    return (bits + BF_WORD_BITS - 1u) / BF_WORD_BITS;
}

/* Mask of the used bits in the last word of a row of `bits` > 0 bits. */
static inline uint32_t bf_tail_mask(uint32_t bits) {
    return 0xFFFFFFFFu >> ((BF_WORD_BITS - bits % BF_WORD_BITS) % BF_WORD_BITS);
}

/* K: taps that enter one accumulator. */
static inline uint32_t bf_taps(const bf_layer *layer) {
    return (uint32_t)layer->kernel_h * layer->kernel_w * ((uint32_t)layer->in_c / layer->groups);
}

/* Accumulators of a position. */
static inline uint32_t bf_filter_count(const bf_layer *layer) {
    return (uint32_t)layer->out_c / layer->thresholds;
}

/* Parts of a window that the same weights read: the bits of a value that share one, or the whole window. */
static inline uint32_t bf_parts(const bf_layer *layer) {
    return layer->flags & BF_SHARED ? layer->in_thresholds : 1u;
}

/* Words of a filter. */
static inline uint32_t bf_filter_words(const bf_layer *layer) {
    return bf_words(bf_taps(layer) / bf_parts(layer) * layer->weight_bits);
}

/* Words of a position of a map. */
static inline uint32_t bf_position_words(uint32_t output, uint32_t channels) {
    return output == BF_INTEGERS ? channels : bf_words(channels);
}

/* Bytes of a layer's output map in the public form; 0 for scores, which lie outside the arena. */
static inline size_t bf_map_size(const bf_layer *layer) {
    const size_t words = bf_position_words(layer->output, layer->out_c);
    return layer->output == BF_SCORES ? 0 : (size_t)layer->out_h * layer->out_w * words * sizeof(uint32_t);
}

/* The map type of source k of a layer: BF_BITS, BF_INTEGERS, or BF_PIXELS. */
static inline uint32_t bf_source_type(const bf_layer *layers, const bf_layer *layer, unsigned k) {
    return layer->sources[k] == BF_PIXELS ? BF_PIXELS : layers[layer->sources[k]].output;
}

static inline const void *bf_at(const bf_model *model, uint32_t offset) {
    return model->base + offset;
}

#define BF_CHECK(condition, status)                                                                                    \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            return (status);                                                                                           \
        }                                                                                                              \
    } while (0)

#endif
