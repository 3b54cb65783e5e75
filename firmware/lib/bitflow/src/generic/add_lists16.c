/*
 * add_lists16.c - bf_add_lists16() in plain C.
 * SPDX-License-Identifier: MIT
 */
#include "add.h"

#if !defined(BF_ASM_ADD_LISTS16)

const void *bf_add_lists16(const bf_lanes *planes, const void *lists, bf_count *counts, uint32_t start) {
    const uint16_t *list = (const uint16_t *)lists;
    bf_lanes low[LOW_DIGITS];
    begin(low, counts, start);
    for (uint32_t patterns = start >> 16 & 15u; patterns; patterns--, counts++) {
        const uint32_t runs = *list++;
        list = add_runs16(low, counts, planes, list, runs);
        next_pattern(low, counts);
    }
    return list;
}

#endif
