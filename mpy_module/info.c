/*
 * info.c - Model.info() and Model.labels.
 *
 * SPDX-License-Identifier: MIT
 */
#include "info.h"
#include "bitflow_port.h"
#include "objects.h"

static void store(mp_obj_t dict, qstr name, mp_obj_t value) {
    mp_obj_dict_store(dict, MP_OBJ_NEW_QSTR(name), value);
}

static void store_number(mp_obj_t dict, qstr name, size_t value) {
    store(dict, name, mp_obj_new_int_from_uint(value));
}

mp_obj_t bitflow_info(mp_obj_t object) {
    model_obj *self = bitflow_model_of(object);
    const bf_header *header = bf_header_of(&self->model);
    mp_obj_t shape[3] = {MP_OBJ_NEW_SMALL_INT(header->height), MP_OBJ_NEW_SMALL_INT(header->width),
                         MP_OBJ_NEW_SMALL_INT(header->channels)};
    mp_obj_t info = mp_obj_new_dict(10);
    store(info, MP_QSTR_name, bitflow_new_text(bf_name(&self->model)));
    store(info, MP_QSTR_input_shape, mp_obj_new_tuple(3, shape));
    store_number(info, MP_QSTR_input_bytes, bf_input_size(&self->model));
    store(info, MP_QSTR_dtype, bitflow_new_text(&"uint8"[header->dtype == BF_INT8]));
    store(info, MP_QSTR_zero_point, MP_OBJ_NEW_SMALL_INT(header->zero_point));
    store_number(info, MP_QSTR_classes, header->classes);
    store_number(info, MP_QSTR_layers, self->model.layer_count);
    store_number(info, MP_QSTR_bytes, self->model.size);
    store_number(info, MP_QSTR_arena_bytes, bf_arena_size(&self->model));
    store_number(info, MP_QSTR_crc32, self->model.crc);
    return info;
}

mp_obj_t bitflow_labels(model_obj *self) {
    if (self->labels == MP_OBJ_NULL) {
        mp_obj_t list = mp_obj_new_list(0, NULL);
        const bool named = bf_header_of(&self->model)->labels != 0;
        const char *at = bf_label(&self->model, 0);
        for (unsigned c = 0; named && c < bf_classes(&self->model); c++) {
            mp_obj_list_append(list, bitflow_new_text(at));
            while (*at++) {
                BF_KEEP_LOOP();
            }
        }
        self->labels = list;
    }
    return self->labels;
}
