/*
 * frame.c - Model.picture(): from a camera's buffer to an image that predict() takes. bitflow.pyi is its manual.
 *
 * SPDX-License-Identifier: MIT
 */
#include "frame.h"
#include "model.h"
#include "objects.h"

/* A number from 0 to high; else the exception for BF_ERR_ARGUMENT. */
static uint32_t number_of(mp_obj_t object, mp_int_t high) {
    const mp_int_t number = mp_obj_get_int(object);
    if (number < 0 || number > high) {
        bitflow_raise_status(BF_ERR_ARGUMENT);
    }
    return (uint32_t)number;
}

/* The bytes of a buffer, or an exception if it has not `size` of them. */
static void *buffer_of(mp_obj_t object, const char *words, size_t size, mp_uint_t access) {
    mp_buffer_info_t info;
    mp_get_buffer_raise(object, &info, access);
    if (info.len != size) {
        bitflow_raise_numbers(words, size, info.len);
    }
    return info.buf;
}

mp_obj_t bitflow_picture(size_t n_args, const mp_obj_t *args) {
    model_obj *self = bitflow_model_of(args[0]);
    const uint32_t width = number_of(args[2], 0xFFFF), height = number_of(args[3], 0xFFFF);
    const uint32_t format = number_of(args[4], BF_FRAME_RGB888);
    const size_t pixel = format == BF_FRAME_GRAY ? 1 : format == BF_FRAME_RGB888 ? 3 : 2;
    const size_t need = bf_picture_scratch(&self->model, width, height), size = bf_input_size(&self->model);
    /* Allocate before taking pointers to buffers: the collector may run code that resizes them. */
    mp_obj_t scratch = need > bf_arena_size(&self->model) ? bitflow_new_bytearray(need) : self->arena;
    mp_obj_t out = n_args > 5 ? args[5] : bitflow_new_bytearray(size);
    bf_frame frame; /* filled one by one: a native module has no memset to call */
    mp_buffer_info_t info;
    uint8_t *to = buffer_of(out, "an image takes {} bytes, out has {}", size, MP_BUFFER_WRITE);
    frame.row_bytes = 0;
    frame.width = width;
    frame.height = height;
    frame.format = (uint8_t)format;
    frame.size = (size_t)width * height * pixel;
    frame.pixels = buffer_of(args[1], "a frame takes {} bytes, got {}", frame.size, MP_BUFFER_READ);
    mp_get_buffer_raise(scratch, &info, MP_BUFFER_WRITE);
    bitflow_raise_status(bf_picture(&self->model, &frame, to, info.buf, info.len));
    return out;
}
