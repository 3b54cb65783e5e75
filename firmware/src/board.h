/*
 * board.h - what the firmware needs of a board. Files in boards/ define these functions.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef BOARD_H
#define BOARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ---- The serial port: one file per family. ---- */

void board_init(void);

/* Sends n bytes; returns when the last one is in the UART. */
void board_write(const void *bytes, size_t n);

/*
 * Turns the UART's receive interrupt on, or off while something is measured. A UART that would lose bytes meanwhile
 * leaves it on.
 */
void board_receive(bool on);

/* ---- The core: boards/cortex_m.c. ---- */

void core_init(uint32_t clock_hz);
void core_interrupt(unsigned number, bool on); /* of the interrupt controller */

/* The next received byte 0..255, or -1. */
int board_read(void);

/* Sleeps until an interrupt, unless a received byte waits. */
void board_sleep(void);

/* Ticks since reset, board_timer_hz() a second. */
uint64_t board_ticks(void);
uint32_t board_timer_hz(void);

/* Starts a new period of the timer, so that repeated measurements agree to the tick. */
void board_ticks_align(void);

/* CPUID register of the core: tells a Cortex-M0 from an M4. */
uint32_t board_cpuid(void);

/* Bytes of the stack, and how many of them were ever used. Equal: it may have overflowed. 0: unknown. */
size_t board_stack_size(void);
size_t board_stack_used(void);

/* RAM that is not used, aligned to 8 bytes. */
uint8_t *board_free_ram(size_t *size);

/* Ticks of a loop of 2 n + 1 instructions: shows that ticks of an emulator count instructions. */
uint32_t board_calibrate(uint32_t n);

/* ---- For the receive interrupt. ---- */

/* Is there room for a received byte? False: leave it in the UART, with the interrupt off until board_drained(). */
bool board_room(void);

/* Stores a received byte. There must be room for it. */
void board_received(uint8_t byte);

/* Called when board_read() has made room again. */
void board_drained(void);

#endif
