/*
 * bitflow_module.c - `import bitflow` for MicroPython: the binding code, once, for native .mpy files (dynruntime), for
 * USER_C_MODULES and for the Unix port. bitflow.pyi is the manual of what it offers.
 *
 * Only integers cross the boundary to the firmware: a native module built for another float ABI would silently get
 * wrong floats. All memory is the collector's: arena and copies are bytearrays that the object keeps alive.
 *
 * SPDX-License-Identifier: MIT
 */
#include "frame.h"
#include "info.h"
#include "model.h"
#include "objects.h"
#include "run.h"

static void model_attr(mp_obj_t object, qstr name, mp_obj_t *result) {
    if (result[0] == MP_OBJ_NULL && name == MP_QSTR_labels) {
        result[0] = bitflow_labels(bitflow_model_of(object));
    } else {
        result[1] = MP_OBJ_SENTINEL; /* a method: go on in the table below */
    }
}

/* ---- The tables: one list of methods for every build. ---- */

static MP_DEFINE_CONST_FUN_OBJ_2(model_predict_obj, bitflow_predict);
static MP_DEFINE_CONST_FUN_OBJ_VAR_BETWEEN(model_scores_obj, 2, 3, bitflow_scores);
static MP_DEFINE_CONST_FUN_OBJ_VAR_BETWEEN(model_hidden_obj, 2, 3, bitflow_hidden);
static MP_DEFINE_CONST_FUN_OBJ_2(model_profile_obj, bitflow_profile);
static MP_DEFINE_CONST_FUN_OBJ_VAR_BETWEEN(model_picture_obj, 5, 6, bitflow_picture);
static MP_DEFINE_CONST_FUN_OBJ_1(model_info_obj, bitflow_info);
static MP_DEFINE_CONST_FUN_OBJ_1(model_deinit_obj, bitflow_deinit);

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
#define ENTRY(name, object) mp_obj_dict_store(methods, MP_OBJ_NEW_QSTR(name), MP_OBJ_FROM_PTR(&object));
    METHODS(ENTRY)
    bitflow_find_sleep();
    model_type.base.type = (void *)&mp_type_type;
    model_type.name = MP_QSTR_Model;
    MP_OBJ_TYPE_SET_SLOT(&model_type, make_new, bitflow_make_model, 0);
    MP_OBJ_TYPE_SET_SLOT(&model_type, attr, model_attr, 1);
    MP_OBJ_TYPE_SET_SLOT(&model_type, locals_dict, MP_OBJ_TO_PTR(methods), 2);
    mp_store_global(MP_QSTR_Model, MP_OBJ_FROM_PTR(&model_type));
    mp_store_global(MP_QSTR_version, bitflow_new_text(BF_VERSION));
#define GLOBAL(name, value) mp_store_global(name, MP_OBJ_NEW_SMALL_INT(value));
    FORMATS(GLOBAL)
    MP_DYNRUNTIME_INIT_EXIT
}

#else

#define ENTRY(name, object) {MP_ROM_QSTR(name), MP_ROM_PTR(&object)},
static const mp_rom_map_elem_t model_table[] = {METHODS(ENTRY)};
static MP_DEFINE_CONST_DICT(model_dict, model_table);
static MP_DEFINE_CONST_OBJ_TYPE(model_type, MP_QSTR_Model, MP_TYPE_FLAG_NONE, make_new, bitflow_make_model, attr,
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
