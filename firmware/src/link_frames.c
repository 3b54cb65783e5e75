/*
 * link_frames.c - framing, and the stored answers that keep a repeated request from running twice.
 *
 * SPDX-License-Identifier: MIT
 */
#include "link_frames.h"
#include "board.h"

#include <bitflow.h>
#include <bitflow_port.h>

#define HEAD    2u /* kind and sequence number */
#define TAIL    4u /* CRC-32 */
#define PAYLOAD (HEAD + FRAME_BODY + TAIL)
#define ENCODED (PAYLOAD + 1u) /* COBS adds one byte to fewer than 255 */
#define STORED  2u             /* the host sends at most as many requests before it waits */

/* ---- COBS. ---- */

/* Encodes n < 255 bytes; out has room for n + 1. Each 0x00 becomes the distance to the next one. */
static void cobs_encode(uint8_t *out, const uint8_t *in, size_t n) {
    uint8_t *code = out;
    uint8_t run = 1;
    for (size_t i = 0; i < n; i++) {
        if (in[i]) {
            code[run++] = in[i];
        } else {
            *code = run;
            code += run;
            run = 1;
        }
    }
    *code = run;
}

/* Decodes n bytes in place. Returns how many came out, 0 if the bytes are no COBS. */
static size_t cobs_decode(uint8_t *bytes, size_t n) {
    size_t out = 0;
    for (size_t i = 0; i < n;) {
        size_t run = bytes[i++];
        if (run == 0 || i + run - 1 > n) {
            return 0;
        }
        for (size_t k = 1; k < run; k++) {
            bytes[out++] = bytes[i++];
        }
        if (run < 255 && i < n) {
            bytes[out++] = 0;
        }
    }
    return out;
}

/* ---- Answers that were sent. ---- */

typedef struct stored {
    uint32_t request; /* CRC-32 of the request, its sequence number included */
    size_t size;      /* 0: none */
    uint8_t frame[ENCODED + 2];
} stored;

static stored store[STORED];
static unsigned newest;

void frames_forget(void) {
    for (unsigned i = 0; i < STORED; i++) {
        store[i].size = 0;
    }
}

static void reply(const request *r, uint8_t sequence, const answer *a) {
    uint8_t payload[PAYLOAD];
    size_t n = HEAD + a->size;
    payload[0] = a->kind;
    payload[1] = sequence;
    bf_copy(payload + HEAD, a->body, a->size);
    uint32_t crc = bf_crc32(0, payload, n);
    for (unsigned i = 0; i < TAIL; i++, crc >>= 8) {
        payload[n++] = (uint8_t)crc;
    }
    newest = (newest + 1) % STORED;
    stored *s = &store[newest];
    s->request = r->crc;
    s->size = n + 3;
    s->frame[0] = 0;
    cobs_encode(s->frame + 1, payload, n);
    s->frame[n + 2] = 0;
    board_write(s->frame, s->size);
}

static void answer_frame(uint8_t *payload, size_t n, frames_handler *handler) {
    if (n < HEAD + TAIL) {
        return;
    }
    n -= TAIL;
    uint32_t crc = bf_crc32(0, payload, n);
    for (unsigned i = 0; i < TAIL; i++) {
        if (payload[n + i] != (uint8_t)(crc >> 8 * i)) {
            return;
        }
    }
    for (unsigned i = 0; i < STORED; i++) {
        if (store[i].size && store[i].request == crc) {
            board_write(store[i].frame, store[i].size);
            return;
        }
    }
    request r = {.kind = payload[0], .crc = crc, .next = payload + HEAD, .left = n - HEAD};
    answer a;
    a.size = 0;
    if (handler(&r, &a)) {
        reply(&r, payload[1], &a);
    }
}

/* ---- Received bytes. ---- */

static uint8_t received[ENCODED];
static size_t count; /* bytes since the last 0x00; above ENCODED: too long for a frame */
static bool inside;

bool frames_inside(void) {
    return inside;
}

void frames_drop(void) {
    inside = false;
    count = 0;
}

void frames_take(uint8_t byte, frames_handler *handler) {
    if (byte) {
        if (count < ENCODED) {
            received[count] = byte;
        }
        count += count <= ENCODED;
        return;
    }
    /* A 0x00 ends a frame if there was one; with nothing or a torn frame before it, it starts one. */
    size_t n = count && count <= ENCODED ? cobs_decode(received, count) : 0;
    count = 0;
    inside = n == 0;
    if (n) {
        answer_frame(received, n, handler);
    }
}
