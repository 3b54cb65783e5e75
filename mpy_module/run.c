/*
 * run.c - Model.predict(), scores(), hidden(), profile().
 *
 * SPDX-License-Identifier: MIT
 */
#include "run.h"
#include "bitflow_port.h"
#include "model.h"
#include "objects.h"

static const void *input_of(model_obj *self, mp_obj_t image) {
    mp_buffer_info_t info;
    size_t size = bf_input_size(&self->model);
    /* 1 is the type code of a bytearray. */
    if (!mp_get_buffer(image, &info, MP_BUFFER_READ) ||
        (info.typecode != 'B' && info.typecode != 'b' && info.typecode != 1)) {
        mp_raise_TypeError(MP_ERROR_TEXT("an image is a buffer of bytes"));
    }
    if (info.len != size) {
        bitflow_raise_numbers("an image takes {} bytes, got {}", size, info.len);
    }
    self->input = image;
    return info.buf;
}

static uint32_t *arena_of(model_obj *self) {
    return (uint32_t *)(void *)bitflow_bytes_of(self->arena);
}

static int32_t *scores_in(model_obj *self) {
    return (int32_t *)(void *)(bitflow_bytes_of(self->arena) + bf_arena_size(&self->model));
}

#if defined(MICROPY_ENABLE_DYNRUNTIME)
/* time.sleep_ms, in which Ctrl-C is handled; NULL: there is none. The linker of native modules needs it visible. */
__attribute__((visibility("default"))) mp_obj_t sleep_ms;

void bitflow_find_sleep(void) {
    nlr_buf_t nlr;
    if (nlr_push(&nlr) == 0) {
        mp_obj_t time = mp_import_name(MP_QSTR_time, mp_const_none, MP_OBJ_NEW_SMALL_INT(0));
        sleep_ms = mp_load_attr(time, MP_QSTR_sleep_ms);
        nlr_pop();
    }
}
#endif

/* Between two layers: Ctrl-C and scheduled functions get their turn. What they raise ends the run at once. */
static int after_layer(void *user, unsigned layer) {
    (void)user;
    (void)layer;
#if defined(MICROPY_ENABLE_DYNRUNTIME)
    if (sleep_ms != MP_OBJ_NULL) {
        mp_obj_t nothing = MP_OBJ_NEW_SMALL_INT(0);
        mp_call_function_n_kw(sleep_ms, 1, 0, &nothing);
    }
#else
    mp_handle_pending(true);
#endif
    return 0;
}

/* After an exception, between layers or (on the Unix port) anywhere, the model can run again. */
static void run(model_obj *self, mp_obj_t image, int32_t *scores, const bf_hook *hook) {
    const void *input = input_of(self, image);
    nlr_buf_t nlr;
    bf_status status;
    self->busy = true;
    if (nlr_push(&nlr)) {
        self->busy = false;
        nlr_raise(MP_OBJ_FROM_PTR(nlr.ret_val));
    }
    status = bf_run_hooked(&self->model, input, scores, arena_of(self), bf_arena_size(&self->model), hook);
    nlr_pop();
    self->busy = false;
    bitflow_raise_status(status);
}

mp_obj_t bitflow_predict(mp_obj_t object, mp_obj_t image) {
    model_obj *self = bitflow_model_of(object);
    const bf_hook hook = {after_layer, NULL};
    int32_t *scores = scores_in(self);
    run(self, image, scores, &hook);
    return MP_OBJ_NEW_SMALL_INT((mp_int_t)bf_argmax(scores, bf_classes(&self->model)));
}

mp_obj_t bitflow_scores(size_t n_args, const mp_obj_t *args) {
    model_obj *self = bitflow_model_of(args[0]);
    const bf_hook hook = {after_layer, NULL};
    size_t classes = bf_classes(&self->model);
    mp_obj_t out = n_args > 2 ? args[2] : bitflow_new_array(MP_OBJ_NEW_QSTR(MP_QSTR_i), classes);
    mp_buffer_info_t info;
    mp_get_buffer_raise(out, &info, MP_BUFFER_WRITE);
    if (info.typecode != 'i' && info.typecode != 'l') {
        mp_raise_TypeError(MP_ERROR_TEXT("scores need an array('i')"));
    }
    if (info.len != classes * sizeof(int32_t)) {
        bitflow_raise_numbers("scores take {} numbers, out has {}", classes, info.len / sizeof(int32_t));
    }
    /* Into the model's own memory first: what is called between layers could change the size of `out`. */
    run(self, args[1], scores_in(self), &hook);
    mp_get_buffer_raise(out, &info, MP_BUFFER_WRITE);
    if (info.len == classes * sizeof(int32_t)) {
        bf_copy(info.buf, scores_in(self), info.len);
    }
    return out;
}

mp_obj_t bitflow_hidden(size_t n_args, const mp_obj_t *args) {
    model_obj *self = bitflow_model_of(args[0]);
    mp_int_t layer = mp_obj_get_int(args[1]);
    mp_obj_t image = n_args > 2 ? args[2] : self->input;
    mp_obj_t words, typecode;
    size_t count;
    if (layer < 0 || (mp_uint_t)layer + 1 >= self->model.layer_count) {
        bitflow_raise_numbers("there are {} hidden layers", self->model.layer_count - 1u, 0);
    }
    if (image == MP_OBJ_NULL) {
        bitflow_raise_value("hidden needs an image");
    }
    count = bf_output_words(&self->model, (unsigned)layer);
    typecode = MP_OBJ_NEW_QSTR(MP_QSTR_I);
    if (self->model.layers[layer].output == BF_INTEGERS) {
        typecode = MP_OBJ_NEW_QSTR(MP_QSTR_i);
    }
    words = bitflow_new_array(typecode, count);
    bitflow_raise_status(bf_run_to(&self->model, input_of(self, image), (unsigned)layer + 1u, arena_of(self),
                                   bf_arena_size(&self->model)));
    bitflow_raise_status(
        bf_output(&self->model, (unsigned)layer, arena_of(self), (uint32_t *)(void *)bitflow_bytes_of(words), count));
    return words;
}
typedef struct profile_state {
    mp_obj_t ticks; /* time.ticks_us */
    mp_obj_t list;
    mp_int_t last;
} profile_state;

static int after_profiled(void *user, unsigned layer) {
    profile_state *p = (profile_state *)user;
    mp_int_t now = mp_obj_get_int(mp_call_function_n_kw(p->ticks, 0, 0, NULL));
    /* ticks_us wraps at a quarter of a machine word's range or above: keep 30 bits, 17 minutes. */
    mp_obj_list_append(p->list, MP_OBJ_NEW_SMALL_INT((now - p->last) & 0x3FFFFFFF));
    p->last = mp_obj_get_int(mp_call_function_n_kw(p->ticks, 0, 0, NULL));
    return after_layer(NULL, layer);
}

mp_obj_t bitflow_profile(mp_obj_t object, mp_obj_t image) {
    model_obj *self = bitflow_model_of(object);
    mp_obj_t time = mp_import_name(MP_QSTR_time, mp_const_none, MP_OBJ_NEW_SMALL_INT(0));
    profile_state p = {mp_load_attr(time, MP_QSTR_ticks_us), mp_obj_new_list(0, NULL), 0};
    const bf_hook hook = {after_profiled, &p};
    p.last = mp_obj_get_int(mp_call_function_n_kw(p.ticks, 0, 0, NULL));
    run(self, image, scores_in(self), &hook);
    return p.list;
}
