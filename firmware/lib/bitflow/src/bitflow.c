/*
 * bitflow.c - the layer loop, the arena, and what can be asked of a model.
 *
 * The arena: maps that are kept, because others than the next layer read them, lie at its low end, where their records
 * say. In the rest a layer of even number leaves its map at the low end, one of odd number at the high end, so that
 * input and output never meet; scratch lies between them. The size of the rest is the largest need of any layer.
 *
 * SPDX-License-Identifier: MIT
 */
#include "internal.h"

/* All texts one after the other: half the code of a switch over them. */
const char *bf_status_text(bf_status status) {
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

const bf_header *bf_header_of(const bf_model *model) {
    return (const bf_header *)(const void *)model->base;
}

size_t bf_arena_size(const bf_model *model) {
    return model->arena_size;
}

size_t bf_input_size(const bf_model *model) {
    const bf_header *header = bf_header_of(model);
    return (size_t)header->height * header->width * header->channels;
}

unsigned bf_classes(const bf_model *model) {
    return bf_header_of(model)->classes;
}

static const char *text_at(const bf_model *model, uint32_t offset) {
    return offset ? (const char *)bf_at(model, offset) : "";
}

const char *bf_name(const bf_model *model) {
    return text_at(model, bf_header_of(model)->name);
}

const char *bf_layer_name(const bf_model *model, unsigned layer) {
    return layer < model->layer_count ? text_at(model, model->layers[layer].name) : "";
}

const char *bf_label(const bf_model *model, unsigned c) {
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

/* Where the map of layer `index` begins, in bytes. */
static size_t map_at(const bf_model *model, unsigned index) {
    const bf_layer *layer = &model->layers[index];
    if (layer->keep != BF_TRANSIENT) {
        return layer->keep;
    }
    return index % 2u ? model->arena_size - bf_map_size(layer) : model->kept_size;
}

/* Where scratch begins: behind the map of layer `index` or of the one before, whichever is of even number. */
static size_t scratch_at(const bf_model *model, unsigned index) {
    const bf_layer *even = &model->layers[index - index % 2u];
    return model->kept_size + (even->keep == BF_TRANSIENT ? bf_map_size(even) : 0);
}

static bf_status run(const bf_model *model, const void *input, unsigned layers, int32_t *scores, void *arena,
                     size_t arena_size, const bf_hook *hook) {
    uint8_t *bytes = (uint8_t *)arena;
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
        const bf_layer *layer = &model->layers[i];
        const bf_kernel *kernel = model->kernels[layer->kind];
        bf_job job = {model, layer, {NULL, NULL, NULL, NULL}, NULL, NULL};
        if (!kernel) {
            return BF_ERR_KERNEL;
        }
        for (unsigned k = 0; k < layer->source_count; k++) {
            const unsigned source = layer->sources[k];
            job.inputs[k] = source == BF_PIXELS ? input : bytes + map_at(model, source);
        }
        job.output = layer->output == BF_SCORES ? (void *)scores : bytes + map_at(model, i);
        job.scratch = (uint32_t *)(void *)(bytes + scratch_at(model, i));
        kernel->run(&job);
        if (hook && hook->after(hook->user, i)) {
            return BF_STOPPED;
        }
    }
    return BF_OK;
}

bf_status bf_run_hooked(const bf_model *model, const void *input, int32_t *scores, void *arena, size_t arena_size,
                        const bf_hook *hook) {
    if (!model || !scores) {
        return BF_ERR_ARGUMENT;
    }
    return run(model, input, model->layer_count, scores, arena, arena_size, hook);
}

bf_status bf_run(const bf_model *model, const void *input, int32_t *scores, void *arena, size_t arena_size) {
    return bf_run_hooked(model, input, scores, arena, arena_size, NULL);
}

bf_status bf_run_to(const bf_model *model, const void *input, unsigned layers, void *arena, size_t arena_size) {
    if (!model || layers < 1 || layers >= model->layer_count) {
        return BF_ERR_ARGUMENT;
    }
    return run(model, input, layers, NULL, arena, arena_size, NULL);
}

size_t bf_output_words(const bf_model *model, unsigned layer) {
    return layer < model->layer_count ? bf_map_size(&model->layers[layer]) / sizeof(uint32_t) : 0;
}

bf_status bf_output(const bf_model *model, unsigned layer, const void *arena, uint32_t *words, size_t n) {
    size_t count;
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
    bf_copy(words, (const uint8_t *)arena + map_at(model, layer), count * sizeof(uint32_t));
    return BF_OK;
}
