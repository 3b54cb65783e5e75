/*
 * nrf51.c - serial port of the nRF51822 (BBC micro:bit).
 *
 * SPDX-License-Identifier: MIT
 */
#include "board.h"

#define REG(offset)     (*(volatile uint32_t *)(BOARD_UART + (offset)))
#define START_RX        REG(0x000u)
#define START_TX        REG(0x008u)
#define RX_READY        REG(0x108u)
#define TX_READY        REG(0x11Cu)
#define INTERRUPT_SET   REG(0x304u)
#define INTERRUPT_CLEAR REG(0x308u)
#define ENABLE          REG(0x500u)
#define PIN_TX          REG(0x50Cu)
#define PIN_RX          REG(0x514u)
#define RX_DATA         REG(0x518u)
#define TX_DATA         REG(0x51Cu)
#define BAUDRATE        REG(0x524u)

#define INTERRUPT_RX (1u << 2)
#define BAUD_115200  0x01D7E000u /* nRF51 reference manual, UART, BAUDRATE */

void uart_handler(void);

void uart_handler(void) {
    while (RX_READY) {
        if (!board_room()) {
            INTERRUPT_CLEAR = INTERRUPT_RX;
            return;
        }
        RX_READY = 0;
        board_received((uint8_t)RX_DATA);
    }
}

void board_drained(void) {
    INTERRUPT_SET = INTERRUPT_RX;
}

void board_init(void) {
    core_init(BOARD_CLOCK_HZ);
    PIN_TX = 24; /* the pins of the micro:bit's USB serial port */
    PIN_RX = 25;
    BAUDRATE = BAUD_115200;
    ENABLE = 4;
    START_RX = 1;
    START_TX = 1;
    INTERRUPT_SET = INTERRUPT_RX;
    core_interrupt(BOARD_UART_IRQ, true);
}

void board_write(const void *bytes, size_t n) {
    for (const uint8_t *p = bytes; n--; p++) {
        TX_READY = 0;
        TX_DATA = *p;
        while (!TX_READY) {
        }
    }
}

void board_receive(bool on) {
    core_interrupt(BOARD_UART_IRQ, on);
}
