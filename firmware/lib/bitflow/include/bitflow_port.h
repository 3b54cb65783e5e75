/*
 * bitflow_port.h - the only place that knows the compiler and the platform.
 *
 * Options, each a macro to define for the whole build:
 *   BF_PORT_HEADER "file.h"   replaces all C below.
 *   BF_LIST_MEMORY n          bytes of the arena in which a convolution without a plan may make its lists of weights,
 *                             default 16384. Less: a smaller arena, more instructions.
 *   BF_NO_BUILTINS            plain C instead of compiler builtins (the result is the same).
 *   BF_NO_ASSEMBLY            plain C instead of the assembly for Arm's cores (the result is the same).
 *   BF_LANE_WORDS n           words of a bf_lanes: 1, 2, 4, ...; a plan's lists are made for one n.
 *   BF_SHORT_TEXTS            bf_status_text() returns the code's name, "BF_ERR_CRC", not a sentence: 400 bytes less.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef BITFLOW_PORT_H
#define BITFLOW_PORT_H

/* As wide as a register. The 128 bits of MVE (Helium) pay from maps of about 128 positions on. */
#ifndef BF_LANE_WORDS
#if defined(__ARM_FEATURE_MVE)
#define BF_LANE_WORDS 4
#else
#define BF_LANE_WORDS 1
#endif
#endif

/*
 * Which functions are assembly on this core. A core has a row here, and files under src/ that are empty on other cores.
 * Functions without a BF_ASM_ are C: src/generic, patterns/sort.c (APPEND_WORDS), kernels/input_*.c (SUMS).
 */
#if defined(__ARM_ARCH_PROFILE) && __ARM_ARCH_PROFILE == 'M' && !defined(BF_NO_ASSEMBLY)
#if BF_LANE_WORDS == 4 && defined(__ARM_FEATURE_MVE)
#define BF_ARM_MVE 1 /* src/arm/..._mve.S */
#define BF_ASM_COMPARE_SEVERAL
#define BF_ASM_ADD_LISTS16
#define BF_ASM_ADD_LISTS8
#define BF_ASM_VALUE_OF /* part of compare */
#define BF_ASM_COMPARE
#define BF_ASM_COMPARE_EACH
#define BF_ASM_PLANES_OF_ROW
#elif BF_LANE_WORDS == 1 && __ARM_ARCH_ISA_THUMB >= 2
#define BF_ARM_V7M 1 /* src/arm/..._v7m.S */
#define BF_ASM_COMPARE_SEVERAL
#define BF_ASM_ADD_LISTS16
#define BF_ASM_ADD_LISTS8
#define BF_ASM_VALUE_OF /* part of compare */
#define BF_ASM_COMPARE
#define BF_ASM_COMPARE_EACH
#define BF_ASM_PLANES_OF_ROW
#define BF_ASM_PLANES_OF_TAP
#define BF_ASM_LOOK_UP
#define BF_ASM_APPEND_WORDS
#define BF_ASM_SUMS
#elif BF_LANE_WORDS == 1
#define BF_ARM_V6M 1 /* src/arm/..._v6m.S */
#define BF_ASM_ADD_LISTS16
#define BF_ASM_VALUE_OF
#define BF_ASM_WITHIN
#define BF_ASM_COMPARE
#define BF_ASM_PLANES_OF_ROW
#endif
#endif

#ifndef __ASSEMBLER__
#ifdef BF_PORT_HEADER
#include BF_PORT_HEADER
#else

#include <limits.h>
#include <stddef.h>
#include <stdint.h>

/* Bits side by side, all computed with in the same way. They are aligned as words, and may be read as words. */
#if BF_LANE_WORDS == 1
typedef uint32_t bf_lanes;
#else
typedef uint32_t bf_lanes __attribute__((vector_size(4 * BF_LANE_WORDS), aligned(4), may_alias));
#endif

#if !defined(BF_LIST_MEMORY)
#define BF_LIST_MEMORY 16384u
#endif

/* uint16_t is promoted to int, whose products must not overflow. */
#if INT_MAX < 0x7FFFFFFF
#error "BitFlow needs an int of at least 32 bits"
#endif

/* The records of an image are read in place. */
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "BitFlow needs a little-endian target"
#endif

/* What bf_status_text() returns. */
#if defined(BF_SHORT_TEXTS)
#define BF_TEXT(name, sentence) name
#else
#define BF_TEXT(name, sentence) sentence
#endif

/* Keeps compilers from turning a loop into a call of memcpy or memset: no libc is needed. */
#if defined(__GNUC__)
#define BF_KEEP_LOOP() __asm__ volatile("")
#else
#define BF_KEEP_LOOP() ((void)0)
#endif

/*
 * A function in which a run spends little time (the loops that it calls are other functions). Compilers that know the
 * attribute make it small instead of fast, and so what is inlined into it, and static functions that only it calls.
 */
#if defined(__GNUC__)
#define BF_COLD __attribute__((cold))
#else
#define BF_COLD
#endif

/* Copy and fill bytes. Areas do not overlap. */
static inline void bf_copy(void *to, const void *from, size_t n) {
    uint8_t *t = (uint8_t *)to;
    const uint8_t *f = (const uint8_t *)from;
    while (n--) {
        *t++ = *f++;
        BF_KEEP_LOOP();
    }
}

static inline void bf_fill(void *to, uint8_t value, size_t n) {
    uint8_t *t = (uint8_t *)to;
    while (n--) {
        *t++ = value;
        BF_KEEP_LOOP();
    }
}

/* How many bits of x are 1. ARM has no instruction for it, and the builtin there is a call into libgcc. */
static inline uint32_t bf_popcount(uint32_t x) {
#if defined(__GNUC__) && !defined(BF_NO_BUILTINS) && !defined(__arm__)
    return (uint32_t)__builtin_popcount(x);
#else
    x -= (x >> 1) & 0x55555555u;
    x = (x & 0x33333333u) + ((x >> 2) & 0x33333333u);
    x = (x + (x >> 4)) & 0x0F0F0F0Fu;
    return (x * 0x01010101u) >> 24;
#endif
}

/* How many bits of x above its highest 1 are 0; x is not 0. */
static inline uint32_t bf_leading_zeros(uint32_t x) {
#if defined(__GNUC__) && !defined(BF_NO_BUILTINS) && (!defined(__arm__) || __ARM_ARCH_ISA_THUMB >= 2)
    return (uint32_t)__builtin_clz(x);
#else
    x |= x >> 1;
    x |= x >> 2;
    x |= x >> 4;
    x |= x >> 8;
    x |= x >> 16;
    return bf_popcount(~x);
#endif
}

#endif
#endif
#endif
