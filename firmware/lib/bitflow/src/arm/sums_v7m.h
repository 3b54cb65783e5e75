/*
 * sums_v7m.h - what bf_sums_8() and bf_sums_8_several() share: r0 the filters, r1 the bases, r2 their number.
 * SPDX-License-Identifier: MIT
 */
#ifndef BITFLOW_SUMS_V7M_H
#define BITFLOW_SUMS_V7M_H

/* clang-format off */

    .equ SUMS_POINTERS, 9

/* r0: where table k has its words. Two bytes an instruction. */
.macro SUMS_ADDRESS k, bases
    ldrh r1, [r5, #8 + 2 * \k]
    ldr r0, [sp, #\bases + 4 * \k]
    add r0, r1
.endm

/* The first of the steps of \bytes each before \none, and the bases' addresses. Then r5: the first filter. */
.macro SUMS_8_BEGIN none, bytes, jump, bases
    adr.w r3, \none + 1 /* Thumb */
    movs r4, #\bytes
    subs r5, r2, #1
    muls r4, r5, r4
    subs r3, r4
    str r3, [sp, #\jump]
    add r3, sp, #\bases
    mov r5, r1
1:  ldm r5!, {r4}
    add r4, r1
    stm r3!, {r4}
    subs r2, #1
    bne 1b
    mov r5, r0
.endm

/* A filter's start and first table; the end after the last one. */
.macro SUMS_8_FIRST end, jump, bases, frame
    ldr r2, [r5]
    cbz r2, \end
    SUMS_ADDRESS 0, \bases
    ldm r0, {r6-r12, lr}
    .irp sum, r6, r7, r8, r9, r10, r11, r12, lr
    add \sum, r2
    .endr
    ldr pc, [sp, #\jump]
\end:
    add sp, #\frame
    pop {r4-r11, pc}
.endm

/* The other tables. */
.macro SUMS_8_TABLES bases
    .irp k, 8, 7, 6, 5, 4, 3, 2, 1
    SUMS_ADDRESS \k, \bases
    ldm r0!, {r1-r4}
    add r6, r1
    add r7, r2
    add r8, r3
    add r9, r4
    ldm r0!, {r1-r4}
    add r10, r1
    add r11, r2
    add r12, r3
    add lr, r4
    .endr
.endm

/* Shifts a sum's signs into the bits in r1. */
.macro SUMS_SIGN sum
    and r3, \sum, #0x80008000
    orr r1, r3, r1, lsr #1
.endm

.macro SUMS_8_SIGNS
    ldr r1, [r5, #4]
    .irp sum, r6, r7, r8, r9, r10, r11, r12, lr
    SUMS_SIGN \sum
    .endr
    str r1, [r5, #4]
.endm

#endif
