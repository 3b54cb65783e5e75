/*
 * serve.c - gives each received byte to frames or to the text protocol.
 *
 * SPDX-License-Identifier: MIT
 */
#include "serve.h"
#include "board.h"
#include "link_frames.h"
#include "link_text.h"
#include "network.h"
#include "requests.h"

#define POLLS     300u /* before it sleeps: the next byte mostly comes soon, and waking takes time */
#define A_SILENCE 10u  /* part of a second: after it, a frame or command that began is dropped */

static void take(uint8_t byte) {
    static uint64_t last;
    uint64_t now = board_ticks();
    bool text = requests_text_allowed();
    if (text && now - last > board_timer_hz() / A_SILENCE) {
        frames_drop();
        text_drop();
    }
    last = now;
    if (byte == 0 || !text || frames_inside()) {
        text_drop();
        frames_take(byte, requests_serve);
    } else {
        text_take(byte);
    }
}

void serve_begin(void) {
    board_init();
    network_use_builtin();
    text_start();
}

void serve(void) {
    static unsigned idle;
    int byte = board_read();
    if (byte >= 0) {
        take((uint8_t)byte);
        idle = 0;
    } else if (++idle >= POLLS) {
        board_sleep();
        idle = 0;
    }
}
