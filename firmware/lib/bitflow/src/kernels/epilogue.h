/*
 * epilogue.h - what becomes of accumulators: bits, integers or scores; and the max-pool.
 * SPDX-License-Identifier: MIT
 */
#ifndef BITFLOW_EPILOGUE_H
#define BITFLOW_EPILOGUE_H

#include "../run/job.h"

/* Bytes of that map before its pool, 0 where there is none. */
size_t bf_unpooled_size(const bf_layer *layer);

/*
 * Where the accumulators of a position go, channel after channel: the next word of bits, integer or score. The map
 * before a pool is the first part of scratch, without a pool it is the output itself.
 */
typedef struct bf_epilogue {
    const uint32_t *shift;  /* BatchShift, or scale of the scores; NULL: integers */
    const uint32_t *offset; /* of the scores; NULL: none */
    const uint32_t *invert; /* channels whose bit is inverted; NULL: none */
    uint32_t *to;           /* next word of bits, integer or score */
    uint32_t word;          /* bits so far */
    uint32_t bits;          /* not 0: BF_BITS */
} bf_epilogue;

bf_epilogue bf_epilogue_of(const bf_job *job);

/* The accumulator of channel c. */
void bf_put(bf_epilogue *epilogue, uint32_t c, int32_t accumulator);

/* All channels of a position are there. */
void bf_put_end(bf_epilogue *epilogue, uint32_t channels);

/* Max-pool of the map in scratch, where the layer has one. */
void bf_pool(const bf_job *job);

#endif
