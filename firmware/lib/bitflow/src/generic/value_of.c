/*
 * value_of.c - bf_value_of() in plain C.
 * SPDX-License-Identifier: MIT
 */
#include "add.h"
#include "value_of.h"

#if !defined(BF_ASM_VALUE_OF)

/*
 * Digits 1 .. `digits` of value + 2 * (plus - minus), a two's complement number. A subtraction is an addition of the
 * inverted digits, and of 1.
 */
static void add_twice(bf_lanes *value, const bf_lanes *plus, const bf_lanes *minus, uint32_t digits) {
    const bf_lanes none = {0};
    bf_pair carry = {none, ~none};
    for (uint32_t i = 0; i < digits; i++) {
        const bf_pair both = {plus[i], plus[i] ^ ~minus[i]};
        carry = add_pairs(&value[i + 1u], both, carry);
    }
}

void bf_value_of(bf_lanes *value, const bf_count *counts, uint32_t j, uint32_t digits) {
    const bf_lanes none = {0};
    for (uint32_t i = 0; i < digits; i++) {
        value[i] = counts[7].digit[i];
        BF_KEEP_LOOP();
    }
    value[digits] = ~none;
    if (j == 1) {
        add_twice(value, counts[3].digit, counts[7].digit, digits);
    } else if (j == 2) {
        add_twice(value, counts[1].digit, counts[5].digit, digits);
    } else {
        add_twice(value, counts[0].digit, counts[2].digit, digits);
        add_twice(value, counts[4].digit, counts[6].digit, digits);
    }
}

#endif
