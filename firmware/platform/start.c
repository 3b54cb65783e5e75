/*
 * start.c - vector table and reset of a Cortex-M: set up memory, paint the stack, call main.
 *
 * SPDX-License-Identifier: MIT
 */
#include <stdint.h>

#define STACK_PAINT 0xC5C5C5C5u /* board_stack_used() looks for where it ends */
#define AIRCR       (*(volatile uint32_t *)0xE000ED0Cu)
#define AIRCR_RESET 0x05FA0004u /* the key and SYSRESETREQ */
#define CPACR       (*(volatile uint32_t *)0xE000ED88u)
#define CPACR_FPU   0x00F00000u /* the coprocessors 10 and 11: floating point and vectors */

#define VTOR (*(volatile uint32_t *)0xE000ED08u)

extern uint32_t _fast_load[], _fast_start[], _fast_end[];
extern uint32_t _data_load[], _data_start[], _data_end[], _bss_start[], _bss_end[], _stack_bottom[], _stack_top[];

int main(void);
void systick_handler(void);
void uart_handler(void);

typedef void (*vector)(void);

typedef struct vector_table {
    uint32_t *stack;
    vector handlers[15 + BOARD_UART_IRQ + 1];
} vector_table;

static const vector_table vectors;

static void paint_stack(void) {
    uint32_t here;
    /* 32 words below this frame are left alone: they are in use or soon will be. */
    for (volatile uint32_t *p = _stack_bottom; p + 32 < &here; p++) {
        *p = STACK_PAINT;
    }
}

/* After a boot loader the core still uses that one's table. */
static inline void use_vectors(void) {
#if __ARM_ARCH >= 7
    VTOR = (uint32_t)(uintptr_t)&vectors;
#endif
}

/* Where code may use the vector registers, before any does. */
static inline void enable_vectors(void) {
#if defined(__ARM_FEATURE_MVE)
    CPACR |= CPACR_FPU;
    __asm__ volatile("dsb\n\tisb" ::: "memory");
#endif
}

static inline void copy(uint32_t *to, const uint32_t *end, const uint32_t *from) {
    while (to != from && to < end) {
        *to++ = *from++;
    }
}

void reset_handler(void) {
    use_vectors();
    enable_vectors();
    copy(_fast_start, _fast_end, _fast_load);
    copy(_data_start, _data_end, _data_load);
    for (uint32_t *to = _bss_start; to < _bss_end;) {
        *to++ = 0;
    }
    paint_stack();
    main();
    for (;;) {
    }
}

/* A fault resets the board: the host sees an answer from a board that forgot the session, and says so. */
static void fault_handler(void) {
    AIRCR = AIRCR_RESET;
    for (;;) {
    }
}

__attribute__((section(".vectors"), used)) static const vector_table vectors = {
    .stack = _stack_top,
    .handlers =
        {
            [0] = reset_handler,
            [1] = fault_handler,  /* NMI */
            [2] = fault_handler,  /* HardFault */
            [3] = fault_handler,  /* MemManage */
            [4] = fault_handler,  /* BusFault */
            [5] = fault_handler,  /* UsageFault */
            [6] = fault_handler,  /* SecureFault */
            [10] = fault_handler, /* SVCall */
            [11] = fault_handler, /* DebugMonitor */
            [13] = fault_handler, /* PendSV */
            [14] = systick_handler,
            [15 + BOARD_UART_IRQ] = uart_handler,
        },
};
