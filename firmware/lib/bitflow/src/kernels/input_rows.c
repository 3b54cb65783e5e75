/*
 * input_rows.c - the rows of the fast first layer, which input_sums.c explains: pixels into tables, sums into bits.
 * SPDX-License-Identifier: MIT
 */
#include "input_rows.h"

BF_COLD void bf_sums_columns(bf_sums_work *w, int32_t from) {
    const int32_t in_c = w->layer->in_c, size = (int32_t)w->p.columns * in_c;
    for (uint32_t k = 0; k < 2; k++, from += (int32_t)w->p.across * w->layer->stride_w) {
        const int32_t end = (w->layer->in_w - from) * in_c;
        w->lanes[k].at = from * in_c;
        w->lanes[k].begin = from < 0 ? -from * in_c : 0;
        w->lanes[k].end = end < size ? end : size;
    }
}

void bf_sums_strip(const bf_sums_work *w, int32_t row) {
    const bf_layer *l = w->layer;
    const int32_t size = (int32_t)w->p.columns * l->in_c, row_high = row + (int32_t)w->p.down * l->stride_h;
    bf_sums_lane low = w->lanes[0], high = w->lanes[1];
    low.end = row < 0 || row >= l->in_h ? 0 : low.end;
    low.at += (ptrdiff_t)row * l->in_w * l->in_c;
    high.end = row_high < 0 || row_high >= l->in_h ? 0 : high.end;
    high.at += (ptrdiff_t)row_high * l->in_w * l->in_c;
    const int32_t both = low.begin > high.begin ? low.begin : high.begin;
    const int32_t end = low.end < high.end ? low.end : high.end;
    const uint32_t flip = BF_SUMS_LANES(w->flip), zero = BF_SUMS_LANES(w->zero), blank = w->zero ^ w->flip;
    const uint8_t *pixels = w->pixels;
    uint32_t *to = w->strip;
    for (int32_t i = 0; i < size; i++) {
        if (i < both || i >= end) {
            const uint32_t a = i >= low.begin && i < low.end ? pixels[low.at + i] : blank;
            const uint32_t b = i >= high.begin && i < high.end ? pixels[high.at + i] : blank;
            *to++ = ((a | b << 16) ^ flip) - zero;
        } else {
            const uint8_t *a = &pixels[low.at + i], *b = &pixels[high.at + i];
            for (; i < end; i++) {
                *to++ = (((uint32_t)*a++ | (uint32_t)*b++ << 16) ^ flip) - zero;
            }
            i--;
        }
    }
}

#ifdef BF_ASM_SUMS
#define make_table bf_sums_table
#elif BF_LANE_WORDS == 4
/* As below, with vectors. */
static void make_table(const uint32_t *value, uint32_t n, uint32_t *to, uint32_t code_bytes, uint32_t apart_bytes) {
    const uint32_t words = code_bytes / (uint32_t)sizeof *to, apart = apart_bytes / (uint32_t)sizeof *to;
    const uint32_t *last = value + n;
    uint32_t *more = to + words;
    bf_lanes sum = {0};
    for (const uint32_t *v = value; v < last; v++) {
        const bf_lanes values = {v[0], v[apart], v[2u * apart], v[3u * apart]};
        sum -= values;
    }
    *(bf_lanes *)(void *)to = sum;
    for (; value < last; value++) {
        const bf_lanes values = {value[0], value[apart], value[2u * apart], value[3u * apart]};
        const bf_lanes twice = values + values;
        const uint32_t *less = to, *end = more;
        do {
            *(bf_lanes *)(void *)more = *(const bf_lanes *)(const void *)less + twice;
            less += words;
            more += words;
        } while (less != end);
    }
}
#else
/*
 * All sums of n >= 1 values with signs, four words each: word i is of the values from value[i * apart_bytes / 4] on.
 * Bit k of a code is 1 where value k has the sign +. The sum of code v is code_bytes * v bytes behind `to`. That of
 * code 0 is minus the sum of all values; turning a sign to + adds twice the value.
 */
static void make_table(const uint32_t *value, uint32_t n, uint32_t *to, uint32_t code_bytes, uint32_t apart_bytes) {
    const uint32_t words = code_bytes / (uint32_t)sizeof *to, apart = apart_bytes / (uint32_t)sizeof *to;
    const uint32_t *last = value + n;
    uint32_t *more = to + words;
    uint32_t a = 0, b = 0, c = 0, d = 0;
    for (const uint32_t *v = value; v < last; v++) {
        a -= v[0];
        b -= v[apart];
        c -= v[2u * apart];
        d -= v[3u * apart];
    }
    to[0] = a;
    to[1] = b;
    to[2] = c;
    to[3] = d;
    for (; value < last; value++) {
        const uint32_t *less = to, *end = more;
        a = 2u * value[0];
        b = 2u * value[apart];
        c = 2u * value[2u * apart];
        d = 2u * value[3u * apart];
        do {
            more[0] = less[0] + a;
            more[1] = less[1] + b;
            more[2] = less[2] + c;
            more[3] = less[3] + d;
            less += words;
            more += words;
        } while (less != end);
    }
}
#endif

void bf_sums_tables(const bf_sums_work *w, uint32_t *to) {
    const uint32_t words = w->p.words, apart = (uint32_t)w->layer->stride_w * w->layer->in_c;
    const uint32_t *value = w->strip;
    for (uint32_t j = w->p.step ? w->p.segments - 1u : 0u; j < w->p.segments; j++) {
        const uint32_t n = j + 1u < w->p.segments ? w->p.segment : w->p.last;
        uint32_t x = 0;
        do {
            x = x < words - BF_SUMS_BUILT ? x : words - BF_SUMS_BUILT; /* the last ones may overlap */
            make_table(value + x * apart, n, to + x, words * (uint32_t)sizeof *to, apart * (uint32_t)sizeof *to);
            x += BF_SUMS_BUILT;
        } while (x < words);
        value += n;
        to += words << n;
    }
}

void bf_sums_put_word(const bf_sums_work *w, int bits, uint32_t *to, uint32_t stride) {
    const uint32_t size = w->p.filter;
    for (uint32_t *filter = w->filters; filter[BF_SUMS_START]; filter += size, to += stride) {
        *to = filter[bits];
        filter[bits] = 0;
    }
}

void bf_sums_put(const bf_sums_work *w, int at_bits, uint32_t right, uint32_t low, uint32_t high, uint32_t *to,
                 uint32_t at, uint32_t stride) {
    const uint32_t shift = at % BF_WORD_BITS, size = w->p.filter;
    const uint32_t low_mask = (1u << low) - 1u, high_mask = ((1u << high) - 1u) << low;
    to += at / BF_WORD_BITS;
    for (uint32_t *filter = w->filters; filter[BF_SUMS_START]; filter += size, to += stride) {
        uint32_t bits = filter[at_bits];
        filter[at_bits] = bits & 0xFFFFu;
        bits >>= right;
        bits = (bits & low_mask) | (bits >> (16u - low) & high_mask);
        to[0] |= bits << shift;
        if (shift + low + high > BF_WORD_BITS) {
            to[1] |= bits >> (BF_WORD_BITS - shift);
        }
    }
}
