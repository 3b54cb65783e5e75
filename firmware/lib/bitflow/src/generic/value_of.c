/*
 * value_of.c - bf_value_of() in plain C.
 * SPDX-License-Identifier: MIT
 */
#include "add.h"
#include "value_of.h"

#if !defined(BF_ASM_VALUE_OF)

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

void bf_value_of(bf_lanes *value, const bf_count *counts, uint32_t j, uint32_t width) {
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
