/*
 * strings.c - maps of bits as strings: from and to the public form, and the max-pool on them.
 * SPDX-License-Identifier: MIT
 */
#include "strings.h"

BF_COLD int bf_strings_fit_behind(const bf_layer *l) {
    return bf_strings_fit((uint32_t)l->conv_h * l->conv_w, l->out_c) &&
           bf_strings_fit((uint32_t)l->out_h * l->out_w, l->out_c);
}

BF_COLD uint32_t bf_columns_at(const uint32_t *string, int32_t width, int32_t y, int32_t x, uint32_t flip) {
    const int32_t from = x < 0 ? 0 : x;
    const int32_t n = width - from;
    uint32_t bits;
    if (n <= 0 || from - x >= (int32_t)BF_WORD_BITS) {
        return 0;
    }
    bits = bf_bits_at(string, (uint32_t)(y * width + from)) ^ flip;
    if (n < (int32_t)BF_WORD_BITS) {
        bits &= (1u << n) - 1u;
    }
    return bits << (from - x);
}

BF_COLD void bf_write(bf_writer *w, uint32_t bits, uint32_t n) {
    w->word |= bits << w->filled;
    w->filled += n;
    if (w->filled >= BF_WORD_BITS) {
        *w->to++ = w->word;
        w->filled -= BF_WORD_BITS;
        w->word = w->filled ? bits >> (n - w->filled) : 0;
    }
}

BF_COLD void bf_write_end(bf_writer *w) {
    if (w->filled) {
        *w->to = w->word;
    }
}

BF_COLD uint32_t bf_even_bits(uint32_t x) {
    x &= 0x55555555u;
    x = (x | x >> 1) & 0x33333333u;
    x = (x | x >> 2) & 0x0F0F0F0Fu;
    x = (x | x >> 4) & 0x00FF00FFu;
    return (x | x >> 8) & 0x0000FFFFu;
}

/* The bits of a that `mask` says, `by` above those of b, change places with these (Warren, Hacker's Delight, 7-3). */
#define EXCHANGE(a, b, by, mask)                                                                                       \
    do {                                                                                                               \
        const uint32_t t = ((a) >> (by) ^ (b)) & (mask);                                                               \
        (b) ^= t;                                                                                                      \
        (a) ^= t << (by);                                                                                              \
    } while (0)

/*
 * Bit b of word i becomes bit i of word b: of `rows` words that lie `stride` words apart, others are 0, to `columns`
 * words that lie `step` apart. Eight words at a time, which fit the registers, then four.
 */
BF_COLD static void turn(const uint32_t *from, uint32_t stride, uint32_t rows, uint32_t *to, uint32_t step,
                         uint32_t columns) {
    uint32_t all[BF_WORD_BITS];
    for (uint32_t i = 0; i < BF_WORD_BITS; i++, from += stride) {
        all[i] = i < rows ? *from : 0u;
        BF_KEEP_LOOP();
    }
    for (uint32_t *w = all; w < all + 4; w++) {
        uint32_t a = w[0], b = w[4], c = w[8], d = w[12], e = w[16], f = w[20], g = w[24], h = w[28];
        EXCHANGE(a, e, 16, 0xFFFFu);
        EXCHANGE(b, f, 16, 0xFFFFu);
        EXCHANGE(c, g, 16, 0xFFFFu);
        EXCHANGE(d, h, 16, 0xFFFFu);
        EXCHANGE(a, c, 8, 0x00FF00FFu);
        EXCHANGE(b, d, 8, 0x00FF00FFu);
        EXCHANGE(e, g, 8, 0x00FF00FFu);
        EXCHANGE(f, h, 8, 0x00FF00FFu);
        EXCHANGE(a, b, 4, 0x0F0F0F0Fu);
        EXCHANGE(c, d, 4, 0x0F0F0F0Fu);
        EXCHANGE(e, f, 4, 0x0F0F0F0Fu);
        EXCHANGE(g, h, 4, 0x0F0F0F0Fu);
        w[0] = a, w[4] = b, w[8] = c, w[12] = d, w[16] = e, w[20] = f, w[24] = g, w[28] = h;
    }
    for (uint32_t *w = all; w < all + columns; w += 4) {
        uint32_t a = w[0], b = w[1], c = w[2], d = w[3];
        EXCHANGE(a, c, 2, 0x33333333u);
        EXCHANGE(b, d, 2, 0x33333333u);
        EXCHANGE(a, b, 1, 0x55555555u);
        EXCHANGE(c, d, 1, 0x55555555u);
        w[0] = a, w[1] = b, w[2] = c, w[3] = d;
    }
    for (uint32_t i = 0; i < columns; i++, to += step) {
        *to = all[i];
        BF_KEEP_LOOP();
    }
}

BF_COLD static uint32_t at_most_a_word(uint32_t n) {
    return n < BF_WORD_BITS ? n : BF_WORD_BITS;
}

/* Rows of bits, `stride` words apart, become columns, `step` words apart. */
BF_COLD static void turn_all(const uint32_t *from, uint32_t rows, uint32_t stride, uint32_t *to, uint32_t columns,
                             uint32_t step) {
    for (uint32_t r = 0; r < rows; r += BF_WORD_BITS) {
        for (uint32_t c = 0; c < columns; c += BF_WORD_BITS) {
            turn(from + (size_t)r * stride + c / BF_WORD_BITS, stride, at_most_a_word(rows - r),
                 to + (size_t)c * step + r / BF_WORD_BITS, step, at_most_a_word(columns - c));
        }
    }
}

