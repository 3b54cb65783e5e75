/*
 * bitflow_port.h - the only place that knows the compiler and the platform.
 *
 * Options, each a macro to define for the whole build:
 *   BF_PORT_HEADER "file.h"   takes the place of everything below.
 *   BF_NO_BUILTINS            plain C instead of compiler builtins (the result is the same).
 *   BF_SHORT_TEXTS            bf_status_text() gives the code's name, "BF_ERR_CRC", not a sentence: 400 bytes less.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef BITFLOW_PORT_H
#define BITFLOW_PORT_H

#ifdef BF_PORT_HEADER
#include BF_PORT_HEADER
#else

#include <stddef.h>
#include <stdint.h>

/* The records of an image are read in place. */
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "BitFlow needs a little-endian target"
#endif

/* What bf_status_text() says. */
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

#endif
#endif
