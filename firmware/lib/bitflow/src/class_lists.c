/*
 * class_lists.c - filter classes: lists and limits of a group, made in RAM of the 1-bit weights and the BatchShift.
 *
 * Nothing here believes an index of an image: a list follows from weight bits and the layer's shape alone.
 *
 * SPDX-License-Identifier: MIT
 */
#include "classes.h"

/* Filters of a group: where their weights are, and what the list says of them. */
struct bf_filters {
    const bf_geometry *k;
    const uint32_t *weights[BF_GROUP];
    const uint16_t *size;     /* of the classes, in order */
    uint32_t other[BF_GROUP]; /* inputs in whose class it differs from filter 0 */
};

/* n <= 32 weights from number `at` on. The word behind is read only where there is one. */
BF_COLD static uint32_t weights_at(const bf_filters *g, uint32_t f, uint32_t at, uint32_t n) {
    const uint32_t *word = g->weights[f] + at / BF_WORD_BITS;
    const uint32_t shift = at % BF_WORD_BITS;
    uint32_t found = word[0] >> shift;
    if (shift + n > BF_WORD_BITS) {
        found |= word[1] << (BF_WORD_BITS - shift);
    }
    return found & bf_tail_mask(n);
}

/* Which of 32 inputs are in each class, in the order of lists. mask: inputs that there are; weights of others are 0. */
static void classify(const uint32_t *weights, uint32_t mask, uint32_t *of) {
    const uint32_t a = weights[1] ^ weights[0];
    const uint32_t b = weights[2] ^ weights[0];
    const uint32_t c = weights[3] ^ weights[0];
    const uint32_t none = mask & ~a;
    of[0] = none & ~b & ~c; /* patterns 0 1 3 2 6 7 5 4: from one to the next a single filter changes sides */
    of[1] = none & ~b & c;
    of[2] = none & b & c;
    of[3] = none & b & ~c;
    of[4] = a & b & ~c;
    of[5] = a & b & c;
    of[6] = a & ~b & c;
    of[7] = a & ~b & ~c;
}

static void begin(const bf_model *model, const bf_geometry *k, const uint16_t *rows, bf_filters *g) {
    const uint32_t *weights = (const uint32_t *)bf_at(model, k->layer->weights);
    g->k = k;
    for (uint32_t j = 0; j < BF_GROUP; j++) {
        g->weights[j] = weights + (size_t)rows[j] * bf_words(k->inputs);
    }
}

void bf_count_classes(const bf_model *model, const bf_geometry *k, const uint16_t *rows, uint16_t *size) {
    bf_filters g;
    begin(model, k, rows, &g);
    bf_fill(size, 0, BF_CLASSES * sizeof *size);
    for (uint32_t i = 0; i < bf_words(k->inputs); i++) {
        const uint32_t mask = i + 1u < bf_words(k->inputs) ? 0xFFFFFFFFu : bf_tail_mask(k->inputs);
        uint32_t weights[BF_GROUP], of[BF_CLASSES];
        for (uint32_t j = 0; j < BF_GROUP; j++) {
            weights[j] = g.weights[j][i] & mask;
        }
        classify(weights, mask, of);
        for (uint32_t c = 0; c < BF_CLASSES; c++) {
            size[c] = (uint16_t)(size[c] + bf_popcount(of[c]));
        }
    }
}

/* ---- Entries. ---- */

#if !defined(BF_ARM_V7M)

/* The entries of the bits that are 1; that of bit 31 is `last`. */
static inline uint16_t *append(uint16_t *to, uint32_t set, uint32_t last, uint32_t step) {
    while (set) {
        const uint32_t above = bf_leading_zeros(set);
        *to++ = (uint16_t)(last - above * step);
        set &= ~(0x80000000u >> above);
    }
    return to;
}

