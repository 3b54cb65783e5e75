/*
 * check.h - checks of an image that is not trusted yet.
 * SPDX-License-Identifier: MIT
 */
#ifndef BITFLOW_CHECK_H
#define BITFLOW_CHECK_H

#include "layer.h"

typedef struct bf_image {
    const uint8_t *base;
    const bf_header *header;
    const bf_layer *layers;
    uint32_t end;  /* offsets are below it: where the CRC is */
    uint32_t left; /* bytes left for arrays and texts that are not checked yet */
} bf_image;

/* All of the record of layer `index` but its offsets. The layers before it were checked. */
bf_status bf_check_layer(const bf_image *im, uint32_t index);

/* Whether maps that are needed at the same time share memory; after all layers were checked. */
bf_status bf_check_lives(const bf_image *im);

#endif
