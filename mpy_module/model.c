/*
 * model.c - the object bitflow.Model: how it is opened and closed.
 *
 * SPDX-License-Identifier: MIT
 */
#include "model.h"
#include "bitflow_port.h"
#include "objects.h"

#if defined(BITFLOW_MODEL_HEADER) /* a network compiled in: bitflow.Model() */
#include BITFLOW_MODEL_HEADER
#endif

static mp_obj_t copy_of(const mp_buffer_info_t *from) {
    mp_obj_t copy = bitflow_new_bytearray(from->len);
    bf_copy(bitflow_bytes_of(copy), from->buf, from->len);
    return copy;
}

/* The whole file in memory: in place if it is memory-mapped (ROMFS), else read. */
static mp_obj_t read_file(mp_obj_t path) {
    mp_obj_t arguments[2] = {path, MP_OBJ_NEW_QSTR(MP_QSTR_rb)};
    mp_obj_t file = mp_call_function_n_kw(mp_load_global(MP_QSTR_open), 2, 0, arguments);
    mp_buffer_info_t info;
    mp_obj_t data;
    mp_int_t size;
    if (mp_get_buffer(file, &info, MP_BUFFER_READ) && (uintptr_t)info.buf % BF_IMAGE_ALIGN == 0) {
        return file;
    }
    size = mp_obj_get_int(bitflow_call_method(file, MP_QSTR_seek, 2, MP_OBJ_NEW_SMALL_INT(0), MP_OBJ_NEW_SMALL_INT(2)));
    bitflow_call_method(file, MP_QSTR_seek, 1, MP_OBJ_NEW_SMALL_INT(0), MP_OBJ_NULL);
    data = bitflow_new_bytearray((size_t)size);
    bitflow_call_method(file, MP_QSTR_readinto, 1, data, MP_OBJ_NULL);
    bitflow_call_method(file, MP_QSTR_close, 0, MP_OBJ_NULL, MP_OBJ_NULL);
    return data;
}

static void open_source(model_obj *self, mp_obj_t source, bool copy) {
    mp_buffer_info_t info;
    bool file = mp_obj_get_type(source) == &mp_type_str;
    if (file) {
        source = read_file(source);
    }
    if (!mp_get_buffer(source, &info, MP_BUFFER_READ)) {
        mp_raise_TypeError(MP_ERROR_TEXT("Model needs a path or a buffer"));
    }
    if (copy) {
        source = copy_of(&info);
        mp_get_buffer_raise(source, &info, MP_BUFFER_READ);
    }
    if ((uintptr_t)info.buf % BF_IMAGE_ALIGN) {
        bitflow_raise_numbers("image at address %4 = {}, needs 4: align it, or Model(buf, copy=True)",
                              (uintptr_t)info.buf % BF_IMAGE_ALIGN, 0);
    }
    bitflow_raise_status(bf_open(&self->model, info.buf, info.len));
    self->source = source;
    self->buffer = info.buf;
    self->length = info.len;
    /* Nothing else refers to what was read or copied here. */
    self->writable = !file && !copy && mp_get_buffer(source, &info, MP_BUFFER_WRITE);
}

mp_obj_t bitflow_make_model(const mp_obj_type_t *type, size_t n_args, size_t n_kw, const mp_obj_t *args) {
    model_obj *self = mp_obj_malloc(model_obj, type);
    bool copy = false;
    mp_arg_check_num(n_args, n_kw, 0, 1, true);
    for (size_t i = 0; i < n_kw; i++) {
        if (args[n_args + 2 * i] != MP_OBJ_NEW_QSTR(MP_QSTR_copy)) {
            mp_raise_TypeError(MP_ERROR_TEXT("Model's only keyword is copy"));
        }
        copy = mp_obj_is_true(args[n_args + 2 * i + 1]);
    }
    bf_fill((uint8_t *)self + sizeof self->base, 0, sizeof *self - sizeof self->base);
#if defined(BITFLOW_MODEL)
    if (n_args == 0) {
        self->model = BITFLOW_MODEL;
        self->source = mp_const_none;
    } else
#endif
    {
        open_source(self, n_args ? args[0] : mp_const_none, copy);
    }
    self->arena = bitflow_new_bytearray(bf_arena_size(&self->model) + bf_classes(&self->model) * sizeof(int32_t));
    return MP_OBJ_FROM_PTR(self);
}

model_obj *bitflow_model_of(mp_obj_t object) {
    model_obj *self = MP_OBJ_TO_PTR(object);
    mp_buffer_info_t info;
    if (self->source == MP_OBJ_NULL) {
        bitflow_raise_value("closed by deinit()");
    }
    if (self->busy) {
        bitflow_raise_value("model is running");
    }
    if (self->source != mp_const_none) {
        mp_get_buffer_raise(self->source, &info, MP_BUFFER_READ);
        if (info.buf != self->buffer || info.len != self->length) {
            bitflow_raise_value("the buffer moved or was resized");
        }
        if (self->writable) {
            bitflow_raise_status(bf_check(&self->model));
        }
    }
    return self;
}

mp_obj_t bitflow_deinit(mp_obj_t object) {
    model_obj *self = MP_OBJ_TO_PTR(object);
    if (self->busy) {
        bitflow_raise_value("model is running");
    }
    self->source = MP_OBJ_NULL;
    self->arena = MP_OBJ_NULL;
    self->input = MP_OBJ_NULL;
    self->labels = MP_OBJ_NULL;
    return mp_const_none;
}
