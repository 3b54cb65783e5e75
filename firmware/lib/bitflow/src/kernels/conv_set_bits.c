/*
 * conv_set_bits.c - convolution and dense layers on bits by lists of set bits, in the public form of maps.
 *
 * Filters are the lanes: a plane has the weights of one input, a bit for each filter of a block of filters. Planes lie
 * in a plan. Of n inputs m are 1; S is the sum of their planes, W the number of weights of +1. Then a filter's
 * accumulator is 4 S - 2 m - 2 W + n, and its bit, accumulator + shift >= 0, is 1 if
 *
 *   2 S - m >= ceil((2 W - n - shift) / 2)
 *
 * The count starts m / 2 below a constant, and the plan has the threshold for even and for odd m. Where many
 * more than half of the inputs are 1, the inputs that are 0 are listed: this negates all inputs, so the shift is
 * -1 - shift and the bit is inverted. The list is made once for each position and serves all blocks of filters.
 *
 * SPDX-License-Identifier: MIT
 */
#include "conv_set_bits.h"
#include "conv_plain.h"
#include "../patterns/lanes.h"
#include "epilogue.h"

/* More ones than this are not listed: the list of the zeros is shorter then. */
static uint32_t most_listed(uint32_t inputs) {
    return inputs / 2u + inputs / 8u + 1u;
}

/* A count starts at this, less half of the listed inputs. */
static uint32_t start_of(uint32_t inputs) {
    return most_listed(inputs) / 2u + 1u;
}

#define CASES 4u /* of a threshold: even and odd number of listed inputs; ones and zeros listed */

/* Lanes of all thresholds of a block of filters. */
static uint32_t threshold_lanes(const bf_layer *layer) {
    return layer->thresholds * CASES * BF_COUNT_DIGITS;
}

/* Lanes of a block of filters in the plan: its thresholds, the planes of all inputs, a plane of zeros. */
static uint32_t block_lanes(const bf_layer *layer) {
    return threshold_lanes(layer) + bf_taps(layer) + 1u;
}

static uint32_t blocks_of(const bf_layer *layer) {
    return (bf_words(bf_filter_count(layer)) + BF_LANE_WORDS - 1u) / BF_LANE_WORDS;
}

BF_COLD uint32_t bf_set_bits_size(const bf_layer *layer) {
    return blocks_of(layer) * block_lanes(layer) * (uint32_t)sizeof(bf_lanes);
}

BF_COLD static int covers(const bf_kernel *kernel, const bf_layer *layer) {
    (void)kernel;
    const uint32_t padding = (uint32_t)layer->pad_top | layer->pad_left | layer->pad_bottom | layer->pad_right;
    /* A count stays below start_of() and most_listed() together; an entry is a byte offset of 16 bits. */
    return layer->output == BF_BITS && !layer->flags && layer->groups == 1 && !layer->invert &&
           !(padding && layer->pad_value == 0) && start_of(bf_taps(layer)) + most_listed(bf_taps(layer)) < BF_COUNTED &&
           (bf_taps(layer) + 1u) * sizeof(bf_lanes) <= 0x10000u;
}

/* The map before the pool, the counts, and the list with room for a word and a run more than it may have. */
BF_COLD static size_t scratch(const bf_job *job) {
    const uint32_t entries = 1u + most_listed(bf_taps(job->layer)) + BF_WORD_BITS + BF_RUN;
    return bf_unpooled_size(job->layer) + 2u * sizeof(bf_count) + (entries + 1u) / 2u * sizeof(uint32_t);
}

/* Lists the planes of the bits of a word that are 1, from the highest bit down: that takes the fewest instructions. */
static uint16_t *list_word(uint16_t *to, uint32_t set, uint32_t first) {
    const uint32_t base = (first + BF_WORD_BITS - 1u) * (uint32_t)sizeof(bf_lanes);
    while (set) {
        const uint32_t above = bf_leading_zeros(set);
        *to++ = (uint16_t)(base - above * sizeof(bf_lanes));
        set &= ~(0x80000000u >> above);
    }
    return to;
}

/* The planes of the bits of a tap, all inputs from number `first` on, that differ from `flip`; NULL: more than `most`.
 */
static uint16_t *list_tap(uint16_t *to, const uint16_t *most, const uint32_t *words, uint32_t flip, uint32_t channels,
                          uint32_t first) {
    for (; channels > BF_WORD_BITS; channels -= BF_WORD_BITS, first += BF_WORD_BITS) {
        to = list_word(to, *words++ ^ flip, first);
        if (to > most) {
            return NULL;
        }
    }
    to = list_word(to, (*words ^ flip) & bf_tail_mask(channels), first);
    return to > most ? NULL : to;
}

/* All inputs of a tap outside the map, which are equal. */
static uint16_t *list_padding(uint16_t *to, const uint16_t *most, uint32_t channels, uint32_t first) {
    for (; channels && to <= most; channels--, first++) {
        *to++ = (uint16_t)(first * sizeof(bf_lanes));
    }
    return to > most ? NULL : to;
}

/* The list of the inputs under the window of position (y, x) that differ from `flip`; how many, 2^16: more than `most`.
 */
