/*
 * open.c - bf_open: an image from anywhere is checked whole before anything in it is believed.
 *
 * What holds afterwards, and is all that a run relies on: every offset with the length that its layer's shape asks for
 * lies between the first byte and the CRC, on 4 bytes; strings end inside; shapes follow from each other; sizes fit 32
 * bits with room; accumulator, BatchShift and score cannot overflow.
 *
 * SPDX-License-Identifier: MIT
 */
#include "internal.h"

const bf_kernel *const bf_all_kernels[BF_KINDS] = {
    [BF_INPUT_CONV] = &bf_input_conv_plain,
    [BF_CONV] = &bf_conv_plain,
    [BF_DENSE] = &bf_conv_plain,
};

typedef struct image {
    const uint8_t *base;
    const bf_header *header;
    uint32_t end; /* of what offsets may reach: where the CRC stands */
} image;

#define BF_CHECK(condition, status)                                                                                    \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            return (status);                                                                                           \
        }                                                                                                              \
    } while (0)

/* `count` items of 4 bytes at `offset`. */
static bf_status check_words(const image *im, uint32_t offset, uint64_t count) {
    BF_CHECK(offset % 4u == 0u && offset >= sizeof(bf_header), BF_ERR_BOUNDS);
    BF_CHECK(offset <= im->end && count <= (im->end - offset) / 4u, BF_ERR_BOUNDS);
    return BF_OK;
}

/* `count` strings, one after the other. */
static bf_status check_text(const image *im, uint32_t offset, uint32_t count) {
    if (offset == 0) {
        return BF_OK;
    }
    BF_CHECK(offset >= sizeof(bf_header), BF_ERR_TEXT);
    while (count--) {
        do {
            BF_CHECK(offset < im->end, BF_ERR_TEXT);
        } while (im->base[offset++]);
    }
    return BF_OK;
}

/* One axis of a window: does `out` follow from the rest? All numbers are below 2^25. */
static int axis_fits(int32_t in, int32_t before, int32_t after, int32_t kernel, int32_t dilation, int32_t stride,
                     int32_t out) {
    const int32_t room = in + before + after - (dilation * (kernel - 1) + 1);
    return kernel > 0 && dilation > 0 && stride > 0 && room >= 0 && out == room / stride + 1;
}

static bf_status check_window(const bf_layer *l) {
    BF_CHECK(l->in_h && l->in_w && l->in_c && l->out_c && l->groups, BF_ERR_SHAPE);
    BF_CHECK(l->in_c % l->groups == 0 && l->out_c % l->groups == 0, BF_ERR_SHAPE);
    BF_CHECK(axis_fits(l->in_h, l->pad_top, l->pad_bottom, l->kernel_h, l->dilation_h, l->stride_h, l->conv_h) &&
                 axis_fits(l->in_w, l->pad_left, l->pad_right, l->kernel_w, l->dilation_w, l->stride_w, l->conv_w),
             BF_ERR_SHAPE);
    if (l->kind == BF_DENSE) {
        /* Kernel and map are one, so conv_h, conv_w are 1 with any stride: written as 1. */
        BF_CHECK(l->kernel_h == l->in_h && l->kernel_w == l->in_w && l->groups == 1 && l->stride_h == 1 &&
                     l->stride_w == 1 && l->dilation_h == 1 && l->dilation_w == 1 &&
                     !(l->pad_top | l->pad_left | l->pad_bottom | l->pad_right),
                 BF_ERR_SHAPE);
    }
    BF_CHECK(l->pad_value >= -1 && l->pad_value <= 1, BF_ERR_SHAPE);
    BF_CHECK(l->kind == BF_CONV || l->pad_value == 0, BF_ERR_SHAPE);
    return BF_OK;
}

static bf_status check_pool(const bf_layer *l) {
    if (!l->pool_h) {
        BF_CHECK(!(l->pool_w | l->pool_stride_h | l->pool_stride_w | l->pool_top | l->pool_left | l->pool_bottom |
                   l->pool_right) &&
                     !l->pool_and,
                 BF_ERR_SHAPE);
        BF_CHECK(l->out_h == l->conv_h && l->out_w == l->conv_w, BF_ERR_SHAPE);
        return BF_OK;
    }
    /* Padding below the window's size: no window lies outside the map. */
    BF_CHECK(l->pool_top < l->pool_h && l->pool_bottom < l->pool_h && l->pool_left < l->pool_w &&
                 l->pool_right < l->pool_w,
             BF_ERR_SHAPE);
    BF_CHECK(axis_fits(l->conv_h, l->pool_top, l->pool_bottom, l->pool_h, 1, l->pool_stride_h, l->out_h) &&
                 axis_fits(l->conv_w, l->pool_left, l->pool_right, l->pool_w, 1, l->pool_stride_w, l->out_w),
             BF_ERR_SHAPE);
    return BF_OK;
}

