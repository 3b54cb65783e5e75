/*
 * main.c - where the start-up of a bare board goes. (Arduino has its own: boards/arduino.cpp.)
 *
 * SPDX-License-Identifier: MIT
 */
#include "serve.h"

int main(void) {
    serve_begin();
    for (;;) {
        serve();
    }
}
