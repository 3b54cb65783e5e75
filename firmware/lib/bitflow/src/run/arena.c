/*
 * arena.c - which kernel runs each layer, how its map lies, and where in the arena.
 *
 * The arena: maps that are pinned, because others than the next layer read them, lie at its low end, where their
 * records say. In the rest a layer of even number leaves its map at the low end, one of odd number at the high end, so
 * that input and output never meet; scratch lies between them. The size of the rest is the largest need of any layer. A
 * guard stands at both ends.
 *
 * A map lies as bit planes (planes.h) where the kernel that writes it and the only one that reads it both work on
 * planes; every other map lies in the public form.
 *
 * SPDX-License-Identifier: MIT
 */
#include "arena.h"
#include "../planes/planes.h"

BF_COLD static const bf_choice *choice_of(const bf_model *model, unsigned index) {
    return model->plan ? (const bf_choice *)(const void *)(model->plan + 1) + index : NULL;
}

BF_COLD static const bf_kernel *kernel_of(const bf_model *model, unsigned index) {
    const bf_layer *layer = &model->layers[index];
    if (model->plan) {
        return model->kernels[choice_of(model, index)->kernel];
    }
    for (unsigned k = 0; k < BF_KERNELS; k++) {
        const bf_kernel *kernel = model->kernels[k];
        if (kernel && !(kernel->flags & BF_NEEDS_PLAN) && bf_covers(kernel, layer)) {
            return kernel;
        }
    }
    return NULL;
}

BF_COLD static int is_transient(const bf_model *model, unsigned index) {
    return model->layers[index].pinned == BF_TRANSIENT && index + 1u < model->layer_count;
}

BF_COLD int bf_job_of(const bf_model *model, unsigned index, bf_job *job) {
    const bf_layer *layer = &model->layers[index];
    const bf_kernel *before = NULL, *after = NULL;
    bf_fill(job, 0, sizeof *job);
    job->model = model;
    job->layer = layer;
    job->choice = choice_of(model, index);
    job->kernel = kernel_of(model, index);
    if (!job->kernel) {
        return 0;
    }
    if (job->kernel->flags & BF_INPUT_PLANES && index && layer->sources[0] == index - 1u &&
        is_transient(model, index - 1u)) {
        before = kernel_of(model, index - 1u);
    }
    if (job->kernel->flags & BF_OUTPUT_PLANES && is_transient(model, index)) {
        after = kernel_of(model, index + 1u);
    }
    job->planes_in = before && before->flags & BF_OUTPUT_PLANES;
    job->planes_out = after && after->flags & BF_INPUT_PLANES;
    return 1;
}

BF_COLD size_t bf_stored_size(const bf_layer *layer, int planes) {
    const uint32_t positions = (uint32_t)layer->out_h * layer->out_w;
    return planes ? (size_t)layer->out_c * bf_words_of_plane(positions) * sizeof(uint32_t) : bf_map_size(layer);
}

/* Bytes of the map of layer `index` among the transient ones. */
BF_COLD static size_t transient_size(const bf_job *job) {
    return job->layer->pinned == BF_TRANSIENT ? bf_stored_size(job->layer, job->planes_out) : 0;
}

/* No summand is above BF_MAP_LIMIT: no kernel covers a layer for which it needs more. */
BF_COLD bf_status bf_arrange(const bf_model *model, uint32_t *arena, uint32_t *pinned) {
    size_t low = 0, most = 0, in = 0;
    for (unsigned i = 0; i < model->layer_count; i++) {
        const bf_layer *layer = &model->layers[i];
        bf_job job;
        size_t out, need;
        BF_CHECK(bf_job_of(model, i, &job), BF_ERR_KERNEL);
        out = transient_size(&job);
        need = in + out + job.kernel->scratch(&job);
        most = need > most ? need : most;
        if (layer->pinned != BF_TRANSIENT && layer->pinned + bf_map_size(layer) > low) {
            low = layer->pinned + bf_map_size(layer);
        }
        in = out;
    }
    *pinned = (uint32_t)low;
    *arena = (uint32_t)(low + most + 2u * BF_GUARD);
    return BF_OK;
}

/* Where the map of layer `index` begins, in bytes. */
BF_COLD static size_t map_at(const bf_model *model, unsigned index, size_t size) {
    const bf_layer *layer = &model->layers[index];
    if (layer->pinned != BF_TRANSIENT) {
        return BF_GUARD + layer->pinned;
    }
    return index % 2u ? model->arena_size - BF_GUARD - size : BF_GUARD + model->pinned_size;
}

BF_COLD void bf_set_maps(bf_job *job, unsigned index, const void *input, int32_t *scores, void *arena,
                         bf_run_state *state) {
    const bf_model *model = job->model;
    const bf_layer *layer = job->layer;
    uint8_t *bytes = (uint8_t *)arena;
    const size_t before = state->transient;
    const size_t size = transient_size(job);
    for (unsigned k = 0; k < layer->source_count; k++) {
        const unsigned source = layer->sources[k];
        const size_t had = source + 1u == index ? before : 0;
        job->inputs[k] = source == BF_PIXELS ? input : bytes + map_at(model, source, had);
    }
    job->output = layer->output == BF_SCORES ? (void *)scores : bytes + map_at(model, index, size);
    /* Behind the map of even number: this layer's or that of the one before. */
    job->scratch = (uint32_t *)(void *)(bytes + BF_GUARD + model->pinned_size + (index % 2u ? before : size));
    state->transient = size;
}

BF_COLD size_t bf_end_of_first(const bf_model *model) {
    bf_job job;
    bf_job_of(model, 0, &job);
    return BF_GUARD + model->pinned_size + transient_size(&job) + job.kernel->scratch(&job);
}

BF_COLD size_t bf_find_map(const bf_model *model, unsigned index, int *planes) {
    bf_job job;
    if (!bf_job_of(model, index, &job)) {
        return 0;
    }
    *planes = job.planes_out;
    return map_at(model, index, bf_stored_size(job.layer, job.planes_out));
}