void bf_append_words(bf_entries *e, uint32_t taps) {
    for (; taps; taps--, e->last += e->next_tap) {
        for (uint32_t i = 0; i < e->words;
             i++, e->at += (uint32_t)sizeof(uint32_t), e->last += BF_WORD_BITS * e->step) {
            uint32_t weights[BF_GROUP], of[BF_CLASSES];
            for (uint32_t j = 0; j < BF_GROUP; j++) {
                weights[j] = e->weights[j][e->at / sizeof(uint32_t)];
            }
            classify(weights, e->mask, of);
            for (uint32_t c = 0; c < BF_CLASSES; c++) {
                uint16_t *end = append(e->to[c], of[c] & ~weights[0], e->last, e->step);
                e->to[c] = append(end, of[c] & weights[0], e->last + e->ones, e->step);
            }
        }
    }
}

#endif

/* A tap whose weights do not begin on words. */
BF_COLD static void append_tap(const bf_filters *g, uint32_t at, bf_entries *e) {
    uint32_t weights[BF_GROUP];
    uint32_t left = g->k->layer->in_c;
    for (uint32_t j = 0; j < BF_GROUP; j++) {
        e->weights[j] = &weights[j];
    }
    while (left) {
        const uint32_t n = left < BF_WORD_BITS ? left : BF_WORD_BITS;
        for (uint32_t j = 0; j < BF_GROUP; j++) {
            weights[j] = weights_at(g, j, at, n);
        }
        e->mask = bf_tail_mask(n);
        e->at = 0;
        bf_append_words(e, 1);
        at += n;
        left -= n;
    }
}

BF_COLD static void append_inputs(const bf_filters *g, bf_entries *e) {
    const bf_geometry *k = g->k;
    const bf_layer *l = k->layer;
    const uint32_t words =
        l->in_c % BF_WORD_BITS == 0 ? l->in_c / BF_WORD_BITS : 0u; /* of a tap, where they are its own */
    uint32_t at = 0;
    e->step = 2u * l->kernel_w * (uint32_t)sizeof(bf_lanes);
    e->words = words ? words : 1u;
    e->next_tap = words ? 2u * (uint32_t)sizeof(bf_lanes) - words * BF_WORD_BITS * e->step : 0u;
    for (uint32_t ky = 0; ky < l->kernel_h; ky++) {
        for (uint32_t kx = 0; kx < l->kernel_w; kx += words ? l->kernel_w : 1u, at += l->in_c) {
            /* Filter 0 disagrees where its weight is -1 and the bit 1, or its weight +1 and the complement 1. */
            const uint32_t bit = (bf_plane(k, ky, kx, 0) + (bf_is_flipped(k) ? 1u : 0u)) * (uint32_t)sizeof(bf_lanes);
            e->last = bit + (BF_WORD_BITS - 1u) * e->step;
            if (words) {
                bf_append_words(e, l->kernel_w);
            } else {
                append_tap(g, at, e);
            }
        }
    }
}

BF_COLD static uint16_t *fill_list(const bf_filters *g, uint16_t *list) {
    const bf_geometry *k = g->k;
    const uint16_t filler = (uint16_t)(k->filler * sizeof(bf_lanes));
    uint16_t *end[BF_CLASSES];
    bf_entries e;
    for (uint32_t j = 0; j < BF_GROUP; j++) {
        e.weights[j] = g->weights[j];
    }
    e.at = 0;
    e.mask = 0xFFFFFFFFu;
    e.ones = bf_is_flipped(k) ? 0u - (uint32_t)sizeof(bf_lanes) : (uint32_t)sizeof(bf_lanes);
    for (uint32_t c = 0; c < BF_CLASSES; c++) {
        const uint32_t runs = (g->size[c] + BF_RUN - 1u) / BF_RUN;
        *list++ = (uint16_t)runs;
        e.to[c] = list;
        list += runs * BF_RUN;
        end[c] = list;
    }
    append_inputs(g, &e);
    for (uint32_t c = 0; c < BF_CLASSES; c++) {
        while (e.to[c] < end[c]) {
            *e.to[c]++ = filler;
        }
    }
    return list;
}

/* ---- Limits. ---- */

