/*
 * plan.h - a plan behind an image.
 * SPDX-License-Identifier: MIT
 */
#ifndef BITFLOW_PLAN_H
#define BITFLOW_PLAN_H

#include "layer.h"

/* Do the bytes behind an image begin like a plan? */
int bf_is_plan(const uint8_t *bytes, size_t size);

/* Use the plan in the bytes behind an image, if there is one for it and for this core; BF_ERR_PLAN if it is damaged. */
bf_status bf_open_plan(bf_model *model, const uint8_t *bytes, size_t size);

/* Whether the plan in use, if there is one, names only kernels and indices that there are. */
bf_status bf_check_plan(const bf_model *model);

#endif