static int map_fits(uint32_t h, uint32_t w, uint32_t c) {
    return (uint64_t)h * w * bf_words(c) <= BF_MAP_LIMIT / sizeof(uint32_t);
}

/* R, the largest absolute accumulator, as far as it fits; more than BF_REACH_LIMIT else. */
static uint64_t reach_of(const image *im, const bf_layer *l) {
    const uint64_t area = (uint64_t)l->kernel_h * l->kernel_w;
    const uint32_t channels = (uint32_t)(l->in_c / l->groups);
    const int32_t low = im->header->dtype == BF_INT8 ? -128 : 0;
    const int32_t below = im->header->zero_point - low;
    const int32_t above = low + 255 - im->header->zero_point;
    const uint32_t pixel = l->kind == BF_INPUT_CONV ? (uint32_t)(below > above ? below : above) : 1u;
    return area > BF_REACH_LIMIT ? area : area * channels * pixel;
}

/* The last word of each of `count` strings of `bits` bits has zeros above them. */
static bf_status check_tails(const uint32_t *words, uint32_t count, uint32_t bits) {
    const uint32_t stride = bf_words(bits);
    for (uint32_t i = 1; i <= count; i++) {
        BF_CHECK((words[(size_t)i * stride - 1u] & ~bf_tail_mask(bits)) == 0, BF_ERR_RANGE);
    }
    return BF_OK;
}

static bf_status check_numbers(const image *im, const bf_layer *l, int64_t reach) {
    const int32_t *shift = (const int32_t *)(const void *)(im->base + l->shift);
    const int32_t *offset = (const int32_t *)(const void *)(im->base + l->offset);
    for (uint32_t c = 0; c < l->out_c; c++) {
        if (l->output == BF_BITS) {
            BF_CHECK(shift[c] >= -(reach + 1) && shift[c] <= reach, BF_ERR_RANGE);
        } else {
            const int64_t scale = shift[c] < 0 ? -(int64_t)shift[c] : shift[c];
            const int64_t most = scale * reach + (offset[c] < 0 ? -(int64_t)offset[c] : offset[c]);
            BF_CHECK(most <= INT32_MAX, BF_ERR_RANGE);
        }
    }
    return BF_OK;
}

/* Where the arrays lie. */
static bf_status check_arrays(const image *im, const bf_layer *l) {
    const uint32_t pool_words = bf_words(l->out_c);
    bf_status status;
    BF_CHECK(reach_of(im, l) <= BF_REACH_LIMIT, BF_ERR_RANGE);
    if ((status = check_words(im, l->weights, (uint64_t)l->out_c * bf_words(bf_taps(l)))) != BF_OK ||
        (status = check_words(im, l->shift, l->out_c)) != BF_OK ||
        (l->output == BF_SCORES && (status = check_words(im, l->offset, l->out_c)) != BF_OK) ||
        (l->pool_and && (status = check_words(im, l->pool_and, pool_words)) != BF_OK)) {
        return status;
    }
    return BF_OK;
}

/* What is in them. */
static bf_status check_contents(const image *im, const bf_layer *l) {
    bf_status status = check_tails((const uint32_t *)(const void *)(im->base + l->weights), l->out_c, bf_taps(l));
    if (status == BF_OK && l->pool_and) {
        status = check_tails((const uint32_t *)(const void *)(im->base + l->pool_and), 1, l->out_c);
    }
    return status == BF_OK ? check_numbers(im, l, (int64_t)reach_of(im, l)) : status;
}

/* A layer for itself; whether it follows from the one before is the caller's to check. */
static bf_status check_layer(const image *im, const bf_layer *l, int first, int last) {
    bf_status status;
    BF_CHECK(l->kind < BF_KINDS, BF_ERR_KIND);
    BF_CHECK((l->kind == BF_INPUT_CONV) == first, BF_ERR_KIND);
    BF_CHECK(l->output == (last ? BF_SCORES : BF_BITS), BF_ERR_KIND);
    BF_CHECK(!l->reserved0 && !l->reserved1, BF_ERR_SHAPE);
    if ((status = check_window(l)) != BF_OK || (status = check_pool(l)) != BF_OK ||
        (status = check_text(im, l->name, 1)) != BF_OK) {
        return status;
    }
    BF_CHECK(map_fits(l->conv_h, l->conv_w, l->out_c), BF_ERR_SHAPE);
    BF_CHECK(map_fits(l->in_h, l->in_w, l->in_c), BF_ERR_SHAPE);
    if (last) {
        BF_CHECK(l->conv_h == 1 && l->conv_w == 1 && !l->pool_h && l->out_c == im->header->classes, BF_ERR_SHAPE);
    } else {
        BF_CHECK(l->offset == 0, BF_ERR_SHAPE);
    }
    return check_arrays(im, l);
}

