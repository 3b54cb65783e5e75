/*
 * stm32f4.c - clocks and pins of the STM32F4: the internal oscillator of 16 MHz through the PLL.
 *
 * BOARD_PLL_N: MHz of the core. BOARD_OVERDRIVE: it needs the regulator's over-drive (above 168 MHz).
 *
 * SPDX-License-Identifier: MIT
 */
#include "stm32.h"

#define RCC_CR      REGISTER(0x40023800u)
#define RCC_PLLCFGR REGISTER(0x40023804u)
#define RCC_CFGR    REGISTER(0x40023808u)
#define RCC_AHB1ENR REGISTER(0x40023830u)
#define RCC_APB1ENR REGISTER(0x40023840u)
#define RCC_APB2ENR REGISTER(0x40023844u)
#define PWR_CR      REGISTER(0x40007000u)
#define PWR_CSR     REGISTER(0x40007004u)
#define FLASH_ACR   REGISTER(0x40023C00u)
#define GPIOA       0x40020000u

enum { CR_PLLON = 1u << 24, CR_PLLRDY = 1u << 25 };
enum { PLLCFGR_Q = 8u << 24, PLLCFGR_R = 2u << 28 }; /* outputs that are not used */
enum { CFGR_SW_PLL = 2, CFGR_SWS = 3u << 2, CFGR_SWS_PLL = 2u << 2 };
enum { CFGR_APB1_BY_4 = 5u << 10, CFGR_APB2_BY_2 = 4u << 13 };
enum { APB1ENR_USART2 = 1u << 17, APB1ENR_PWR = 1u << 28, APB2ENR_USART1 = 1u << 4 };
enum { PWR_OD = 1u << 16, PWR_ODSW = 1u << 17 };
enum { ACR_PREFETCH_AND_CACHES = 7u << 8 };

#ifndef BOARD_RESET_HZ
#define BOARD_RESET_HZ 16000000u
#endif
#define CORE_HZ        (BOARD_PLL_N * 1000000u)
#define WAIT_STATES    ((BOARD_PLL_N - 1u) / 30u) /* one for each 30 MHz, at 2.7 V and more */
#define USART1_ADDRESS 0x40011000u

static bool overdrive(void) {
#ifdef BOARD_OVERDRIVE
    PWR_CR |= PWR_OD;
    if (!stm32_wait(&PWR_CSR, PWR_OD, PWR_OD)) {
        return false;
    }
    PWR_CR |= PWR_ODSW;
    return stm32_wait(&PWR_CSR, PWR_ODSW, PWR_ODSW);
#else
    return true;
#endif
}

static bool start_pll(void) {
    RCC_APB1ENR |= APB1ENR_PWR;
    PWR_CR |= BOARD_VOS; /* the regulator's scale 1 */
    /* 16 MHz / 8 * N / 2 */
    RCC_PLLCFGR = 8u | BOARD_PLL_N << 6 | PLLCFGR_Q | PLLCFGR_R;
    RCC_CR |= CR_PLLON;
    if (!stm32_wait(&RCC_CR, CR_PLLRDY, CR_PLLRDY) || !overdrive()) {
        return false;
    }
    FLASH_ACR = WAIT_STATES | ACR_PREFETCH_AND_CACHES;
    if (!stm32_wait(&FLASH_ACR, 0xFu, WAIT_STATES)) {
        return false;
    }
    RCC_CFGR = CFGR_APB1_BY_4 | CFGR_APB2_BY_2 | CFGR_SW_PLL;
    return stm32_wait(&RCC_CFGR, CFGR_SWS, CFGR_SWS_PLL);
}

stm32_clocks stm32_start(void) {
    stm32_clocks clocks = {BOARD_RESET_HZ, BOARD_RESET_HZ};
    if (start_pll()) {
        clocks.core_hz = CORE_HZ;
        clocks.usart_hz = BOARD_UART == USART1_ADDRESS ? CORE_HZ / 2u : CORE_HZ / 4u;
    } else {
        RCC_CFGR = 0;
    }
    RCC_AHB1ENR |= 1u; /* port A */
    if (BOARD_UART == USART1_ADDRESS) {
        RCC_APB2ENR |= APB2ENR_USART1;
        stm32_pin(GPIOA, 9, 7);
        stm32_pin(GPIOA, 10, 7);
    } else {
        RCC_APB1ENR |= APB1ENR_USART2;
        stm32_pin(GPIOA, 2, 7);
        stm32_pin(GPIOA, 3, 7);
    }
    return clocks;
}
