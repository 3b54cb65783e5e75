/*
 * input_several.c - the fast first layer with several thresholds: the sums of input_sums.c, compared with each.
 * SPDX-License-Identifier: MIT
 */
#include "input_rows.h"

/* Shifts the lanes' signs of four words into bits. */
static inline uint32_t signs(uint32_t bits, const uint32_t *sums) {
    bits = (sums[0] & BF_SUMS_SIGNS) | bits >> 1;
    bits = (sums[1] & BF_SUMS_SIGNS) | bits >> 1;
    bits = (sums[2] & BF_SUMS_SIGNS) | bits >> 1;
    return (sums[3] & BF_SUMS_SIGNS) | bits >> 1;
}

uint32_t bf_sums_of_several(uint32_t *filters, const uint32_t *bases, uint32_t pointers, uint32_t filter_words,
                            uint32_t thresholds) {
    const uint8_t *origin = (const uint8_t *)bases;
#ifdef BF_ASM_SUMS
    if (pointers <= BF_SUMS_POINTERS && thresholds <= BF_SUMS_THRESHOLDS) {
        bf_sums_8_several(filters, bases, pointers, filter_words * (uint32_t)sizeof(uint32_t), thresholds);
        return 8;
    }
#endif
    for (uint32_t *filter = filters; filter[BF_SUMS_START]; filter += filter_words) {
        const uint16_t *offset = (const uint16_t *)(const void *)&filter[BF_SUMS_OFFSETS];
        uint32_t a = filter[BF_SUMS_START], b = a, c = a, d = a, k = 0;
        uint32_t *more = filter;
        do {
            const uint32_t *sums = (const uint32_t *)(const void *)(origin + (bases[k] + offset[k]));
            a += sums[0];
            b += sums[1];
            c += sums[2];
            d += sums[3];
        } while (++k != pointers);
        for (uint32_t t = thresholds;;) {
            const uint32_t sums[4] = {a, b, c, d};
            uint32_t delta;
            more[1] = signs(more[1], sums);
            if (--t == 0) {
                break;
            }
            more -= 2;
            delta = *more;
            a += delta;
            b += delta;
            c += delta;
            d += delta;
        }
    }
    return 4;
}
