/*
 * class_maps.c - filter classes: a layer's geometry, and the planes of a block of positions.
 * SPDX-License-Identifier: MIT
 */
#include "classes.h"

/* ---- Geometry. ---- */

/* One position's pattern, where it is another one than that of the position before. */
BF_COLD static void note(bf_axis *axis, int32_t position, int32_t first, int32_t end) {
    const uint32_t n = axis->count;
    if (n && axis->first[n - 1u] == first && axis->end[n - 1u] == end) {
        return;
    }
    axis->start[n] = (uint16_t)position;
    axis->first[n] = (uint16_t)first;
    axis->end[n] = (uint16_t)end;
    axis->count++;
}

/* Only positions near the ends are looked at one by one: bf_classes_cover() knows that they are few. */
BF_COLD static void axis_of(bf_axis *axis, int32_t in, int32_t out, int32_t kernel, int32_t stride, int32_t dilation,
                            int32_t before) {
    axis->count = 0;
    for (int32_t i = 0; i < out; i++) {
        const int32_t origin = i * stride - before;
        const int32_t room = in - 1 - (kernel - 1) * dilation - origin;
        int32_t first = 0, end = kernel;
        while (first < kernel && origin + first * dilation < 0) {
            first++;
        }
        while (end > first && origin + (end - 1) * dilation >= in) {
            end--;
        }
        note(axis, i, first, end);
        if (origin >= 0 && room >= 0) {
            i += room / stride; /* all of these see every tap */
        }
    }
    axis->start[axis->count] = (uint16_t)out;
}

/* Packs hold as many neighbouring patterns of rows as there is room for beside all patterns of columns. */
BF_COLD void bf_sets_of(bf_geometry *k) {
    const bf_layer *l = k->layer;
    uint32_t together;
    axis_of(&k->y, l->in_h, l->conv_h, l->kernel_h, l->stride_h, l->dilation_h, l->pad_top);
    axis_of(&k->x, l->in_w, l->conv_w, l->kernel_w, l->stride_w, l->dilation_w, l->pad_left);
    together = BF_SETS / k->x.count;
    k->packs = k->y.count > together ? k->y.count - together + 1u : 1u;
    k->passes = (k->y.count + together - 1u) / together;
    k->record += k->packs * BF_PACK_WORDS;
}

BF_COLD static uint32_t bit_length(uint32_t n) {
    uint32_t bits = 0;
    for (; n; n >>= 1) {
        bits++;
    }
    return bits;
}

/* What taps read. */
BF_COLD static uint32_t source_of(const bf_layer *l, uint32_t padding) {
    if (l->stride_h == 2u && l->stride_w == 2u && l->conv_w == (l->in_w + 1u) / 2u) {
        return BF_PHASES;
    }
    return l->stride_h > 1 || l->stride_w > 1 || l->conv_w != l->in_w || (padding && l->pad_value > 0) ? BF_COLUMNS
                                                                                                       : BF_INPUT;
}

BF_COLD static uint32_t copies_of(const bf_layer *l, uint32_t source) {
    return source == BF_PHASES ? 4u : source == BF_COLUMNS ? (uint32_t)l->kernel_w * l->stride_h : 0u;
}

BF_COLD static uint32_t padding_of(const bf_layer *l) {
    return (uint32_t)l->pad_top | l->pad_left | l->pad_bottom | l->pad_right;
}

BF_COLD static uint32_t row_planes_of(const bf_layer *l, uint32_t chunk) {
    return 2u * l->kernel_w * l->in_c + ((uint32_t)l->in_c + chunk - 1u) / chunk * 2u;
}

/* Words of a channel's string in a copy, or in the input. */
BF_COLD static uint32_t source_words_of(const bf_layer *l, uint32_t source) {
    const uint32_t rows = ((uint32_t)l->in_h + l->stride_h - 1u) / l->stride_h;
    return bf_string_words(source != BF_INPUT ? rows * l->conv_w : (uint32_t)l->in_h * l->in_w);
}

BF_COLD void bf_geometry_of(const bf_layer *l, uint32_t chunk, bf_geometry *k) {
    const uint32_t padding = padding_of(l);
    bf_fill(k, 0, sizeof *k);
    k->layer = l;
    k->inputs = bf_taps(l);
    k->width = bit_length(k->inputs) < 4u ? 4u : bit_length(k->inputs);
    k->groups = l->out_c / BF_GROUP;
    k->positions = (uint32_t)l->conv_h * l->conv_w;
    k->blocks = (k->positions + BF_BLOCK - 1u) / BF_BLOCK;
    k->chunk = chunk ? chunk : l->in_c;
    k->row_planes = row_planes_of(l, k->chunk);
    k->planes = k->row_planes * l->kernel_h;
    k->filler = k->row_planes - 1u;
    k->source = source_of(l, padding);
    k->exact = padding && l->pad_value == 0;
    k->source_words = source_words_of(l, k->source);
    k->copy_words = k->source_words * l->in_c;
    k->copies_words = k->copy_words * copies_of(l, k->source);
    k->record = sizeof(bf_group) / sizeof(uint32_t);
}

