/*
 * check.c - whether the records of an image are those of a network: each for itself, with its sources, in the arena.
 *
 * Nothing here looks at the arrays. What holds afterwards: shapes follow from each other; a layer reads what its
 * sources wrote; no map is read after another one took its memory; sizes fit 32 bits with room.
 *
 * SPDX-License-Identifier: MIT
 */
#include "check.h"

/* ---- A layer for itself. ---- */

static int has_filters(const bf_layer *l) {
    return l->kind <= BF_WIDE_CONV;
}

static bf_status check_kind(const bf_layer *l, int last) {
    BF_CHECK(l->kind < BF_KINDS, BF_ERR_KIND);
    BF_CHECK(last ? l->output == BF_SCORES : l->output == BF_BITS || l->output == BF_INTEGERS, BF_ERR_KIND);
    BF_CHECK(l->kind != BF_CONCAT || l->output == BF_BITS, BF_ERR_KIND);
    if (l->kind == BF_WIDE_CONV) {
        BF_CHECK(l->weight_bits == 1 || l->weight_bits == 8, BF_ERR_KIND);
    } else {
        BF_CHECK(l->weight_bits == has_filters(l), BF_ERR_KIND);
    }
    BF_CHECK(!(l->flags & ~(BF_SHARED | BF_PER_POSITION)) && !(l->reserved[0] | l->reserved[1]), BF_ERR_SHAPE);
    BF_CHECK(!(l->flags & BF_PER_POSITION), BF_ERR_FEATURE);
    return BF_OK;
}

/* Bits of an accumulator, and of a value of the source. */
static bf_status check_thresholds(const bf_layer *l) {
    const uint32_t most = l->output == BF_BITS && l->kind != BF_CONCAT ? BF_MAX_THRESHOLDS : 1u;
    const int counts = l->kind == BF_CONV || l->kind == BF_DENSE || l->kind == BF_WIDE_CONV;
    BF_CHECK(l->thresholds >= 1 && l->thresholds <= most && (uint32_t)l->out_c % l->thresholds == 0, BF_ERR_SHAPE);
    BF_CHECK(l->in_thresholds >= 1 && l->in_thresholds <= (counts ? BF_MAX_THRESHOLDS : 1u), BF_ERR_SHAPE);
    BF_CHECK((uint32_t)l->in_c % l->in_thresholds == 0 && (l->in_thresholds > 1 || !(l->flags & BF_SHARED)),
             BF_ERR_SHAPE);
    return BF_OK;
}

/* One axis of a window: does `out` follow from the rest? All numbers are below 2^25. */
static int axis_fits(int32_t in, int32_t before, int32_t after, int32_t kernel, int32_t dilation, int32_t stride,
                     int32_t out) {
    const int32_t room = in + before + after - (dilation * (kernel - 1) + 1);
    return kernel > 0 && dilation > 0 && stride > 0 && room >= 0 && out == room / stride + 1;
}

static bf_status check_window(const bf_layer *l) {
    const int whole = l->kind == BF_DENSE || l->kind == BF_TOTAL; /* the kernel is the map */
    BF_CHECK(l->in_h && l->in_w && l->in_c && l->out_c && l->groups, BF_ERR_SHAPE);
    BF_CHECK((uint32_t)l->in_c / l->in_thresholds % l->groups == 0 && bf_filter_count(l) % l->groups == 0,
             BF_ERR_SHAPE);
    BF_CHECK(axis_fits(l->in_h, l->pad_top, l->pad_bottom, l->kernel_h, l->dilation_h, l->stride_h, l->conv_h) &&
                 axis_fits(l->in_w, l->pad_left, l->pad_right, l->kernel_w, l->dilation_w, l->stride_w, l->conv_w),
             BF_ERR_SHAPE);
    if (whole || !has_filters(l)) {
        /* A single window, or windows of one position: stride and dilation are written as 1. */
        BF_CHECK(l->kernel_h == (whole ? l->in_h : 1) && l->kernel_w == (whole ? l->in_w : 1) && l->groups == 1 &&
                     l->stride_h == 1 && l->stride_w == 1 && l->dilation_h == 1 && l->dilation_w == 1 &&
                     !(l->pad_top | l->pad_left | l->pad_bottom | l->pad_right),
                 BF_ERR_SHAPE);
    }
    BF_CHECK(has_filters(l) || bf_filter_count(l) == l->in_c, BF_ERR_SHAPE);
    BF_CHECK(!has_filters(l) || (uint64_t)l->kernel_h * l->kernel_w * ((uint32_t)l->in_c / l->groups) <= BF_TAP_LIMIT,
             BF_ERR_SHAPE);
    return BF_OK;
}

