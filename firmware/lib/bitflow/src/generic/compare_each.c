/*
 * compare_each.c - bf_compare_each() in plain C.
 * SPDX-License-Identifier: MIT
 */
#include "value_of.h"

#if !defined(BF_ASM_COMPARE_EACH)

void bf_compare_each(const bf_count *counts, const uint32_t *limits, uint32_t digits, const bf_lanes *table,
                     bf_lanes *to) {
    const bf_lanes none = {0};
    to[0] = ~counts[7].digit[digits - 1u];
    for (uint32_t j = 1; j < BF_QUAD; j++) {
        bf_lanes value[BF_COUNT_DIGITS + 1u];
        bf_lanes within = ~none;
        const uint32_t *word = limits + 3u * (j - 1u);
        uint32_t bits = 0;
        uint32_t fields = 0;
        bf_value_of(value, counts, j, digits);
        for (uint32_t i = 0; i <= digits; i++, fields--, bits >>= 6) {
            if (!fields) {
                bits = *word++;
                fields = 5;
            }
            const bf_lanes limit = table[bits & 63u];
            within ^= (within ^ limit) & (value[i] ^ limit);
        }
        to[j] = within;
    }
}

#endif