BF_COLD int bf_classes_cover(const bf_layer *l, uint32_t chunk, bf_geometry *k) {
    if (l->output != BF_BITS || l->groups != 1 || l->invert || l->out_c % BF_GROUP || l->stride_h > 2 ||
        l->stride_w > 2 || l->kernel_h > BF_KERNEL_SIDE || l->kernel_w > BF_KERNEL_SIDE ||
        bf_taps(l) >> BF_COUNT_PLANES) {
        return 0;
    }
    bf_geometry_of(l, chunk, k);
    /* At most as many patterns as there are positions at an end, and one more. */
    if (k->exact && (l->pad_left + l->pad_right >= (int)BF_SETS || l->pad_top + l->pad_bottom >= (int)BF_PATTERNS)) {
        return 0;
    }
    /* A list entry is a byte offset of 16 bits. Nothing that lies in scratch may be larger than a map. */
    return k->planes * (uint32_t)sizeof(bf_lanes) <= 0x10000u && bf_strings_fit((uint32_t)l->in_h * l->in_w, l->in_c) &&
           bf_strings_fit_behind(l) &&
           (uint64_t)k->source_words * l->in_c * copies_of(l, k->source) <= BF_MAP_LIMIT / 16u;
}

/* ---- Copies of the input, row by row as wide as the map of accumulators. ---- */

/* What `n` positions see that lie side by side, the first one at column x. */
BF_COLD static uint32_t seen(const bf_layer *l, const uint32_t *string, int32_t y, int32_t x, uint32_t flip) {
    const uint32_t bits = bf_columns_at(string, l->in_w, y, x, flip);
    if (l->stride_w == 1u) {
        return bits;
    }
    return bf_even_bits(bits) | bf_even_bits(bf_columns_at(string, l->in_w, y, x + 32, flip)) << 16;
}

/* One for each kernel column and row phase: what that column of the kernel sees. */
BF_COLD static void copy_columns(const bf_geometry *k, const uint32_t *strings, uint32_t flip, uint32_t *copies) {
    const bf_layer *l = k->layer;
    const uint32_t stride = bf_string_words((uint32_t)l->in_h * l->in_w);
    for (int32_t kx = 0; kx < l->kernel_w; kx++) {
        const int32_t left = kx * l->dilation_w - l->pad_left;
        for (int32_t phase = 0; phase < l->stride_h; phase++) {
            for (uint32_t c = 0; c < l->in_c; c++, copies += k->source_words) {
                const uint32_t *string = strings + (size_t)c * stride;
                bf_writer writer = {copies, 0, 0};
                for (int32_t y = phase; y < l->in_h; y += l->stride_h) {
                    for (int32_t x = 0; x < l->conv_w; x += (int32_t)BF_WORD_BITS) {
                        const uint32_t n = (uint32_t)(l->conv_w - x) < BF_WORD_BITS ? (uint32_t)(l->conv_w - x) : 32u;
                        bf_write(&writer, seen(l, string, y, x * l->stride_w + left, flip) & bf_tail_mask(n), n);
                    }
                }
                bf_write_end(&writer);
            }
        }
    }
}

/* Even bits to the low half, odd bits to the high half. */
BF_COLD static uint32_t unshuffle(uint32_t x) {
    uint32_t t = (x ^ x >> 1) & 0x22222222u;
    x ^= t ^ t << 1;
    t = (x ^ x >> 2) & 0x0C0C0C0Cu;
    x ^= t ^ t << 2;
    t = (x ^ x >> 4) & 0x00F000F0u;
    x ^= t ^ t << 4;
    t = (x ^ x >> 8) & 0x0000FF00u;
    return x ^ t ^ t << 8;
}

/*
 * Even columns, of which there are n, to the first writer, odd ones to the next; those of the row behind, if `rows` is
 * 2, to the next two. a, b: what unshuffle() made of these rows; and of others that go behind them, if `twice`.
 */
