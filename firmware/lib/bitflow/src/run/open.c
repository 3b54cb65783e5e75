/*
 * open.c - bf_open: an image from anywhere is checked completely before anything in it is trusted.
 *
 * A run relies on what holds afterwards, and on nothing else:
 * - records are as check.c says;
 * - arrays are as long as their layers need, aligned to 4 bytes, and lie between the first byte and the CRC;
 * - texts end inside; arrays and texts together are no longer than the image, so a copy of all of them is no larger;
 * - accumulator, BatchShift and score cannot overflow.
 *
 * SPDX-License-Identifier: MIT
 */
#include "arena.h"
#include "check.h"
#include "plan.h"

#define BF_KERNEL_ENTRY(name, value, object) [name] = &object,
const bf_kernel *const bf_all_kernels[BF_KERNELS] = {BF_KERNEL_LIST(BF_KERNEL_ENTRY)};
#undef BF_KERNEL_ENTRY

/* `count` items of 4 bytes at `offset`. */
static bf_status check_words(const bf_image *im, uint32_t offset, uint64_t count) {
    BF_CHECK(offset % 4u == 0u && offset >= sizeof(bf_header), BF_ERR_BOUNDS);
    BF_CHECK(offset <= im->end && count <= (im->end - offset) / 4u, BF_ERR_BOUNDS);
    return BF_OK;
}

/* An array or text has `size` bytes of its own. */
static bf_status claim(bf_image *im, uint64_t size) {
    BF_CHECK(size <= im->left, BF_ERR_BOUNDS);
    im->left -= (uint32_t)size;
    return BF_OK;
}

static bf_status check_array(bf_image *im, uint32_t offset, uint64_t count) {
    const bf_status status = check_words(im, offset, count);
    return status == BF_OK ? claim(im, 4u * count) : status;
}

/* `count` NUL-terminated texts, one after the other. */
static bf_status check_text(bf_image *im, uint32_t offset, uint32_t count) {
    const uint32_t start = offset;
    if (offset == 0) {
        return BF_OK;
    }
    BF_CHECK(offset >= sizeof(bf_header), BF_ERR_TEXT);
    while (count--) {
        do {
            BF_CHECK(offset < im->end, BF_ERR_TEXT);
        } while (im->base[offset++]);
    }
    return claim(im, offset - start);
}

/* BatchShift, or the scale of the scores. */
static int has_shift(const bf_layer *l) {
    return l->output == BF_SCORES || (l->output == BF_BITS && l->kind != BF_CONCAT);
}

/* Where the arrays of a layer lie. Which of them it may have was checked before. */
static bf_status check_arrays(bf_image *im, const bf_layer *l) {
    const uint32_t mask_words = bf_words(l->out_c);
    bf_status status;
    if ((l->weight_bits &&
         (status = check_array(im, l->weights, (uint64_t)bf_filter_count(l) * bf_filter_words(l))) != BF_OK) ||
        (has_shift(l) && (status = check_array(im, l->shift, l->out_c)) != BF_OK) ||
        (l->output == BF_SCORES && (status = check_array(im, l->offset, l->out_c)) != BF_OK) ||
        (l->pool_and && (status = check_array(im, l->pool_and, mask_words)) != BF_OK) ||
        (l->invert && (status = check_array(im, l->invert, mask_words)) != BF_OK)) {
        return status;
    }
    return BF_OK;
}

/* ---- What is in the arrays. ---- */

static const uint32_t *words_at(const bf_image *im, uint32_t offset) {
    return (const uint32_t *)(const void *)(im->base + offset);
}

/* The last word of each of `count` rows of `bits` bits has zeros above them. */
static bf_status check_tails(const uint32_t *words, uint32_t count, uint32_t bits) {
    const uint32_t stride = bf_words(bits);
    for (uint32_t i = 1; i <= count; i++) {
        BF_CHECK((words[(size_t)i * stride - 1u] & ~bf_tail_mask(bits)) == 0, BF_ERR_RANGE);
    }
    return BF_OK;
}

/* No weight is -128, whose negative is no int8. */
static bf_status check_weights(const bf_image *im, const bf_layer *l) {
    const int8_t *weights = (const int8_t *)(const void *)(im->base + l->weights);
    const size_t count = (size_t)bf_filter_count(l) * bf_filter_words(l) * 4u;
    for (size_t i = 0; l->weight_bits == 8 && i < count; i++) {
        BF_CHECK(weights[i] != -128, BF_ERR_RANGE);
    }
    return BF_OK;
}

