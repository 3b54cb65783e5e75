/*
 * handover.c - bit planes in and out of a kernel.
 * SPDX-License-Identifier: MIT
 */
#include "handover.h"
#include "planes.h"
#include "transpose.h"

BF_COLD static void pool_planes(const bf_layer *l, const uint32_t *all, const uint32_t *from, uint32_t *to,
                                bf_plane_pool *pool) {
    const uint32_t stride = bf_words_of_plane((uint32_t)l->conv_h * l->conv_w);
    const uint32_t step = bf_words_of_plane((uint32_t)l->out_h * l->out_w);
    for (uint32_t c = 0; c < l->out_c; c++, from += stride, to += step) {
        pool(l, from, all && all[c / BF_WORD_BITS] >> c % BF_WORD_BITS & 1u ? 0xFFFFFFFFu : 0u, to);
    }
}

/* Words in scratch of the input as planes, of the map before the pool, of the map after it. */
typedef struct parts {
    size_t input, unpooled, pooled;
} parts;

BF_COLD static parts parts_of(const bf_job *job) {
    const bf_layer *l = job->layer;
    const int on_planes = (job->kernel->flags & BF_INPUT_PLANES) != 0;
    parts p = {0, 0, 0};
    if (on_planes && !job->planes_in) {
        p.input = bf_words_of_planes((uint32_t)l->in_h * l->in_w, l->in_c);
    }
    if (l->pool_h || !job->planes_out) {
        p.unpooled = bf_words_of_planes((uint32_t)l->conv_h * l->conv_w, l->out_c);
    }
    if (l->pool_h && !job->planes_out) {
        p.pooled = bf_words_of_planes((uint32_t)l->out_h * l->out_w, l->out_c);
    }
    return p;
}

BF_COLD size_t bf_planes_scratch(const bf_job *job) {
    const parts p = parts_of(job);
    return p.input + p.unpooled + p.pooled;
}

BF_COLD const uint32_t *bf_input_planes(const bf_job *job) {
    const bf_layer *l = job->layer;
    if (job->planes_in) {
        return (const uint32_t *)job->inputs[0];
    }
    bf_to_planes((const uint32_t *)job->inputs[0], job->scratch, (uint32_t)l->in_h * l->in_w, l->in_c);
    return job->scratch;
}

BF_COLD uint32_t *bf_output_planes(const bf_job *job) {
    const parts p = parts_of(job);
    return p.unpooled ? job->scratch + p.input : (uint32_t *)job->output;
}

BF_COLD void bf_planes_done(const bf_job *job, bf_plane_pool *pool) {
    const bf_layer *l = job->layer;
    const parts p = parts_of(job);
    const uint32_t *map = job->scratch + p.input;
    if (l->pool_h) {
        uint32_t *pooled = p.pooled ? job->scratch + p.input + p.unpooled : (uint32_t *)job->output;
        pool_planes(l, l->pool_and ? (const uint32_t *)bf_at(job->model, l->pool_and) : NULL, map, pooled,
                    pool && !bf_is_by_two(l) ? pool : bf_pool_by_two);
        map = pooled;
    }
    if (!job->planes_out) {
        bf_from_planes(map, (uint32_t *)job->output, (uint32_t)l->out_h * l->out_w, l->out_c);
    }
}
