/*
 * main.c - main() of a board without a framework. (Arduino: boards/arduino.cpp.)
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
