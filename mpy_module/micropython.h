/*
 * micropython.h - MicroPython's headers for each kind of build.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef BITFLOW_MICROPYTHON_H
#define BITFLOW_MICROPYTHON_H

#if defined(MICROPY_ENABLE_DYNRUNTIME)
#include "py/nativeglue.h"
/* One function that finds the firmware's table, instead of 16 bytes in each function that uses it. */
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

#endif
