/*
 * input_conv.c - the first layer: 8-bit pixels minus the zero point, +-1 weights; plain form, any shape.
 * SPDX-License-Identifier: MIT
 */
#include "internal.h"

/* The taps of one accumulator as int16_t[K], after the map before the pool. */
BF_COLD static size_t input_conv_scratch(const bf_job *job) {
    const bf_layer *layer = job->layer;
    return bf_unpooled_size(layer) + (size_t)(bf_taps(layer) + 1u) / 2u * sizeof(uint32_t);
}

/* Pixels minus zero point under the window of output pixel (y, x), channels of one group; returns their sum. */
BF_COLD static int32_t gather(const bf_job *job, int32_t y, int32_t x, uint32_t group, int16_t *taps) {
    const bf_layer *layer = job->layer;
    const bf_header *header = bf_header_of(job->model);
    const uint32_t channels = (uint32_t)(layer->in_c / layer->groups);
    const uint8_t flip = header->dtype == BF_INT8 ? 0x80u : 0u; /* int8 p is uint8 (p ^ 0x80) - 128 */
    const int32_t zero = header->zero_point + (flip ? 128 : 0);
    int32_t sum = 0;
    for (int32_t ky = 0; ky < layer->kernel_h; ky++) {
        const int32_t iy = y * layer->stride_h - layer->pad_top + ky * layer->dilation_h;
        for (int32_t kx = 0; kx < layer->kernel_w; kx++) {
            const int32_t ix = x * layer->stride_w - layer->pad_left + kx * layer->dilation_w;
            if (iy < 0 || iy >= layer->in_h || ix < 0 || ix >= layer->in_w) {
                bf_fill(taps, 0, channels * sizeof *taps); /* a padded tap has the zero point's value */
                taps += channels;
                continue;
            }
            const size_t pixel = (size_t)iy * layer->in_w + (size_t)ix;
            const uint8_t *from = (const uint8_t *)job->inputs[0] + pixel * layer->in_c + group * channels;
            for (uint32_t c = 0; c < channels; c++) {
                const int32_t value = (int32_t)(from[c] ^ flip) - zero;
                *taps++ = (int16_t)value;
                sum += value;
            }
        }
    }
    return sum;
}

/*
 * Sum of +-tap = 2 * (sum of the taps whose weight is +1) - (sum of all). Whole words have a loop of their own, with a
 * fixed number of turns that do not depend on each other: a compiler makes vector instructions of it where there are
 * any.
 */
int32_t bf_add_signed(const int16_t *taps, uint32_t count, const uint32_t *weights, int32_t sum) {
    int32_t plus = 0;
    for (; count >= BF_WORD_BITS; count -= BF_WORD_BITS, taps += BF_WORD_BITS) {
        const uint32_t word = *weights++;
        for (uint32_t k = 0; k < BF_WORD_BITS; k++) {
            plus += taps[k] & -(int32_t)(word << (BF_WORD_BITS - 1u - k) >> (BF_WORD_BITS - 1u));
        }
    }
    if (count) {
        uint32_t word = *weights;
        for (uint32_t k = 0; k < count; k++, word >>= 1) {
            plus += taps[k] & -(int32_t)(word & 1u);
        }
    }
    return 2 * plus - sum;
}

BF_COLD static void input_conv_run(const bf_job *job) {
    const bf_layer *layer = job->layer;
    const uint32_t taps = bf_taps(layer);
    const uint32_t words = bf_words(taps);
    const uint32_t filters = (uint32_t)(layer->out_c / layer->groups);
    int16_t *window = (int16_t *)(void *)((uint8_t *)job->scratch + bf_unpooled_size(layer));
    bf_sink sink = bf_sink_of(job);
    for (int32_t y = 0; y < layer->conv_h; y++) {
        for (int32_t x = 0; x < layer->conv_w; x++) {
            const uint32_t *weights = (const uint32_t *)bf_at(job->model, layer->weights);
            for (uint32_t group = 0, c = 0; group < layer->groups; group++) {
                const int32_t sum = gather(job, y, x, group, window);
                for (uint32_t f = 0; f < filters; f++, c++, weights += words) {
                    bf_put(&sink, c, bf_add_signed(window, taps, weights, sum));
                }
            }
            bf_put_end(&sink, layer->out_c);
        }
    }
    bf_pool(job);
}

const bf_kernel bf_input_conv_plain = {1u << BF_INPUT_CONV, 0, NULL, input_conv_scratch, input_conv_run};
