/*
 * objects.c - texts, buffers and exceptions of MicroPython.
 *
 * SPDX-License-Identifier: MIT
 */
#include "objects.h"
#include "bitflow_port.h"

mp_obj_t bitflow_call_method(mp_obj_t object, qstr name, size_t count, mp_obj_t first, mp_obj_t second) {
    mp_obj_t call[4];
    mp_load_method(object, name, call);
    call[2] = first;
    call[3] = second;
    return mp_call_method_n_kw(count, 0, call);
}

mp_obj_t bitflow_new_text(const char *words) {
    size_t length = 0;
    while (words[length]) {
        length++;
        BF_KEEP_LOOP();
    }
    return mp_obj_new_str(words, length);
}

void bitflow_raise_value(const char *words) {
    mp_raise_ValueError((mp_rom_error_text_t)words);
}

void bitflow_raise_numbers(const char *format, size_t first, size_t second) {
    mp_raise_type_arg(&mp_type_ValueError,
                      bitflow_call_method(bitflow_new_text(format), MP_QSTR_format, 2, mp_obj_new_int_from_uint(first),
                                          mp_obj_new_int_from_uint(second)));
}

void bitflow_raise_status(bf_status status) {
    if (status != BF_OK) {
        bitflow_raise_value(bf_status_text(status));
    }
}

mp_obj_t bitflow_new_bytearray(size_t size) {
    mp_obj_t argument = mp_obj_new_int_from_uint(size);
    return mp_call_function_n_kw(MP_OBJ_FROM_PTR(&mp_type_bytearray), 1, 0, &argument);
}

uint8_t *bitflow_bytes_of(mp_obj_t object) {
    mp_buffer_info_t info;
    mp_get_buffer_raise(object, &info, MP_BUFFER_READ);
    return info.buf;
}

mp_obj_t bitflow_new_array(mp_obj_t typecode, size_t count) {
    mp_obj_t module = mp_import_name(MP_QSTR_array, mp_const_none, MP_OBJ_NEW_SMALL_INT(0));
    return bitflow_call_method(module, MP_QSTR_array, 2, typecode, bitflow_new_bytearray(count * sizeof(uint32_t)));
}
