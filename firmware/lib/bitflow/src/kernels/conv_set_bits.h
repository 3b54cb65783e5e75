/*
 * conv_set_bits.h - the kernel's part of a plan.
 * SPDX-License-Identifier: MIT
 */
#ifndef BITFLOW_CONV_SET_BITS_H
#define BITFLOW_CONV_SET_BITS_H

#include "../run/layer.h"

/* Bytes of a layer's data in a plan. */
uint32_t bf_set_bits_size(const bf_layer *layer);

#endif