static uint32_t list_window(const bf_job *job, int32_t y, int32_t x, uint32_t flip, uint16_t *list, uint32_t most) {
    const bf_layer *l = job->layer;
    const uint32_t words = bf_words(l->in_c);
    const uint32_t padding = l->pad_value > 0 ? 0xFFFFFFFFu : 0u;
    uint16_t *to = list + 1;
    uint32_t at = 0, listed, filled;
    for (int32_t ky = 0; ky < l->kernel_h; ky++) {
        const int32_t iy = y * l->stride_h - l->pad_top + ky * l->dilation_h;
        for (int32_t kx = 0; kx < l->kernel_w; kx++, at += l->in_c) {
            const int32_t ix = x * l->stride_w - l->pad_left + kx * l->dilation_w;
            if (iy >= 0 && iy < l->in_h && ix >= 0 && ix < l->in_w) {
                const size_t position = (size_t)iy * l->in_w + (size_t)ix;
                to = list_tap(to, list + 1 + most, (const uint32_t *)job->inputs[0] + position * words, flip, l->in_c,
                              at);
            } else if (padding != flip) {
                to = list_padding(to, list + 1 + most, l->in_c, at);
            }
            if (!to) {
                return 0x10000u;
            }
        }
    }
    listed = (uint32_t)(to - list) - 1u;
    filled = (listed + BF_RUN - 1u) / BF_RUN * BF_RUN;
    for (uint32_t i = listed; i < filled; i++) {
        *to++ = (uint16_t)(bf_taps(l) * sizeof(bf_lanes));
    }
    *list = (uint16_t)(filled / BF_RUN);
    return listed;
}

/* Lanes whose count is at least the threshold. */
static bf_lanes at_least(const bf_count *count, const bf_lanes *threshold) {
    bf_lanes more = ~bf_no_lanes();
    for (uint32_t i = 0; i < BF_COUNT_DIGITS; i++) {
        const bf_lanes differs = count->digit[i] ^ threshold[i];
        more = (count->digit[i] & differs) | (more & ~differs);
    }
    return more;
}

/* Writes the bits of the filters from `first` on, of a layer with one threshold. */
static void put(uint32_t filters, uint32_t first, bf_lanes bits, uint32_t *to) {
    const uint32_t *words = (const uint32_t *)(const void *)&bits;
    const uint32_t all = bf_words(filters);
    for (uint32_t i = 0, at = first / BF_WORD_BITS; i < BF_LANE_WORDS && at < all; i++, at++) {
        to[at] = at + 1u < all ? words[i] : words[i] & bf_tail_mask(filters);
    }
}

/* The same of each of several thresholds, whose bits begin anywhere in words that are 0 so far. */
static void put_each(const bf_layer *l, uint32_t first, const bf_lanes *threshold, uint32_t flip,
                     const bf_count *counts, uint32_t *to) {
    const uint32_t filters = bf_filter_count(l), left = filters - first, n = left < BF_LANES ? left : BF_LANES;
    for (uint32_t at = first; at < l->out_c; at += filters, threshold += CASES * BF_COUNT_DIGITS) {
        const bf_lanes more = at_least(counts, threshold), bits = flip ? ~more : more;
        bf_append(to, at, (const uint32_t *)(const void *)&bits, 0, n);
    }
}

/* All filters at one position. */
static void run_position(const bf_job *job, const uint16_t *list, uint32_t listed, uint32_t flip, bf_count *counts,
                         uint32_t *to) {
    const bf_layer *l = job->layer;
    const uint32_t filters = bf_filter_count(l), planes = threshold_lanes(l), several = l->thresholds > 1u;
    const uint32_t start = BF_START(start_of(bf_taps(l)) - listed / 2u, 1), step = block_lanes(l);
    const bf_lanes *block = (const bf_lanes *)bf_plan_data(job);
    if (several) {
        bf_fill(to, 0, bf_words(l->out_c) * sizeof *to);
    }
    for (uint32_t first = 0; first < filters; first += BF_LANES, block += step) {
        const bf_lanes *threshold = block + ((flip & 2u) | (listed & 1u)) * BF_COUNT_DIGITS;
        bf_add_lists16(block + planes, list, counts, start);
        if (several) {
            put_each(l, first, threshold, flip, counts, to);
        } else {
            const bf_lanes more = at_least(counts, threshold);
            put(filters, first, flip ? ~more : more, to);
        }
    }
}

static void run(const bf_job *job) {
    const bf_layer *l = job->layer;
    bf_count *counts = (bf_count *)(void *)(job->scratch + bf_unpooled_size(l) / sizeof(uint32_t));
    uint16_t *list = (uint16_t *)(void *)(counts + 2);
    uint32_t *to = l->pool_h ? job->scratch : (uint32_t *)job->output;
    for (int32_t y = 0; y < l->conv_h; y++) {
        for (int32_t x = 0; x < l->conv_w; x++, to += bf_words(l->out_c)) {
            uint32_t flip = 0;
            uint32_t listed = list_window(job, y, x, flip, list, most_listed(bf_taps(l)));
            if (listed > bf_taps(l)) {
                flip = 0xFFFFFFFFu;
                listed = list_window(job, y, x, flip, list, most_listed(bf_taps(l)));
            }
            run_position(job, list, listed, flip, counts, to);
        }
    }
    bf_pool(job);
}

const bf_kernel bf_conv_set_bits = {1u << BF_CONV | 1u << BF_DENSE, BF_NEEDS_PLAN, covers, scratch, run, NULL};
