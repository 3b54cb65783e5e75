/*
 * stm32l4.c - clocks and pins of the STM32L4 (reference manuals RM0351 and RM0432): the internal oscillator of 16 MHz
 * through the PLL.
 *
 * BOARD_PLL_N: the core runs at 16 MHz * N / 2, at most 80 MHz.
 *
 * SPDX-License-Identifier: MIT
 */
#include "stm32.h"

#define RCC_CR       REGISTER(0x40021000u)
#define RCC_CFGR     REGISTER(0x40021008u)
#define RCC_PLLCFGR  REGISTER(0x4002100Cu)
#define RCC_AHB2ENR  REGISTER(0x4002104Cu)
#define RCC_APB1ENR1 REGISTER(0x40021058u)
#define RCC_APB2ENR  REGISTER(0x40021060u)
#define FLASH_ACR    REGISTER(0x40022000u)
#define GPIOA        0x48000000u
#define GPIOB        0x48000400u

enum { CR_HSION = 1u << 8, CR_HSIRDY = 1u << 10, CR_PLLON = 1u << 24, CR_PLLRDY = 1u << 25 };
enum { PLLCFGR_HSI = 2, PLLCFGR_R_ON = 1u << 24 };
enum { CFGR_SW = 3, CFGR_SWS = 3u << 2 };
enum { APB1ENR1_USART2 = 1u << 17, APB2ENR_USART1 = 1u << 14 };
enum { AHB2ENR_GPIOA = 1, AHB2ENR_GPIOB = 2 };
enum { ACR_PREFETCH_AND_CACHES = 7u << 8 };

#define RESET_HZ       4000000u
#define CORE_HZ        (BOARD_PLL_N * 8000000u)
#define WAIT_STATES    ((BOARD_PLL_N * 8u - 1u) / 16u) /* one for each 16 MHz, at the higher core voltage */
#define USART1_ADDRESS 0x40013800u

static bool start_pll(void) {
    RCC_CR |= CR_HSION;
    if (!stm32_wait(&RCC_CR, CR_HSIRDY, CR_HSIRDY)) {
        return false;
    }
    RCC_PLLCFGR = PLLCFGR_HSI | BOARD_PLL_N << 8 | PLLCFGR_R_ON;
    RCC_CR |= CR_PLLON;
    if (!stm32_wait(&RCC_CR, CR_PLLRDY, CR_PLLRDY)) {
        return false;
    }
    FLASH_ACR = WAIT_STATES | ACR_PREFETCH_AND_CACHES;
    RCC_CFGR |= CFGR_SW;
    return stm32_wait(&RCC_CFGR, CFGR_SWS, CFGR_SWS);
}

stm32_clocks stm32_start(void) {
    stm32_clocks clocks = {RESET_HZ, RESET_HZ};
    if (start_pll()) {
        clocks.core_hz = clocks.usart_hz = CORE_HZ;
    } else {
        RCC_CFGR &= ~(uint32_t)CFGR_SW;
    }
    if (BOARD_UART == USART1_ADDRESS) {
        RCC_AHB2ENR |= AHB2ENR_GPIOB;
        RCC_APB2ENR |= APB2ENR_USART1;
        stm32_pin(GPIOB, 6, 7);
        stm32_pin(GPIOB, 7, 7);
    } else {
        RCC_AHB2ENR |= AHB2ENR_GPIOA;
        RCC_APB1ENR1 |= APB1ENR1_USART2;
        stm32_pin(GPIOA, 2, 7);
        stm32_pin(GPIOA, 3, 7);
    }
    return clocks;
}
