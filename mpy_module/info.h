/*
 * info.h - Model.info() and Model.labels.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef BITFLOW_INFO_H
#define BITFLOW_INFO_H

#include "model.h"

mp_obj_t bitflow_info(mp_obj_t object);
mp_obj_t bitflow_labels(model_obj *self);

#endif
