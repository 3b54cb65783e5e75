/*
 * What stands behind the stand-in for Arduino.h, with POSIX.
 */
#include "Arduino.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

Stream Serial;

static int next = -1; /* a byte that was seen to wait */

static bool waits(int ms) {
    struct pollfd in = {0, POLLIN, 0};
    return poll(&in, 1, ms) > 0;
}

void Stream::begin(unsigned long) {
}

int Stream::available() {
    uint8_t byte;
    if (next < 0 && waits(0)) {
        const ssize_t n = ::read(0, &byte, 1);
        if (n <= 0) {
            _exit(0); /* the line is gone */
        }
        next = byte;
    }
    return next >= 0;
}

int Stream::read() {
    const int byte = available() ? next : -1;
    next = -1;
    return byte;
}

size_t Stream::write(const uint8_t *bytes, size_t n) {
    const ssize_t sent = ::write(1, bytes, n > 60 ? 60 : n); /* less than asked for, as boards do */
    return sent > 0 ? static_cast<size_t>(sent) : 0;
}

size_t Stream::print(const char *text) {
    const size_t all = strlen(text);
    for (size_t sent = 0; sent < all;) {
        sent += write(reinterpret_cast<const uint8_t *>(text) + sent, all - sent);
    }
    return all;
}

size_t Stream::print(long number) {
    char text[24];
    snprintf(text, sizeof text, "%ld", number);
    return print(text);
}

size_t Stream::println(const char *text) {
    return print(text) + print("\r\n");
}

static uint64_t nanoseconds() {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return static_cast<uint64_t>(now.tv_sec) * 1000000000u + static_cast<uint64_t>(now.tv_nsec);
}

unsigned long millis() {
    return static_cast<unsigned long>(nanoseconds() / 1000000u);
}

unsigned long micros() {
    return static_cast<unsigned long>(nanoseconds() / 1000u);
}

void yield() {
    waits(50);
}

void delay(unsigned long ms) {
    poll(nullptr, 0, static_cast<int>(ms));
}

void noInterrupts() {
}

void interrupts() {
}

int main() {
    setup();
    for (;;) {
        loop();
    }
}
