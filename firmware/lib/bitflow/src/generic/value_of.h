/*
 * value_of.h - the value that a filter's limit is compared with, and how it is.
 * SPDX-License-Identifier: MIT
 */
#ifndef BITFLOW_VALUE_OF_H
#define BITFLOW_VALUE_OF_H

#include "../patterns/lanes.h"

/* The lanes whose value is at most a limit, as BF_LIMIT() codes it; behind its last digit `limit` has a 1. */
bf_lanes bf_within(const bf_lanes *value, uint32_t limit);

/* The digits of Vj (lanes.h), with its sign inverted like that of the limits. */
void bf_value_of(bf_lanes *value, const bf_count *counts, uint32_t j, uint32_t digits);

#endif
