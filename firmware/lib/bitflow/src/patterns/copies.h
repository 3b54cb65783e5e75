/*
 * copies.h - filter patterns: copies of the input, where taps read such.
 * SPDX-License-Identifier: MIT
 */
#ifndef BITFLOW_COPIES_H
#define BITFLOW_COPIES_H

#include "geometry.h"

/* Copies of the input, where taps read such. */
void bf_copy_input(const bf_geometry *k, const uint32_t *planes, uint32_t *copies);

#endif
