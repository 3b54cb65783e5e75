/*
 * append_words_v7m.S - bf_append_words() for ARMv7-M and later.
 *
 * Patterns are handled in pairs that lie side by side in a list and differ in filter 3 alone; of each, first the inputs
 * for which filter 0 has a weight of -1, then the others. Six instructions an entry, from the highest bit of a word
 * down.
 *
 * SPDX-License-Identifier: MIT
 */
#include "bitflow_port.h"

#ifdef BF_ARM_V7M

#include "macros.h"

    .equ WEIGHTS, 32        @ in bf_entries; behind them at, mask, last, ones, step
    .equ AT, 48
    .equ LAST, 56
    .equ WORDS, 68
    .equ NEXT_TAP, 72

entries .req r0             @ bf_entries, moved on from pair to pair
zero    .req r1             @ weights of filter 0
differs .req r2             @ where filter 3 has another one
set     .req r3             @ inputs to append
n       .req r4
t       .req r5
half    .req r6             @ of a pair: those with one weight of filter 0
pair    .req r7
to0     .req r8             @ where the entries of the pair's patterns go
to1     .req r9
last    .req r10            @ the entry of bit 31; its highest bits count pairs
ones    .req r11            @ the same where filter 0 has a weight of +1
step    .req r12
top     .req lr             @ bit 31

/* The bits of `set`; the flags say whether there are any. */
.macro APPEND to, last
    beq 82f
81: clz n, set
    mls t, n, step, \last
    lsr n, top, n
    strh t, [\to], #2
    bics set, set, n
    bne 81b
82:
.endm

    FUNCTION bf_append_words
    push {r4-r11, lr}
    mov top, #0x80000000
1:  ldr r2, [entries, #WORDS]
    push {r1, r2}           @ taps and words that are left
2:  add r8, entries, #WEIGHTS
    ldm r8!, {r3-r7}
    ldm r8, {r9-r12}
    ldr zero, [r3, r7]
    ldr r4, [r4, r7]
    ldr r5, [r5, r7]
    ldr differs, [r6, r7]
    adds r7, r7, #4
    str r7, [entries, #AT]
    add r3, last, step, lsl #5
    str r3, [entries, #LAST]
    add ones, ones, last
    eors differs, zero
    eors r4, zero           @ where filter 1 has another weight than filter 0
    eors r5, zero           @ where filter 2 has
    bic r9, r9, r4
    bic r3, r9, r5
    and r6, r9, r5
    and r7, r4, r5
    bic r8, r4, r5
    push {r3, r6, r7, r8}
    .balign 4
3:  pop {pair}
    ldrd to0, to1, [entries]
    bic half, pair, zero
    bics set, half, differs
    APPEND to0, last
    ands set, half, differs
    APPEND to1, last
    ands half, pair, zero
    bics set, half, differs
    APPEND to0, ones
    ands set, half, differs
    APPEND to1, ones
    strd to0, to1, [entries], #8
    mvns differs, differs   @ in Gray-code order, every other pair begins with those that differ
    adds last, last, #0x40000000
    bcc 3b
    subs entries, entries, #WEIGHTS
    ldr r2, [sp, #4]
    subs r2, r2, #1
    str r2, [sp, #4]
    bne 2b
    ldr r3, [entries, #LAST]
    ldr r2, [entries, #NEXT_TAP]
    add r3, r3, r2
    str r3, [entries, #LAST]
    pop {r1, r2}
    subs r1, r1, #1
    bne 1b
    pop {r4-r11, pc}
    .size bf_append_words, . - bf_append_words

#endif
