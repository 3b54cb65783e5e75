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

/* The filter is r5, the sums are r6-r12 and lr. A step has 13 instructions. MORE: the first after the first threshold. */
    FUNCTION bf_sums_8_several
    push {r4-r11, lr}
    ldr r12, [sp, #36]
    SUMS_8_FRAME
    sub r12, #1
    add r3, r3, r12, lsl #3
    str r3, [sp, #BYTES]
    adr.w r3, .Lend_more + 1 /* Thumb */
    movs r5, #(.Lend_more - .Lmore) / 3
    mul r5, r12, r5
    subs r3, r5
    str r3, [sp, #MORE]
    SUMS_8_BEGIN .Lnone, .Lmany
.Lfilter:
    SUMS_8_FIRST .Lend
    SUMS_8_TABLES .Lmany
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
