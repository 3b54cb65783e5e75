/*
 * board.c - what QEMU's MPS2 boards need for MicroPython: the FPU on, characters by interrupt, so that Ctrl-C ends
 * a running program, a clock, and a file system that is mounted at every start.
 *
 * The linker puts each __wrap_ function in place of the port's own (--wrap in board.mk): the port stays unchanged.
 *
 * SPDX-License-Identifier: MIT
 */
#include "py/mphal.h"
#include "py/mpstate.h"
#include "py/runtime.h"
#include "py/stackctrl.h"
#include "py/stream.h"
#include "shared/runtime/interrupt_char.h"
#include "shared/runtime/pyexec.h"
#include "uart.h"

#define REGISTER(address) (*(volatile uint32_t *)(address))

/* ARMv7-M Architecture Reference Manual, B3.2. */
#define NVIC_ENABLE REGISTER(0xE000E100u)
#define VTOR        REGISTER(0xE000ED08u)
#define AIRCR       REGISTER(0xE000ED0Cu)
#define CPACR       REGISTER(0xE000ED88u)
#define RESET       0x05FA0004u
#define FPU_ON      0x00F00000u

/* CMSDK Technical Reference Manual: UART and timer; MPS2: their addresses and interrupts. */
#define UART_DATA      REGISTER(0x40004000u)
#define UART_STATE     REGISTER(0x40004004u)
#define UART_CONTROL   REGISTER(0x40004008u)
#define UART_INTERRUPT REGISTER(0x4000400Cu)
#define UART_HAS_DATA  2u
#define UART_ON        0x0Bu /* send, receive, interrupt on received */
#define UART_IRQ       0
#define TIMER_CONTROL  REGISTER(0x40000000u)
#define TIMER_VALUE    REGISTER(0x40000004u)
#define TIMER_RELOAD   REGISTER(0x40000008u)
#define TIMER_INTSTAT  REGISTER(0x4000000Cu)
#define TIMER_ON       0x09u /* count, interrupt at 0 */
#define TIMER_IRQ      8
#define TICKS_US       25u /* the timer counts down at 25 MHz */

#define EXCEPTIONS 16
#define IRQS       32
#define STACK_SIZE (64 * 1024)

extern const uint32_t isr_vector[EXCEPTIONS];

static uint32_t vectors[EXCEPTIONS + IRQS] __attribute__((aligned(256)));
static volatile uint32_t timer_rounds;

/* What was received and not read yet; one place stays free. */
static volatile uint8_t received[1024];
static volatile size_t first, end;

static size_t after(size_t at) {
    return (at + 1) % sizeof received;
}

/* When there is no room the character stays in the UART, which then takes no more. */
static void receive(void) {
    while ((UART_STATE & UART_HAS_DATA) && after(end) != first) {
        int c = (uint8_t)UART_DATA;
        if (c == mp_interrupt_char) {
            mp_sched_keyboard_interrupt();
        } else {
            received[end] = (uint8_t)c;
            end = after(end);
        }
    }
}

static void uart_handler(void) {
    UART_INTERRUPT = UART_HAS_DATA;
    receive();
}

static void timer_handler(void) {
    TIMER_INTSTAT = 1;
    timer_rounds++;
}

void __wrap_mp_semihosting_init(void) {
    /* QEMU runs without a debugger that would answer. */
}

void __wrap_mp_semihosting_exit(int status) {
    (void)status;
    AIRCR = RESET;
}

void __wrap_uart_init(void) {
    CPACR |= FPU_ON;
    for (size_t i = 0; i < EXCEPTIONS; i++) {
        vectors[i] = isr_vector[i];
    }
    vectors[EXCEPTIONS + UART_IRQ] = (uint32_t)(uintptr_t)uart_handler;
    vectors[EXCEPTIONS + TIMER_IRQ] = (uint32_t)(uintptr_t)timer_handler;
    VTOR = (uint32_t)(uintptr_t)vectors;
    REGISTER(0x40004010u) = 16; /* baud divider: any that is allowed */
    UART_CONTROL = UART_ON;
    TIMER_RELOAD = UINT32_MAX;
    TIMER_VALUE = UINT32_MAX;
    TIMER_CONTROL = TIMER_ON;
    NVIC_ENABLE = 1u << UART_IRQ | 1u << TIMER_IRQ;
}

/* The port asks again until there is a character: here it may sleep. */
int __wrap_uart_rx_chr(void) {
    int c = UART_RX_NO_CHAR;
    mp_handle_pending(true);
    __asm volatile("cpsid i");
    receive();
    if (first == end) {
        __asm volatile("wfi"); /* wakes on an interrupt that is only masked */
    } else {
        c = received[first];
        first = after(first);
    }
    __asm volatile("cpsie i");
    return c;
}

uintptr_t __wrap_mp_hal_stdio_poll(uintptr_t flags) {
    uintptr_t ready = flags & MP_STREAM_POLL_WR;
    return first != end ? ready | (flags & MP_STREAM_POLL_RD) : ready;
}

static uint64_t ticks(void) {
    uint32_t rounds, value;
    do {
        rounds = timer_rounds;
        value = TIMER_VALUE;
    } while (rounds != timer_rounds);
    return (uint64_t)rounds << 32 | (UINT32_MAX - value);
}

/* 1.6 ticks an instruction under -icount shift=6: time.ticks_cpu() counts instructions. */
mp_uint_t mp_hal_ticks_cpu(void) {
    return (mp_uint_t)ticks();
}

mp_uint_t mp_hal_ticks_us(void) {
    return (mp_uint_t)(ticks() / TICKS_US);
}

mp_uint_t mp_hal_ticks_ms(void) {
    return (mp_uint_t)(ticks() / (TICKS_US * 1000u));
}

uint64_t mp_hal_time_ns(void) {
    return ticks() * (1000u / TICKS_US);
}

void mp_hal_delay_us(mp_uint_t us) {
    const uint64_t until = ticks() + (uint64_t)us * TICKS_US;
    while (ticks() < until) {
    }
}

void mp_hal_delay_ms(mp_uint_t ms) {
    const uint64_t until = ticks() + (uint64_t)ms * 1000u * TICKS_US;
    do {
        mp_handle_pending(true);
    } while (ticks() < until);
}

/* After MicroPython is up, and before its REPL. */
void __real_mp_init(void);
void __wrap_mp_init(void) {
    __real_mp_init();
    mp_stack_set_limit(STACK_SIZE);
    pyexec_frozen_module("_boot.py", false);
}
