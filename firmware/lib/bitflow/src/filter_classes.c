/*
 * filter_classes.c - adders, thresholds and planes of the filter classes in plain C: where src/arm has no assembly for
 * them, and what that assembly must equal.
 *
 * SPDX-License-Identifier: MIT
 */
#include "filter_classes.h"

#define LOW_PLANES 4u /* of the running count, held in registers; the others are added to where the count is kept */

#if !defined(BF_ARM_V7M) && !defined(BF_ARM_MVE)

/*
 * Two bits of one weight, coded as the first and the exclusive or of both: so coded, two full adders in a row take 8
 * operations instead of 10 (Demenkov, Kojevnikov, Kulikov, Yaroslavtsev: New upper bounds on the Boolean circuit
 * complexity of symmetric functions, 2010).
 */
typedef struct bf_pair {
    bf_lanes first, differ;
} bf_pair;

/* Add four bits to a sum: what they carry is a pair of twice the weight. */
static inline bf_pair add_pairs(bf_lanes *sum, bf_pair a, bf_pair b) {
    const bf_lanes carried = (a.first ^ *sum) | a.differ;
    const bf_lanes half = *sum ^ a.differ;
    const bf_lanes chosen = (b.first ^ half) & ~b.differ;
    const bf_pair carry = {chosen ^ half, carried ^ chosen};
    *sum = half ^ b.differ;
    return carry;
}

static inline bf_pair pair_of(const bf_lanes *a, const bf_lanes *b) {
    const bf_pair pair = {*a, *a ^ *b};
    return pair;
}

/* Add two bits to a sum: what they carry is one bit. */
static inline bf_lanes add_pair(bf_lanes *sum, bf_pair a) {
    const bf_lanes carried = (a.first ^ *sum) | a.differ;
    *sum ^= a.differ;
    return carried ^ *sum;
}

static inline uint32_t any(bf_lanes lanes) {
#if BF_LANE_WORDS == 1
    return lanes;
#else
    uint32_t found = 0;
    for (unsigned i = 0; i < BF_LANE_WORDS; i++) {
        found |= lanes[i];
    }
    return found;
#endif
}

/* A run, with the running count's low planes, and all of its planes. */
static inline void add_run(bf_lanes *low, bf_count *count, const bf_lanes *const in[BF_RUN]) {
    bf_pair twos = add_pairs(&low[0], pair_of(in[0], in[1]), pair_of(in[2], in[3]));
    const bf_pair more = add_pairs(&low[0], pair_of(in[4], in[5]), pair_of(in[6], in[7]));
    const bf_lanes eights = add_pair(&low[2], add_pairs(&low[1], twos, more));
    bf_lanes carry = low[3] & eights;
    low[3] ^= eights;
    for (unsigned i = LOW_PLANES; any(carry) && i < BF_COUNT_PLANES; i++) {
        const bf_lanes plane = count->plane[i];
        count->plane[i] = plane ^ carry;
        carry &= plane;
    }
}

/* The first count, where it is not set, and the running count's low planes. */
static inline void begin(bf_lanes *low, bf_count *count, uint32_t start) {
    const bf_lanes none = {0};
    if (!(start & BF_START_IS_SET)) {
        for (unsigned i = 0; i < BF_COUNT_PLANES; i++) {
            count->plane[i] = start >> i & 1u ? ~none : none;
        }
    }
    for (unsigned i = 0; i < LOW_PLANES; i++) {
        low[i] = count->plane[i];
        BF_KEEP_LOOP();
    }
}

/* A class is added: complete its count, and go on from there. */
static inline void next_class(const bf_lanes *low, bf_count *count) {
    for (unsigned i = 0; i < LOW_PLANES; i++) {
        count->plane[i] = low[i];
        BF_KEEP_LOOP();
    }
    for (unsigned i = LOW_PLANES; i < BF_COUNT_PLANES; i++) {
        count[1].plane[i] = count->plane[i];
        BF_KEEP_LOOP();
    }
}

static inline const uint16_t *add_runs16(bf_lanes *low, bf_count *count, const bf_lanes *planes, const uint16_t *entry,
                                         uint32_t runs) {
    for (; runs; runs--, entry += BF_RUN) {
        const bf_lanes *in[BF_RUN];
        for (unsigned i = 0; i < BF_RUN; i++) {
            in[i] = (const bf_lanes *)(const void *)((const uint8_t *)planes + entry[i]);
        }
        add_run(low, count, in);
    }
    return entry;
}

#if !defined(BF_ARM_V6M)
const void *bf_add_lists16(const bf_lanes *planes, const void *lists, bf_count *counts, uint32_t start) {
    const uint16_t *list = (const uint16_t *)lists;
    bf_lanes low[LOW_PLANES];
    begin(low, counts, start);
    for (uint32_t classes = start >> 16 & 15u; classes; classes--, counts++) {
        const uint32_t runs = *list++;
        list = add_runs16(low, counts, planes, list, runs);
        next_class(low, counts);
    }
    return list;
}
#endif

