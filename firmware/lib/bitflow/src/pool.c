/*
 * pool.c - where accumulators go, and the max-pool on bits.
 * SPDX-License-Identifier: MIT
 */
#include "internal.h"

bf_sink bf_sink_of(const bf_job *job) {
    const bf_layer *layer = job->layer;
    bf_sink sink = {NULL, NULL, NULL, 0};
    sink.shift = (const uint32_t *)bf_at(job->model, layer->shift);
    if (layer->output == BF_SCORES) {
        sink.offset = (const uint32_t *)bf_at(job->model, layer->offset);
    }
    sink.to = layer->pool_h ? job->scratch : (uint32_t *)job->output;
    return sink;
}

/* OR over the window; a channel pooled by AND is inverted before and after: AND is NOT OR NOT. */
void bf_pool(const bf_job *job) {
    const bf_layer *layer = job->layer;
    const uint32_t *from = job->scratch;
    const uint32_t *invert = layer->pool_and ? (const uint32_t *)bf_at(job->model, layer->pool_and) : NULL;
    const int32_t words = (int32_t)bf_words(layer->out_c);
    uint32_t *to = (uint32_t *)job->output;
    if (!layer->pool_h) {
        return;
    }
    for (int32_t y = 0; y < layer->out_h; y++) {
        const int32_t top = y * layer->pool_stride_h - layer->pool_top;
        const int32_t y0 = top < 0 ? 0 : top;
        const int32_t y1 = top + layer->pool_h < layer->conv_h ? top + layer->pool_h : layer->conv_h;
        for (int32_t x = 0; x < layer->out_w; x++) {
            const int32_t left = x * layer->pool_stride_w - layer->pool_left;
            const int32_t x0 = left < 0 ? 0 : left;
            const int32_t x1 = left + layer->pool_w < layer->conv_w ? left + layer->pool_w : layer->conv_w;
            for (int32_t k = 0; k < words; k++) {
                const uint32_t flip = invert ? invert[k] : 0u;
                uint32_t any = 0;
                for (int32_t i = y0; i < y1; i++) {
                    for (int32_t j = x0; j < x1; j++) {
                        any |= from[(i * layer->conv_w + j) * words + k] ^ flip;
                    }
                }
                *to++ = any ^ flip;
            }
        }
    }
}
