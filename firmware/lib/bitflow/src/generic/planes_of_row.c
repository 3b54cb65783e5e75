/*
 * planes_of_row.c - bf_planes_of_row() in plain C.
 * SPDX-License-Identifier: MIT
 */
#include "../patterns/lanes.h"

#if !defined(BF_ASM_PLANES_OF_ROW)

static inline bf_lanes lanes_at(const uint32_t *from) {
    return *(const bf_lanes *)(const void *)from;
}

static inline bf_lanes *put_planes(bf_lanes *to, bf_lanes bits) {
    to[0] = bits;
    to[1] = ~bits;
    return to + 2;
}

bf_lanes *bf_planes_of_row(bf_lanes *to, const uint32_t *from, const bf_row *row) {
    const uint32_t shift = row->shift;
    for (uint32_t c = row->channels; c; c--, from += row->stride) {
        const bf_lanes next = lanes_at(from + 1);
        const bf_lanes left = lanes_at(from) >> shift | next << 1 << (BF_WORD_BITS - 1u - shift);
        bf_lanes high = next >> shift;
        if (shift == BF_WORD_BITS - 1u) {
            high |= lanes_at(from + 2) << 1;
        }
        to = put_planes(to, left & row->mask[0]);
        to = put_planes(to, (left >> 1 | high << 31) & row->mask[1]);
        to = put_planes(to, (left >> 2 | high << 30) & row->mask[2]);
    }
    return to;
}

#endif
