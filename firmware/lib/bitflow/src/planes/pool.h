/*
 * pool.h - the max-pool on bit planes.
 * SPDX-License-Identifier: MIT
 */
#ifndef BITFLOW_POOL_H
#define BITFLOW_POOL_H

#include "../run/layer.h"

/* Pool of one channel. flip: all ones, AND; 0, OR. */
typedef void bf_plane_pool(const bf_layer *layer, const uint32_t *plane, uint32_t flip, uint32_t *to);
bf_plane_pool bf_pool_windows;
bf_plane_pool bf_pool_by_two; /* with windows of 2 x 2 side by side inside the map, or where there is no pool */
int bf_is_by_two(const bf_layer *layer);

#endif