/* The largest sum of absolute weights of a filter. */
static uint64_t heaviest_of(const bf_image *im, const bf_layer *l) {
    const uint32_t stride = bf_filter_words(l) * 4u;
    const int8_t *weights = (const int8_t *)(const void *)(im->base + l->weights);
    uint32_t heaviest = 0; /* 127 * BF_TAP_LIMIT at most */
    if (l->weight_bits == 1) {
        return bf_taps(l);
    }
    for (uint32_t f = 0; f < bf_filter_count(l); f++, weights += stride) {
        uint32_t sum = 0;
        for (uint32_t i = 0; i < stride; i++) {
            const int32_t weight = weights[i];
            sum += (uint32_t)(weight < 0 ? -weight : weight);
        }
        heaviest = sum > heaviest ? sum : heaviest;
    }
    return (uint64_t)heaviest * bf_parts(l);
}

/* The largest absolute value that source k can hold. */
static uint32_t source_bound(const bf_image *im, const bf_layer *l, unsigned k) {
    const int32_t low = im->header->dtype == BF_INT8 ? -128 : 0;
    const int32_t below = im->header->zero_point - low;
    const int32_t above = low + 255 - im->header->zero_point;
    switch (bf_source_type(im->layers, l, k)) {
    case BF_PIXELS:
        return (uint32_t)(below > above ? below : above);
    case BF_INTEGERS:
        return im->layers[l->sources[k]].bound;
    default:
        return 1;
    }
}

/* The same of what a sum or total adds to a channel: all bits of a value. */
static uint64_t added_bound(const bf_image *im, const bf_layer *l, unsigned k) {
    return (uint64_t)source_bound(im, l, k) * ((uint32_t)im->layers[l->sources[k]].out_c / l->in_c);
}

/* R, the largest absolute accumulator. Those of the sources were checked: no product is above 2^63. */
static uint64_t bound_of(const bf_image *im, const bf_layer *l) {
    uint64_t sum = 0;
    switch (l->kind) {
    case BF_SUM:
        for (unsigned k = 0; k < l->source_count; k++) {
            sum += added_bound(im, l, k);
        }
        return sum;
    case BF_CONCAT:
        return 1;
    case BF_TOTAL:
        return (uint64_t)l->in_h * l->in_w * added_bound(im, l, 0);
    default:
        return heaviest_of(im, l) * source_bound(im, l, 0);
    }
}

static bf_status check_shift(const bf_image *im, const bf_layer *l) {
    const int32_t *shift = (const int32_t *)(const void *)words_at(im, l->shift);
    const int32_t *offset = (const int32_t *)(const void *)words_at(im, l->offset);
    const int64_t bound = l->bound;
    for (uint32_t c = 0; has_shift(l) && c < l->out_c; c++) {
        if (l->output == BF_BITS) {
            BF_CHECK(shift[c] >= -(bound + 1) && shift[c] <= bound, BF_ERR_RANGE);
        } else {
            const int64_t scale = shift[c] < 0 ? -(int64_t)shift[c] : shift[c];
            const int64_t most = scale * bound + (offset[c] < 0 ? -(int64_t)offset[c] : offset[c]);
            BF_CHECK(most <= INT32_MAX, BF_ERR_RANGE);
        }
    }
    return BF_OK;
}

static bf_status check_contents(const bf_image *im, const bf_layer *l) {
    bf_status status;
    if ((l->weight_bits && (status = check_tails(words_at(im, l->weights), bf_filter_count(l),
                                                 bf_taps(l) / bf_parts(l) * l->weight_bits)) != BF_OK) ||
        (status = check_weights(im, l)) != BF_OK ||
        (l->pool_and && (status = check_tails(words_at(im, l->pool_and), 1, l->out_c)) != BF_OK) ||
        (l->invert && (status = check_tails(words_at(im, l->invert), 1, l->out_c)) != BF_OK)) {
        return status;
    }
    BF_CHECK(l->bound <= BF_BOUND_LIMIT, BF_ERR_RANGE);
    BF_CHECK(l->bound == bound_of(im, l), BF_ERR_RANGE);
    return check_shift(im, l);
}

