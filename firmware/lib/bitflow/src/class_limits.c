/*
 * class_limits.c - filter classes: what is compared with, where that is not a number for all lanes alike.
 * SPDX-License-Identifier: MIT
 */
#include "classes.h"

BF_COLD bf_lanes bf_less_than(const bf_count *count, uint32_t bound, uint32_t width) {
    bf_lanes less = bf_no_lanes();
    for (uint32_t i = 0; i < width + 1u; i++) {
        const bf_lanes plane = i < width ? count->plane[i] : bf_no_lanes();
        less = bound >> i & 1u ? less | ~plane : less & ~plane;
    }
    return less;
}

static const uint32_t *pack_of(const bf_block *b, const bf_group *group, uint32_t pass) {
    return (const uint32_t *)(const void *)(group + 1) + b->pack[pass] * BF_PACK_WORDS;
}

#if !defined(BF_ARM_V7M)
void bf_look_up(const uint32_t *words, const bf_lanes *table, uint32_t width, bf_lanes *to) {
    uint32_t word = 0;
    for (uint32_t i = 0; i < width; i++, word >>= 6) {
        if (i % 5u == 0) {
            word = *words++;
        }
        to[i] = table[word & 63u];
    }
}
#endif

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