static bf_status check_header(const image *im) {
    const bf_header *h = im->header;
    const int32_t low = h->dtype == BF_INT8 ? -128 : 0;
    bf_status status;
    BF_CHECK(!h->flags && !h->reserved0 && !(h->reserved1[0] | h->reserved1[1] | h->reserved1[2]), BF_ERR_HEADER);
    BF_CHECK(h->dtype <= BF_INT8 && h->channel_order <= BF_ORDER_OTHER && h->resize <= BF_RESIZE_CROP, BF_ERR_HEADER);
    BF_CHECK(h->zero_point >= low && h->zero_point <= low + 255, BF_ERR_HEADER);
    BF_CHECK(h->layer_count >= 1 && h->layer_count <= BF_LAYER_LIMIT, BF_ERR_HEADER);
    BF_CHECK(h->classes >= 1 && h->classes <= 65535u, BF_ERR_HEADER);
    BF_CHECK(h->extra <= im->end && h->extra_size <= im->end - h->extra, BF_ERR_BOUNDS);
    if ((status = check_words(im, h->layers, (uint64_t)h->layer_count * (sizeof(bf_layer) / 4u))) != BF_OK ||
        (status = check_text(im, h->name, 1)) != BF_OK) {
        return status;
    }
    return check_text(im, h->labels, h->classes);
}

/* Only after check_header(). */
static const bf_layer *layers_of(const image *im) {
    return (const bf_layer *)(const void *)(im->base + im->header->layers);
}

/* All but the contents of the arrays. Arena: the largest need of any layer; each summand is below 2^29. */
static bf_status check_structure(const image *im, uint32_t *arena) {
    const bf_header *h = im->header;
    const bf_layer *layers;
    uint32_t height = h->height, width = h->width, channels = h->channels;
    size_t in = 0;
    bf_status status = check_header(im);
    BF_CHECK(status == BF_OK, status);
    layers = layers_of(im);
    *arena = 0;
    for (uint32_t i = 0; i < h->layer_count; i++) {
        const bf_layer *l = &layers[i];
        const int last = i + 1u == h->layer_count;
        size_t out, need;
        status = check_layer(im, l, i == 0, last);
        BF_CHECK(status == BF_OK, status);
        BF_CHECK(l->in_h == height && l->in_w == width && l->in_c == channels, BF_ERR_CHAIN);
        out = last ? 0 : bf_map_size(l->out_h, l->out_w, l->out_c);
        need = in + out + bf_all_kernels[l->kind]->scratch(l);
        if (need > *arena) {
            *arena = (uint32_t)need;
        }
        height = l->out_h;
        width = l->out_w;
        channels = l->out_c;
        in = out;
    }
    return BF_OK;
}

static bf_status open_image(bf_model *model, const uint8_t *base, size_t size) {
    image im = {base, (const bf_header *)(const void *)base, 0};
    const bf_layer *layers;
    uint32_t arena, crc;
    bf_status status;
    BF_CHECK((uintptr_t)base % BF_IMAGE_ALIGN == 0, BF_ERR_ALIGNMENT);
    BF_CHECK(size >= sizeof(bf_header) + sizeof crc, BF_ERR_TRUNCATED);
    BF_CHECK(im.header->magic == BF_MAGIC, BF_ERR_MAGIC);
    BF_CHECK(im.header->version == BF_IMAGE_VERSION, BF_ERR_VERSION);
    BF_CHECK(im.header->size <= size, BF_ERR_TRUNCATED);
    BF_CHECK(im.header->size == size && size % 4u == 0, BF_ERR_HEADER);
    im.end = im.header->size - (uint32_t)sizeof crc;
    bf_copy(&crc, base + im.end, sizeof crc);
    BF_CHECK(bf_crc32(0, base, im.end) == crc, BF_ERR_CRC);
    status = check_structure(&im, &arena);
    BF_CHECK(status == BF_OK, status);
    layers = layers_of(&im);
    for (uint32_t i = 0; i < im.header->layer_count; i++) {
        status = check_contents(&im, &layers[i]);
        BF_CHECK(status == BF_OK, status);
    }
    model->base = base;
    model->layers = layers;
    model->layer_count = im.header->layer_count;
    model->size = im.header->size;
    model->arena_size = arena;
    model->crc = crc;
    model->kernels = bf_all_kernels;
    return BF_OK;
}

bf_status bf_open(bf_model *model, const void *bytes, size_t size) {
    BF_CHECK(model && bytes, BF_ERR_ARGUMENT);
    bf_fill(model, 0, sizeof *model);
    return open_image(model, (const uint8_t *)bytes, size);
}

bf_status bf_check(const bf_model *model) {
    image im;
    uint32_t arena;
    bf_status status;
    BF_CHECK(model && model->base, BF_ERR_ARGUMENT);
    im.base = model->base;
    im.header = bf_header_of(model);
    im.end = model->size - (uint32_t)sizeof(uint32_t);
    status = check_structure(&im, &arena);
    BF_CHECK(status == BF_OK, status);
    BF_CHECK(arena == model->arena_size && im.header->layer_count == model->layer_count &&
                 layers_of(&im) == model->layers,
             BF_ERR_HEADER);
    return BF_OK;
}
