/*
 * add_v7m.S - bf_add_lists16() and bf_add_lists8() for ARMv7-M and later.
 *
 * Four planes enter the running count in 10 operations and leave a pair of carries; two such pairs enter the next digit
 * in 8 and leave a pair again. A pair (first, differ) is two bits of one weight, a and a ^ b (generic/add.h has the
 * source of this). The first three operations of the eight need only the first pair, of which then one register is
 * left, called half. So the tree of 32 inputs fits the registers: digits 0 .. 3 of the running count, a half for the
 * digits 1, 2 and 3, and three more to load and add in. What 32 inputs carry out of digit 3 is one pair; it is added to
 * digits 4 .. 7 in memory, and only what these carry out, mostly nothing, goes on in a loop.
 *
 * A number of runs that is no multiple of four enters the first block where as many runs are left: the half of what is
 * left out is that of two zeros, the digit itself.
 *
 * The next entry is at [list, #2]: so that a list of bytes follows its two bytes of numbers as it follows other bytes.
 *
 * SPDX-License-Identifier: MIT
 */
#include "bitflow_port.h"

#ifdef BF_ARM_V7M

#include "macros.h"

    .equ COUNT, 48          @ bytes of a bf_count

/* Registers that 16-bit instructions know hold what is used most. ldm and stm take planes in the registers' order. */
planes  .req r0             @ what entries are counted from
list    .req r1
ones    .req r2
twos    .req r3
u       .req r4
v       .req r5
w       .req r6
x       .req r7
fours   .req r8
eights  .req r9
half4   .req r10            @ of what is added to digit 2
half8   .req r11            @ of what is added to digit 3
runs    .req r12            @ of this pattern, not yet added
upper   .req lr             @ digit 4 of the pattern's count

    .equ ENTRY_PLANES, 0    @ on the stack
    .equ END, 4             @ upper, after the last pattern

/* ---- Loading planes. \format: 16, or 8. ---- */

