/*
 * border.c - filter patterns: exact zero padding. border.h has a worked example.
 * SPDX-License-Identifier: MIT
 */
#include "border.h"
#include "blocks.h"

/* ---- Zones and borders. ---- */

/* The taps that a position sees: a new zone where they are others than those of the position before. */
BF_COLD static void add_position(bf_axis *axis, int32_t position, int32_t first, int32_t end) {
    const uint32_t n = axis->count;
    if (n && axis->first[n - 1u] == first && axis->end[n - 1u] == end) {
        return;
    }
    axis->start[n] = (uint16_t)position;
    axis->first[n] = (uint16_t)first;
    axis->end[n] = (uint16_t)end;
    axis->count++;
}

/* Only positions near the ends are looked at one by one: bf_patterns_cover() knows that they are few. */
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
        add_position(axis, i, first, end);
        if (origin >= 0 && room >= 0) {
            i += room / stride; /* all of these see every tap */
        }
    }
    axis->start[axis->count] = (uint16_t)out;
}

/* A border has all zones of columns, and as many neighbouring zones of rows as there is room for. */
BF_COLD void bf_border_of(bf_geometry *k) {
    const bf_layer *l = k->layer;
    uint32_t together;
    axis_of(&k->y, l->in_h, l->conv_h, l->kernel_h, l->stride_h, l->dilation_h, l->pad_top);
    axis_of(&k->x, l->in_w, l->conv_w, l->kernel_w, l->stride_w, l->dilation_w, l->pad_left);
    together = BF_BORDER_PATTERNS / k->x.count;
    k->borders = k->y.count > together ? k->y.count - together + 1u : 1u;
    k->tables = (k->y.count + together - 1u) / together;
    k->record += k->thresholds * k->borders * BF_BORDER_WORDS;
}

/* ---- Border words of a quad. ---- */

/* Weights of +1 of a tap of a filter, which begin at number `at`. */
BF_COLD static uint32_t ones_of(const bf_filters *g, uint32_t f, uint32_t at) {
    uint32_t left = g->k->layer->in_c, ones = 0;
    while (left) {
        const uint32_t n = left < BF_WORD_BITS ? left : BF_WORD_BITS;
        const int is_whole = n == BF_WORD_BITS && at % BF_WORD_BITS == 0;
        ones += bf_popcount(is_whole ? g->weights[f][at / BF_WORD_BITS] : bf_weights_at(g, f, at, n));
        at += n;
        left -= n;
    }
    return ones;
}

#define MOST_PATTERNS (BF_ZONES * BF_BORDER_PATTERNS)

/* Weights of +1 of filter f that a border pattern does not see, zone of rows after zone of rows. */
BF_COLD static void unseen_of(const bf_filters *g, uint32_t f, uint16_t *unseen) {
    const bf_geometry *k = g->k;
    const bf_layer *l = k->layer;
    const uint32_t columns = k->x.count;
    uint32_t at = 0;
    for (uint32_t i = 0; i < k->y.count * columns; i++) {
        unseen[i] = 0;
        BF_KEEP_LOOP();
    }
    for (uint32_t ky = 0; ky < l->kernel_h; ky++) {
        uint32_t outside[BF_BORDER_PATTERNS], all = 0; /* of this row of the kernel */
        for (uint32_t px = 0; px < columns; px++) {
            outside[px] = 0;
            BF_KEEP_LOOP();
        }
        for (uint32_t kx = 0; kx < l->kernel_w; kx++, at += l->in_c) {
            const uint32_t ones = ones_of(g, f, at);
            all += ones;
            for (uint32_t px = 0; px < columns; px++) {
                outside[px] += kx < k->x.first[px] || kx >= k->x.end[px] ? ones : 0u;
            }
        }
        for (uint32_t py = 0; py < k->y.count; py++) {
            const int is_seen = ky >= k->y.first[py] && ky < k->y.end[py];
            for (uint32_t px = 0; px < columns; px++) {
                unseen[py * columns + px] = (uint16_t)(unseen[py * columns + px] + (is_seen ? outside[px] : all));
            }
        }
    }
}

/* bf_most_disagreements() of a filter for each border pattern. */
BF_COLD static void most_of_border(const bf_filters *g, int32_t shift, const uint16_t *unseen, int16_t *most) {
    const bf_geometry *k = g->k;
    for (uint32_t py = 0; py < k->y.count; py++) {
        const uint32_t rows = ((uint32_t)k->y.end[py] - k->y.first[py]) * k->layer->in_c;
        for (uint32_t px = 0; px < k->x.count; px++) {
            const uint32_t valid = rows * ((uint32_t)k->x.end[px] - k->x.first[px]);
            *most++ = (int16_t)bf_most_disagreements(g, shift, valid, *unseen++);
        }
    }
}