static bf_status check_pool(const bf_layer *l) {
    if (!l->pool_h) {
        BF_CHECK(!(l->pool_w | l->pool_stride_h | l->pool_stride_w | l->pool_top | l->pool_left | l->pool_bottom |
                   l->pool_right),
                 BF_ERR_SHAPE);
        BF_CHECK(l->out_h == l->conv_h && l->out_w == l->conv_w, BF_ERR_SHAPE);
        return BF_OK;
    }
    BF_CHECK(l->kind != BF_CONCAT && l->output != BF_SCORES, BF_ERR_SHAPE);
    /* Padding below the window's size: no window lies outside the map. */
    BF_CHECK(l->pool_top < l->pool_h && l->pool_bottom < l->pool_h && l->pool_left < l->pool_w &&
                 l->pool_right < l->pool_w,
             BF_ERR_SHAPE);
    BF_CHECK(axis_fits(l->conv_h, l->pool_top, l->pool_bottom, l->pool_h, 1, l->pool_stride_h, l->out_h) &&
                 axis_fits(l->conv_w, l->pool_left, l->pool_right, l->pool_w, 1, l->pool_stride_w, l->out_w),
             BF_ERR_SHAPE);
    return BF_OK;
}

/* No array that an output of this kind cannot have. open.c checks where arrays lie and what is in them. */
static bf_status check_roles(const bf_layer *l) {
    const int compared = l->output == BF_BITS && l->kind != BF_CONCAT;
    BF_CHECK(has_filters(l) || !l->weights, BF_ERR_SHAPE);
    BF_CHECK(compared || l->output == BF_SCORES || !l->shift, BF_ERR_SHAPE);
    BF_CHECK(l->output == BF_SCORES || !l->offset, BF_ERR_SHAPE);
    BF_CHECK((compared && l->pool_h) || !l->pool_and, BF_ERR_SHAPE);
    BF_CHECK(compared || !l->invert, BF_ERR_SHAPE);
    return BF_OK;
}

static int map_fits(uint32_t h, uint32_t w, uint32_t position_words) {
    return (uint64_t)h * w * position_words <= BF_MAP_LIMIT / sizeof(uint32_t);
}

static bf_status check_maps(const bf_image *im, const bf_layer *l) {
    const uint32_t words = bf_position_words(l->output, l->out_c);
    BF_CHECK(map_fits(l->in_h, l->in_w, bf_words(l->in_c)), BF_ERR_SHAPE);
    BF_CHECK(map_fits(l->conv_h, l->conv_w, words), BF_ERR_SHAPE);
    BF_CHECK(map_fits(l->out_h, l->out_w, words), BF_ERR_SHAPE);
    if (l->output == BF_SCORES) {
        BF_CHECK(l->conv_h == 1 && l->conv_w == 1 && l->out_c == im->header->classes, BF_ERR_SHAPE);
    }
    return BF_OK;
}

/* ---- A layer with its sources. ---- */

static int accepts(const bf_layer *l, uint32_t type) {
    switch (l->kind) {
    case BF_INPUT_CONV:
        return type == BF_PIXELS;
    case BF_WIDE_CONV:
        return l->weight_bits == 8 || type == BF_INTEGERS;
    case BF_SUM:
    case BF_TOTAL:
        return type != BF_PIXELS;
    default: /* BF_CONV, BF_DENSE, BF_CONCAT */
        return type == BF_BITS;
    }
}

/* Whether a source of n channels gives the in_c channels that the layer reads. */
static int gives(const bf_layer *l, uint32_t type, uint32_t n) {
    if (l->kind == BF_SUM || l->kind == BF_TOTAL) {
        /* The bits of a value are added. */
        return n % l->in_c == 0 && n / l->in_c <= (type == BF_BITS ? BF_MAX_THRESHOLDS : 1u);
    }
    return l->kind == BF_CONCAT || (n == l->in_c && (l->in_thresholds == 1 || type == BF_BITS));
}