/* ---- The whole. ---- */

static bf_status check_header(bf_image *im) {
    const bf_header *h = im->header;
    const int32_t low = h->dtype == BF_INT8 ? -128 : 0;
    bf_status status;
    BF_CHECK(!(h->flags & ~BF_APPROXIMATE) && !h->reserved0 && !(h->reserved1[0] | h->reserved1[1]), BF_ERR_HEADER);
    BF_CHECK(!h->table, BF_ERR_FEATURE);
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

/* All but the contents of the arrays. */
static bf_status check_structure(bf_image *im) {
    bf_status status;
    im->left = im->end;
    status = check_header(im);
    BF_CHECK(status == BF_OK, status);
    im->layers = (const bf_layer *)(const void *)(im->base + im->header->layers);
    for (uint32_t i = 0; i < im->header->layer_count; i++) {
        if ((status = bf_check_layer(im, i)) != BF_OK || (status = check_text(im, im->layers[i].name, 1)) != BF_OK ||
            (status = check_arrays(im, &im->layers[i])) != BF_OK) {
            return status;
        }
    }
    return bf_check_lives(im);
}

static bf_status open_image(bf_model *model, const uint8_t *base, size_t size) {
    bf_image im = {base, (const bf_header *)(const void *)base, NULL, 0, 0};
    uint32_t crc;
    bf_status status;
    BF_CHECK((uintptr_t)base % BF_IMAGE_ALIGN == 0, BF_ERR_ALIGNMENT);
    BF_CHECK(size >= sizeof(bf_header) + sizeof crc, BF_ERR_TRUNCATED);
    BF_CHECK(im.header->magic == BF_MAGIC, BF_ERR_MAGIC);
    BF_CHECK(im.header->version == BF_IMAGE_VERSION, BF_ERR_VERSION);
    BF_CHECK(im.header->size <= size, BF_ERR_TRUNCATED);
    BF_CHECK(im.header->size >= sizeof(bf_header) + sizeof crc && im.header->size % 4u == 0, BF_ERR_HEADER);
    BF_CHECK(im.header->size == size || bf_is_plan(base + im.header->size, size - im.header->size), BF_ERR_HEADER);
    im.end = im.header->size - (uint32_t)sizeof crc;
    bf_copy(&crc, base + im.end, sizeof crc);
    BF_CHECK(bf_crc32(0, base, im.end) == crc, BF_ERR_CRC);
    status = check_structure(&im);
    BF_CHECK(status == BF_OK, status);
    for (uint32_t i = 0; i < im.header->layer_count; i++) {
        status = check_contents(&im, &im.layers[i]);
        BF_CHECK(status == BF_OK, status);
    }
    model->base = base;
    model->layers = im.layers;
    model->layer_count = im.header->layer_count;
    model->size = im.header->size;
    model->crc = crc;
    model->kernels = bf_all_kernels;
    status = bf_open_plan(model, base + im.header->size, size - im.header->size);
    return status == BF_OK ? bf_arrange(model, &model->arena_size, &model->pinned_size) : status;
}

bf_status bf_open(bf_model *model, const void *bytes, size_t size) {
    bf_status status;
    BF_CHECK(model && bytes, BF_ERR_ARGUMENT);
    bf_fill(model, 0, sizeof *model);
    status = open_image(model, (const uint8_t *)bytes, size);
    if (status != BF_OK) {
        bf_fill(model, 0, sizeof *model);
    }
    return status;
}

bf_status bf_check(const bf_model *model) {
    bf_image im;
    uint32_t arena, pinned;
    bf_status status;
    BF_CHECK(model && model->base, BF_ERR_ARGUMENT);
    im.base = model->base;
    im.header = bf_header_of(model);
    im.end = model->size - (uint32_t)sizeof(uint32_t);
    status = check_structure(&im);
    BF_CHECK(status == BF_OK, status);
    BF_CHECK(im.layers == model->layers && im.header->layer_count == model->layer_count, BF_ERR_HEADER);
    if ((status = bf_check_plan(model)) != BF_OK || (status = bf_arrange(model, &arena, &pinned)) != BF_OK) {
        return status;
    }
    BF_CHECK(arena == model->arena_size && pinned == model->pinned_size, BF_ERR_HEADER);
    return BF_OK;
}
