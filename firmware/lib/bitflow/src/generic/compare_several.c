/*
 * compare_several.c - bf_compare_several() in plain C.
 * SPDX-License-Identifier: MIT
 */
#include "value_of.h"

#if !defined(BF_ASM_COMPARE_SEVERAL)

#if !defined(BF_ASM_WITHIN)
bf_lanes bf_within(const bf_lanes *value, uint32_t limit) {
    bf_lanes outside = bf_no_lanes();
    for (; limit != 1u; limit >>= 1, value++) {
        outside = limit & 1u ? outside & *value : outside | *value;
    }
    return ~outside;
}
#endif

void bf_compare_several(bf_count *counts, const uint16_t *limits, uint32_t digits, bf_lanes *to, uint32_t thresholds) {
    const uint32_t end = 2u << digits;
    bf_lanes value[BF_COUNT_DIGITS + 1u];
    to[0] = ~counts[7].digit[digits - 1u];
    for (uint32_t j = 0; j < BF_QUAD; j++) {
        if (j) {
            bf_value_of(value, counts, j, digits);
        } else {
            for (uint32_t i = 0; i < digits; i++) {
                value[i] = counts[7].digit[i];
                BF_KEEP_LOOP();
            }
            value[digits] = ~bf_no_lanes();
        }
        /* The first threshold has limits of the filters 1 to 3 only. */
        for (uint32_t at = j ? j : BF_QUAD; at < BF_QUAD * thresholds; at += BF_QUAD) {
            to[at] = bf_within(value, limits[at - 1u] | end);
        }
    }
}

#endif
