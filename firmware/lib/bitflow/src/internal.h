/*
 * internal.h - what the sources of the library share and its users do not see.
 * SPDX-License-Identifier: MIT
 */
#ifndef BITFLOW_INTERNAL_H
#define BITFLOW_INTERNAL_H

#include "bitflow.h"
#include "bitflow_port.h"

#define BF_WORD_BITS 32u

/* No map, nor all kept maps together, nor a window is larger than this many bytes: sums of sizes fit 32 bits. */
#define BF_MAP_LIMIT 0x10000000u

/* No more taps enter an accumulator: as int32_t they are a window of BF_MAP_LIMIT. */
#define BF_TAP_LIMIT (BF_MAP_LIMIT / 4u)

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

/* Words of a position of a map. */
static inline uint32_t bf_position_words(uint32_t output, uint32_t channels) {
    return output == BF_INTEGERS ? channels : bf_words(channels);
}

/* Bytes of the public form of the map that a layer gives; 0 for scores, which lie outside the arena. */
static inline size_t bf_map_size(const bf_layer *layer) {
    const size_t words = bf_position_words(layer->output, layer->out_c);
    return layer->output == BF_SCORES ? 0 : (size_t)layer->out_h * layer->out_w * words * sizeof(uint32_t);
}

/* Bytes of that map before its pool, 0 where there is none. */
size_t bf_unpooled_size(const bf_layer *layer);

/* What a source of a layer holds: BF_BITS, BF_INTEGERS, or BF_PIXELS. */
static inline uint32_t bf_source_values(const bf_layer *layers, const bf_layer *layer, unsigned k) {
    return layer->sources[k] == BF_PIXELS ? BF_PIXELS : layers[layer->sources[k]].output;
}

static inline const void *bf_at(const bf_model *model, uint32_t offset) {
    return model->base + offset;
}

/* ---- Kernels. ---- */

/* What a kernel gets. All pointers are valid and aligned; the kernel owns `scratch` while it runs. */
typedef struct bf_job {
    const bf_model *model;
    const bf_layer *layer;
    const bf_kernel *kernel;
    const bf_choice *choice;            /* of the plan; NULL: there is none */
    int strings_in;                     /* the input lies as strings (strings.h), not in the public form */
    int strings_out;                    /* the output shall */
    const void *inputs[BF_MAX_SOURCES]; /* source_count maps; of BF_PIXELS [in_h][in_w][in_c] bytes, on any address */
    void *output;                       /* the map; BF_SCORES: int32_t[out_c] */
    uint32_t *scratch;                  /* as many bytes as its `scratch` query said */
} bf_job;

enum { BF_TAKES_STRINGS = 1, BF_GIVES_STRINGS = 2, BF_NEEDS_PLAN = 4 }; /* bf_kernel.flags */

struct bf_kernel {
    uint16_t kinds; /* bit k: layers of kind k */
    uint16_t flags;
    int (*covers)(const bf_kernel *kernel, const bf_layer *layer); /* NULL: all layers of its kinds */
    size_t (*scratch)(const bf_job *job); /* bytes of scratch, a multiple of 4; inputs, output, scratch are not set */
    void (*run)(const bf_job *job);
    const void *form; /* in what it differs from others that share its functions; NULL: there are none */
};

static inline int bf_covers(const bf_kernel *kernel, const bf_layer *layer) {
    return kernel->kinds >> layer->kind & 1u && (!kernel->covers || kernel->covers(kernel, layer));
}

/* Who runs layer `index` and how its maps lie; 0 if no kernel is linked in. inputs, output, scratch are not set. */
int bf_job_of(const bf_model *model, unsigned index, bf_job *job);

/* What the plan has for a layer. */
static inline const void *bf_plan_data(const bf_job *job) {
    return (const uint8_t *)(const void *)job->model->plan + job->choice->data;
}

/* Bytes that the map of a layer takes in the arena, as strings or in the public form. */
size_t bf_stored_size(const bf_layer *layer, int strings);

