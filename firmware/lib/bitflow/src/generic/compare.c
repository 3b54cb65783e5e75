/*
 * compare.c - bf_compare() in plain C.
 * SPDX-License-Identifier: MIT
 */
#include "value_of.h"

#if !defined(BF_ASM_COMPARE)

void bf_compare(const bf_count *counts, const uint16_t *limits, uint32_t digits, bf_lanes *to) {
    const bf_lanes none = {0};
    to[0] = ~counts[7].digit[digits - 1u];
    for (uint32_t j = 1; j < BF_QUAD; j++) {
        uint32_t limit = limits[j - 1u];
        bf_lanes value[BF_COUNT_DIGITS + 1u];
        bf_lanes within = ~none;
        bf_value_of(value, counts, j, digits);
        for (uint32_t i = 0; i <= digits; i++, limit >>= 1) {
            within = limit & 1u ? within | ~value[i] : within & ~value[i];
        }
        to[j] = within;
    }
}

#endif
