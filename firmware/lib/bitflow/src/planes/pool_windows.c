/*
 * pool_windows.c - the max-pool of any windows on bit planes.
 * SPDX-License-Identifier: MIT
 */
#include "planes.h"
#include "pool.h"

typedef struct pool {
    const bf_layer *layer;
    const uint32_t *plane; /* of the channel, before the pool */
    uint32_t flip;         /* all ones: AND, which is NOT OR NOT */
} pool;

/* Windows of output row y, the first one at column `x`: the bit of each lies where the window begins. */
BF_COLD static uint32_t windows_of(const pool *p, int32_t y, int32_t x) {
    const bf_layer *l = p->layer;
    const int32_t from = y * l->pool_stride_h - l->pool_top;
    const int32_t to = from + l->pool_h < l->conv_h ? from + l->pool_h : l->conv_h;
    uint32_t any = 0;
    for (int32_t i = from < 0 ? 0 : from; i < to; i++) {
        const uint32_t row = bf_columns_at(p->plane, l->conv_w, i, x, p->flip);
        any |= row;
        for (uint32_t d = 1; d < l->pool_w && d < BF_WORD_BITS; d++) {
            any |= row >> d;
        }
        for (uint32_t right = BF_WORD_BITS; right < l->pool_w; right += BF_WORD_BITS) { /* a word is one window */
            const uint32_t more = bf_columns_at(p->plane, l->conv_w, i, x + (int32_t)right, p->flip);
            const uint32_t left = l->pool_w - right;
            any |= (left < BF_WORD_BITS ? more & ((1u << left) - 1u) : more) ? 1u : 0u;
        }
    }
    return any;
}

/* Every stride-th bit. */
BF_COLD static uint32_t strided(uint32_t bits, uint32_t stride, uint32_t n) {
    uint32_t found = 0;
    if (stride == 1u) {
        return bits;
    }
    if (stride == 2u) {
        return bf_even_bits(bits);
    }
    for (uint32_t k = 0; k < n; k++) {
        found |= (bits >> k * stride & 1u) << k;
    }
    return found;
}

BF_COLD void bf_pool_windows(const bf_layer *l, const uint32_t *plane, uint32_t flip, uint32_t *to) {
    const pool p = {l, plane, flip};
    const uint32_t together =
        l->pool_w >= BF_WORD_BITS ? 1u : (BF_WORD_BITS - l->pool_w) / l->pool_stride_w + 1u; /* windows in a word */
    bf_writer writer = {to, 0, 0};
    for (int32_t y = 0; y < l->out_h; y++) {
        for (uint32_t x = 0; x < l->out_w; x += together) {
            const uint32_t n = l->out_w - x < together ? l->out_w - x : together;
            const uint32_t any = windows_of(&p, y, (int32_t)(x * l->pool_stride_w) - l->pool_left);
            bf_write(&writer, (strided(any, l->pool_stride_w, n) ^ flip) & bf_tail_mask(n), n);
        }
    }
    bf_write_end(&writer);
}
