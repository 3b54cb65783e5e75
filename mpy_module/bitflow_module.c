/*
 * bitflow_module.c - `import bitflow` for MicroPython: the binding code, once, for native .mpy files (dynruntime), for
 * USER_C_MODULES and for the Unix port. bitflow.pyi is the manual of what it offers.
 *
 * Only integers cross the boundary to the firmware: a native module built for another float ABI would silently get
 * wrong floats. All memory is the collector's: arena and copies are bytearrays that the object keeps alive.
 *
 * SPDX-License-Identifier: MIT
 */
#include "bitflow_module.h"

#if defined(BITFLOW_MODEL_HEADER) /* a network compiled in: bitflow.Model() */
#include BITFLOW_MODEL_HEADER
#endif

/* ---- Calls and errors. ---- */

/* object.name(argument, ...) with `count` arguments, 2 at most. */
static mp_obj_t call_method(mp_obj_t object, qstr name, size_t count, mp_obj_t first, mp_obj_t second) {
    mp_obj_t call[4];
    mp_load_method(object, name, call);
    call[2] = first;
    call[3] = second;
    return mp_call_method_n_kw(count, 0, call);
}

static mp_obj_t new_text(const char *words) {
    size_t length = 0;
    while (words[length]) {
        length++;
        BF_KEEP_LOOP();
    }
    return mp_obj_new_str(words, length);
}

static void raise_value(const char *words) {
    mp_raise_ValueError((mp_rom_error_text_t)words);
}

void bitflow_raise_numbers(const char *format, size_t first, size_t second) {
    mp_raise_type_arg(&mp_type_ValueError,
                      call_method(new_text(format), MP_QSTR_format, 2, mp_obj_new_int_from_uint(first),
                                  mp_obj_new_int_from_uint(second)));
}

void bitflow_raise_status(bf_status status) {
    if (status != BF_OK) {
        raise_value(bf_status_text(status));
    }
}

/* ---- Buffers. ---- */

mp_obj_t bitflow_new_bytearray(size_t size) {
    mp_obj_t argument = mp_obj_new_int_from_uint(size);
    return mp_call_function_n_kw(MP_OBJ_FROM_PTR(&mp_type_bytearray), 1, 0, &argument);
}

static uint8_t *bytes_of(mp_obj_t object) {
    mp_buffer_info_t info;
    mp_get_buffer_raise(object, &info, MP_BUFFER_READ);
    return info.buf;
}

static mp_obj_t copy_of(const mp_buffer_info_t *from) {
    mp_obj_t copy = bitflow_new_bytearray(from->len);
    bf_copy(bytes_of(copy), from->buf, from->len);
    return copy;
}

/* The whole file in memory: in place where it lies in readable memory (ROMFS), else read once. */
static mp_obj_t read_file(mp_obj_t path) {
    mp_obj_t arguments[2] = {path, MP_OBJ_NEW_QSTR(MP_QSTR_rb)};
    mp_obj_t file = mp_call_function_n_kw(mp_load_global(MP_QSTR_open), 2, 0, arguments);
    mp_buffer_info_t info;
    mp_obj_t data;
    mp_int_t size;
    if (mp_get_buffer(file, &info, MP_BUFFER_READ) && (uintptr_t)info.buf % BF_IMAGE_ALIGN == 0) {
        return file;
    }
    size = mp_obj_get_int(call_method(file, MP_QSTR_seek, 2, MP_OBJ_NEW_SMALL_INT(0), MP_OBJ_NEW_SMALL_INT(2)));
    call_method(file, MP_QSTR_seek, 1, MP_OBJ_NEW_SMALL_INT(0), MP_OBJ_NULL);
    data = bitflow_new_bytearray((size_t)size);
    call_method(file, MP_QSTR_readinto, 1, data, MP_OBJ_NULL);
    call_method(file, MP_QSTR_close, 0, MP_OBJ_NULL, MP_OBJ_NULL);
    return data;
}

/* ---- Opening. ---- */

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
    /* Nobody else has what was read or copied here. */
    self->writable = !file && !copy && mp_get_buffer(source, &info, MP_BUFFER_WRITE);
}

