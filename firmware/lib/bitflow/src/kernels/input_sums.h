/*
 * input_sums.h - the fast first layer: 8-bit pixels, +-1 weights, bits out; no multiplication.
 * SPDX-License-Identifier: MIT
 */
#ifndef BITFLOW_INPUT_SUMS_H
#define BITFLOW_INPUT_SUMS_H

#include "input_rows.h"

#define BF_NOT_COVERED ((size_t)-1) /* a scratch query's answer for a layer that the kernel does not cover */

/*
 * Bytes of scratch, a multiple of 4, or BF_NOT_COVERED. Reads nothing but the layer's record. input_sums.c has the
 * formula. segment: values whose sums a table holds; 0: as many as are cheapest.
 */
size_t bf_input_sums_scratch(const bf_layer *layer, uint32_t segment);

/*
 * The layer's bits before its pool, those of channels in `invert` already inverted, as bit planes: bit p = y * conv_w +
 * x of channel c is bit p % 32 of word c * stride + p / 32. to: out_c * stride words, all written;
 * several: what adds up the sums of layers with several thresholds; NULL for those with one.
 * stride >= ceil(conv_h * conv_w / 32). Bits after a channel's last pixel are 0.
 */
void bf_input_sums_run(const bf_job *job, bf_sums_several *several, uint32_t *scratch, uint32_t *to, uint32_t stride);

#endif
