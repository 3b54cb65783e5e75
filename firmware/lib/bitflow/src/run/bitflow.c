/*
 * bitflow.c - the layer loop, and what can be asked of a model.
 *
 * SPDX-License-Identifier: MIT
 */
#include "../planes/transpose.h"
#include "arena.h"

/* All texts one after the other: half the code of a switch over them. */
BF_COLD const char *bf_status_text(bf_status status) {
#define BF_STATUS_TEXT(name, value, text) BF_TEXT(#name, text) "\0"
    static const char texts[] = BF_STATUS_LIST(BF_STATUS_TEXT);
#undef BF_STATUS_TEXT
#define BF_STATUS_VALUE(name, value, text) (value),
    static const int8_t values[] = {BF_STATUS_LIST(BF_STATUS_VALUE)};
#undef BF_STATUS_VALUE
    const char *at = texts;
    for (size_t i = 0; i < sizeof values; i++) {
        if (values[i] == (int)status) {
            return at;
        }
        while (*at++) {
        }
    }
    return "unknown status";
}

BF_COLD const bf_header *bf_header_of(const bf_model *model) {
    return (const bf_header *)(const void *)model->base;
}

BF_COLD size_t bf_arena_size(const bf_model *model) {
    return model->arena_size;
}

BF_COLD size_t bf_input_size(const bf_model *model) {
    const bf_header *header = bf_header_of(model);
    return (size_t)header->height * header->width * header->channels;
}

BF_COLD unsigned bf_classes(const bf_model *model) {
    return bf_header_of(model)->classes;
}

BF_COLD static const char *text_at(const bf_model *model, uint32_t offset) {
    return offset ? (const char *)bf_at(model, offset) : "";
}

BF_COLD const char *bf_name(const bf_model *model) {
    return text_at(model, bf_header_of(model)->name);
}

BF_COLD const char *bf_layer_name(const bf_model *model, unsigned layer) {
    return layer < model->layer_count ? text_at(model, model->layers[layer].name) : "";
}

BF_COLD const char *bf_label(const bf_model *model, unsigned c) {
    const bf_header *header = bf_header_of(model);
    const char *text;
    if (!header->labels || c >= header->classes) {
        return "";
    }
    text = text_at(model, header->labels);
    while (c--) {
        while (*text++) {
        }
    }
    return text;
}

unsigned bf_argmax(const int32_t *scores, unsigned n) {
    unsigned best = 0;
    for (unsigned c = 1; c < n; c++) {
        if (scores[c] > scores[best]) {
            best = c;
        }
    }
    return best;
}

BF_COLD static bf_status run(const bf_model *model, const void *input, unsigned layers, int32_t *scores, void *arena,
                             size_t arena_size, const bf_hook *hook) {
    bf_run_state state = {0};
    if (!model || !input || !arena) {
        return BF_ERR_ARGUMENT;
    }
    if ((uintptr_t)arena % BF_IMAGE_ALIGN) {
        return BF_ERR_ALIGNMENT;
    }
    if (arena_size < model->arena_size) {
        return BF_ERR_ARENA;
    }
    for (unsigned i = 0; i < layers; i++) {
        bf_job job;
        if (!bf_job_of(model, i, &job)) {
            return BF_ERR_KERNEL;
        }
        bf_set_maps(&job, i, input, scores, arena, &state);
        job.kernel->run(&job);
        if (hook && hook->after(hook->user, i)) {
            return BF_STOPPED;
        }
    }
    return BF_OK;
}

BF_COLD bf_status bf_run_hooked(const bf_model *model, const void *input, int32_t *scores, void *arena,
                                size_t arena_size, const bf_hook *hook) {
    if (!model || !scores) {
        return BF_ERR_ARGUMENT;
    }
    return run(model, input, model->layer_count, scores, arena, arena_size, hook);
}

BF_COLD bf_status bf_run(const bf_model *model, const void *input, int32_t *scores, void *arena, size_t arena_size) {
    return bf_run_hooked(model, input, scores, arena, arena_size, NULL);
}

BF_COLD size_t bf_input_place(const bf_model *model) {
    for (unsigned i = 1; i < model->layer_count; i++) {
        if (model->layers[i].sources[0] == BF_PIXELS) {
            return model->arena_size;
        }
    }
    return bf_end_of_first(model);
}

BF_COLD size_t bf_shared_size(const bf_model *model) {
    const size_t end = bf_input_place(model) + (bf_input_size(model) + 3u) / 4u * 4u;
    return end > model->arena_size ? end : model->arena_size;
}

BF_COLD bf_status bf_run_to(const bf_model *model, const void *input, unsigned layers, void *arena, size_t arena_size) {
    if (!model || layers < 1 || layers >= model->layer_count) {
        return BF_ERR_ARGUMENT;
    }
    return run(model, input, layers, NULL, arena, arena_size, NULL);
}

BF_COLD size_t bf_output_words(const bf_model *model, unsigned layer) {
    return layer < model->layer_count ? bf_map_size(&model->layers[layer]) / sizeof(uint32_t) : 0;
}

BF_COLD bf_status bf_output(const bf_model *model, unsigned layer, const void *arena, uint32_t *words, size_t n) {
    const uint32_t *map;
    size_t count, at;
    int planes;
    if (!model || !arena || !words || layer >= model->layer_count) {
        return BF_ERR_ARGUMENT;
    }
    count = bf_output_words(model, layer);
    if (count == 0) {
        return BF_ERR_ARGUMENT;
    }
    if (n < count) {
        return BF_ERR_SPACE;
    }
    at = bf_find_map(model, layer, &planes);
    if (at == 0) {
        return BF_ERR_KERNEL;
    }
    map = (const uint32_t *)(const void *)((const uint8_t *)arena + at);
    if (planes) {
        const bf_layer *l = &model->layers[layer];
        bf_from_planes(map, words, (uint32_t)l->out_h * l->out_w, l->out_c);
    } else {
        bf_copy(words, map, count * sizeof(uint32_t));
    }
    return BF_OK;
}
