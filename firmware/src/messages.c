/*
 * messages.c - the numbers of requests and answers.
 *
 * SPDX-License-Identifier: MIT
 */
#include "messages.h"

static uint32_t take(request *r, size_t n) {
    uint32_t value = 0;
    if (r->left < n) {
        r->short_body = true;
        return 0;
    }
    for (size_t i = 0; i < n; i++) {
        value |= (uint32_t)r->next[i] << 8 * i;
    }
    r->next += n;
    r->left -= n;
    return value;
}

uint8_t request_u8(request *r) {
    return (uint8_t)take(r, 1);
}

uint16_t request_u16(request *r) {
    return (uint16_t)take(r, 2);
}

uint32_t request_u32(request *r) {
    return take(r, 4);
}

void answer_bytes(answer *a, const void *bytes, size_t n) {
    const uint8_t *p = bytes;
    for (; n && a->size < FRAME_BODY; n--) {
        a->body[a->size++] = *p++;
    }
}

static void put(answer *a, uint64_t value, unsigned n) {
    for (; n--; value >>= 8) {
        uint8_t byte = (uint8_t)value;
        answer_bytes(a, &byte, 1);
    }
}

void answer_u16(answer *a, uint16_t value) {
    put(a, value, 2);
}

void answer_u32(answer *a, uint32_t value) {
    put(a, value, 4);
}

void answer_u64(answer *a, uint64_t value) {
    put(a, value, 8);
}
