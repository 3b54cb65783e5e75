/*
 * transpose.h - bit planes from and to the public form of maps.
 * SPDX-License-Identifier: MIT
 */
#ifndef BITFLOW_TRANSPOSE_H
#define BITFLOW_TRANSPOSE_H

#include "../run/layer.h"

/* The public form is uint32_t[positions][words of the channels]. */
void bf_from_planes(const uint32_t *planes, uint32_t *to, uint32_t positions, uint32_t channels);
void bf_to_planes(const uint32_t *map, uint32_t *to, uint32_t positions, uint32_t channels);

#endif
