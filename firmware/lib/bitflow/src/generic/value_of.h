/*
 * value_of.h - the value that a filter's limit is compared with.
 * SPDX-License-Identifier: MIT
 */
#ifndef BITFLOW_VALUE_OF_H
#define BITFLOW_VALUE_OF_H

#include "../patterns/lanes.h"

/* The planes of Vj, with its sign the other way round, as that of the limits. */
void bf_value_of(bf_lanes *value, const bf_count *counts, uint32_t j, uint32_t width);

#endif
