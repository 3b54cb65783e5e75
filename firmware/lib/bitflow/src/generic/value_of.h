/*
 * value_of.h - the value that a filter's limit is compared with.
 * SPDX-License-Identifier: MIT
 */
#ifndef BITFLOW_VALUE_OF_H
#define BITFLOW_VALUE_OF_H

#include "../patterns/lanes.h"

/* The digits of Vj (lanes.h), with its sign inverted like that of the limits. */
void bf_value_of(bf_lanes *value, const bf_count *counts, uint32_t j, uint32_t digits);

#endif
