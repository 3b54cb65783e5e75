/*
 * planes_of_tap.c - bf_planes_of_tap() in plain C.
 * SPDX-License-Identifier: MIT
 */
#include "../patterns/lanes.h"

#if !defined(BF_ASM_PLANES_OF_TAP)

void bf_planes_of_tap(bf_lanes *to, const uint32_t *from, const bf_tap *t) {
    for (uint32_t left = t->channels; left; to += 2) {
        uint32_t channels = left < t->chunk ? left : t->chunk;
        left -= channels;
        for (; channels; channels--, from += t->stride, to += t->step) {
            bf_lanes lanes;
            for (uint32_t i = 0; i < BF_LANE_WORDS; i++) {
                bf_set_word(&lanes, i, from[i] >> t->shift | from[i + 1u] << 1 << (31u - t->shift));
            }
            to[0] = lanes & t->mask;
            to[1] = ~to[0];
        }
    }
}

#endif
