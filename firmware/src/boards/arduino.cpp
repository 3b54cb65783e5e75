/*
 * arduino.cpp - any board that PlatformIO's Arduino framework knows and that has `Serial`.
 *
 * SPDX-License-Identifier: MIT
 */
#include <Arduino.h>

extern "C" {
#include "board.h"
#include "serve.h"
}

#ifndef BOARD_SERIAL
#define BOARD_SERIAL Serial
#endif

#define SCB_CPUID  (*(volatile uint32_t *)0xE000ED00u)
#define DEMCR      (*(volatile uint32_t *)0xE000EDFCu)
#define DWT_CTRL   (*(volatile uint32_t *)0xE0001000u)
#define DWT_CYCCNT (*(volatile uint32_t *)0xE0001004u)

/* Only these cores have a cycle counter. */
#if defined(__ARM_ARCH_7M__) || defined(__ARM_ARCH_7EM__) || defined(__ARM_ARCH_8M_MAIN__)
#define HAS_DWT 1
#else
#define HAS_DWT 0
#endif

namespace {

const uint32_t microseconds = 1000000u;
const unsigned long write_ms = 1000; /* before bytes that the host does not read are dropped */

/* ---- Time: cycles where the core counts them, else microseconds. ---- */

bool counts_cycles;
uint64_t ticks;
uint32_t last_count, last_ms;

uint32_t count() {
#if HAS_DWT
    if (counts_cycles) {
        return DWT_CYCCNT;
    }
#endif
    return static_cast<uint32_t>(micros());
}

void start_counter() {
#if HAS_DWT
    DEMCR |= 1u << 24; /* TRCENA */
    DWT_CTRL |= 1u;    /* CYCCNTENA */
    const uint32_t before = DWT_CYCCNT;
    for (volatile unsigned i = 0; i < 100; i = i + 1) {
    }
    counts_cycles = DWT_CYCCNT != before; /* on some chips it stands still without a debugger */
#endif
    last_count = count();
    last_ms = static_cast<uint32_t>(millis());
}

} // namespace

extern "C" {

uint32_t board_timer_hz(void) {
    return counts_cycles ? static_cast<uint32_t>(F_CPU) : microseconds;
}

/* 32 bits wrap within seconds: milliseconds say how often they did since the last call. */
uint64_t board_ticks(void) {
    const uint32_t now = count(), ms = static_cast<uint32_t>(millis());
    const uint32_t counted = now - last_count;
    const uint64_t about = static_cast<uint64_t>(ms - last_ms) * (board_timer_hz() / 1000u);
    const uint64_t wraps = about > counted ? (about - counted + 0x80000000u) >> 32 : 0;
    ticks += (wraps << 32) + counted;
    last_count = now;
    last_ms = ms;
    return ticks;
}

void board_ticks_align(void) {
}

uint32_t board_calibrate(uint32_t n) {
    noInterrupts();
    const uint32_t before = count();
#if defined(__arm__)
    __asm volatile(".syntax unified\n"
                   "1: subs %0, #1\n"
                   "   bne 1b\n"
                   : "+l"(n)
                   :
                   : "cc", "memory");
#else
    for (volatile uint32_t left = n; left; left = left - 1) {
    }
#endif
    const uint32_t spent = count() - before;
    interrupts();
    return spent;
}

/* ---- Serial port. ---- */

void board_init(void) {
    BOARD_SERIAL.begin(BOARD_BAUD);
    start_counter();
}

void board_write(const void *bytes, size_t n) {
    const uint8_t *p = static_cast<const uint8_t *>(bytes);
    const unsigned long start = millis();
    while (n && millis() - start < write_ms) {
        const size_t sent = BOARD_SERIAL.write(p, n);
        p += sent;
        n -= sent;
    }
}

int board_read(void) {
    return BOARD_SERIAL.available() > 0 ? BOARD_SERIAL.read() : -1;
}

void board_receive(bool on) {
    (void)on; /* the framework's own buffer goes on receiving */
}

void board_sleep(void) {
    yield();
}

/* ---- Core and memory, as far as the framework shows them. ---- */

uint32_t board_cpuid(void) {
#if defined(__arm__)
    return SCB_CPUID;
#else
    return 0;
#endif
}

size_t board_stack_size(void) {
    return 0;
}

size_t board_stack_used(void) {
    return 0;
}

/* The framework does not say what is free: this much is reserved. */
uint8_t *board_free_ram(size_t *size) {
    static uint64_t kept[BOARD_RAM / 16u / sizeof(uint64_t)];
    *size = sizeof kept;
    return reinterpret_cast<uint8_t *>(kept);
}

} // extern "C"

void setup() {
    serve_begin();
}

void loop() {
    serve();
}
