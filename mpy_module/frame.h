/*
 * frame.h - Model.picture(frame, width, height, format, out=None).
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef BITFLOW_FRAME_H
#define BITFLOW_FRAME_H

#include "micropython.h"

mp_obj_t bitflow_picture(size_t n_args, const mp_obj_t *args);

#endif
