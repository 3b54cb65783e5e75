/*
 * conv_plain.h - what other kernels use of conv_plain.c.
 * SPDX-License-Identifier: MIT
 */
#ifndef BITFLOW_CONV_PLAIN_H
#define BITFLOW_CONV_PLAIN_H

#include "../run/layer.h"

/* Copy n bits from bit `at` of `from` to bit `to_at` of `to`, whose bits from there on are 0. */
void bf_append(uint32_t *to, uint32_t to_at, const uint32_t *from, uint32_t at, uint32_t n);

#endif
