/*
 * epilogue.h - what becomes of accumulators: bits, integers or scores; and the max-pool.
 * SPDX-License-Identifier: MIT
 */
#ifndef BITFLOW_EPILOGUE_H
#define BITFLOW_EPILOGUE_H

#include "../run/job.h"

/* Bytes of a layer's map before its pool; 0: there is no pool. */
size_t bf_unpooled_size(const bf_layer *layer);

/*
 * Turns the accumulators of a position, channel after channel, into bits, integers or scores. They are written to the
 * map before the pool, the first part of scratch, or without a pool to the output.
 */
typedef struct bf_epilogue {
    const uint32_t *shift;  /* BatchShift, or scale of the scores; NULL: integers */
    const uint32_t *offset; /* of the scores; NULL: none */
    const uint32_t *invert; /* channels whose bit is inverted; NULL: none */
    uint32_t *to;           /* the position's words of bits; the next integer or score */
    uint32_t words;         /* of bits; 0: integers or scores */
    uint32_t filters;       /* accumulators of a position */
    uint32_t channels;      /* bits of a position: `filters` for each threshold */
} bf_epilogue;

bf_epilogue bf_epilogue_of(const bf_job *job);

/* Writes the accumulator of filter f; that of filter 0 comes first. */
void bf_put(bf_epilogue *epilogue, uint32_t f, int32_t accumulator);

/* Completes a position. */
void bf_put_end(bf_epilogue *epilogue);

/* Pools the map in scratch, where the layer has a pool. */
void bf_pool(const bf_job *job);

#endif
