/*
 * blocks.h - filter classes: the planes of a block of positions.
 * SPDX-License-Identifier: MIT
 */
#ifndef BITFLOW_BLOCKS_H
#define BITFLOW_BLOCKS_H

#include "geometry.h"

/* Those planes that are the same in every block: they are 0. */
void bf_zero_fillers(const bf_geometry *k, bf_lanes *planes);

/* The other planes of block b; from: the input's strings or the copies. */
void bf_planes_of_block(const bf_geometry *k, const uint32_t *from, uint32_t b, bf_lanes *planes);

/*
 * Planes of one tap, of all channels: of each the bit and its complement, `step` planes after those of the channel
 * before, and two more, fillers, after a chunk. from: the word of the first channel's string in which lane 0 is, at bit
 * `shift`; stride: words from there to the next channel. Lanes outside the mask are 0. The word behind may be read.
 */
typedef struct bf_tap {
    uint32_t stride, step, shift, channels, chunk;
    bf_lanes mask;
} bf_tap;
void bf_planes_of_tap(bf_lanes *to, const uint32_t *from, const bf_tap *t);

/* Lanes of the positions from .. to - 1 in a block that begins at position `first`. */
bf_lanes bf_lanes_between(int32_t from, int32_t to, int32_t first);

/* Lanes of block b in the columns from .. to - 1. */
bf_lanes bf_lanes_in_columns(const bf_geometry *k, int32_t from, int32_t to, uint32_t b);

#endif
