/*
 * vectors.c - the vector table with which newlib's semihosting start-up (rdimon) runs on an emulated board whose memory
 * at 0 can be written: the unit test's executor on a core.
 * SPDX-License-Identifier: MIT
 */
#include <stdint.h>

void _start(void);

/* A fault ends the emulator: QEMU reports a lockup and stops. */
__attribute__((section(".vectors"), used)) static void (*const vectors[2])(void) = {
    (void (*)(void))(uintptr_t)0x20100000u,
    _start,
};