BF_COLD static void split(uint32_t a, uint32_t b, uint32_t n, uint32_t rows, uint32_t twice, bf_writer *writer) {
    const uint32_t mask = bf_tail_mask(n);
    for (; rows; rows--, writer += 2, a >>= n, b >>= n) {
        bf_write(&writer[0], (a & mask) | (b & mask) << n, n << twice);
        bf_write(&writer[1], (a >> 16 & mask) | (b >> 16 & mask) << n, n << twice);
    }
}

/* Four: even and odd columns of even rows, then of odd rows. */
BF_COLD static void copy_phases(const bf_geometry *k, const uint32_t *strings, uint32_t flip, uint32_t *copies) {
    const bf_layer *l = k->layer;
    const uint32_t stride = bf_string_words((uint32_t)l->in_h * l->in_w);
    const int is_narrow = l->in_w <= 16u && l->in_w % 2u == 0; /* two rows fit a word */
    for (uint32_t c = 0; c < l->in_c; c++, strings += stride) {
        bf_writer writers[4];
        int32_t y = 0;
        for (uint32_t i = 0; i < 4u; i++) {
            writers[i].to = copies + i * k->copy_words + (size_t)c * k->source_words;
            writers[i].word = writers[i].filled = 0;
        }
        for (; l->in_w <= 32u && y + 3 < l->in_h; y += 4) {
            for (uint32_t phase = 0; phase < (is_narrow ? 1u : 2u); phase++) {
                const uint32_t at = ((uint32_t)y + phase) * l->in_w;
                split(unshuffle(bf_bits_at(strings, at) ^ flip),
                      unshuffle(bf_bits_at(strings, at + 2u * l->in_w) ^ flip), l->conv_w, is_narrow ? 2u : 1u, 1,
                      writers + 2u * phase);
            }
        }
        for (; y < l->in_h; y++) {
            for (int32_t x = 0; x < l->conv_w; x += 16) {
                const uint32_t n = l->conv_w - x < 16 ? (uint32_t)(l->conv_w - x) : 16u;
                split(unshuffle(bf_columns_at(strings, l->in_w, y, 2 * x, flip)), 0, n, 1, 0,
                      writers + (y % 2 ? 2 : 0));
            }
        }
        for (uint32_t i = 0; i < 4u; i++) {
            bf_write_end(&writers[i]);
        }
    }
}

BF_COLD void bf_copy_input(const bf_geometry *k, const uint32_t *strings, uint32_t *copies) {
    /* Outside the map planes are 0. Where that shall be +1, all bits change their meaning: lists know. */
    const uint32_t flip = k->layer->pad_value > 0 ? 0xFFFFFFFFu : 0u;
    if (k->source == BF_PHASES) {
        copy_phases(k, strings, flip, copies);
    } else {
        copy_columns(k, strings, flip, copies);
    }
}

/* ---- Planes. ---- */

BF_COLD static uint32_t word_between(int32_t from, int32_t to) {
    uint32_t mask;
    from = from < 0 ? 0 : from;
    if (to <= from || from >= 32) {
        return 0;
    }
    mask = 0xFFFFFFFFu << from;
    return to < 32 ? mask & ((1u << to) - 1u) : mask;
}

static inline void set_word(bf_lanes *lanes, uint32_t i, uint32_t word) {
    ((uint32_t *)(void *)lanes)[i] = word;
}

BF_COLD bf_lanes bf_lanes_between(int32_t from, int32_t to, int32_t first) {
    bf_lanes lanes;
    for (uint32_t i = 0; i < BF_LANE_WORDS; i++, first += 32) {
        set_word(&lanes, i, word_between(from - first, to - first));
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
        set_word(&lanes, i, word);
    }
    return lanes;
}

/* n floored to a multiple of 32, over 32. */
BF_COLD static int32_t word_of(int32_t n) {
    return (int32_t)((uint32_t)(n + 0x40000000) / 32u) - 0x40000000 / 32;
}

#if !defined(BF_ARM_V7M)
void bf_planes_of_tap(bf_lanes *to, const uint32_t *from, const bf_tap *t) {
    for (uint32_t left = t->channels; left; to += 2) {
        uint32_t channels = left < t->chunk ? left : t->chunk;
        left -= channels;
        for (; channels; channels--, from += t->stride, to += t->step) {
            bf_lanes lanes;
            for (uint32_t i = 0; i < BF_LANE_WORDS; i++) {
                set_word(&lanes, i, from[i] >> t->shift | from[i + 1u] << 1 << (31u - t->shift));
            }
            to[0] = lanes & t->mask;
            to[1] = ~to[0];
        }
    }
}
#endif

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

/* One kernel row of a block: what its position in the map leaves of it. */
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
