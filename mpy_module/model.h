/*
 * model.h - the object bitflow.Model: what it holds, how it is opened and closed.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef BITFLOW_MODEL_H
#define BITFLOW_MODEL_H

#include "bitflow.h"
#include "micropython.h"

typedef struct model_obj {
    mp_obj_base_t base;
    mp_obj_t source;    /* buffer with the image; None: compiled in; MP_OBJ_NULL: after deinit() */
    const void *buffer; /* its address and length when it was opened */
    size_t length;
    mp_obj_t arena; /* bytearray: arena, then the scores of predict() */
    mp_obj_t labels;
    mp_obj_t input; /* last image, for hidden() */
    bf_model model;
    bool writable; /* the image may be written to: its records are checked before each use */
    bool busy;     /* it runs: code that the run calls must not run or free the same model */
} model_obj;

mp_obj_t bitflow_make_model(const mp_obj_type_t *type, size_t n_args, size_t n_kw, const mp_obj_t *args);

/* The open model of an object, or an exception: it was closed, it runs, or its buffer is not what it was. */
model_obj *bitflow_model_of(mp_obj_t object);

mp_obj_t bitflow_deinit(mp_obj_t object);

#endif
