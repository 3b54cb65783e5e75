/*
 * check.h - an image that is not believed yet.
 * SPDX-License-Identifier: MIT
 */
#ifndef BITFLOW_CHECK_H
#define BITFLOW_CHECK_H

#include "layer.h"

/* An image that is not yet believed. */
typedef struct bf_image {
    const uint8_t *base;
    const bf_header *header;
    const bf_layer *layers;
    uint32_t end;  /* of what offsets may reach: where the CRC stands */
    uint32_t left; /* bytes that arrays and strings not yet checked may take */
} bf_image;

/* Layer `index` for itself and with its sources, which were checked before it: all of its record but the offsets. */
bf_status bf_check_layer(const bf_image *im, uint32_t index);

/* Where the maps lie in the arena, and for how long, after all layers were checked. */
bf_status bf_check_lives(const bf_image *im);

#endif