const void *bf_add_lists8(const bf_lanes *planes, const void *lists, bf_count *counts, uint32_t start) {
    const uint8_t *list = (const uint8_t *)lists;
    bf_lanes low[LOW_PLANES];
    begin(low, counts, start);
    for (uint32_t classes = start >> 16 & 15u; classes; classes--, counts++) {
        const bf_lanes *base = planes;
        uint32_t runs = list[0];
        const uint32_t runs16 = list[1];
        for (list += 2; runs; runs--, list += BF_RUN) {
            const bf_lanes *in[BF_RUN];
            for (unsigned i = 0; i < BF_RUN; i++) {
                in[i] = base + list[i];
            }
            base = in[BF_RUN - 1u];
            add_run(low, counts, in);
        }
        list = (const uint8_t *)add_runs16(low, counts, planes, (const uint16_t *)(const void *)list, runs16);
        next_class(low, counts);
    }
    return list;
}

#if defined(BF_ARM_V6M)
void bf_value_of(bf_lanes *value, const bf_count *counts, uint32_t j, uint32_t width);
#else
/*
 * Planes 1 .. width of value + 2 * (plus - minus), a two's complement number. A subtraction is an addition of the
 * inverted planes, and of one more.
 */
static void add_twice(bf_lanes *value, const bf_lanes *plus, const bf_lanes *minus, uint32_t width) {
    const bf_lanes none = {0};
    bf_pair carry = {none, ~none};
    for (uint32_t i = 0; i < width; i++) {
        const bf_pair both = {plus[i], plus[i] ^ ~minus[i]};
        carry = add_pairs(&value[i + 1u], both, carry);
    }
}

/* The planes of Vj, with its sign the other way round, as that of the limits. */
static void bf_value_of(bf_lanes *value, const bf_count *counts, uint32_t j, uint32_t width) {
    const bf_lanes none = {0};
    for (uint32_t i = 0; i < width; i++) {
        value[i] = counts[7].plane[i];
        BF_KEEP_LOOP();
    }
    value[width] = ~none;
    if (j == 1) {
        add_twice(value, counts[3].plane, counts[7].plane, width);
    } else if (j == 2) {
        add_twice(value, counts[1].plane, counts[5].plane, width);
    } else {
        add_twice(value, counts[0].plane, counts[2].plane, width);
        add_twice(value, counts[4].plane, counts[6].plane, width);
    }
}
#endif

#if !defined(BF_ARM_V6M)
void bf_compare(const bf_count *counts, const uint16_t *limits, uint32_t width, bf_lanes *to) {
    const bf_lanes none = {0};
    to[0] = ~counts[7].plane[width - 1u];
    for (uint32_t j = 1; j < BF_GROUP; j++) {
        uint32_t limit = limits[j - 1u];
        bf_lanes value[BF_COUNT_PLANES + 1u];
        bf_lanes within = ~none;
        bf_value_of(value, counts, j, width);
        for (uint32_t i = 0; i <= width; i++, limit >>= 1) {
            within = limit & 1u ? within | ~value[i] : within & ~value[i];
        }
        to[j] = within;
    }
}
#endif

void bf_compare_each(const bf_count *counts, const uint32_t *limits, uint32_t width, const bf_lanes *table,
                     bf_lanes *to) {
    const bf_lanes none = {0};
    to[0] = ~counts[7].plane[width - 1u];
    for (uint32_t j = 1; j < BF_GROUP; j++) {
        bf_lanes value[BF_COUNT_PLANES + 1u];
        bf_lanes within = ~none;
        const uint32_t *word = limits + 3u * (j - 1u);
        uint32_t bits = 0;
        uint32_t groups = 0;
        bf_value_of(value, counts, j, width);
        for (uint32_t i = 0; i <= width; i++, groups--, bits >>= 6) {
            if (!groups) {
                bits = *word++;
                groups = 5;
            }
            const bf_lanes limit = table[bits & 63u];
            within ^= (within ^ limit) & (value[i] ^ limit);
        }
        to[j] = within;
    }
}

#if !defined(BF_ARM_V6M)
static inline bf_lanes lanes_at(const uint32_t *from) {
    return *(const bf_lanes *)(const void *)from;
}

static inline bf_lanes *put_planes(bf_lanes *to, bf_lanes bits) {
    to[0] = bits;
    to[1] = ~bits;
    return to + 2;
}

bf_lanes *bf_planes_of_row(bf_lanes *to, const uint32_t *from, const bf_row *row) {
    const uint32_t shift = row->shift;
    for (uint32_t c = row->channels; c; c--, from += row->stride) {
        const bf_lanes next = lanes_at(from + 1);
        const bf_lanes left = lanes_at(from) >> shift | next << 1 << (BF_WORD_BITS - 1u - shift);
        bf_lanes high = next >> shift;
        if (shift == BF_WORD_BITS - 1u) {
            high |= lanes_at(from + 2) << 1;
        }
        to = put_planes(to, left & row->mask[0]);
        to = put_planes(to, (left >> 1 | high << 31) & row->mask[1]);
        to = put_planes(to, (left >> 2 | high << 30) & row->mask[2]);
    }
    return to;
}

#endif
#endif
