/*
 * run.h - Model.predict(), scores(), hidden(), profile().
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef BITFLOW_RUN_H
#define BITFLOW_RUN_H

#include "micropython.h"

mp_obj_t bitflow_predict(mp_obj_t object, mp_obj_t image);
mp_obj_t bitflow_scores(size_t n_args, const mp_obj_t *args);
mp_obj_t bitflow_hidden(size_t n_args, const mp_obj_t *args);
mp_obj_t bitflow_profile(mp_obj_t object, mp_obj_t image);

#if defined(MICROPY_ENABLE_DYNRUNTIME)
/* Looks for time.sleep_ms, with which runs can be interrupted. */
void bitflow_find_sleep(void);
#endif

#endif