/* Bytes at both ends of the arena that kernels may read beside a map, and never use. */
#define BF_GUARD (4u * BF_LANE_WORDS)

/* What a run carries from layer to layer. */
typedef struct bf_places {
    size_t transient; /* bytes of the last layer's map, 0 if it is kept */
} bf_places;

/* Point a job at its maps and its scratch. */
void bf_place(bf_job *job, unsigned index, const void *input, int32_t *scores, void *arena, bf_places *places);

/* Where the map of a layer begins in the arena, in bytes, and whether as strings; 0 if no kernel is linked in. */
size_t bf_place_of(const bf_model *model, unsigned index, int *strings);

/* The size of the arena, and of its part for kept maps, for layers that were checked. */
bf_status bf_arrange(const bf_model *model, uint32_t *arena, uint32_t *kept);

/* Copy n bits from bit `at` of `from` to bit `to_at` of `to`, whose bits from there on are 0. */
void bf_append(uint32_t *to, uint32_t to_at, const uint32_t *from, uint32_t at, uint32_t n);

/*
 * Where the accumulators of a position go, channel after channel: the next word of bits, integer or score. The map
 * before a pool is the first part of scratch, without a pool it is the output itself.
 */
typedef struct bf_sink {
    const uint32_t *shift;  /* BatchShift, or scale of the scores; NULL: integers */
    const uint32_t *offset; /* of the scores; NULL: none */
    const uint32_t *invert; /* channels whose bit is inverted; NULL: none */
    uint32_t *to;           /* next word of bits, integer or score */
    uint32_t word;          /* bits so far */
    uint32_t bits;          /* not 0: BF_BITS */
} bf_sink;

bf_sink bf_sink_of(const bf_job *job);

/* The accumulator of channel c. */
void bf_put(bf_sink *sink, uint32_t c, int32_t accumulator);

/* All channels of a position are there. */
void bf_put_end(bf_sink *sink, uint32_t channels);

/* Max-pool of the map in scratch, where the layer has one. */
void bf_pool(const bf_job *job);

/*
 * Inner loops of the plain kernels. They are not static: compilers take a static function that only cold functions call
 * for a cold one.
 */
uint32_t bf_count_differences(const uint32_t *a, const uint32_t *w, const uint32_t *mask, uint32_t n);
uint32_t bf_add_signed(const int16_t *taps, const uint32_t *weights, uint32_t count, uint32_t sum);
uint32_t bf_narrow_sum(const int16_t *values, const int8_t *weights, uint32_t taps);
uint32_t bf_wide_sum(const uint32_t *values, const int8_t *weights, uint32_t taps);
uint32_t bf_signed_sum(const uint32_t *values, const uint32_t *weights, uint32_t taps);

/* ---- Checks. ---- */

/* An image that is not yet believed. */
typedef struct bf_image {
    const uint8_t *base;
    const bf_header *header;
    const bf_layer *layers;
    uint32_t end;  /* of what offsets may reach: where the CRC stands */
    uint32_t left; /* bytes that arrays and strings not yet checked may take */
} bf_image;

#define BF_CHECK(condition, status)                                                                                    \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            return (status);                                                                                           \
        }                                                                                                              \
    } while (0)

/* Layer `index` for itself and with its sources, which were checked before it: all of its record but the offsets. */
bf_status bf_check_layer(const bf_image *im, uint32_t index);

/* Do the bytes behind an image begin like a plan? */
int bf_is_plan(const uint8_t *bytes, size_t size);

/* Use the plan in the bytes behind an image, if there is one for it and for this core; BF_ERR_PLAN if it is damaged. */
bf_status bf_open_plan(bf_model *model, const uint8_t *bytes, size_t size);

/* Whether the plan in use, if there is one, names only kernels and indices that there are. */
bf_status bf_check_plan(const bf_model *model);

/* Where the maps lie in the arena, and for how long, after all layers were checked. */
bf_status bf_check_lives(const bf_image *im);

#endif
