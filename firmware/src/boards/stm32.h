/*
 * stm32.h - what the families of STM32 have in common. Registers and bits are named as in ST's reference manuals:
 * RM0090 and RM0390 (F4), RM0433 and RM0468 (H7).
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef STM32_H
#define STM32_H

#include "board.h"

#define REGISTER(address) (*(volatile uint32_t *)(address))

/* The clocks in use. */
typedef struct stm32_clocks {
    uint32_t core_hz, usart_hz;
} stm32_clocks;

/* Brings up the clocks and the pins of the USART; where a clock does not answer, the core keeps that of its reset. */
stm32_clocks stm32_start(void);

/* Waits until the masked bits have the value. False: they did not within a bounded time. */
bool stm32_wait(volatile uint32_t *reg, uint32_t mask, uint32_t value);

/* Hands a pin of GPIO port `gpio` (its base address) to the alternate function. */
void stm32_pin(uintptr_t gpio, unsigned pin, unsigned function);

#endif
