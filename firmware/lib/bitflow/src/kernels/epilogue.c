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
    epilogue.word = 0;
    epilogue.bits = layer->output == BF_BITS;
    epilogue.filters = bf_filter_count(layer);
    epilogue.channels = layer->out_c;
    return epilogue;
}

/* Writes the word of bits that channel c completes. */
BF_COLD static void put_word(bf_epilogue *epilogue, uint32_t c) {
    *epilogue->to++ = epilogue->invert ? epilogue->word ^ epilogue->invert[c / BF_WORD_BITS] : epilogue->word;
    epilogue->word = 0;
}

/* Unsigned arithmetic: not even an image that was changed after bf_open() makes it overflow. */
static uint32_t bit_of(const bf_epilogue *epilogue, uint32_t c, int32_t accumulator) {
    return (uint32_t)(accumulator >= (int32_t)(0u - epilogue->shift[c])) << (c % BF_WORD_BITS);
}

/* Several thresholds: the bits of a filter lie apart, in words that begin as the inversion mask. */
BF_COLD static void put_each(bf_epilogue *epilogue, uint32_t f, int32_t accumulator) {
    for (uint32_t i = f ? bf_words(epilogue->channels) : 0; i < bf_words(epilogue->channels); i++) {
        epilogue->to[i] = epilogue->invert ? epilogue->invert[i] : 0u;
    }
    for (uint32_t c = f; c < epilogue->channels; c += epilogue->filters) {
        epilogue->to[c / BF_WORD_BITS] ^= bit_of(epilogue, c, accumulator);
    }
}

BF_COLD void bf_put(bf_epilogue *epilogue, uint32_t c, int32_t accumulator) {
    if (epilogue->channels != epilogue->filters) {
        put_each(epilogue, c, accumulator);
    } else if (epilogue->bits) {
        epilogue->word |= bit_of(epilogue, c, accumulator);
        if (c % BF_WORD_BITS == BF_WORD_BITS - 1u) {
            put_word(epilogue, c);
        }
    } else {
        *epilogue->to++ =
            epilogue->shift ? epilogue->shift[c] * (uint32_t)accumulator + epilogue->offset[c] : (uint32_t)accumulator;
    }
}

BF_COLD void bf_put_end(bf_epilogue *epilogue) {
    if (epilogue->channels != epilogue->filters) {
        epilogue->to += bf_words(epilogue->channels);
    } else if (epilogue->bits && epilogue->channels % BF_WORD_BITS) {
        put_word(epilogue, epilogue->channels);
    }
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
