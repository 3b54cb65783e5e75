/*
 * border.c - filter classes: exact zero padding, where limits differ from lane to lane.
 * SPDX-License-Identifier: MIT
 */
#include "border.h"
#include "blocks.h"

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

/* ---- Words of a group. ---- */

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

#define PATTERNS (BF_PATTERNS * BF_SETS)

/*
 * What most_disagreements() says of filter f at positions of each pattern of rows and of columns: in the order of rows.
 */
BF_COLD static void most_of_patterns(const bf_filters *g, uint32_t f, int32_t shift, int16_t *most) {
    const bf_geometry *k = g->k;
    const bf_layer *l = k->layer;
    const uint32_t columns = k->x.count;
    uint16_t unseen[PATTERNS]; /* weights of +1 */
    uint32_t at = 0;
    for (uint32_t i = 0; i < k->y.count * columns; i++) {
        unseen[i] = 0;
        BF_KEEP_LOOP();
    }
    for (uint32_t ky = 0; ky < l->kernel_h; ky++) {
        uint32_t outside[BF_SETS], all = 0; /* of this row of the kernel */
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
    for (uint32_t py = 0, i = 0; py < k->y.count; py++) {
        const uint32_t rows = ((uint32_t)k->y.end[py] - k->y.first[py]) * l->in_c;
        for (uint32_t px = 0; px < columns; px++, i++) {
            most[i] =
                (int16_t)bf_most_disagreements(g, shift, rows * ((uint32_t)k->x.end[px] - k->x.first[px]), unseen[i]);
        }
    }
}

/* Bit i of a coded number becomes bit 6 i of three words, five a word. */
BF_COLD static void put_bits(uint32_t *words, uint32_t set, uint32_t coded) {
    for (uint32_t i = 0; i < 3u; i++, coded >>= 5) {
        words[i] |= ((coded & 31u) * 0x00108421u & 0x01041041u) << set;
    }
}

BF_COLD void bf_exact_limits(const bf_filters *g, const int32_t *shift, uint32_t *record) {
    const bf_geometry *k = g->k;
    const uint32_t patterns = k->y.count * k->x.count;
    const uint32_t sets = BF_SETS / k->x.count * k->x.count;
    uint32_t *packs = record + sizeof(bf_group) / sizeof(uint32_t);
    /* By the top plane, at all positions. Lanes that begin anywhere below 2^width leave no room for twelve planes. */
    int decided = k->width < BF_COUNT_PLANES;
    int16_t starts[PATTERNS], most[PATTERNS];
    most_of_patterns(g, 0, shift[0], starts);
    for (uint32_t i = 0; i < patterns; i++) {
        decided &= bf_start_for(k, starts[i]) >= 0;
    }
    ((bf_group *)(void *)record)->first = decided ? 0 : BF_FIRST_LIMIT;
    bf_fill(packs, 0, k->packs * BF_PACK_WORDS * sizeof *packs);
    for (uint32_t j = 0; j < BF_GROUP; j++) {
        if (j) {
            most_of_patterns(g, j, shift[j], most);
        }
        for (uint32_t i = 0; i < patterns; i++) {
            uint32_t coded;
            if (j == 0) {
                starts[i] = (int16_t)(decided ? bf_start_for(k, starts[i]) : starts[i] + 1);
                coded = (uint32_t)starts[i];
            } else {
                coded = bf_limit_of(g, j, most[i], decided ? starts[i] : 0);
            }
            /* In each pack that has the pattern of rows. */
            for (uint32_t m = 0; m < k->packs && m * k->x.count <= i; m++) {
                if (i - m * k->x.count < sets) {
                    put_bits(packs + m * BF_PACK_WORDS + 3u * j, i - m * k->x.count, coded);
                }
            }
        }
    }
}

/* ---- A run. ---- */

static const uint32_t *pack_of(const bf_block *b, const bf_group *group, uint32_t pass) {
    return (const uint32_t *)(const void *)(group + 1) + b->pack[pass] * BF_PACK_WORDS;
}

/* The start of each lane's count. */
BF_COLD static void start_lanes(const bf_block *b, const bf_group *group) {
    const uint32_t width = b->k->width;
    bf_lanes *to = b->counts[0].plane;
    bf_look_up(pack_of(b, group, 0), b->tables, width, to);
    for (uint32_t p = 1; p < b->passes; p++) {
        bf_lanes more[BF_COUNT_PLANES];
        bf_look_up(pack_of(b, group, p), b->tables + p * BF_TABLE, width, more);
        for (uint32_t i = 0; i < width; i++) {
            to[i] |= more[i];
        }
    }
}

/* Filter 0 where the top plane cannot decide. */
BF_COLD static bf_lanes less_than_each(const bf_block *b, const uint32_t *pack, const bf_lanes *table) {
    bf_lanes less = bf_no_lanes();
    for (uint32_t i = 0; i < b->k->width + 1u; i++) {
        const bf_lanes plane = i < b->k->width ? b->counts[BF_CLASSES - 1u].plane[i] : bf_no_lanes();
        const bf_lanes bound = table[pack[i / 5u] >> 6u * (i % 5u) & 63u];
        less = (less & (~plane | bound)) | (~plane & bound);
    }
    return less;
}

BF_COLD const void *bf_run_passes(const bf_block *b, const bf_group *group, const void *list, bf_lanes *bits) {
    const bf_lanes *table = b->tables;
    uint32_t start = BF_START(0, BF_CLASSES);
    if (group->first == 0) {
        start |= BF_START_IS_SET;
        start_lanes(b, group);
    }
    list = b->add(b->planes, list, b->counts, start);
    for (uint32_t p = 0; p < b->passes; p++, table += BF_TABLE) {
        const uint32_t *pack = pack_of(b, group, p);
        const bf_lanes mine = table[BF_TABLE - 1u];
        bf_lanes more[BF_GROUP];
        bf_compare_each(b->counts, pack + 3, b->k->width, table, more);
        if (group->first) {
            more[0] = less_than_each(b, pack, table);
        }
        for (uint32_t j = 0; j < BF_GROUP; j++) {
            const bf_lanes before = p ? bits[j] : bf_no_lanes();
            bits[j] = (before & ~mine) | (more[j] & mine);
        }
    }
    return list;
}

/* table[x]: the lanes of all sets k whose bit is 1 in x. columns: the lanes of the patterns of columns. */
BF_COLD static void fill_table(const bf_geometry *k, uint32_t pack, const bf_lanes *columns, uint32_t number,
                               bf_lanes *table) {
    const int32_t width = k->layer->conv_w;
    uint32_t px = k->x.count, py = pack;
    bf_lanes rows = bf_no_lanes();
    table[0] = rows;
    for (uint32_t set = 0; set < BF_SETS; set++, px++) {
        bf_lanes *half = table + (1u << set);
        bf_lanes lanes;
        if (px == k->x.count) {
            px = 0;
            rows = bf_no_lanes();
            if (py < k->y.count && set + k->x.count <= BF_SETS) {
                rows =
                    bf_lanes_between(k->y.start[py] * width, k->y.start[py + 1u] * width, (int32_t)(number * BF_BLOCK));
            }
            py++;
        }
        lanes = rows & columns[px];
        for (uint32_t i = 0; i < 1u << set; i++) {
            half[i] = table[i] | lanes;
        }
    }
}

BF_COLD void bf_find_packs(bf_block *b, uint32_t number) {
    const bf_geometry *k = b->k;
    const uint32_t width = k->layer->conv_w;
    const uint32_t from = number * BF_BLOCK / width;
    const uint32_t end = (number + 1u) * BF_BLOCK < k->positions ? (number + 1u) * BF_BLOCK : k->positions;
    const uint32_t to = (end - 1u) / width;
    const uint32_t together = BF_SETS / k->x.count;
    uint32_t pattern = 0, whole = 0;
    while (k->y.start[pattern + 1u] <= from) {
        pattern++;
    }
    if (BF_BLOCK % width == 0) {
        whole = to < k->y.start[pattern + 1u] ? pattern + 1u : 0u;
        if (whole && whole == b->whole) {
            return; /* all is as in the block before */
        }
    }
    b->whole = whole;
    for (uint32_t px = 0; px < k->x.count && (number == 0 || BF_BLOCK % width); px++) {
        b->columns[px] = bf_lanes_in_columns(k, k->x.start[px], k->x.start[px + 1u], number);
    }
    for (b->passes = 0; pattern < k->y.count && k->y.start[pattern] <= to; b->passes++) {
        const uint32_t pack = pattern < k->packs ? pattern : k->packs - 1u;
        fill_table(k, pack, b->columns, number, b->tables + b->passes * BF_TABLE);
        b->pack[b->passes] = pack;
        pattern = pack + together;
    }
}
