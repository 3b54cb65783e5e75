/*
 * input_sums.c - random first layers: the fast kernel against the accumulators of the definition.
 * Ends with 0 when all bits agree, else prints each layer that differs and ends with 1.
 *
 * SPDX-License-Identifier: MIT
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../firmware/lib/bitflow/src/kernels/input_sums.h"

#ifndef LAYERS
#define LAYERS 400u
#endif

static uint32_t state = 1;

static uint32_t below(uint32_t n) {
    state ^= state << 13;
    state ^= state >> 17;
    state ^= state << 5;
    return (state >> 8) % n;
}

static uint32_t between(uint32_t low, uint32_t high) {
    return low + below(high - low + 1u);
}

static void *allocated(size_t n) {
    void *p = malloc(n);
    if (!p) {
        printf("out of memory\n");
        exit(2);
    }
    return p;
}

/* What the layers that were tried had. */
static uint32_t covered, refused, shared, large, several;

typedef struct network {
    bf_header header;
    bf_layer layer;
    uint32_t arrays[]; /* weights, shift, invert */
} network;

static int32_t value_of(const network *net, const uint8_t *pixels, int32_t y, int32_t x, int32_t c) {
    const bf_layer *l = &net->layer;
    if (y < 0 || y >= l->in_h || x < 0 || x >= l->in_w) {
        return 0;
    }
    const uint8_t pixel = pixels[(y * l->in_w + x) * l->in_c + c];
    const int32_t value = net->header.dtype == BF_INT8 && pixel > 127 ? (int32_t)pixel - 256 : (int32_t)pixel;
    return value - net->header.zero_point;
}

static int32_t accumulator(const network *net, const uint32_t *weights, const uint8_t *pixels, int32_t y, int32_t x) {
    const bf_layer *l = &net->layer;
    int32_t sum = 0, i = 0;
    for (int32_t ky = 0; ky < l->kernel_h; ky++) {
        for (int32_t kx = 0; kx < l->kernel_w; kx++) {
            for (int32_t c = 0; c < l->in_c; c++, i++) {
                const int32_t value =
                    value_of(net, pixels, y * l->stride_h - l->pad_top + ky, x * l->stride_w - l->pad_left + kx, c);
                sum += weights[i / 32] >> (i % 32) & 1u ? value : -value;
            }
        }
    }
    return sum;
}

/* A shape that fits; small maps most of the time, so that there can be many. */
static void choose_shape(bf_layer *l) {
    l->kind = BF_INPUT_CONV;
    l->output = BF_BITS;
    l->weight_bits = 1;
    l->groups = l->dilation_h = l->dilation_w = 1;
    l->thresholds = (uint8_t)(below(2) ? 1 : between(2, 8));
    l->in_thresholds = 1;
    l->source_count = 1;
    l->sources[0] = BF_PIXELS;
    do {
        l->in_w = (uint16_t)(below(4) ? between(1, 70) : 32);
        l->in_h = (uint16_t)between(1, l->in_w > 40 ? 6 : 12);
        l->in_c = (uint16_t)(below(6) ? between(1, 4) : between(5, 9));
        l->kernel_h = (uint16_t)(below(3) ? 3 : between(1, 7));
        l->kernel_w = below(3) ? l->kernel_h : (uint16_t)between(1, 7);
        l->stride_h = (uint8_t)(below(2) ? 1 : between(1, 4));
        l->stride_w = below(3) ? l->stride_h : (uint8_t)between(1, 4);
        l->pad_top = (uint8_t)between(0, l->kernel_h);
        l->pad_left = (uint8_t)between(0, l->kernel_w);
        l->pad_bottom = (uint8_t)between(0, 3);
        l->pad_right = (uint8_t)(below(20) ? between(0, 3) : between(40, 80));
        l->out_c = (uint16_t)(l->thresholds * (below(8) ? between(1, 12) : between(30, 70)));
    } while (l->in_h + l->pad_top + l->pad_bottom < l->kernel_h || l->in_w + l->pad_left + l->pad_right < l->kernel_w);
    l->conv_h = (uint16_t)((l->in_h + l->pad_top + l->pad_bottom - l->kernel_h) / l->stride_h + 1);
    l->conv_w = (uint16_t)((l->in_w + l->pad_left + l->pad_right - l->kernel_w) / l->stride_w + 1);
    l->out_h = l->conv_h;
    l->out_w = l->conv_w;
}