/* Weights of +1 of a tap of a filter, which begin at number `at`. */
BF_COLD static uint32_t ones_of(const bf_filters *g, uint32_t f, uint32_t at) {
    uint32_t left = g->k->layer->in_c, ones = 0;
    while (left) {
        const uint32_t n = left < BF_WORD_BITS ? left : BF_WORD_BITS;
        const int is_whole = n == BF_WORD_BITS && at % BF_WORD_BITS == 0;
        ones += bf_popcount(is_whole ? g->weights[f][at / BF_WORD_BITS] : weights_at(g, f, at, n));
        at += n;
        left -= n;
    }
    return ones;
}

/*
 * A filter's bit is 1 if no more planes disagree than this: accumulator = valid - 2 * disagreements of valid taps, and
 * at a padded tap, whose plane is 0, those weights disagree that are +1. From -1, never, to `inputs`, always.
 */
BF_COLD static int32_t most_disagreements(const bf_filters *g, int32_t shift, uint32_t valid, uint32_t padded_ones) {
    const int32_t inputs = (int32_t)g->k->inputs;
    const int32_t sum = (int32_t)(valid + (uint32_t)shift); /* an image may have been changed: nothing overflows */
    const int32_t most = (sum - (sum & 1)) / 2 + (int32_t)padded_ones;
    return most < -1 ? -1 : most > inputs ? inputs : most;
}

/* Can the top plane of the count decide for filter 0? Then it starts at this; else -1. */
BF_COLD static int32_t start_for(const bf_geometry *k, int32_t most) {
    const int32_t half = 1 << (k->width - 1u);
    return most < half && most >= (int32_t)k->inputs - half ? half - 1 - most : -1;
}

BF_COLD static uint16_t limit_of(const bf_filters *g, uint32_t j, int32_t most, int32_t start) {
    const int32_t limit = most + start - (int32_t)g->other[j];
    return (uint16_t)BF_LIMIT(limit, g->k->width);
}

BF_COLD void bf_plain_limits(const bf_filters *g, const int32_t *shift, uint32_t *to) {
    bf_group *record = (bf_group *)(void *)to;
    const bf_geometry *k = g->k;
    int32_t most[BF_GROUP], start;
    for (uint32_t j = 0; j < BF_GROUP; j++) {
        most[j] = most_disagreements(g, shift[j], k->inputs, 0);
    }
    start = start_for(k, most[0]);
    record->first = start < 0 ? (uint16_t)(BF_FIRST_LIMIT | (uint32_t)(most[0] + 1)) : (uint16_t)start;
    start = start < 0 ? 0 : start;
    for (uint32_t j = 1; j < BF_GROUP; j++) {
        record->limit[j - 1u] = limit_of(g, j, most[j], start);
    }
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
                (int16_t)most_disagreements(g, shift, rows * ((uint32_t)k->x.end[px] - k->x.first[px]), unseen[i]);
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
        decided &= start_for(k, starts[i]) >= 0;
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
                starts[i] = (int16_t)(decided ? start_for(k, starts[i]) : starts[i] + 1);
                coded = (uint32_t)starts[i];
            } else {
                coded = limit_of(g, j, most[i], decided ? starts[i] : 0);
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

/* Filter j differs from filter 0 in the classes of half of the order. */
BF_COLD static void count_others(bf_filters *g) {
    const uint16_t *n = g->size;
    g->other[1] = (uint32_t)n[4] + n[5] + n[6] + n[7];
    g->other[2] = (uint32_t)n[2] + n[3] + n[4] + n[5];
    g->other[3] = (uint32_t)n[1] + n[2] + n[5] + n[6];
}

BF_COLD uint16_t *bf_make_list(const bf_model *model, const bf_geometry *k, const uint16_t *rows, const uint16_t *size,
                               bf_limits *limits, uint16_t *list, uint32_t *record) {
    const int32_t *shifts = (const int32_t *)bf_at(model, k->layer->shift);
    int32_t shift[BF_GROUP];
    bf_filters g;
    begin(model, k, rows, &g);
    g.size = size;
    count_others(&g);
    for (uint32_t j = 0; j < BF_GROUP; j++) {
        shift[j] = shifts[rows[j]];
    }
    limits(&g, shift, record);
    return fill_list(&g, list);
}
