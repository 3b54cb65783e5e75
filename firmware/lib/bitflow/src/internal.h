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
 * Where the accumulators of a pixel go, channel after channel: the next word of bits, or the scores. The map of bits
 * before a pool is the first part of scratch, without a pool it is the output itself.
 */
typedef struct bf_sink {
    const uint32_t *shift;  /* BatchShift, or scale of the scores */
    const uint32_t *offset; /* of the scores; NULL: bits */
    uint32_t *to;           /* next word of bits, or next score */
    uint32_t word;          /* bits so far */
} bf_sink;

bf_sink bf_sink_of(const bf_job *job);

static inline void bf_put(bf_sink *sink, uint32_t c, int32_t accumulator) {
    if (sink->offset) {
        /* Unsigned, so that not even an image that was changed after bf_open() makes this overflow. */
        *sink->to++ = sink->shift[c] * (uint32_t)accumulator + sink->offset[c];
    } else {
        sink->word |= (uint32_t)(accumulator >= (int32_t)(0u - sink->shift[c])) << (c % BF_WORD_BITS);
        if (c % BF_WORD_BITS == BF_WORD_BITS - 1u) {
            *sink->to++ = sink->word;
            sink->word = 0;
        }
    }
}

/* All channels of a pixel are there. */
static inline void bf_put_end(bf_sink *sink, uint32_t channels) {
    if (!sink->offset && channels % BF_WORD_BITS) {
        *sink->to++ = sink->word;
        sink->word = 0;
    }
}

/* Max-pool of the map of bits in scratch, where the layer has one. */
void bf_pool(const bf_job *job);

#endif
