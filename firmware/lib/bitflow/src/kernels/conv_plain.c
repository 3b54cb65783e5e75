/*
 * conv_plain.c - convolution and dense layers on bits: XOR and popcount; plain form, any shape, groups, padding.
 *
 * The bits under the window are gathered once per position into a row of K bits, in the order of the weights; each
 * filter is then one pass over its words. Agreement of +-1 values: accumulator = valid - 2 * popcount((a ^ w) & mask),
 * where mask has the taps that count and valid is their number. Only exact zero padding needs a mask.
 *
 * SPDX-License-Identifier: MIT
 */
#include "conv_plain.h"
#include "epilogue.h"

/* Inner loops. They are not static: compilers take a static function that only cold functions call for a cold one. */
uint32_t bf_count_differences(const uint32_t *a, const uint32_t *w, uint32_t n);
uint32_t bf_count_masked(const uint32_t *a, const uint32_t *w, const uint32_t *mask, uint32_t n);

/* Are there taps that do not count? */
static int has_mask(const bf_layer *layer) {
    return layer->pad_value == 0 && (layer->pad_top | layer->pad_left | layer->pad_bottom | layer->pad_right);
}

/* Dense layers without a pool: all of the map counts, and is the window where no channel is unused. */
BF_COLD static int is_lite(const bf_kernel *kernel, const bf_layer *layer) {
    (void)kernel;
    return layer->kind == BF_DENSE && !layer->pool_h && !layer->flags;
}

/* The map before the pool, then the window and its mask. Each part of the window begins with a word. */
BF_COLD static size_t conv_scratch(const bf_job *job) {
    const bf_layer *layer = job->layer;
    const size_t window = bf_parts(layer) * bf_filter_words(layer) * sizeof(uint32_t);
    if (is_lite(NULL, layer) && layer->in_c % BF_WORD_BITS == 0) {
        return 0;
    }
    return bf_unpooled_size(layer) + (has_mask(layer) ? 2u : 1u) * window;
}

BF_COLD void bf_append(uint32_t *to, uint32_t to_at, const uint32_t *from, uint32_t at, uint32_t n) {
    while (n) {
        const uint32_t shift = at % BF_WORD_BITS;
        const uint32_t to_shift = to_at % BF_WORD_BITS;
        const uint32_t room = BF_WORD_BITS - (shift > to_shift ? shift : to_shift);
        const uint32_t step = n < room ? n : room;
        const uint32_t bits = from[at / BF_WORD_BITS] >> shift & bf_tail_mask(step);
        to[to_at / BF_WORD_BITS] |= bits << to_shift;
        at += step;
        to_at += step;
        n -= step;
    }
}

/* The same with n bits that are all 1. */
BF_COLD static void append_ones(uint32_t *to, uint32_t to_at, uint32_t n) {
    while (n) {
        const uint32_t to_shift = to_at % BF_WORD_BITS;
        const uint32_t step = n < BF_WORD_BITS - to_shift ? n : BF_WORD_BITS - to_shift;
        to[to_at / BF_WORD_BITS] |= bf_tail_mask(step) << to_shift;
        to_at += step;
        n -= step;
    }
}

/* A window, and where the next bits of it go. */
typedef struct gathered {
    uint32_t *window, *mask; /* mask: the bits that count; NULL: all do */
    uint32_t channels;       /* of a group; of the bits of its values, each */
    uint32_t step;           /* bits from tap to tap */
} gathered;

/*
 * The bits of the channels from `first` on under the window of output position (y, x), to bit `at`, at + step, ...
 * Returns how many count.
 */
BF_COLD static uint32_t gather_part(const bf_job *job, int32_t y, int32_t x, uint32_t first, const gathered *to,
                                    uint32_t at) {
    const bf_layer *layer = job->layer;
    uint32_t *window = to->window, *mask = to->mask;
    const uint32_t channels = to->channels, pixel_words = bf_words(layer->in_c);
    uint32_t valid = 0;
    for (int32_t ky = 0; ky < layer->kernel_h; ky++) {
        const int32_t iy = y * layer->stride_h - layer->pad_top + ky * layer->dilation_h;
        for (int32_t kx = 0; kx < layer->kernel_w; kx++, at += to->step) {
            const int32_t ix = x * layer->stride_w - layer->pad_left + kx * layer->dilation_w;
            if (iy >= 0 && iy < layer->in_h && ix >= 0 && ix < layer->in_w) {
                const size_t pixel = (size_t)iy * layer->in_w + (size_t)ix;
                const uint32_t *from = (const uint32_t *)job->inputs[0] + pixel * pixel_words;
                bf_append(window, at, from, first, channels);
            } else if (layer->pad_value == 0) {
                continue;
            } else if (layer->pad_value > 0) {
                append_ones(window, at, channels);
            }
            if (mask) {
                append_ones(mask, at, channels);
            }
            valid += channels;
        }
    }
    return valid;
}

