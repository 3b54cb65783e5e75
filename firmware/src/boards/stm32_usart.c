/*
 * stm32_usart.c - serial port of STM32: the USART of the F4, and with BOARD_USART_ISR that of the H7 and most newer
 * ones.
 *
 * SPDX-License-Identifier: MIT
 */
#include "stm32.h"

#ifdef BOARD_USART_ISR
typedef struct stm32_usart {
    volatile uint32_t cr1, cr2, cr3, brr, gtpr, rtor, rqr, state, icr, received, sent;
} stm32_usart;
enum { CR1_UE = 1u << 0, CR3_OVRDIS = 1u << 12 };
#else
typedef struct stm32_usart {
    volatile uint32_t state, data, brr, cr1, cr2, cr3;
} stm32_usart;
#define received data
#define sent     data
enum { CR1_UE = 1u << 13 };
#endif

enum { STATE_RXNE = 1u << 5, STATE_TXE = 1u << 7 };
enum { CR1_RE = 1u << 2, CR1_TE = 1u << 3, CR1_RXNEIE = 1u << 5 };

#define UART      ((stm32_usart *)BOARD_UART)
#define WAITS     1000000u /* for a register; a byte takes 87 us */
#define GPIO_STEP 4u

void uart_handler(void);

void uart_handler(void) {
    /* On the F4 this order, state and then data, also clears an overrun; the H7 is told to have none. */
    while (UART->state & STATE_RXNE) {
        if (!board_room()) {
            core_interrupt(BOARD_UART_IRQ, false); /* the byte waits in the USART, whose interrupt stays pending */
            return;
        }
        board_received((uint8_t)UART->received);
    }
}

void board_drained(void) {
    core_interrupt(BOARD_UART_IRQ, true);
}

bool stm32_wait(volatile uint32_t *reg, uint32_t mask, uint32_t value) {
    for (uint32_t left = WAITS; left; left--) {
        if ((*reg & mask) == value) {
            return true;
        }
    }
    return false;
}

void stm32_pin(uintptr_t gpio, unsigned pin, unsigned function) {
    volatile uint32_t *mode = (volatile uint32_t *)gpio;
    volatile uint32_t *alternate = (volatile uint32_t *)(gpio + 0x20u + GPIO_STEP * (pin / 8u));
    *alternate = (*alternate & ~(0xFu << 4u * (pin % 8u))) | function << 4u * (pin % 8u);
    *mode = (*mode & ~(3u << 2u * pin)) | 2u << 2u * pin;
}

void board_init(void) {
    stm32_clocks clocks = stm32_start();
    core_init(clocks.core_hz);
    UART->brr = (clocks.usart_hz + BOARD_BAUD / 2u) / BOARD_BAUD;
#ifdef BOARD_USART_ISR
    UART->cr3 = CR3_OVRDIS;
#endif
    UART->cr1 = CR1_UE | CR1_TE | CR1_RE | CR1_RXNEIE;
    core_interrupt(BOARD_UART_IRQ, true);
}

void board_write(const void *bytes, size_t n) {
    for (const uint8_t *p = bytes; n--; p++) {
        if (stm32_wait(&UART->state, STATE_TXE, STATE_TXE)) {
            UART->sent = *p;
        }
    }
}

void board_receive(bool on) {
    (void)on; /* the USART holds one byte: with the interrupt off, more would be lost */
}
