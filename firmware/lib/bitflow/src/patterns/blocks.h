/*
 * blocks.h - filter patterns: the planes of a block of positions.
 * SPDX-License-Identifier: MIT
 */
#ifndef BITFLOW_BLOCKS_H
#define BITFLOW_BLOCKS_H

#include "geometry.h"

/* Zeroes the fillers, which are the same in every block. */
void bf_zero_fillers(const bf_geometry *k, bf_lanes *planes);

/* Writes the other planes of block b. from: the planes of the input's map, or the copies. */
void bf_planes_of_block(const bf_geometry *k, const uint32_t *from, uint32_t b, bf_lanes *planes);

/* Lanes of the positions from .. to - 1 in a block that begins at position `first`. */
bf_lanes bf_lanes_between(int32_t from, int32_t to, int32_t first);

/* Lanes of block b in the columns from .. to - 1. */
bf_lanes bf_lanes_in_columns(const bf_geometry *k, int32_t from, int32_t to, uint32_t b);

#endif
