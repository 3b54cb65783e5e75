/*
 * blocks.c - filter patterns: the planes of a block of positions.
 * SPDX-License-Identifier: MIT
 */
#include "blocks.h"

BF_COLD static uint32_t word_between(int32_t from, int32_t to) {
    uint32_t mask;
    from = from < 0 ? 0 : from;
    if (to <= from || from >= 32) {
        return 0;
    }
    mask = 0xFFFFFFFFu << from;
    return to < 32 ? mask & ((1u << to) - 1u) : mask;
}

BF_COLD bf_lanes bf_lanes_between(int32_t from, int32_t to, int32_t first) {
    bf_lanes lanes;
    for (uint32_t i = 0; i < BF_LANE_WORDS; i++, first += 32) {
        bf_set_word(&lanes, i, word_between(from - first, to - first));
    }
    return lanes;
}

BF_COLD bf_lanes bf_lanes_in_columns(const bf_geometry *k, int32_t from, int32_t to, uint32_t b) {
    const int32_t width = k->layer->conv_w;
    bf_lanes lanes;
    from = from < 0 ? 0 : from;
    to = to > width ? width : to;
    for (uint32_t i = 0; i < BF_LANE_WORDS; i++) {
        uint32_t word = 0;
        for (int32_t x = -(int32_t)((b * BF_BLOCK + 32u * i) % (uint32_t)width); x < 32; x += width) {
            word |= word_between(x + from, x + to);
        }
        bf_set_word(&lanes, i, word);
    }
    return lanes;
}

/* floor(n / 32) */
BF_COLD static int32_t word_of(int32_t n) {
    return (int32_t)((uint32_t)(n + 0x40000000) / 32u) - 0x40000000 / 32;
}

/* Three kernel columns on the input itself: left of a position, on it, right of it. */
BF_COLD static int is_row_of_three(const bf_geometry *k) {
    return k->source == BF_INPUT && k->layer->kernel_w == 3 && k->layer->dilation_w == 1 && k->layer->pad_left == 1;
}

/* Where a column of the kernel reads: how far to the right of a position, and in which copy. */
typedef struct column {
    int32_t right, columns;
    size_t copy;
} column;

BF_COLD static column column_of(const bf_geometry *k, uint32_t kx, uint32_t row_phase) {
    const bf_layer *l = k->layer;
    const int32_t offset = (int32_t)kx * l->dilation_w - l->pad_left;
    column t = {offset, l->in_w, 0};
    if (k->source == BF_COLUMNS) {
        t.right = 0;
        t.copy = kx * l->stride_h + row_phase;
    } else if (k->source == BF_PHASES) {
        const int32_t odd = offset & 1;
        t.right = (offset - odd) / 2;
        t.columns = odd ? l->in_w / 2 : (l->in_w + 1) / 2;
        t.copy = 2u * row_phase + (uint32_t)odd;
    }
    return t;
}

/* Planes of one kernel row of a block. */
BF_COLD static void planes_of_kernel_row(const bf_geometry *k, const uint32_t *from, uint32_t b, uint32_t ky,
                                         const bf_lanes *columns, bf_lanes *planes) {
    const bf_layer *l = k->layer;
    const int32_t width = l->conv_w;
    const int32_t offset = (int32_t)ky * l->dilation_h - l->pad_top;
    const int32_t phase = offset & (l->stride_h - 1); /* a stride is 1 or 2 */
    const int32_t down = (offset - phase) / l->stride_h;
    const int32_t rows = (l->in_h - phase + l->stride_h - 1) / l->stride_h;
    const int32_t first = (int32_t)(b * BF_BLOCK);
    const bf_lanes inside = bf_lanes_between(-down * width, (rows - down) * width, first);
    if (is_row_of_three(k)) {
        const int32_t bit = bf_any_lane(inside) ? first + down * width - 1 : 0;
        bf_row row = {k->source_words, (uint32_t)bit & 31u, k->chunk, {inside, inside, inside}};
        row.mask[0] &= columns[0];
        row.mask[2] &= columns[2];
        from += word_of(bit);
        for (uint32_t left = l->in_c; left; left -= row.channels, from += (size_t)row.channels * k->source_words) {
            row.channels = left < k->chunk ? left : k->chunk;
            planes = bf_planes_of_row(planes, from, &row) + 2;
        }
        return;
    }
    for (uint32_t kx = 0; kx < l->kernel_w; kx++, planes += 2) {
        const column col = column_of(k, kx, (uint32_t)phase);
        bf_tap t = {k->source_words, 2u * l->kernel_w, 0, l->in_c, k->chunk, inside};
        int32_t bit;
        if (k->source != BF_COLUMNS) {
            t.mask &= columns[kx];
        }
        bit = bf_any_lane(t.mask) ? first + down * width + col.right : 0;
        t.shift = (uint32_t)bit & 31u;
        bf_planes_of_tap(planes, from + col.copy * k->copy_words + word_of(bit), &t);
    }
}

BF_COLD void bf_zero_fillers(const bf_geometry *k, bf_lanes *planes) {
    const bf_layer *l = k->layer;
    for (uint32_t ky = 0; ky < l->kernel_h; ky++) {
        for (uint32_t left = l->in_c; left;) {
            const uint32_t channels = left < k->chunk ? left : k->chunk;
            planes += 2u * l->kernel_w * channels;
            *planes++ = bf_no_lanes();
            *planes++ = bf_no_lanes();
            left -= channels;
        }
    }
}

BF_COLD void bf_planes_of_block(const bf_geometry *k, const uint32_t *from, uint32_t b, bf_lanes *planes) {
    const bf_layer *l = k->layer;
    bf_lanes columns[BF_KERNEL_SIDE];
    for (uint32_t kx = 0; kx < l->kernel_w && k->source != BF_COLUMNS; kx++) {
        const column t = column_of(k, kx, 0);
        columns[kx] = bf_lanes_in_columns(k, -t.right, t.columns - t.right, b);
    }
    for (uint32_t ky = 0; ky < l->kernel_h; ky++, planes += k->row_planes) {
        planes_of_kernel_row(k, from, b, ky, columns, planes);
    }
}
