/*
 * merge.c - layers that multiply nothing: sums of maps, sums over all positions, and maps side by side.
 * SPDX-License-Identifier: MIT
 */
#include "conv_plain.h"
#include "epilogue.h"

/* The map before the pool, then the sums of a position as uint32_t[in_c]. */
BF_COLD static size_t sums_scratch(const bf_job *job) {
    const bf_layer *layer = job->layer;
    return bf_unpooled_size(layer) + layer->in_c * sizeof(uint32_t);
}

BF_COLD static uint32_t *sums_of(const bf_job *job) {
    return job->scratch + bf_unpooled_size(job->layer) / sizeof(uint32_t);
}

/* Add source k at a position; a bit counts as +-1. A map of bits may have several for each channel. */
static void add(const bf_job *job, unsigned k, size_t position, uint32_t *sums) {
    const uint32_t channels = job->layer->in_c, all = job->model->layers[job->layer->sources[k]].out_c;
    const uint32_t *from = (const uint32_t *)job->inputs[k];
    if (bf_source_type(job->model->layers, job->layer, k) == BF_INTEGERS) {
        from += position * channels;
        for (uint32_t c = 0; c < channels; c++) {
            sums[c] += from[c];
        }
    } else {
        from += position * bf_words(all);
        for (uint32_t i = 0; i < all;) {
            for (uint32_t c = 0; c < channels; c++, i++) {
                sums[c] += (from[i / BF_WORD_BITS] >> i % BF_WORD_BITS & 1u) * 2u - 1u;
            }
        }
    }
}

BF_COLD static void put_all(bf_epilogue *epilogue, const uint32_t *sums, uint32_t channels) {
    for (uint32_t c = 0; c < channels; c++) {
        bf_put(epilogue, c, (int32_t)sums[c]);
    }
    bf_put_end(epilogue);
}

BF_COLD static void sum_run(const bf_job *job) {
    const bf_layer *layer = job->layer;
    const size_t positions = (size_t)layer->in_h * layer->in_w;
    uint32_t *sums = sums_of(job);
    bf_epilogue epilogue = bf_epilogue_of(job);
    for (size_t position = 0; position < positions; position++) {
        bf_fill(sums, 0, layer->in_c * sizeof *sums);
        for (unsigned k = 0; k < layer->source_count; k++) {
            add(job, k, position, sums);
        }
        put_all(&epilogue, sums, layer->in_c);
    }
    bf_pool(job);
}

BF_COLD static void total_run(const bf_job *job) {
    const bf_layer *layer = job->layer;
    const size_t positions = (size_t)layer->in_h * layer->in_w;
    uint32_t *sums = sums_of(job);
    bf_epilogue epilogue = bf_epilogue_of(job);
    bf_fill(sums, 0, layer->in_c * sizeof *sums);
    for (size_t position = 0; position < positions; position++) {
        add(job, 0, position, sums);
    }
    put_all(&epilogue, sums, layer->in_c);
    bf_pool(job);
}

BF_COLD static size_t concat_scratch(const bf_job *job) {
    (void)job;
    return 0;
}

BF_COLD static void concat_run(const bf_job *job) {
    const bf_layer *layer = job->layer;
    const size_t positions = (size_t)layer->in_h * layer->in_w;
    const uint32_t words = bf_words(layer->out_c);
    uint32_t *to = (uint32_t *)job->output;
    bf_fill(to, 0, positions * words * sizeof *to);
    for (size_t position = 0; position < positions; position++, to += words) {
        uint32_t at = 0;
        for (unsigned k = 0; k < layer->source_count; k++) {
            const uint32_t channels = job->model->layers[layer->sources[k]].out_c;
            bf_append(to, at, (const uint32_t *)job->inputs[k] + position * bf_words(channels), 0, channels);
            at += channels;
        }
    }
}

const bf_kernel bf_sum = {1u << BF_SUM, 0, NULL, sums_scratch, sum_run, NULL};
const bf_kernel bf_concat = {1u << BF_CONCAT, 0, NULL, concat_scratch, concat_run, NULL};
const bf_kernel bf_total = {1u << BF_TOTAL, 0, NULL, sums_scratch, total_run, NULL};
