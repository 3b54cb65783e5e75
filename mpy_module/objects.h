/*
 * objects.h - texts, buffers and exceptions of MicroPython.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef BITFLOW_OBJECTS_H
#define BITFLOW_OBJECTS_H

#include "bitflow.h"
#include "micropython.h"

/* object.name(argument, ...) with `count` arguments, 2 at most. */
mp_obj_t bitflow_call_method(mp_obj_t object, qstr name, size_t count, mp_obj_t first, mp_obj_t second);

mp_obj_t bitflow_new_text(const char *words);
mp_obj_t bitflow_new_bytearray(size_t size);

/* A fresh array.array of `count` numbers of 4 bytes. */
mp_obj_t bitflow_new_array(mp_obj_t typecode, size_t count);

/* The bytes of a buffer. */
uint8_t *bitflow_bytes_of(mp_obj_t object);

/* ---- ValueError. ---- */

void bitflow_raise_value(const char *words);

/* format: {} stands for each of the numbers. A format with a single {} leaves out the second. */
void bitflow_raise_numbers(const char *format, size_t first, size_t second);

/* Does nothing for BF_OK. */
void bitflow_raise_status(bf_status status);

#endif
