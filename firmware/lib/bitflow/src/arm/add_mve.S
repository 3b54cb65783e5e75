/*
 * add_mve.S - bf_add_lists16() and bf_add_lists8() for cores with MVE (Helium): 128 lanes.
 *
 * The tree of 32 inputs is that of add_v7m.S, which says how it adds. There are eight vector registers: digits 0, 1 and
 * 2 of the running count stay in three of them, the others where the pattern's count is stored. Four entries of a list
 * are loaded and become addresses at once.
 *
 * SPDX-License-Identifier: MIT
 */
#include "bitflow_port.h"

#ifdef BF_ARM_MVE

#include "macros.h"

    .equ PLANE, 16          @ bytes of bf_lanes
    .equ COUNT, 192         @ of a bf_count

planes  .req r0             @ what entries are counted from
list    .req r1             @ the next entry
upper   .req r2             @ digit 3 of the pattern's count
runs    .req r3
wide    .req r8             @ of a list of bytes: its runs of 16 bits
last    .req r9             @ upper, after the last pattern
begin   .req r10            @ the first plane
rounds  .req lr

#define ONES   q0
#define TWOS   q1
#define FOURS  q2
#define U      q3
#define V      q4
#define W      q5
#define X      q6
#define HALF4  q7           /* of what is added to digit 2; that of digit 3, the eights, is on the stack */

/* Four planes into ONES. The pair of carries is left in (\second, U); X and r4 .. r7, the addresses, are used. */
.macro ADD_FOUR format, second
.if \format == 16
    vldrh.u32 X, [list], #8
.else
    vldrb.u32 X, [list], #4
    vshl.i32 X, X, #4
.endif
    vadd.i32 X, X, planes
    vmov r4, r6, X[2], X[0] @ the lower lane is the first register's
    vmov r5, r7, X[3], X[1]
    vldrw.32 U, [r4]
    vldrw.32 \second, [r5]
    veor \second, \second, U
    veor U, U, ONES
    vorr U, U, \second
    veor ONES, ONES, \second
    vldrw.32 \second, [r6]
    vldrw.32 X, [r7]
    veor X, X, \second
    veor \second, \second, ONES
    vbic \second, \second, X
    veor U, U, \second
    veor \second, \second, ONES
    veor ONES, ONES, X
.endm

/* A run into ONES and TWOS. The pair of carries is left in (W, V). */
.macro ADD_RUN format
    ADD_FOUR \format, V
    OPEN TWOS, V, V, U
    ADD_FOUR \format, W
.if \format == 8
    mov planes, r7          @ the next run is counted from the last plane of this one
.endif
    CLOSE TWOS, V, W, U
.endm

/* \carry into the digit at \offset from upper: \next is what it carries. U is used. */
.macro CARRY offset, carry, next
    vldrw.32 U, [upper, #\offset]
    vand \next, U, \carry
    veor U, U, \carry
    vstrw.32 U, [upper, #\offset]
.endm

/* \carry into the digits from r5 on, as far as it goes. U, V and r4 are used. */
.macro RIPPLE carry
80: vldrw.32 U, [r5]
    vand V, U, \carry
    veor U, U, \carry
    vstrw.32 U, [r5], #PLANE
    vmov \carry, V
    movs r4, #0
    vmaxv.u32 r4, \carry
    cmp r4, #0
    bne 80b
.endm

.macro BEGIN name
    FUNCTION \name
    push {r4-r10, lr}
    vpush {d8-d15}
    sub sp, sp, #PLANE
    mov begin, planes
    ubfx r4, r3, #16, #4
    adds upper, r2, #3 * PLANE
    movs r5, #COUNT
    mla last, r4, r5, upper
    cmp r3, #0
    bmi 10f
    sub r5, upper, #3 * PLANE
    .irp i, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11
    sbfx r4, r3, #\i, #1
    vdup.32 U, r4
    vstrw.32 U, [r5], #PLANE
    .endr
10: vldrw.32 ONES, [upper, #-3 * PLANE]
    vldrw.32 TWOS, [upper, #-2 * PLANE]
    vldrw.32 FOURS, [upper, #-1 * PLANE]
1:
.endm

/* Rounds of four runs; the first one may have less. */
.macro ADD_ROUNDS format
    adds r4, runs, #3
    lsrs r4, r4, #2
    dls rounds, r4
    ands runs, runs, #3
    beq 4f
    cmp runs, #2
    blo 21f
    beq 22f
    vmov HALF4, FOURS
    b 5f
21: vmov HALF4, FOURS
    vldrw.32 U, [upper]
    vstrw.32 U, [sp]
    b 7f
22: vldrw.32 U, [upper]
    vstrw.32 U, [sp]
    b 6f
4:  ADD_RUN \format
    OPEN FOURS, HALF4, W, V
5:  ADD_RUN \format
    CLOSE FOURS, HALF4, W, V
    vldrw.32 U, [upper]
    OPEN U, W, W, HALF4
    vstrw.32 U, [upper]
    vstrw.32 W, [sp]
6:  ADD_RUN \format
    OPEN FOURS, HALF4, W, V
7:  ADD_RUN \format
    CLOSE FOURS, HALF4, W, V
    vldrw.32 U, [upper]
    vldrw.32 X, [sp]
    CLOSE U, X, W, HALF4
    vstrw.32 U, [upper]
    vldrw.32 U, [upper, #PLANE]
    ADD_PAIR U, W, X
    vstrw.32 U, [upper, #PLANE]
    CARRY (2 * PLANE), W, X
    CARRY (3 * PLANE), X, W
    CARRY (4 * PLANE), W, X
    movs r4, #0
    vmaxv.u32 r4, X
    cbnz r4, 9f
8:  le rounds, 4b
    b 2f
9:  add r5, upper, #5 * PLANE
    RIPPLE X
    b 8b
.endm

/* The pattern's count is complete: store it, and go on from there. */
.macro NEXT_PATTERN
    vstrw.32 ONES, [upper, #-3 * PLANE]
    vstrw.32 TWOS, [upper, #-2 * PLANE]
    vstrw.32 FOURS, [upper, #-1 * PLANE]
    .irp i, 0, 1, 2, 3, 4, 5, 6, 7, 8
    vldrw.32 U, [upper, #\i * PLANE]
    vstrw.32 U, [upper, #\i * PLANE + COUNT]
    .endr
    add upper, upper, #COUNT
    cmp upper, last
    bne 1b
    mov r0, list
    add sp, sp, #PLANE
    vpop {d8-d15}
    pop {r4-r10, pc}
.endm

BEGIN bf_add_lists16
    ldrh runs, [list], #2
    cmp runs, #0
    beq 2f
    ADD_ROUNDS 16
2:  NEXT_PATTERN
    .size bf_add_lists16, . - bf_add_lists16

BEGIN bf_add_lists8
    ldrb runs, [list], #1
    ldrb wide, [list], #1
    mov planes, begin
    cmp runs, #0
    beq 2f
    ADD_ROUNDS 8
2:  cmp wide, #0
    bne 3f
30: NEXT_PATTERN

3:  mov planes, begin
31: ADD_RUN 16
    ADD_PAIR FOURS, W, V
    mov r5, upper
    RIPPLE W
    subs wide, wide, #1
    bne 31b
    b 30b
    .size bf_add_lists8, . - bf_add_lists8

#endif
