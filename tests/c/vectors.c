/*
 * vectors.c - the vector table with which newlib's semihosting start-up (rdimon) runs on an emulated board whose memory
 * at 0 can be written: the unit test's executor on a core.
 * SPDX-License-Identifier: MIT
 */
#include <stdint.h>

#ifndef STACK
#define STACK 0x20100000u
#endif

void _start(void);

#if defined(__ARM_FEATURE_MVE)
/* Vector instructions must be allowed first (CPACR); the start-up does not know. */
static void start(void) {
    *(volatile uint32_t *)0xE000ED88u |= 0xFu << 20;
    __asm__ volatile("dsb\n\tisb");
    _start();
}
#else
#define start _start
#endif

/* A fault ends the emulator: QEMU reports a lockup and stops. */
__attribute__((section(".vectors"), used)) static void (*const vectors[2])(void) = {
    (void (*)(void))(uintptr_t)STACK,
    start,
};
