/*
 * host.c - many inputs through the C library in one call, for the host engine (engines/host.py).
 * SPDX-License-Identifier: MIT
 */
#include "bitflow.h"

/* Bytes of a model, for a caller that cannot see the struct. */
size_t bitflow_host_model_size(void) {
    return sizeof(bf_model);
}

/* Opens an image; bytes of arena for it, or a negative bf_status. */
long long bitflow_host_open(bf_model *model, const void *image, size_t size) {
    const bf_status status = bf_open(model, image, size);
    return status == BF_OK ? (long long)bf_arena_size(model) : (long long)status;
}

/* Scores of `count` inputs, one after the other: int32_t[count][classes]. */
int bitflow_host_scores(const bf_model *model, const uint8_t *inputs, size_t count, int32_t *scores, void *arena,
                        size_t arena_size) {
    bf_status status = BF_OK;
    for (size_t i = 0; i < count && status == BF_OK; i++) {
        status = bf_run(model, inputs + i * bf_input_size(model), scores + i * bf_classes(model), arena, arena_size);
    }
    return status;
}

/* The map of layer `layer` for `count` inputs: uint32_t[count][words]. */
int bitflow_host_hidden(const bf_model *model, const uint8_t *inputs, size_t count, uint32_t *words, void *arena,
                        size_t arena_size, unsigned layer) {
    const size_t n = bf_output_words(model, layer);
    bf_status status = BF_OK;
    for (size_t i = 0; i < count && status == BF_OK; i++) {
        status = bf_run_to(model, inputs + i * bf_input_size(model), layer + 1, arena, arena_size);
        if (status == BF_OK) {
            status = bf_output(model, layer, arena, words + i * n, n);
        }
    }
    return status;
}

const char *bitflow_host_status(int status) {
    return bf_status_text((bf_status)status);
}