/* Writes the digits of a border pattern's number: `pattern` counts from the border's first one. */
BF_COLD static void put_bits(uint32_t *words, uint32_t pattern, uint32_t coded) {
    for (uint32_t i = 0; i < 3u; i++, coded >>= 5) {
        words[i] |= ((coded & 31u) * 0x00108421u & 0x01041041u) << pattern;
    }
}

/* Writes the number of filter j for a border pattern to each border that has its zone of rows. */
BF_COLD static void put_number(const bf_geometry *k, uint32_t *borders, uint32_t j, uint32_t pattern, uint32_t coded) {
    const uint32_t columns = k->x.count, of_border = BF_BORDER_PATTERNS / columns * columns;
    for (uint32_t m = 0; m < k->borders && m * columns <= pattern; m++) {
        if (pattern - m * columns < of_border) {
            put_bits(borders + m * BF_BORDER_WORDS + 3u * j, pattern - m * columns, coded);
        }
    }
}

/* What counts start at so that the top digit decides for filter 0 at all positions; else 0 everywhere. */
BF_COLD static int starts_of(const bf_filters *g, int32_t shift, const uint16_t *unseen, int16_t *starts) {
    const bf_geometry *k = g->k;
    /* Counts that start anywhere below 2^digits must not overflow twelve digits. */
    int decided = k->digits < BF_COUNT_DIGITS;
    most_of_border(g, shift, unseen, starts);
    for (uint32_t i = 0; i < k->y.count * k->x.count; i++) {
        decided &= bf_start_for(k, starts[i]) >= 0;
    }
    for (uint32_t i = 0; i < k->y.count * k->x.count; i++) {
        starts[i] = (int16_t)(decided ? bf_start_for(k, starts[i]) : 0);
    }
    return decided;
}

BF_COLD void bf_border_limits(const bf_filters *g, const int32_t *shift, uint32_t *record) {
    const bf_geometry *k = g->k;
    bf_quad *quad = (bf_quad *)(void *)record;
    uint32_t *borders = record + sizeof(bf_quad) / sizeof(uint32_t);
    uint16_t unseen[MOST_PATTERNS];
    int16_t starts[MOST_PATTERNS], most[MOST_PATTERNS];
    uint32_t first = 0;
    int decided = 0;
    unseen_of(g, 0, unseen);
    for (uint32_t t = 0; t < k->thresholds && t < BF_FIRST_THRESHOLDS && !decided; t++) {
        decided = starts_of(g, shift[BF_QUAD * t], unseen, starts);
        first = decided ? t : 0u;
    }
    quad->first = (uint16_t)(BF_FIRST_THRESHOLD(first) | (decided ? 0u : BF_FIRST_LIMIT));
    bf_fill(borders, 0, k->thresholds * k->borders * BF_BORDER_WORDS * sizeof *borders);
    for (uint32_t j = 0; j < BF_QUAD; j++) {
        uint32_t *to = borders;
        if (j) {
            unseen_of(g, j, unseen);
        }
        for (uint32_t n = 0; n < k->thresholds; n++, to += k->borders * BF_BORDER_WORDS) {
            most_of_border(g, shift[BF_QUAD * bf_threshold_at(quad, n) + j], unseen, most);
            for (uint32_t i = 0; i < k->y.count * k->x.count; i++) {
                const uint32_t limit = bf_limit_of(g, j, most[i], starts[i]);
                const uint32_t below = (uint32_t)(most[i] + starts[i] + 1);
                put_number(k, to, j, i, j ? limit : n || !decided ? below : (uint32_t)starts[i]);
            }
        }
    }
}

/* ---- A run. ---- */

/* The border words of a quad for a table, of the threshold at place n. */
static const uint32_t *words_of(const bf_block *b, const bf_quad *quad, uint32_t table, uint32_t n) {
    return (const uint32_t *)(const void *)(quad + 1) + (n * b->k->borders + b->border[table]) * BF_BORDER_WORDS;
}

/* The start of each lane's count. */
BF_COLD static void start_lanes(const bf_block *b, const bf_quad *quad) {
    const uint32_t digits = b->k->digits;
    bf_lanes *to = b->counts[0].digit;
    bf_look_up(words_of(b, quad, 0, 0), b->table, digits, to);
    for (uint32_t p = 1; p < b->tables; p++) {
        bf_lanes more[BF_COUNT_DIGITS];
        bf_look_up(words_of(b, quad, p, 0), b->table + p * BF_BORDER_TABLE, digits, more);
        for (uint32_t i = 0; i < digits; i++) {
            to[i] |= more[i];
        }
    }
}

