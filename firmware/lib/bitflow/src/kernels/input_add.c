/*
 * input_add.c - the fast first layer: sums of a row from its tables, and their signs, for each threshold.
 *
 * Vectors are four words. Two of them are summed together; of each lane of 16 bits the sign of the first and that of
 * the second become two bits, which are spread so that bits of words side by side end side by side.
 *
 * SPDX-License-Identifier: MIT
 */
#include "input_rows.h"

static inline const uint32_t *table_at(const uint32_t *bases, const uint16_t *offset, uint32_t k) {
    return (const uint32_t *)(const void *)((const uint8_t *)bases + (bases[k] + offset[k]));
}

#if BF_LANE_WORDS == 4

static inline bf_lanes all(uint32_t x) {
    const bf_lanes lanes = {x, x, x, x};
    return lanes;
}

static inline bf_lanes words_at(const uint32_t *from) {
    return *(const bf_lanes *)(const void *)from;
}

/* Bits 8 .. 15 and 24 .. 31: the signs of the low and of the high lanes of eight words. */
static inline uint32_t signs(bf_lanes first, bf_lanes second) {
    const bf_lanes places = {8, 9, 10, 11};
    const bf_lanes two = (first >> 15 & all(0x10001u)) | (second >> 14 & all(0x20002u));
    const bf_lanes spread = ((two | two << 3) & all(0x110011u)) << places;
    return (spread[0] | spread[1]) | (spread[2] | spread[3]);
}

uint32_t bf_sums(uint32_t *filters, const uint32_t *bases, uint32_t pointers, uint32_t filter_words,
                 uint32_t thresholds) {
    for (uint32_t *filter = filters; filter[BF_SUMS_START]; filter += filter_words) {
        const uint16_t *offset = (const uint16_t *)(const void *)&filter[BF_SUMS_OFFSETS];
        bf_lanes first = all(filter[BF_SUMS_START]), second = first;
        uint32_t *more = filter;
        uint32_t k = 0, t = thresholds;
        do {
            const uint32_t *sums = table_at(bases, offset, k);
            first += words_at(sums);
            second += words_at(sums + 4);
        } while (++k != pointers);
        for (;;) {
            more[1] = more[1] >> 8 | signs(first, second);
            if (--t == 0) {
                break;
            }
            more -= 2;
            first += all(*more);
            second += all(*more);
        }
    }
    return 8;
}

#else

/* Shifts the signs of both lanes of four words into bits. */
static inline uint32_t signs(uint32_t bits, uint32_t a, uint32_t b, uint32_t c, uint32_t d) {
    bits = (a & BF_SUMS_SIGNS) | bits >> 1;
    bits = (b & BF_SUMS_SIGNS) | bits >> 1;
    bits = (c & BF_SUMS_SIGNS) | bits >> 1;
    return (d & BF_SUMS_SIGNS) | bits >> 1;
}

uint32_t bf_sums(uint32_t *filters, const uint32_t *bases, uint32_t pointers, uint32_t filter_words,
                 uint32_t thresholds) {
    for (uint32_t *filter = filters; filter[BF_SUMS_START]; filter += filter_words) {
        const uint16_t *offset = (const uint16_t *)(const void *)&filter[BF_SUMS_OFFSETS];
        uint32_t a = filter[BF_SUMS_START], b = a, c = a, d = a, k = 0, t = thresholds;
        uint32_t *more = filter;
        do {
            const uint32_t *sums = table_at(bases, offset, k);
            a += sums[0];
            b += sums[1];
            c += sums[2];
            d += sums[3];
        } while (++k != pointers);
        for (;;) {
            more[1] = signs(more[1], a, b, c, d);
            if (--t == 0) {
                break;
            }
            more -= 2;
            a += *more;
            b += *more;
            c += *more;
            d += *more;
        }
    }
    return 4;
}

#endif

#ifdef BF_ASM_SUMS
uint32_t bf_sums_of_several(uint32_t *filters, const uint32_t *bases, uint32_t pointers, uint32_t filter_words,
                            uint32_t thresholds) {
    if (thresholds <= BF_SUMS_THRESHOLDS) {
        bf_sums_8_several(filters, bases, pointers, filter_words * (uint32_t)sizeof(uint32_t), thresholds);
        return 8;
    }
    return bf_sums(filters, bases, pointers, filter_words, thresholds);
}
#endif
