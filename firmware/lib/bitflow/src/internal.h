/*
 * internal.h - what the sources of the library share and its users do not see.
 * SPDX-License-Identifier: MIT
 */
#ifndef BITFLOW_INTERNAL_H
#define BITFLOW_INTERNAL_H

#include "bitflow.h"
#include "bitflow_port.h"

#define BF_WORD_BITS 32u

/* No map of bits is larger than this many bytes, so that sums of sizes fit 32 bits. */
#define BF_MAP_LIMIT 0x10000000u

/* More layers than any network has, so that checking a hostile image takes bounded time. */
#define BF_LAYER_LIMIT 1024u

/* No accumulator is larger than this: twice as much still fits int32_t. */
#define BF_REACH_LIMIT 0x3FFFFFFF

static inline uint32_t bf_words(uint32_t bits) {
    return (bits + BF_WORD_BITS - 1u) / BF_WORD_BITS;
}

/* Mask of the used bits in the last word of a string of `bits` > 0 bits. */
static inline uint32_t bf_tail_mask(uint32_t bits) {
    return 0xFFFFFFFFu >> ((BF_WORD_BITS - bits % BF_WORD_BITS) % BF_WORD_BITS);
}

/* K: taps that enter one accumulator. */
static inline uint32_t bf_taps(const bf_layer *layer) {
    return (uint32_t)layer->kernel_h * layer->kernel_w * (uint32_t)(layer->in_c / layer->groups);
}

/* Bytes of a channel-packed map. */
static inline size_t bf_map_size(uint32_t h, uint32_t w, uint32_t c) {
    return (size_t)h * w * bf_words(c) * sizeof(uint32_t);
}

/* Bytes of a layer's map of accumulator bits where a pool needs it first, else 0. */
static inline size_t bf_unpooled_size(const bf_layer *layer) {
    return layer->pool_h ? bf_map_size(layer->conv_h, layer->conv_w, layer->out_c) : 0;
}

static inline const void *bf_at(const bf_model *model, uint32_t offset) {
    return model->base + offset;
}

/*
 * What the plain kernels share. The map of bits before the pool is scratch's first part where there is a pool, else
 * the output itself. bf_emit() takes the accumulator of channel c at pixel `pixel` of that map and sets the bit (the
 * map starts all 0), or writes the score. bf_pool() ends the layer.
 */
void bf_emit_begin(const bf_job *job);
void bf_emit(const bf_job *job, uint32_t pixel, uint32_t c, int32_t accumulator);
void bf_pool(const bf_job *job);

#endif
