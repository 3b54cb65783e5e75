/*
 * cortex_m.c - timer, sleep, stack and received bytes: the same on every Cortex-M.
 *
 * SPDX-License-Identifier: MIT
 */
#include "board.h"

#define SYST_CSR       (*(volatile uint32_t *)0xE000E010u)
#define SYST_RVR       (*(volatile uint32_t *)0xE000E014u)
#define SYST_CVR       (*(volatile uint32_t *)0xE000E018u)
#define ICSR           (*(volatile uint32_t *)0xE000ED04u)
#define ICSR_PENDSTSET (1u << 26)
#define CPUID          (*(volatile uint32_t *)0xE000ED00u)
#define NVIC_ISER      ((volatile uint32_t *)0xE000E100u)
#define NVIC_ICER      ((volatile uint32_t *)0xE000E180u)

#define SYST_BITS   24
#define SYST_TOP    ((1u << SYST_BITS) - 1u)
#define STACK_PAINT 0xC5C5C5C5u /* written by the start-up */

extern uint32_t _stack_bottom[], _stack_top[];
extern uint8_t _free_start[], _free_end[];

void systick_handler(void);

/* ---- Timer: 24 bits of hardware, the rest counted by its interrupt. ---- */

static volatile uint32_t wraps;
static uint64_t earlier; /* ticks before the first of these periods */

void systick_handler(void) {
    wraps++;
}

static uint32_t timer_hz;

void core_init(uint32_t clock_hz) {
    timer_hz = clock_hz;
    SYST_RVR = SYST_TOP;
    SYST_CVR = 0;
    SYST_CSR = 7; /* processor clock, interrupt, on */
}

uint32_t board_timer_hz(void) {
    return timer_hz;
}

uint64_t board_ticks(void) {
    uint32_t high, low;
    do {
        high = wraps;
        low = SYST_TOP - SYST_CVR;
    } while (high != wraps || (ICSR & ICSR_PENDSTSET));
    return earlier + (((uint64_t)high << SYST_BITS) | low);
}

void board_ticks_align(void) {
    earlier = board_ticks();
    wraps = 0;
    SYST_CVR = 0;
}

uint32_t board_calibrate(uint32_t n) {
    __asm volatile("cpsid i" ::: "memory");
    uint32_t before = SYST_CVR;
    __asm volatile(".syntax unified\n"
                   "1: subs %0, #1\n"
                   "   bne 1b\n"
                   : "+l"(n)
                   :
                   : "cc", "memory");
    uint32_t ticks = (before - SYST_CVR) & SYST_TOP;
    __asm volatile("cpsie i" ::: "memory");
    return ticks;
}

/* ---- Received bytes: a ring with one writer (the interrupt) and one reader. ---- */

#ifndef BOARD_RING
#define BOARD_RING 256u /* a power of two; two whole frames fit */
#endif

static uint8_t ring[BOARD_RING];
static volatile uint32_t ring_in, ring_out;
static volatile bool ring_held;

bool board_room(void) {
    ring_held = ring_in - ring_out == BOARD_RING;
    return !ring_held;
}

void board_received(uint8_t byte) {
    ring[ring_in % BOARD_RING] = byte;
    ring_in++;
}

int board_read(void) {
    if (ring_in == ring_out) {
        return -1;
    }
    uint8_t byte = ring[ring_out % BOARD_RING];
    ring_out++;
    if (ring_held) {
        ring_held = false;
        board_drained();
    }
    return byte;
}

void board_sleep(void) {
    /* A masked interrupt that is pending still ends WFI: a byte that comes between the test and WFI is not missed. */
    __asm volatile("cpsid i" ::: "memory");
    if (ring_in == ring_out) {
        __asm volatile("wfi");
    }
    __asm volatile("cpsie i" ::: "memory");
}

void core_interrupt(unsigned number, bool on) {
    volatile uint32_t *registers = on ? NVIC_ISER : NVIC_ICER;
    registers[number / 32] = 1u << number % 32;
    __asm volatile("dsb\n isb" ::: "memory");
}

/* ---- Core and memory. ---- */

uint32_t board_cpuid(void) {
    return CPUID;
}

size_t board_stack_size(void) {
    return (size_t)((uintptr_t)_stack_top - (uintptr_t)_stack_bottom);
}

size_t board_stack_used(void) {
    const volatile uint32_t *p = _stack_bottom;
    while (p < _stack_top && *p == STACK_PAINT) {
        p++;
    }
    return (size_t)((uintptr_t)_stack_top - (uintptr_t)p);
}

uint8_t *board_free_ram(size_t *size) {
    *size = (size_t)((uintptr_t)_free_end - (uintptr_t)_free_start);
    return _free_start;
}