static int32_t choose_shift(int32_t bound) {
    switch (below(8)) {
    case 0:
        return bound;
    case 1:
        return -bound - 1;
    case 2:
        return (int32_t)below(3) - 1;
    default:
        return (int32_t)below((uint32_t)bound / 4u + 1u) - bound / 8;
    }
}

/* Pixels: random, or all the least, or all the largest, or as far from the zero point as its filter has it. */
static void choose_pixels(uint8_t *pixels, size_t n, uint32_t flip) {
    const uint32_t how = below(5);
    for (size_t i = 0; i < n; i++) {
        const uint32_t pixel = how == 0 ? 0 : how == 1 ? 255 : how == 2 ? 255 * below(2) : below(256);
        pixels[i] = (uint8_t)(pixel ^ flip);
    }
}

static uint32_t differences(const network *net, const uint32_t *weights, const uint8_t *pixels, const uint32_t *got,
                            uint32_t stride) {
    const bf_layer *l = &net->layer;
    const uint32_t words = bf_words(bf_taps(l));
    const int32_t *shift = (const int32_t *)(const void *)((const uint8_t *)net + l->shift);
    const uint32_t *invert = (const uint32_t *)(const void *)((const uint8_t *)net + l->invert);
    uint32_t found = 0;
    for (uint32_t c = 0; c < l->out_c; c++) {
        for (int32_t y = 0, p = 0; y < l->conv_h; y++) {
            for (int32_t x = 0; x < l->conv_w; x++, p++) {
                const int32_t sum = accumulator(net, weights + c % bf_filter_count(l) * words, pixels, y, x);
                const uint32_t flip = l->invert ? invert[c / 32] >> c % 32 & 1u : 0u;
                const uint32_t want = (uint32_t)(sum + shift[c] >= 0) ^ flip;
                found += (got[c * stride + (uint32_t)p / 32] >> (p % 32) & 1u) != want;
            }
        }
    }
    return found;
}

static uint32_t try_layer(void) {
    bf_layer shape;
    memset(&shape, 0, sizeof shape);
    choose_shape(&shape);
    const uint32_t taps = bf_taps(&shape), words = bf_words(taps), filters = bf_filter_count(&shape);
    const uint32_t arrays = words * filters + shape.out_c;
    const size_t bytes = sizeof(network) + (arrays + bf_words(shape.out_c)) * sizeof(uint32_t);
    network *net = allocated(bytes);
    const uint32_t zero = below(3) ? below(256) : 255 * below(2); /* of pixels 0 .. 255 */
    bf_model model;
    bf_job job;

    memset(net, 0, bytes);
    net->header.dtype = (uint8_t)below(2);
    net->header.zero_point = (int16_t)((int32_t)zero - (net->header.dtype == BF_INT8 ? 128 : 0));
    net->layer = shape;
    net->layer.weights = sizeof *net;
    net->layer.shift = net->layer.weights + words * filters * (uint32_t)sizeof(uint32_t);
    net->layer.bound = taps * (zero > 127 ? zero : 255 - zero);
    if (shape.thresholds == 1 && below(2)) {
        net->layer.invert = (uint32_t)(sizeof *net + arrays * sizeof(uint32_t));
    }
    for (uint32_t i = 0; i < words * filters; i++) {
        const uint32_t word = below(8) ? below(0x10000) << 16 | below(0x10000) : below(2) ? 0 : 0xFFFFFFFFu;
        net->arrays[i] = (i + 1) % words ? word : word & bf_tail_mask(taps);
    }
    for (uint32_t c = 0; c < shape.out_c; c++) {
        net->arrays[words * filters + c] = (uint32_t)choose_shift((int32_t)net->layer.bound);
        net->arrays[arrays + c / 32] |= below(2) << c % 32;
    }

    uint32_t found = 0;
    /* Of a plan: that there are so many values, and 64 KB of scratch are enough, is not sure. */
    const uint32_t segment = below(2) ? 0 : between(1, 5);
    const size_t scratch_bytes = bf_input_sums_scratch(&net->layer, segment);
    const bf_choice choice = {BF_USE_INPUT_SUMS, segment, 0, 0};
    if (scratch_bytes == BF_NOT_COVERED) {
        refused++;
        found = taps <= 128 && segment == 0; /* of the shapes above only those with more taps */
    } else {
        const size_t n = (size_t)shape.in_h * shape.in_w * shape.in_c;
        const uint32_t stride = bf_words((uint32_t)shape.conv_h * shape.conv_w) + below(2);
        uint8_t *pixels = allocated(n);
        uint32_t *scratch = allocated(scratch_bytes);
        uint32_t *got = allocated((size_t)shape.out_c * stride * sizeof *got);
        memset(&model, 0, sizeof model);
        memset(&job, 0, sizeof job);
        model.base = (const uint8_t *)net;
        model.layers = job.layer = &net->layer;
        job.model = &model;
        job.choice = &choice;
        job.inputs[0] = pixels;
        choose_pixels(pixels, n, net->header.dtype == BF_INT8 ? 0x80u : 0u);
        memset(scratch, 0xA5, scratch_bytes);
        memset(got, 0xA5, (size_t)shape.out_c * stride * sizeof *got);
        bf_input_sums_run(&job, bf_sums_of_several, scratch, got, stride);
        found = differences(net, net->arrays, pixels, got, stride);
        free(pixels);
        free(scratch);
        free(got);
        covered++;
        several += shape.thresholds > 1;
        shared += shape.stride_w == 1 && shape.kernel_w > 1;
        large += net->layer.bound > 16383;
    }
    if (found) {
        printf("%u of %ux%ux%u, kernel %ux%u, stride %ux%u, padding %u %u %u %u, %u filters differ\n", (unsigned)found,
               shape.in_h, shape.in_w, shape.in_c, shape.kernel_h, shape.kernel_w, shape.stride_h, shape.stride_w,
               shape.pad_top, shape.pad_left, shape.pad_bottom, shape.pad_right, shape.out_c);
    }
    free(net);
    return found != 0;
}

