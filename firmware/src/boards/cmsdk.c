/*
 * cmsdk.c - serial port of the MPS2 and MPS3 boards (ARM CMSDK UART).
 *
 * SPDX-License-Identifier: MIT
 */
#include "board.h"

typedef struct cmsdk_uart {
    volatile uint32_t data, state, control, interrupt, divider;
} cmsdk_uart;

enum { STATE_TX_FULL = 1, STATE_RX_FULL = 2 };
enum { CONTROL_TX = 1, CONTROL_RX = 2, CONTROL_RX_INTERRUPT = 8 };
enum { INTERRUPT_RX = 2 };

#define UART ((cmsdk_uart *)BOARD_UART)
#define BAUD 115200u

void uart_handler(void);

void uart_handler(void) {
    UART->interrupt = INTERRUPT_RX;
    while (UART->state & STATE_RX_FULL) {
        if (!board_room()) {
            UART->control = CONTROL_TX | CONTROL_RX;
            return;
        }
        board_received((uint8_t)UART->data);
    }
}

void board_drained(void) {
    UART->control = CONTROL_TX | CONTROL_RX | CONTROL_RX_INTERRUPT;
    /* The interrupt comes when a byte arrives; one that waits already is read here. */
    core_interrupt(BOARD_UART_IRQ, false);
    uart_handler();
    core_interrupt(BOARD_UART_IRQ, true);
}

void board_init(void) {
    core_init(BOARD_CLOCK_HZ);
    UART->divider = BOARD_CLOCK_HZ / BAUD;
    UART->control = CONTROL_TX | CONTROL_RX | CONTROL_RX_INTERRUPT;
    core_interrupt(BOARD_UART_IRQ, true);
}

void board_write(const void *bytes, size_t n) {
    for (const uint8_t *p = bytes; n--; p++) {
        while (UART->state & STATE_TX_FULL) {
        }
        UART->data = *p;
    }
}

void board_receive(bool on) {
    core_interrupt(BOARD_UART_IRQ, on);
}
