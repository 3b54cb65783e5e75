/*
 * wide_conv.c - convolutions that are not binary on both sides: int8 weights over pixels, bits or integers, and +-1
 * weights over pixels or integers; plain form, any shape, groups, padding.
 *
 * The values under the window are gathered once per position, in the order of the weights: int16_t where they are
 * pixels or bits, int32_t where they are integers. Sums are unsigned: an image that was changed after bf_open() may
 * overflow them, and has wrong scores then.
 *
 * SPDX-License-Identifier: MIT
 */
#include "epilogue.h"

/* Inner loops. They are not static: compilers take a static function that only cold functions call for a cold one. */
uint32_t bf_add_signed(const int16_t *taps, const uint32_t *weights, uint32_t count, uint32_t sum);
uint32_t bf_narrow_sum(const int16_t *values, const int8_t *weights, uint32_t taps);
uint32_t bf_wide_sum(const uint32_t *values, const int8_t *weights, uint32_t taps);
uint32_t bf_signed_sum(const uint32_t *values, const uint32_t *weights, uint32_t taps);

/* The map before the pool, then the window. */
BF_COLD static size_t wide_scratch(const bf_job *job) {
    const bf_layer *layer = job->layer;
    const size_t taps = bf_taps(layer);
    const int integers = bf_source_type(job->model->layers, layer, 0) == BF_INTEGERS;
    return bf_unpooled_size(layer) + (integers ? taps : (taps + 1u) / 2u) * sizeof(uint32_t);
}

/* The window, and what is gathered into it. */
typedef struct window {
    const bf_job *job;
    uint32_t type;     /* BF_PIXELS, BF_BITS or BF_INTEGERS */
    uint32_t channels; /* of a group; of the bits of its values, each */
    uint32_t words;
    int16_t *narrow;
    uint32_t *wide;
} window;

/* `channels` values of a position, from channel `first` on, to tap `at` and on. */
BF_COLD static void gather_position(const window *w, size_t position, uint32_t first, uint32_t at) {
    const bf_layer *layer = w->job->layer;
    const void *from = w->job->inputs[0];
    if (w->type == BF_INTEGERS) {
        bf_copy(w->wide + at, (const uint32_t *)from + position * layer->in_c + first, w->channels * sizeof *w->wide);
    } else if (w->type == BF_PIXELS) {
        const bf_header *header = bf_header_of(w->job->model);
        const uint8_t *pixels = (const uint8_t *)from + position * layer->in_c + first;
        const uint8_t flip = header->dtype == BF_INT8 ? 0x80u : 0u; /* int8 p is uint8 (p ^ 0x80) - 128 */
        const int32_t zero = header->zero_point + (flip ? 128 : 0);
        for (uint32_t c = 0; c < w->channels; c++) {
            w->narrow[at + c] = (int16_t)((int32_t)(pixels[c] ^ flip) - zero);
        }
    } else {
        const uint32_t *bits = (const uint32_t *)from + position * w->words;
        for (uint32_t c = 0, bit = first; c < w->channels; c++, bit++) {
            w->narrow[at + c] = (int16_t)((int32_t)(bits[bit / BF_WORD_BITS] >> bit % BF_WORD_BITS & 1u) * 2 - 1);
        }
    }
}

/* A tap outside the map. */
BF_COLD static void gather_padding(const window *w, uint32_t at) {
    for (uint32_t c = 0; c < w->channels; c++) {
        if (w->type == BF_INTEGERS) {
            w->wide[at + c] = 0;
        } else {
            w->narrow[at + c] = w->job->layer->pad_value;
        }
    }
}

/* Those of the channels from `first` on under the window of output position (y, x), to tap `at`, at + step, ... */
BF_COLD static void gather_part(const window *w, int32_t y, int32_t x, uint32_t first, uint32_t at, uint32_t step) {
    const bf_layer *layer = w->job->layer;
    for (int32_t ky = 0; ky < layer->kernel_h; ky++) {
        const int32_t iy = y * layer->stride_h - layer->pad_top + ky * layer->dilation_h;
        for (int32_t kx = 0; kx < layer->kernel_w; kx++, at += step) {
            const int32_t ix = x * layer->stride_w - layer->pad_left + kx * layer->dilation_w;
            if (iy >= 0 && iy < layer->in_h && ix >= 0 && ix < layer->in_w) {
                gather_position(w, (size_t)iy * layer->in_w + (size_t)ix, first, at);
            } else {
                gather_padding(w, at);
            }
        }
    }
}

/* The values under a window, channels of one group: one part after the other, or the bits of a value side by side. */
BF_COLD static void gather(const window *w, int32_t y, int32_t x, uint32_t group) {
    const bf_layer *layer = w->job->layer;
    const uint32_t bits = layer->in_thresholds, shared = layer->flags & BF_SHARED;
    const uint32_t apart = shared ? bf_taps(layer) / bits : w->channels, step = w->channels * (shared ? 1u : bits);
    for (uint32_t t = 0; t < bits; t++) {
        gather_part(w, y, x, t * (layer->in_c / bits) + group * w->channels, t * apart, step);
    }
}

