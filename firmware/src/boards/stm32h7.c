/*
 * stm32h7.c - clocks, caches and pins of the STM32H7 (one core, supplied by its LDO): the internal oscillator of 64 MHz
 * through the PLL.
 *
 * BOARD_PLL_N, BOARD_PLL_P: the core runs at 16 MHz * N / P. BOARD_H72X: an H723 or H725, else an H742 to H753.
 *
 * SPDX-License-Identifier: MIT
 */
#include "stm32.h"

#define RCC           0x58024400u
#define RCC_CR        REGISTER(RCC + 0x00u)
#define RCC_CFGR      REGISTER(RCC + 0x10u)
#define RCC_D1CFGR    REGISTER(RCC + 0x18u)
#define RCC_D2CFGR    REGISTER(RCC + 0x1Cu)
#define RCC_D3CFGR    REGISTER(RCC + 0x20u)
#define RCC_PLLCKSELR REGISTER(RCC + 0x28u)
#define RCC_PLLCFGR   REGISTER(RCC + 0x2Cu)
#define RCC_PLL1DIVR  REGISTER(RCC + 0x30u)
#define RCC_D2CCIP2R  REGISTER(RCC + 0x54u)
#define RCC_AHB4ENR   REGISTER(RCC + 0xE0u)
#define RCC_APB1LENR  REGISTER(RCC + 0xE8u)
#define RCC_APB4ENR   REGISTER(RCC + 0xF4u)
#define PWR           0x58024800u
#define PWR_CSR1      REGISTER(PWR + 0x04u)
#define PWR_CR3       REGISTER(PWR + 0x0Cu)
#define PWR_D3CR      REGISTER(PWR + 0x18u)
#define SYSCFG_PWRCR  REGISTER(0x5800042Cu)
#define FLASH_ACR     REGISTER(0x52002000u)
#define GPIOD         0x58020C00u

enum { CR_PLL1ON = 1u << 24, CR_PLL1RDY = 1u << 25 };
enum { PWR_LDOEN = 2, PWR_SUPPLY = 7, PWR_READY = 1u << 13 }; /* ACTVOSRDY of CSR1, VOSRDY of D3CR */
enum { D3CR_VOS = 3u << 14, SYSCFG_ODEN = 1, APB4ENR_SYSCFG = 1u << 1 };
enum { PLL_RANGE_8_16 = 3u << 2, PLL_P_ON = 1u << 16 };
enum { CFGR_SW_PLL1 = 3, CFGR_SWS = 7u << 3, CFGR_SWS_PLL1 = 3u << 3 };
enum { AHB4ENR_GPIOD = 1u << 3, APB1LENR_USART3 = 1u << 18, USART234578_HSI = 3 };

#define HSI_HZ      64000000u
#define CORE_HZ     (HSI_HZ / 4u * BOARD_PLL_N / BOARD_PLL_P)
#define ACR_FASTEST 0x34u /* four wait states, the longest write delay: enough for any clock of the bus */

/* The core's own registers (Armv7-M architecture reference manual, B3.2 and B4.7). */
#define SCB_CCR     REGISTER(0xE000ED14u)
#define SCB_CCSIDR  REGISTER(0xE000ED80u)
#define SCB_CSSELR  REGISTER(0xE000ED84u)
#define SCB_ICIALLU REGISTER(0xE000EF50u)
#define SCB_DCISW   REGISTER(0xE000EF60u)

enum { CCR_DC = 1u << 16, CCR_IC = 1u << 17 };

static void barrier(void) {
    __asm volatile("dsb\n isb" ::: "memory");
}

/* Both caches, emptied. Nothing but the core uses the memory: there is no DMA to keep in step with. */
static void start_caches(void) {
    barrier();
    SCB_ICIALLU = 0;
    SCB_CSSELR = 0;
    barrier();
    const uint32_t size = SCB_CCSIDR;
    const uint32_t sets = size >> 13 & 0x7FFFu, ways = size >> 3 & 0x3FFu;
    for (uint32_t set = 0; set <= sets; set++) {
        for (uint32_t way = 0; way <= ways; way++) {
            SCB_DCISW = way << 30 | set << 5; /* four ways, lines of 32 bytes: the Cortex-M7's */
        }
    }
    barrier();
    SCB_CCR |= CCR_DC | CCR_IC;
    barrier();
}

/* The highest core voltage, which the highest clock needs. */
static bool raise_voltage(void) {
    PWR_CR3 = (PWR_CR3 & ~(uint32_t)PWR_SUPPLY) | PWR_LDOEN;
    if (!stm32_wait(&PWR_CSR1, PWR_READY, PWR_READY)) {
        return false;
    }
#ifdef BOARD_H72X
    PWR_D3CR &= ~(uint32_t)D3CR_VOS;
#else
    PWR_D3CR |= D3CR_VOS;
    if (!stm32_wait(&PWR_D3CR, PWR_READY, PWR_READY)) {
        return false;
    }
    RCC_APB4ENR |= APB4ENR_SYSCFG;
    SYSCFG_PWRCR |= SYSCFG_ODEN;
#endif
    return stm32_wait(&PWR_D3CR, PWR_READY, PWR_READY);
}

static bool start_pll(void) {
    FLASH_ACR = ACR_FASTEST;
    if (!raise_voltage() || !stm32_wait(&FLASH_ACR, 0x3Fu, ACR_FASTEST)) {
        return false;
    }
    RCC_PLLCKSELR = 4u << 4; /* of the internal oscillator, divided by 4 */
    RCC_PLLCFGR = PLL_RANGE_8_16 | PLL_P_ON;
    RCC_PLL1DIVR = (BOARD_PLL_N - 1u) | (BOARD_PLL_P - 1u) << 9 | 1u << 16 | 1u << 24;
    RCC_CR |= CR_PLL1ON;
    if (!stm32_wait(&RCC_CR, CR_PLL1RDY, CR_PLL1RDY)) {
        return false;
    }
    RCC_D1CFGR = 8u | 4u << 4; /* the buses at half the core's clock, the peripherals at a quarter */
    RCC_D2CFGR = 4u << 4 | 4u << 8;
    RCC_D3CFGR = 4u << 4;
    RCC_CFGR = CFGR_SW_PLL1;
    return stm32_wait(&RCC_CFGR, CFGR_SWS, CFGR_SWS_PLL1);
}

stm32_clocks stm32_start(void) {
    stm32_clocks clocks = {HSI_HZ, HSI_HZ};
    start_caches();
    if (start_pll()) {
        clocks.core_hz = CORE_HZ;
    } else {
        RCC_CFGR = 0;
        RCC_D1CFGR = 0;
    }
    RCC_D2CCIP2R = (RCC_D2CCIP2R & ~7u) | USART234578_HSI; /* its clock is the same, whatever the core's became */
    RCC_AHB4ENR |= AHB4ENR_GPIOD;
    RCC_APB1LENR |= APB1LENR_USART3;
    stm32_pin(GPIOD, 8, 7);
    stm32_pin(GPIOD, 9, 7);
    return clocks;
}