BF_COLD void bf_to_positions(const uint32_t *strings, uint32_t *to, uint32_t positions, uint32_t channels) {
    turn_all(strings, channels, bf_string_words(positions), to, positions, bf_words(channels));
}

BF_COLD void bf_to_strings(const uint32_t *map, uint32_t *to, uint32_t positions, uint32_t channels) {
    turn_all(map, positions, bf_words(channels), to, channels, bf_string_words(positions));
}

/* ---- The pool: windows of one row of the output, some of them side by side in a word. ---- */

typedef struct pool {
    const bf_layer *layer;
    const uint32_t *string; /* of the channel, before the pool */
    uint32_t flip;          /* all ones: AND, which is NOT OR NOT */
} pool;

/* The windows of output row y whose first begins at column `x`, one beside the other as the stride says. */
BF_COLD static uint32_t windows_of(const pool *p, int32_t y, int32_t x) {
    const bf_layer *l = p->layer;
    const int32_t from = y * l->pool_stride_h - l->pool_top;
    const int32_t to = from + l->pool_h < l->conv_h ? from + l->pool_h : l->conv_h;
    uint32_t any = 0;
    for (int32_t i = from < 0 ? 0 : from; i < to; i++) {
        const uint32_t row = bf_columns_at(p->string, l->conv_w, i, x, p->flip);
        any |= row;
        for (uint32_t d = 1; d < l->pool_w && d < BF_WORD_BITS; d++) {
            any |= row >> d;
        }
        for (uint32_t reach = BF_WORD_BITS; reach < l->pool_w; reach += BF_WORD_BITS) { /* a word is one window */
            const uint32_t more = bf_columns_at(p->string, l->conv_w, i, x + (int32_t)reach, p->flip);
            const uint32_t left = l->pool_w - reach;
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

BF_COLD int bf_is_by_two(const bf_layer *l) {
    return !l->pool_h || (l->pool_h == 2 && l->pool_w == 2 && l->pool_stride_h == 2 && l->pool_stride_w == 2 &&
                          !(l->pool_top | l->pool_left) && 2u * l->out_h <= l->conv_h && 2u * l->out_w <= l->conv_w);
}

BF_COLD void bf_pool_windows(const bf_layer *l, const uint32_t *string, uint32_t flip, uint32_t *to) {
    const pool p = {l, string, flip};
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

BF_COLD static void pool_strings(const bf_layer *l, const uint32_t *all, const uint32_t *from, uint32_t *to,
                                 bf_string_pool *pool) {
    const uint32_t stride = bf_string_words((uint32_t)l->conv_h * l->conv_w);
    const uint32_t step = bf_string_words((uint32_t)l->out_h * l->out_w);
    for (uint32_t c = 0; c < l->out_c; c++, from += stride, to += step) {
        pool(l, from, all && all[c / BF_WORD_BITS] >> c % BF_WORD_BITS & 1u ? 0xFFFFFFFFu : 0u, to);
    }
}

/* ---- Around a kernel. ---- */

/* Words of: the input as strings, the map before the pool, the map after it. */
typedef struct parts {
    size_t input, unpooled, pooled;
} parts;

BF_COLD static parts parts_of(const bf_job *job) {
    const bf_layer *l = job->layer;
    const int takes = (job->kernel->flags & BF_TAKES_STRINGS) != 0;
    parts p = {0, 0, 0};
    if (takes && !job->strings_in) {
        p.input = bf_strings_words((uint32_t)l->in_h * l->in_w, l->in_c);
    }
    if (l->pool_h || !job->strings_out) {
        p.unpooled = bf_strings_words((uint32_t)l->conv_h * l->conv_w, l->out_c);
    }
    if (l->pool_h && !job->strings_out) {
        p.pooled = bf_strings_words((uint32_t)l->out_h * l->out_w, l->out_c);
    }
    return p;
}

BF_COLD size_t bf_strings_scratch(const bf_job *job) {
    const parts p = parts_of(job);
    return p.input + p.unpooled + p.pooled;
}

BF_COLD const uint32_t *bf_strings_of(const bf_job *job) {
    const bf_layer *l = job->layer;
    if (job->strings_in) {
        return (const uint32_t *)job->inputs[0];
    }
    bf_to_strings((const uint32_t *)job->inputs[0], job->scratch, (uint32_t)l->in_h * l->in_w, l->in_c);
    return job->scratch;
}

BF_COLD uint32_t *bf_strings_to(const bf_job *job) {
    const parts p = parts_of(job);
    return p.unpooled ? job->scratch + p.input : (uint32_t *)job->output;
}

BF_COLD void bf_strings_done(const bf_job *job, bf_string_pool *pool) {
    const bf_layer *l = job->layer;
    const parts p = parts_of(job);
    const uint32_t *map = job->scratch + p.input;
    if (l->pool_h) {
        uint32_t *pooled = p.pooled ? job->scratch + p.input + p.unpooled : (uint32_t *)job->output;
        pool_strings(l, l->pool_and ? (const uint32_t *)bf_at(job->model, l->pool_and) : NULL, map, pooled,
                     pool && !bf_is_by_two(l) ? pool : bf_pool_by_two);
        map = pooled;
    }
    if (!job->strings_out) {
        bf_to_positions(map, (uint32_t *)job->output, (uint32_t)l->out_h * l->out_w, l->out_c);
    }
}
