/*
 * epilogue.c - accumulators become bits, integers or scores; and the max-pool on bits and on integers.
 * SPDX-License-Identifier: MIT
 */
#include "epilogue.h"

BF_COLD static const uint32_t *words_at(const bf_job *job, uint32_t offset) {
    return offset ? (const uint32_t *)bf_at(job->model, offset) : NULL;
}

BF_COLD bf_epilogue bf_epilogue_of(const bf_job *job) {
    const bf_layer *layer = job->layer;
    bf_epilogue epilogue;
    epilogue.shift = words_at(job, layer->shift);
    epilogue.offset = words_at(job, layer->offset);
    epilogue.invert = words_at(job, layer->invert);
    epilogue.to = layer->pool_h ? job->scratch : (uint32_t *)job->output;
    epilogue.words = layer->output == BF_BITS ? bf_words(layer->out_c) : 0;
    epilogue.filters = bf_filter_count(layer);
    epilogue.channels = layer->out_c;
    return epilogue;
}

/* Unsigned arithmetic: not even an image that was changed after bf_open() makes it overflow. */
BF_COLD void bf_put(bf_epilogue *epilogue, uint32_t f, int32_t accumulator) {
    if (epilogue->words) {
        for (uint32_t i = f ? epilogue->words : 0; i < epilogue->words; i++) {
            epilogue->to[i] = epilogue->invert ? epilogue->invert[i] : 0u;
        }
        for (uint32_t c = f; c < epilogue->channels; c += epilogue->filters) {
            const uint32_t bit = (uint32_t)(accumulator >= (int32_t)(0u - epilogue->shift[c]));
            epilogue->to[c / BF_WORD_BITS] ^= bit << c % BF_WORD_BITS;
        }
    } else {
        *epilogue->to++ =
            epilogue->shift ? epilogue->shift[f] * (uint32_t)accumulator + epilogue->offset[f] : (uint32_t)accumulator;
    }
}

BF_COLD void bf_put_end(bf_epilogue *epilogue) {
    epilogue->to += epilogue->words;
}

BF_COLD size_t bf_unpooled_size(const bf_layer *layer) {
    const size_t words = bf_position_words(layer->output, layer->out_c);
    return layer->pool_h ? (size_t)layer->conv_h * layer->conv_w * words * sizeof(uint32_t) : 0;
}

/* The part of a window that lies inside the map, on one axis: [from, to). */
typedef struct span {
    int32_t from, to;
} span;

BF_COLD static span span_of(int32_t out, int32_t stride, int32_t before, int32_t window, int32_t size) {
    const int32_t from = out * stride - before;
    span inside;
    inside.from = from < 0 ? 0 : from;
    inside.to = from + window < size ? from + window : size;
    return inside;
}

/* OR of word k under the window; a channel pooled by AND is inverted before and after: AND is NOT OR NOT. */
BF_COLD static uint32_t any_of(const bf_job *job, span rows, span columns, int32_t k, int32_t words, uint32_t flip) {
    uint32_t any = 0;
    for (int32_t i = rows.from; i < rows.to; i++) {
        for (int32_t j = columns.from; j < columns.to; j++) {
            any |= job->scratch[(i * job->layer->conv_w + j) * words + k] ^ flip;
        }
    }
    return any ^ flip;
}

BF_COLD static uint32_t largest_of(const bf_job *job, span rows, span columns, int32_t k, int32_t words) {
    int32_t largest = INT32_MIN;
    for (int32_t i = rows.from; i < rows.to; i++) {
        for (int32_t j = columns.from; j < columns.to; j++) {
            const int32_t value = (int32_t)job->scratch[(i * job->layer->conv_w + j) * words + k];
            largest = value > largest ? value : largest;
        }
    }
    return (uint32_t)largest;
}

BF_COLD void bf_pool(const bf_job *job) {
    const bf_layer *layer = job->layer;
    const uint32_t *all = words_at(job, layer->pool_and);
    const int32_t words = (int32_t)bf_position_words(layer->output, layer->out_c);
    uint32_t *to = (uint32_t *)job->output;
    if (!layer->pool_h) {
        return;
    }
    for (int32_t y = 0; y < layer->out_h; y++) {
        const span rows = span_of(y, layer->pool_stride_h, layer->pool_top, layer->pool_h, layer->conv_h);
        for (int32_t x = 0; x < layer->out_w; x++) {
            const span columns = span_of(x, layer->pool_stride_w, layer->pool_left, layer->pool_w, layer->conv_w);
            for (int32_t k = 0; k < words; k++) {
                *to++ = layer->output == BF_INTEGERS ? largest_of(job, rows, columns, k, words)
                                                     : any_of(job, rows, columns, k, words, all ? all[k] : 0u);
            }
        }
    }
}
