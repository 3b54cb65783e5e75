/*
 * add_lists8.c - bf_add_lists8() in plain C.
 * SPDX-License-Identifier: MIT
 */
#include "add.h"

#if !defined(BF_ASM_ADD_LISTS8)

const void *bf_add_lists8(const bf_lanes *planes, const void *lists, bf_count *counts, uint32_t start) {
    const uint8_t *list = (const uint8_t *)lists;
    bf_lanes low[LOW_DIGITS];
    begin(low, counts, start);
    for (uint32_t patterns = start >> 16 & 15u; patterns; patterns--, counts++) {
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
        next_pattern(low, counts);
    }
    return list;
}

#endif
