/*
 * look_up.c - bf_look_up() in plain C.
 * SPDX-License-Identifier: MIT
 */
#include "../patterns/lanes.h"

#if !defined(BF_ASM_LOOK_UP)

void bf_look_up(const uint32_t *words, const bf_lanes *table, uint32_t digits, bf_lanes *to) {
    uint32_t word = 0;
    for (uint32_t i = 0; i < digits; i++, word >>= 6) {
        if (i % 5u == 0) {
            word = *words++;
        }
        to[i] = table[word & 63u];
    }
}

#endif