static mp_obj_t model_make_new(const mp_obj_type_t *type, size_t n_args, size_t n_kw, const mp_obj_t *args) {
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

/* ---- Running. ---- */

model_obj *bitflow_model_of(mp_obj_t object) {
    model_obj *self = MP_OBJ_TO_PTR(object);
    mp_buffer_info_t info;
    if (self->source == MP_OBJ_NULL) {
        raise_value("closed by deinit()");
    }
    if (self->busy) {
        raise_value("model is running");
    }
    if (self->source != mp_const_none) {
        mp_get_buffer_raise(self->source, &info, MP_BUFFER_READ);
        if (info.buf != self->buffer || info.len != self->length) {
            raise_value("the buffer moved or was resized");
        }
        if (self->writable) {
            bitflow_raise_status(bf_check(&self->model));
        }
    }
    return self;
}

static const void *input_of(model_obj *self, mp_obj_t image) {
    mp_buffer_info_t info;
    size_t size = bf_input_size(&self->model);
    /* 1 is a bytearray's code. */
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
    return (uint32_t *)(void *)bytes_of(self->arena);
}

static int32_t *scores_in(model_obj *self) {
    return (int32_t *)(void *)(bytes_of(self->arena) + bf_arena_size(&self->model));
}

#if defined(MICROPY_ENABLE_DYNRUNTIME)
/* time.sleep_ms, the way to Ctrl-C from a native module; NULL: not there. The linker takes no hidden variable. */
__attribute__((visibility("default"))) mp_obj_t sleep_ms;

static void find_sleep(void) {
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

/* Whatever is raised, between layers or (on the Unix port) anywhere, the model can run again afterwards. */
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

static mp_obj_t model_predict(mp_obj_t object, mp_obj_t image) {
    model_obj *self = bitflow_model_of(object);
    const bf_hook hook = {after_layer, NULL};
    int32_t *scores = scores_in(self);
    run(self, image, scores, &hook);
    return MP_OBJ_NEW_SMALL_INT((mp_int_t)bf_argmax(scores, bf_classes(&self->model)));
}
static MP_DEFINE_CONST_FUN_OBJ_2(model_predict_obj, model_predict);

/* A fresh array.array of 4-byte numbers. */
static mp_obj_t new_array(mp_obj_t typecode, size_t count) {
    mp_obj_t module = mp_import_name(MP_QSTR_array, mp_const_none, MP_OBJ_NEW_SMALL_INT(0));
    return call_method(module, MP_QSTR_array, 2, typecode, bitflow_new_bytearray(count * sizeof(uint32_t)));
}

static mp_obj_t model_scores(size_t n_args, const mp_obj_t *args) {
    model_obj *self = bitflow_model_of(args[0]);
    const bf_hook hook = {after_layer, NULL};
    size_t classes = bf_classes(&self->model);
    mp_obj_t out = n_args > 2 ? args[2] : new_array(MP_OBJ_NEW_QSTR(MP_QSTR_i), classes);
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
static MP_DEFINE_CONST_FUN_OBJ_VAR_BETWEEN(model_scores_obj, 2, 3, model_scores);

static mp_obj_t model_hidden(size_t n_args, const mp_obj_t *args) {
    model_obj *self = bitflow_model_of(args[0]);
    mp_int_t layer = mp_obj_get_int(args[1]);
    mp_obj_t image = n_args > 2 ? args[2] : self->input;
    mp_obj_t words, typecode;
    size_t count;
    if (layer < 0 || (mp_uint_t)layer + 1 >= self->model.layer_count) {
        bitflow_raise_numbers("there are {} hidden layers", self->model.layer_count - 1u, 0);
    }
    if (image == MP_OBJ_NULL) {
        raise_value("hidden needs an image");
    }
    count = bf_output_words(&self->model, (unsigned)layer);
    typecode = MP_OBJ_NEW_QSTR(MP_QSTR_I);
    if (self->model.layers[layer].output == BF_INTEGERS) {
        typecode = MP_OBJ_NEW_QSTR(MP_QSTR_i);
    }
    words = new_array(typecode, count);
    bitflow_raise_status(bf_run_to(&self->model, input_of(self, image), (unsigned)layer + 1u, arena_of(self),
                                   bf_arena_size(&self->model)));
    bitflow_raise_status(
        bf_output(&self->model, (unsigned)layer, arena_of(self), (uint32_t *)(void *)bytes_of(words), count));
    return words;
}
static MP_DEFINE_CONST_FUN_OBJ_VAR_BETWEEN(model_hidden_obj, 2, 3, model_hidden);

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

static mp_obj_t model_profile(mp_obj_t object, mp_obj_t image) {
    model_obj *self = bitflow_model_of(object);
    mp_obj_t time = mp_import_name(MP_QSTR_time, mp_const_none, MP_OBJ_NEW_SMALL_INT(0));
    profile_state p = {mp_load_attr(time, MP_QSTR_ticks_us), mp_obj_new_list(0, NULL), 0};
    const bf_hook hook = {after_profiled, &p};
    p.last = mp_obj_get_int(mp_call_function_n_kw(p.ticks, 0, 0, NULL));
    run(self, image, scores_in(self), &hook);
    return p.list;
}
static MP_DEFINE_CONST_FUN_OBJ_2(model_profile_obj, model_profile);

static MP_DEFINE_CONST_FUN_OBJ_VAR_BETWEEN(model_picture_obj, 5, 6, bitflow_picture);

/* ---- What it is. ---- */

static void store(mp_obj_t dict, qstr name, mp_obj_t value) {
    mp_obj_dict_store(dict, MP_OBJ_NEW_QSTR(name), value);
}

static void store_number(mp_obj_t dict, qstr name, size_t value) {
    store(dict, name, mp_obj_new_int_from_uint(value));
}

static mp_obj_t model_info(mp_obj_t object) {
    model_obj *self = bitflow_model_of(object);
    const bf_header *header = bf_header_of(&self->model);
    mp_obj_t shape[3] = {MP_OBJ_NEW_SMALL_INT(header->height), MP_OBJ_NEW_SMALL_INT(header->width),
                         MP_OBJ_NEW_SMALL_INT(header->channels)};
    mp_obj_t info = mp_obj_new_dict(10);
    store(info, MP_QSTR_name, new_text(bf_name(&self->model)));
    store(info, MP_QSTR_input_shape, mp_obj_new_tuple(3, shape));
    store_number(info, MP_QSTR_input_bytes, bf_input_size(&self->model));
    store(info, MP_QSTR_dtype, new_text(&"uint8"[header->dtype == BF_INT8]));
    store(info, MP_QSTR_zero_point, MP_OBJ_NEW_SMALL_INT(header->zero_point));
    store_number(info, MP_QSTR_classes, header->classes);
    store_number(info, MP_QSTR_layers, self->model.layer_count);
    store_number(info, MP_QSTR_bytes, self->model.size);
    store_number(info, MP_QSTR_arena_bytes, bf_arena_size(&self->model));
    store_number(info, MP_QSTR_crc32, self->model.crc);
    return info;
}
static MP_DEFINE_CONST_FUN_OBJ_1(model_info_obj, model_info);

static mp_obj_t labels_of(model_obj *self) {
    if (self->labels == MP_OBJ_NULL) {
        mp_obj_t list = mp_obj_new_list(0, NULL);
        const bool named = bf_header_of(&self->model)->labels != 0;
        const char *at = bf_label(&self->model, 0);
        for (unsigned c = 0; named && c < bf_classes(&self->model); c++) {
            mp_obj_list_append(list, new_text(at));
            while (*at++) {
                BF_KEEP_LOOP();
            }
        }
        self->labels = list;
    }
    return self->labels;
}

static mp_obj_t model_deinit(mp_obj_t object) {
    model_obj *self = MP_OBJ_TO_PTR(object);
    if (self->busy) {
        raise_value("model is running");
    }
    self->source = MP_OBJ_NULL;
    self->arena = MP_OBJ_NULL;
    self->input = MP_OBJ_NULL;
    self->labels = MP_OBJ_NULL;
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_1(model_deinit_obj, model_deinit);

static void model_attr(mp_obj_t object, qstr name, mp_obj_t *result) {
    if (result[0] == MP_OBJ_NULL && name == MP_QSTR_labels) {
        result[0] = labels_of(bitflow_model_of(object));
    } else {
        result[1] = MP_OBJ_SENTINEL; /* a method: go on in the table below */
    }
}

/* ---- The tables: one list of methods for every build. ---- */

/* Names are written out: MicroPython's build looks for MP_QSTR_ in the text. */
#define METHODS(X)                                                                                                     \
    X(MP_QSTR_predict, model_predict_obj)                                                                              \
    X(MP_QSTR_scores, model_scores_obj)                                                                                \
    X(MP_QSTR_hidden, model_hidden_obj)                                                                                \
    X(MP_QSTR_profile, model_profile_obj)                                                                              \
    X(MP_QSTR_picture, model_picture_obj)                                                                              \
    X(MP_QSTR_info, model_info_obj)                                                                                    \
    X(MP_QSTR_deinit, model_deinit_obj)

/* What a camera's pixels can be. */
#define FORMATS(X)                                                                                                     \
    X(MP_QSTR_GRAY, BF_FRAME_GRAY)                                                                                     \
    X(MP_QSTR_RGB565, BF_FRAME_RGB565)                                                                                 \
    X(MP_QSTR_RGB565_BE, BF_FRAME_RGB565_BE)                                                                           \
    X(MP_QSTR_RGB888, BF_FRAME_RGB888)

#if defined(MICROPY_ENABLE_DYNRUNTIME)

__attribute__((visibility("default"))) mp_obj_full_type_t model_type;

mp_obj_t mpy_init(mp_obj_fun_bc_t *self, size_t n_args, size_t n_kw, mp_obj_t *args) {
    mp_obj_t methods;
    MP_DYNRUNTIME_INIT_ENTRY(void) n_args;
    (void)n_kw;
    (void)args;
    methods = mp_obj_new_dict(0);
#define ENTRY(name, object) store(methods, name, MP_OBJ_FROM_PTR(&object));
    METHODS(ENTRY)
    find_sleep();
    model_type.base.type = (void *)&mp_type_type;
    model_type.name = MP_QSTR_Model;
    MP_OBJ_TYPE_SET_SLOT(&model_type, make_new, model_make_new, 0);
    MP_OBJ_TYPE_SET_SLOT(&model_type, attr, model_attr, 1);
    MP_OBJ_TYPE_SET_SLOT(&model_type, locals_dict, MP_OBJ_TO_PTR(methods), 2);
    mp_store_global(MP_QSTR_Model, MP_OBJ_FROM_PTR(&model_type));
    mp_store_global(MP_QSTR_version, new_text(BF_VERSION));
#define GLOBAL(name, value) mp_store_global(name, MP_OBJ_NEW_SMALL_INT(value));
    FORMATS(GLOBAL)
    MP_DYNRUNTIME_INIT_EXIT
}

#else

#define ENTRY(name, object) {MP_ROM_QSTR(name), MP_ROM_PTR(&object)},
static const mp_rom_map_elem_t model_table[] = {METHODS(ENTRY)};
static MP_DEFINE_CONST_DICT(model_dict, model_table);
static MP_DEFINE_CONST_OBJ_TYPE(model_type, MP_QSTR_Model, MP_TYPE_FLAG_NONE, make_new, model_make_new, attr,
                                model_attr, locals_dict, &model_dict);

static MP_DEFINE_STR_OBJ(version_obj, BF_VERSION);
static const mp_rom_map_elem_t module_table[] = {{MP_ROM_QSTR(MP_QSTR___name__), MP_ROM_QSTR(MP_QSTR_bitflow)},
                                                 {MP_ROM_QSTR(MP_QSTR_Model), MP_ROM_PTR(&model_type)},
                                                 {MP_ROM_QSTR(MP_QSTR_version), MP_ROM_PTR(&version_obj)},
#define GLOBAL(name, value) {MP_ROM_QSTR(name), MP_ROM_INT(value)},
                                                 FORMATS(GLOBAL)};
static MP_DEFINE_CONST_DICT(module_dict, module_table);
const mp_obj_module_t bitflow_user_cmodule = {
    .base = {&mp_type_module},
    .globals = (mp_obj_dict_t *)&module_dict,
};
MP_REGISTER_MODULE(MP_QSTR_bitflow, bitflow_user_cmodule);

#endif