static uint32_t not_covered_must_be_said(void) {
    bf_layer l, other;
    memset(&l, 0, sizeof l);
    l.kind = BF_INPUT_CONV;
    l.output = BF_BITS;
    l.weight_bits = l.dilation_h = l.dilation_w = l.stride_h = l.stride_w = 1;
    l.groups = l.thresholds = l.in_thresholds = 1;
    l.kernel_h = l.kernel_w = 3;
    l.in_h = l.in_w = l.conv_h = l.conv_w = 32;
    l.pad_top = l.pad_left = l.pad_bottom = l.pad_right = 1;
    l.in_c = 3;
    l.out_c = 32;
    l.bound = 27 * 255;
    uint32_t failures = bf_input_sums_scratch(&l, 0) == BF_NOT_COVERED;
#define REFUSED(change)                                                                                                \
    other = l;                                                                                                         \
    other.change;                                                                                                      \
    failures += bf_input_sums_scratch(&other, 0) != BF_NOT_COVERED
    REFUSED(kind = BF_WIDE_CONV);
    REFUSED(output = BF_INTEGERS);
    REFUSED(output = BF_SCORES);
    REFUSED(groups = 3);
    REFUSED(dilation_h = 2);
    REFUSED(dilation_w = 2);
    REFUSED(in_c = 15);
    REFUSED(kernel_h = 65535);
    REFUSED(kernel_w = 65535);
    REFUSED(out_c = 65535);
    REFUSED(bound = 27 * 255 + 1);
    failures += bf_input_sums_scratch(&l, 5) == BF_NOT_COVERED || bf_input_sums_scratch(&l, 6) != BF_NOT_COVERED;
    l.thresholds = 2;
    failures += bf_input_sums_scratch(&l, 0) == BF_NOT_COVERED;
    REFUSED(invert = 4);
    return failures;
}

int main(void) {
    uint32_t failures = not_covered_must_be_said();
    for (uint32_t i = 0; i < LAYERS; i++) {
        failures += try_layer();
    }
    /* That the choice above reaches what it is for. */
    failures +=
        covered < LAYERS / 2 || refused < 1 || shared < LAYERS / 8 || large < LAYERS / 50 || several < LAYERS / 4;
    printf("%u failures\n", (unsigned)failures);
    return failures != 0;
}