/* Filter 0 where the top digit cannot decide: lanes whose count is less than their number. */
BF_COLD static bf_lanes less_than_each(const bf_block *b, const uint32_t *border, const bf_lanes *table) {
    bf_lanes less = bf_no_lanes();
    for (uint32_t i = 0; i < b->k->digits + 1u; i++) {
        const bf_lanes digit = i < b->k->digits ? b->counts[BF_PATTERNS - 1u].digit[i] : bf_no_lanes();
        const bf_lanes threshold = table[border[i / 5u] >> 6u * (i % 5u) & 63u];
        less = (less & (~digit | threshold)) | (~digit & threshold);
    }
    return less;
}

BF_COLD const void *bf_run_border(const bf_block *b, const bf_quad *quad, const void *list, bf_lanes *bits) {
    uint32_t start = BF_START(0, BF_PATTERNS);
    if (!(quad->first & BF_FIRST_LIMIT)) {
        start |= BF_START_IS_SET;
        start_lanes(b, quad);
    }
    list = b->add(b->planes, list, b->counts, start);
    for (uint32_t n = 0; n < b->k->thresholds; n++, bits += BF_QUAD) {
        const bf_lanes *table = b->table;
        for (uint32_t p = 0; p < b->tables; p++, table += BF_BORDER_TABLE) {
            const uint32_t *border = words_of(b, quad, p, n);
            const bf_lanes mine = table[BF_BORDER_TABLE - 1u];
            bf_lanes more[BF_QUAD];
            bf_compare_each(b->counts, border + 3, b->k->digits, table, more);
            if (n || quad->first & BF_FIRST_LIMIT) {
                more[0] = less_than_each(b, border, table);
            }
            for (uint32_t j = 0; j < BF_QUAD; j++) {
                const bf_lanes before = p ? bits[j] : bf_no_lanes();
                bits[j] = (before & ~mine) | (more[j] & mine);
            }
        }
    }
    return list;
}

/* The border table of block `number`. columns: the lanes of each zone of columns. */
BF_COLD static void fill_table(const bf_geometry *k, uint32_t border, const bf_lanes *columns, uint32_t number,
                               bf_lanes *table) {
    const int32_t width = k->layer->conv_w;
    uint32_t px = k->x.count, py = border;
    bf_lanes rows = bf_no_lanes();
    table[0] = rows;
    for (uint32_t pattern = 0; pattern < BF_BORDER_PATTERNS; pattern++, px++) {
        bf_lanes *half = table + (1u << pattern);
        bf_lanes lanes;
        if (px == k->x.count) {
            px = 0;
            rows = bf_no_lanes();
            if (py < k->y.count && pattern + k->x.count <= BF_BORDER_PATTERNS) {
                rows =
                    bf_lanes_between(k->y.start[py] * width, k->y.start[py + 1u] * width, (int32_t)(number * BF_BLOCK));
            }
            py++;
        }
        lanes = rows & columns[px];
        for (uint32_t i = 0; i < 1u << pattern; i++) {
            half[i] = table[i] | lanes;
        }
    }
}

BF_COLD void bf_find_borders(bf_block *b, uint32_t number) {
    const bf_geometry *k = b->k;
    const uint32_t width = k->layer->conv_w;
    const uint32_t from = number * BF_BLOCK / width;
    const uint32_t end = (number + 1u) * BF_BLOCK < k->positions ? (number + 1u) * BF_BLOCK : k->positions;
    const uint32_t to = (end - 1u) / width;
    const uint32_t together = BF_BORDER_PATTERNS / k->x.count;
    uint32_t zone = 0, whole = 0;
    while (k->y.start[zone + 1u] <= from) {
        zone++;
    }
    if (BF_BLOCK % width == 0) {
        whole = to < k->y.start[zone + 1u] ? zone + 1u : 0u;
        if (whole && whole == b->whole) {
            return; /* all is as in the block before */
        }
    }
    b->whole = whole;
    for (uint32_t px = 0; px < k->x.count && (number == 0 || BF_BLOCK % width); px++) {
        b->columns[px] = bf_lanes_in_columns(k, k->x.start[px], k->x.start[px + 1u], number);
    }
    for (b->tables = 0; zone < k->y.count && k->y.start[zone] <= to; b->tables++) {
        const uint32_t border = zone < k->borders ? zone : k->borders - 1u;
        fill_table(k, border, b->columns, number, b->table + b->tables * BF_BORDER_TABLE);
        b->border[b->tables] = border;
        zone = border + together;
    }
}
