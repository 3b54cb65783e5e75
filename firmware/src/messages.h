/*
 * messages.h - the bodies of requests and answers: numbers, one after the other, little-endian.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef MESSAGES_H
#define MESSAGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FRAME_BODY  110u /* bytes at most, both ways */
#define FRAME_CHUNK 96u  /* bytes of an image, input or text that one frame carries at most */

/* A received request. The numbers of its body are read in order. */
typedef struct request {
    uint8_t kind;
    uint32_t crc;
    const uint8_t *next; /* first byte of the body that was not read yet */
    size_t left;
    bool short_body; /* more was read than the body has */
} request;

uint8_t request_u8(request *r);
uint16_t request_u16(request *r);
uint32_t request_u32(request *r);

/* An answer under construction. What does not fit is left out: the writers keep within FRAME_BODY. */
typedef struct answer {
    uint8_t kind;
    uint8_t body[FRAME_BODY];
    size_t size;
} answer;

void answer_bytes(answer *a, const void *bytes, size_t n);
void answer_u16(answer *a, uint16_t value);
void answer_u32(answer *a, uint32_t value);
void answer_u64(answer *a, uint64_t value);

#endif
