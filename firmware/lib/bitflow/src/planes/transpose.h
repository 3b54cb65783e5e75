/*
 * transpose.h - maps of bits as strings, from and to the public form.
 * SPDX-License-Identifier: MIT
 */
#ifndef BITFLOW_TRANSPOSE_H
#define BITFLOW_TRANSPOSE_H

#include "../run/layer.h"

/* The public form, uint32_t[positions][words of the channels], of strings; and the way back. */
void bf_to_positions(const uint32_t *strings, uint32_t *to, uint32_t positions, uint32_t channels);
void bf_to_strings(const uint32_t *map, uint32_t *to, uint32_t positions, uint32_t channels);

#endif