.macro ENTRY format, register, i
.if \format == 16
    ldrh \register, [list, #2 + 2 * (\i)]
.else
    ldrb \register, [list, #2 + \i]
.endif
.endm

/* Entries \i and \i + 1, the last ones of a block: list goes on to the next. */
.macro LAST_ENTRIES format, x, y, i
.if \format == 16
    ENTRY 16, \x, \i
    ldrh \y, [list, #2 * (\i) + 4]!
.else
    ldrb \x, [list, #2 + \i]!
    ldrb \y, [list, #1]
.endif
.endm

.macro PLANE format, register
.if \format == 16
    ldr \register, [planes, \register]
.else
    ldr \register, [planes, \register, lsl #2]
.endif
.endm

/* ---- Adding. A pair in (first, differ). ---- */

/* Four planes into ones. The pair is left in (\second, u); x is used. \where: in the run, at its end, at the last's. */
.macro ADD_FOUR format, second, i, where
    ENTRY \format, u, \i
    ENTRY \format, \second, (\i + 1)
    PLANE \format, u
    PLANE \format, \second
    eors \second, u
    eors u, ones
    orrs u, \second
    eors ones, \second
.ifc \where, last
    LAST_ENTRIES \format, \second, x, (\i + 2)
.else
    ENTRY \format, \second, (\i + 2)
    ENTRY \format, x, (\i + 3)
.endif
    PLANE \format, \second
.ifc \where, run
    PLANE \format, x
.else
.if \format == 8
    add planes, planes, x, lsl #2   @ the last entry of a run: the next ones are counted from its plane
    ldr x, [planes]
.else
    PLANE \format, x
.endif
.endif
    eors x, \second
    eors \second, ones
    bics \second, x
    eors u, \second
    eors \second, ones
    eors ones, x
.endm

/* A run into ones and twos. The pair of carries is left in (w, v). \where: of the run in a block: run, or last. */
.macro ADD_RUN format, i, where
    ADD_FOUR \format, v, \i, run
    eors v, twos            @ OPEN twos, v, v, u
    orrs v, u
    eors twos, u
.ifc \where, last
    ADD_FOUR \format, w, (\i + 4), last
.else
    ADD_FOUR \format, w, (\i + 4), end
.endif
    eors w, twos            @ CLOSE twos, v, w, u
    bics w, u
    eors v, w
    eors w, twos
    eors twos, u
.endm

/* \carry into the digits in memory at \at on, as far as it goes; x is used. */
.macro RIPPLE at, carry
80: ldr x, [\at]
    eor x, x, \carry
    str x, [\at], #4
    bics \carry, \carry, x
    bne 80b
.endm

/* ---- A function. ---- */

.macro BEGIN name
    FUNCTION \name
    push {r3-r11, lr}
    add upper, r2, #16
    ubfx u, r3, #16, #4
    add u, u, u, lsl #1
    add u, upper, u, lsl #4 @ 48 bytes a pattern
    strd planes, u, [sp, #-8]!
    subs list, list, #2
    cmp r3, #0
    bmi 10f
    sbfx r0, r3, #4, #1     @ BF_START(): digits 4 .. 11
    sbfx r4, r3, #5, #1
    sbfx r5, r3, #6, #1
    sbfx r6, r3, #7, #1
    sbfx r7, r3, #8, #1
    sbfx r10, r3, #9, #1
    sbfx r11, r3, #10, #1
    sbfx r12, r3, #11, #1
    stm upper, {r0, r4-r7, r10-r12}
    sbfx ones, r3, #0, #1
    sbfx fours, r3, #2, #1
    sbfx eights, r3, #3, #1
    sbfx twos, r3, #1, #1
    ldr planes, [sp, #ENTRY_PLANES]
    b 1f
10: ldmdb upper, {ones, twos, fours, eights}
1:
.endm

/* Rounds of four runs; the first one may have less. u: runs modulo 4. \run, \borrow: how runs are counted down. */
.macro ADD_ROUNDS format, run, borrow
    tbb [pc, u]
20: .byte (4f - 20b) / 2, (21f - 20b) / 2, (22f - 20b) / 2, (23f - 20b) / 2
21: mov half4, fours
    mov half8, eights
    subs list, list, #24 * \format / 8
    b 7f
22: mov half8, eights
    subs list, list, #16 * \format / 8
    b 6f
23: mov half4, fours
    subs list, list, #8 * \format / 8
    b 5f
    .balign 4
4:  ADD_RUN \format, 0, run
    OPEN fours, half4, w, v
5:  ADD_RUN \format, 8, run
    CLOSE fours, half4, w, v
    OPEN eights, half8, w, half4
6:  ADD_RUN \format, 16, run
    OPEN fours, half4, w, v
7:  ADD_RUN \format, 24, last
    CLOSE fours, half4, w, v
    CLOSE eights, half8, w, half4
    ldm upper, {u, v, x, half4}
    ADD_PAIR u, w, half8
    and half8, v, w
    eors v, w
    and w, x, half8
    eor x, x, half8
    ands half8, half4, w
    eor half4, half4, w
    stm upper, {u, v, x, half4}
    bne 9f
8:  subs runs, runs, #4 * \run
    \borrow 4b
.endm

/* The pattern's count is complete: store it, and go on from there. */
.macro NEXT_PATTERN
    stmdb upper, {ones, twos, fours, eights}
    ldm upper, {r0, r4-r7, r10-r12}
    add upper, upper, #COUNT
    stm upper, {r0, r4-r7, r10-r12}
    ldrd planes, u, [sp, #ENTRY_PLANES]
    cmp upper, u
    bne 1b
    adds r0, list, #2
    add sp, sp, #8
    pop {r3-r11, pc}
.endm

/* What is carried out of digit 7. */
.macro CARRY_ON
9:  add u, upper, #16
    RIPPLE u, half8
    b 8b
.endm

BEGIN bf_add_lists16
    ldrh runs, [list, #2]!
    and u, runs, #3
    subs runs, runs, #1
    bmi 2f
    ADD_ROUNDS 16, 1, bpl
2:  NEXT_PATTERN
    CARRY_ON
    .size bf_add_lists16, . - bf_add_lists16

BEGIN bf_add_lists8
    ldrh runs, [list, #2]!
    and u, runs, #3
    ror runs, runs, #8      @ runs of bytes in the highest byte, runs of 16 bits in the lowest
    subs runs, runs, #0x01000000
    bcc 2f
    ADD_ROUNDS 8, 0x01000000, bcs
2:  uxtb u, runs
    cbnz u, 3f
30: NEXT_PATTERN
    CARRY_ON

3:  mov runs, u
    ldr planes, [sp, #ENTRY_PLANES]
31: ADD_RUN 16, 0, last
    ADD_PAIR fours, w, v
    and u, eights, w
    eor eights, eights, w
    mov w, upper
    RIPPLE w, u
    subs runs, runs, #1
    bne 31b
    b 30b
    .size bf_add_lists8, . - bf_add_lists8

#endif