static bf_status check_sources(const bf_image *im, const bf_layer *l, uint32_t index) {
    const int several = l->kind == BF_SUM || l->kind == BF_CONCAT;
    uint32_t channels = 0;
    uint32_t type = BF_PIXELS;
    BF_CHECK(l->source_count >= 1 && l->source_count <= (several ? BF_MAX_SOURCES : 1u), BF_ERR_CHAIN);
    for (unsigned k = 0; k < BF_MAX_SOURCES; k++) {
        const uint32_t source = l->sources[k];
        uint32_t height = im->header->height, width = im->header->width, from = im->header->channels;
        if (k >= l->source_count) {
            BF_CHECK(source == 0, BF_ERR_CHAIN);
            continue;
        }
        if (source != BF_PIXELS) {
            /* An earlier layer, whose map is still there. */
            BF_CHECK(source < index && im->layers[source].last >= index, BF_ERR_CHAIN);
            height = im->layers[source].out_h;
            width = im->layers[source].out_w;
            from = im->layers[source].out_c;
        }
        type = bf_source_type(im->layers, l, k);
        BF_CHECK(accepts(l, type), BF_ERR_KIND);
        channels += from;
        BF_CHECK(l->in_h == height && l->in_w == width, BF_ERR_CHAIN);
        BF_CHECK(gives(l, type, from), BF_ERR_CHAIN);
    }
    BF_CHECK(l->kind != BF_CONCAT || l->in_c == channels, BF_ERR_CHAIN);
    BF_CHECK(l->pad_value >= -1 && l->pad_value <= 1, BF_ERR_SHAPE);
    BF_CHECK(l->pad_value == 0 || (type == BF_BITS && (l->kind == BF_CONV || l->kind == BF_WIDE_CONV)), BF_ERR_SHAPE);
    return BF_OK;
}

bf_status bf_check_layer(const bf_image *im, uint32_t index) {
    const bf_layer *l = &im->layers[index];
    bf_status status;
    if ((status = check_kind(l, index + 1u == im->header->layer_count)) != BF_OK ||
        (status = check_thresholds(l)) != BF_OK || (status = check_window(l)) != BF_OK ||
        (status = check_pool(l)) != BF_OK || (status = check_roles(l)) != BF_OK ||
        (status = check_maps(im, l)) != BF_OK) {
        return status;
    }
    return check_sources(im, l, index);
}

/* ---- The arena. ---- */

static int reads(const bf_layer *l, uint32_t source) {
    for (unsigned k = 0; k < l->source_count; k++) {
        if (l->sources[k] == source) {
            return 1;
        }
    }
    return 0;
}

/* A pinned map shares no memory with maps that are written before it is read for the last time. */
static bf_status check_pinned(const bf_image *im, uint32_t index) {
    const bf_layer *l = &im->layers[index];
    const size_t size = bf_map_size(l);
    BF_CHECK(l->pinned % 4u == 0 && l->pinned <= BF_MAP_LIMIT - size, BF_ERR_MAPS);
    for (uint32_t i = index + 1u; i <= l->last; i++) {
        const bf_layer *other = &im->layers[i];
        BF_CHECK(other->pinned == BF_TRANSIENT || other->pinned >= l->pinned + size ||
                     l->pinned >= other->pinned + bf_map_size(other),
                 BF_ERR_MAPS);
    }
    return BF_OK;
}

/* check_sources() saw that no layer after `last` reads the map; here, that `last` reads it. */
static bf_status check_life(const bf_image *im, uint32_t index) {
    const bf_layer *l = &im->layers[index];
    if (index + 1u == im->header->layer_count) {
        BF_CHECK(l->last == index && l->pinned == BF_TRANSIENT, BF_ERR_CHAIN);
        return BF_OK;
    }
    BF_CHECK(l->last < im->header->layer_count && reads(&im->layers[l->last], index), BF_ERR_CHAIN);
    if (l->pinned != BF_TRANSIENT) {
        return check_pinned(im, index);
    }
    BF_CHECK(l->last == index + 1u, BF_ERR_MAPS);
    return BF_OK;
}

bf_status bf_check_lives(const bf_image *im) {
    for (uint32_t i = 0; i < im->header->layer_count; i++) {
        const bf_status status = check_life(im, i);
        BF_CHECK(status == BF_OK, status);
    }
    return BF_OK;
}
