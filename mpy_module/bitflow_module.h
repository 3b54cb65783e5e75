/*
 * bitflow_module.h - what the module's two sources share: MicroPython's headers for each kind of build, a model's
 * object.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef BITFLOW_MODULE_H
#define BITFLOW_MODULE_H

#include "bitflow.h"
#include "bitflow_port.h"

#if defined(MICROPY_ENABLE_DYNRUNTIME)
#include "py/nativeglue.h"
/* One function that finds the firmware's functions, instead of 16 bytes in each that uses them. */
static const mp_fun_table_t *firmware(void) __attribute__((noinline, const));
static const mp_fun_table_t *firmware(void) {
    return &mp_fun_table;
}
#define mp_fun_table (*firmware())
#include "py/dynruntime.h"
#define nlr_push(buffer)                        mp_fun_table.nlr_push(buffer)
#define nlr_pop()                               mp_fun_table.nlr_pop()
#define mp_call_method_n_kw(n_args, n_kw, args) mp_fun_table.call_method_n_kw((n_args), (n_kw), (args))
#else
#include "py/builtin.h"
#include "py/objstr.h"
#include "py/runtime.h"
#endif

typedef struct model_obj {
    mp_obj_base_t base;
    mp_obj_t source;    /* buffer that holds the image, kept alive; none: compiled in; MP_OBJ_NULL: after deinit() */
    const void *buffer; /* where it was, and how long, when it was opened */
    size_t length;
    mp_obj_t arena; /* bytearray: arena, then the scores of predict() */
    mp_obj_t labels;
    mp_obj_t input; /* last image, for hidden() */
    bf_model model;
    bool writable; /* somebody may write to the image: its records are checked before each use */
    bool busy;     /* a run is on its way: what it calls must not run or free the same model */
} model_obj;

/* The model, after all that can have happened since it was opened was looked at. */
model_obj *bitflow_model_of(mp_obj_t object);

mp_obj_t bitflow_new_bytearray(size_t size);

/* format: has a place {} for each of the numbers. A format with one place leaves out the second. */
void bitflow_raise_numbers(const char *format, size_t first, size_t second);

/* Nothing for BF_OK. */
void bitflow_raise_status(bf_status status);

/* Model.picture(frame, width, height, format, out=None). */
mp_obj_t bitflow_picture(size_t n_args, const mp_obj_t *args);

#endif