uint32_t bf_narrow_sum(const int16_t *values, const int8_t *weights, uint32_t taps) {
    uint32_t sum = 0;
    for (uint32_t i = 0; i < taps; i++) {
        sum += (uint32_t)(values[i] * weights[i]);
    }
    return sum;
}

uint32_t bf_wide_sum(const uint32_t *values, const int8_t *weights, uint32_t taps) {
    uint32_t sum = 0;
    for (uint32_t i = 0; i < taps; i++) {
        const int32_t weight = weights[i];
        sum += values[i] * (uint32_t)weight;
    }
    return sum;
}

/*
 * Sum of +-tap = 2 * (sum of the taps whose weight is +1) - (sum of all). Whole words have a loop of their own, whose
 * turns are of a fixed number and independent: compilers make vector instructions of it.
 */
uint32_t bf_add_signed(const int16_t *taps, const uint32_t *weights, uint32_t count, uint32_t sum) {
    uint32_t plus = 0;
    for (; count >= BF_WORD_BITS; count -= BF_WORD_BITS, taps += BF_WORD_BITS) {
        const uint32_t word = *weights++;
        for (uint32_t k = 0; k < BF_WORD_BITS; k++) {
            plus += (uint32_t)(taps[k] & -(int32_t)(word << (BF_WORD_BITS - 1u - k) >> (BF_WORD_BITS - 1u)));
        }
    }
    if (count) {
        uint32_t word = *weights;
        for (uint32_t k = 0; k < count; k++, word >>= 1) {
            plus += (uint32_t)(taps[k] & -(int32_t)(word & 1u));
        }
    }
    return 2u * plus - sum;
}

/* A weight bit of 0 is -1: (value ^ mask) - mask with a mask of all ones is -value. */
uint32_t bf_signed_sum(const uint32_t *values, const uint32_t *weights, uint32_t taps) {
    uint32_t sum = 0;
    for (uint32_t i = 0; i < taps; i++) {
        const uint32_t minus = (weights[i / BF_WORD_BITS] >> i % BF_WORD_BITS & 1u) - 1u;
        sum += (values[i] ^ minus) - minus;
    }
    return sum;
}

/* A filter's accumulator. total: of the values that are gathered. */
BF_COLD static uint32_t sum_of(const window *w, const uint32_t *weights, uint32_t taps, uint32_t total) {
    const int8_t *bytes = (const int8_t *)(const void *)weights;
    uint32_t sum = 0;
    if (w->job->layer->weight_bits == 8u) {
        if (w->type == BF_INTEGERS) {
            return bf_wide_sum(w->wide, bytes, taps);
        }
        for (uint32_t part = 0; part < bf_parts(w->job->layer); part++) {
            sum += bf_narrow_sum(w->narrow + part * taps, bytes, taps);
        }
        return sum;
    }
    return w->type == BF_INTEGERS ? bf_signed_sum(w->wide, weights, taps)
                                  : bf_add_signed(w->narrow, weights, taps, total);
}

BF_COLD static void wide_run(const bf_job *job) {
    const bf_layer *layer = job->layer;
    const uint32_t taps = bf_taps(layer) / bf_parts(layer), words = bf_filter_words(layer);
    const uint32_t filters = bf_filter_count(layer) / layer->groups;
    window w;
    bf_epilogue epilogue = bf_epilogue_of(job);
    w.job = job;
    w.type = bf_source_type(job->model->layers, layer, 0);
    w.channels = (uint32_t)layer->in_c / layer->in_thresholds / layer->groups;
    w.words = bf_words(layer->in_c);
    w.wide = job->scratch + bf_unpooled_size(layer) / sizeof(uint32_t);
    w.narrow = (int16_t *)(void *)w.wide;
    for (int32_t y = 0; y < layer->conv_h; y++) {
        for (int32_t x = 0; x < layer->conv_w; x++) {
            const uint32_t *weights = (const uint32_t *)bf_at(job->model, layer->weights);
            for (uint32_t group = 0, c = 0; group < layer->groups; group++) {
                uint32_t total = 0;
                gather(&w, y, x, group);
                for (uint32_t i = 0; i < taps && w.type == BF_PIXELS; i++) {
                    const int32_t value = w.narrow[i];
                    total += (uint32_t)value;
                }
                for (uint32_t f = 0; f < filters; f++, c++, weights += words) {
                    bf_put(&epilogue, c, (int32_t)sum_of(&w, weights, taps, total));
                }
            }
            bf_put_end(&epilogue);
        }
    }
    bf_pool(job);
}

const bf_kernel bf_wide_conv = {1u << BF_WIDE_CONV, 0, NULL, wide_scratch, wide_run, NULL};
const bf_kernel bf_input_conv_plain = {1u << BF_INPUT_CONV, 0, NULL, wide_scratch, wide_run, NULL};
