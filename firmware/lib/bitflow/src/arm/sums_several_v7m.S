/*
 * sums_several_v7m.S - bf_sums_8_several() for ARMv7-M and later: bf_sums_8() of sums_v7m.S for several thresholds.
 *
 * The sums stay in their registers: for each further threshold the difference to the one before is added to all of
 * them. The steps for these are unrolled too, the last one first.
 *
 * SPDX-License-Identifier: MIT
 */
#include "bitflow_port.h"

#ifdef BF_ARM_V7M

#include "macros.h"
#include "sums_v7m.h"

    .equ JUMP, 0   /* on the stack: the first of the filters' steps after table 0, */
    .equ MORE, 4   /* the first of their steps after the first threshold, */
    .equ BYTES, 8  /* bytes from where these end to the next filter, */
    .equ BASES, 12 /* and the bases */
    .equ FRAME, BASES + 4 * SUMS_POINTERS

/* The filter is r5, the sums are r6-r12 and lr. A step has 13 instructions. */
    FUNCTION bf_sums_8_several
    push {r4-r11, lr}
    ldr r4, [sp, #36]
    sub sp, #FRAME
    subs r4, #1
    add r3, r3, r4, lsl #3
    str r3, [sp, #BYTES]
    adr.w r3, .Lend_more + 1 /* Thumb */
    movs r5, #(.Lend_more - .Lmore) / 3
    muls r4, r5, r4
    subs r3, r4
    str r3, [sp, #MORE]
    SUMS_8_BEGIN .Lnone, 26, JUMP, BASES
.Lfilter:
    SUMS_8_FIRST .Lend, JUMP, BASES, FRAME
    SUMS_8_TABLES BASES
.Lnone:
    SUMS_8_SIGNS
    ldr pc, [sp, #MORE]
.Lmore:
    .rept 3
    ldrd r2, r1, [r5, #-8]!
    .irp sum, r6, r7, r8, r9, r10, r11, r12, lr
    add \sum, r2
    SUMS_SIGN \sum
    .endr
    str r1, [r5, #4]
    .endr
.Lend_more:
    ldr r2, [sp, #BYTES]
    add r5, r2
    b .Lfilter
    .size bf_sums_8_several, . - bf_sums_8_several

#endif