/* The window, channels of one group: one part after the other, or the bits of a value side by side. */
BF_COLD static uint32_t gather(const bf_job *job, int32_t y, int32_t x, uint32_t group, gathered *to) {
    const bf_layer *layer = job->layer;
    const uint32_t bits = layer->in_thresholds, values = (uint32_t)(layer->in_c / bits);
    const uint32_t shared = layer->flags & BF_SHARED;
    uint32_t valid = 0;
    to->channels = values / layer->groups;
    to->step = to->channels * (shared ? 1u : bits);
    for (uint32_t t = 0; t < bits; t++) {
        valid += gather_part(job, y, x, t * values + group * to->channels, to,
                             t * (shared ? bf_filter_words(layer) * BF_WORD_BITS : to->channels));
    }
    return valid;
}

/* Of three words two are counted: their sum without carries, and their carries. */
uint32_t bf_count_differences(const uint32_t *a, const uint32_t *w, uint32_t n) {
    uint32_t count = 0;
    for (; n >= 3u; n -= 3u, a += 3, w += 3) {
        const uint32_t first = a[0] ^ w[0], second = a[1] ^ w[1], third = a[2] ^ w[2], differ = first ^ second;
        count += bf_popcount(differ ^ third) + 2u * bf_popcount((first & second) | (differ & third));
    }
    for (; n; n--) {
        count += bf_popcount(*a++ ^ *w++);
    }
    return count;
}

uint32_t bf_count_masked(const uint32_t *a, const uint32_t *w, const uint32_t *mask, uint32_t n) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < n; i++) {
        count += bf_popcount((a[i] ^ w[i]) & mask[i]);
    }
    return count;
}

/* The accumulators of the filters f .. end - 1, of a window of which `valid` taps count. mask: NULL: all do. */
BF_COLD static void put_filters(bf_epilogue *epilogue, uint32_t f, uint32_t end, const uint32_t *window,
                                const uint32_t *mask, const uint32_t *weights, uint32_t words, uint32_t parts,
                                uint32_t valid) {
    for (; f < end; f++, weights += words) {
        uint32_t differ = 0;
        for (uint32_t at = 0; at < parts * words; at += words) {
            differ += mask ? bf_count_masked(window + at, weights, mask + at, words)
                           : bf_count_differences(window + at, weights, words);
        }
        bf_put(epilogue, f, (int32_t)(valid - 2u * differ));
    }
}

/* ---- Dense layers without a pool. ---- */

BF_COLD static void run_lite(const bf_job *job) {
    const bf_layer *layer = job->layer;
    const uint32_t taps = bf_taps(layer), words = bf_words(taps);
    const uint32_t *window = (const uint32_t *)job->inputs[0];
    bf_epilogue epilogue = bf_epilogue_of(job);
    if (layer->in_c % BF_WORD_BITS) {
        bf_fill(job->scratch, 0, words * sizeof *window);
        for (uint32_t at = 0; at < taps; at += layer->in_c, window += bf_words(layer->in_c)) {
            bf_append(job->scratch, at, window, 0, layer->in_c);
        }
        window = job->scratch;
    }
    put_filters(&epilogue, 0, bf_filter_count(layer), window, NULL, (const uint32_t *)bf_at(job->model, layer->weights),
                words, 1, taps);
    bf_put_end(&epilogue);
}

/* ---- All layers. ---- */

BF_COLD static void run(const bf_job *job) {
    const bf_layer *layer = job->layer;
    const uint32_t words = bf_filter_words(layer), parts = bf_parts(layer);
    const uint32_t filters = bf_filter_count(layer) / layer->groups;
    uint32_t *window = job->scratch + bf_unpooled_size(layer) / sizeof(uint32_t);
    gathered to = {window, has_mask(layer) ? window + parts * words : NULL, 0, 0};
    bf_epilogue epilogue = bf_epilogue_of(job);
    if (is_lite(job->kernel, layer)) {
        run_lite(job);
        return;
    }
    for (int32_t y = 0; y < layer->conv_h; y++) {
        for (int32_t x = 0; x < layer->conv_w; x++) {
            const uint32_t *weights = (const uint32_t *)bf_at(job->model, layer->weights);
            for (uint32_t g = 0; g < layer->groups; g++, weights += (size_t)filters * words) {
                uint32_t valid;
                bf_fill(window, 0, (to.mask ? 2u : 1u) * (size_t)parts * words * sizeof *window);
                valid = gather(job, y, x, g, &to);
                put_filters(&epilogue, g * filters, (g + 1u) * filters, window, to.mask, weights, words, parts, valid);
            }
            bf_put_end(&epilogue);
        }
    }
    bf_pool(job);
}

const bf_kernel bf_conv_plain = {1u << BF_CONV | 1u << BF_DENSE, 0, NULL, conv_scratch, run, NULL};
const bf_kernel bf_conv_plain_lite = {1u << BF_DENSE, 0, is_lite, conv_scratch, run_lite, NULL};
