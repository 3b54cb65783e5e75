/*
 * main.c - serves requests for ever.
 *
 * SPDX-License-Identifier: MIT
 */
#include "board.h"
#include "link_text.h"
#include "network.h"
#include "requests.h"

#define POLLS   300u                   /* before it sleeps: an answer is asked for soon, waking takes time */
#define SILENCE (BOARD_TIMER_HZ / 10u) /* 100 ms end what was begun outside the frames' own language */

static void take(uint8_t byte) {
    static uint64_t last;
    uint64_t now = board_ticks();
    bool text = requests_text_allowed();
    if (text && now - last > SILENCE) {
        frames_drop();
        text_drop();
    }
    last = now;
    if (byte == 0 || !text || frames_inside()) {
        text_drop();
        frames_take(byte);
    } else {
        text_take(byte);
    }
}

int main(void) {
    board_init();
    network_use_builtin();
    text_start();
    for (unsigned idle = 0;;) {
        int byte = board_read();
        if (byte >= 0) {
            take((uint8_t)byte);
            idle = 0;
        } else if (++idle >= POLLS) {
            board_sleep();
            idle = 0;
        }
    }
}
