/*
 * sums_v7m.h - what bf_sums_8() and bf_sums_8_several() share: r0 the filters, r1 the bases, r2 their number.
 *
 * The steps for nine tables are unrolled, the last one first: a filter jumps over those that it does not have. What it
 * has beyond nine goes through a loop before them. The bases are copied to the stack, whose pointer is the only
 * register that is left for them.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef BITFLOW_SUMS_V7M_H
#define BITFLOW_SUMS_V7M_H

/* clang-format off */

    .equ JUMP, 0   /* on the stack: the first of the filters' steps after table 0; */
    .equ BYTES, 4  /* bytes to the next filter; */
    .equ MORE, 8   /* of bf_sums_8_several(); */
    .equ LAST, 12  /* the number of the last table, and four: where on the stack, in words, its base is; */
    .equ BASES, 16 /* the bases' addresses */

/* r0: where table k has its words. Two bytes an instruction. */
.macro SUMS_ADDRESS k
    ldrh r1, [r5, #8 + 2 * \k]
    ldr r0, [sp, #BASES + 4 * \k]
    add r0, r1
.endm

/* Room on the stack. r4 is used. */
.macro SUMS_8_FRAME
    add r4, r2, #4
    sub sp, sp, r4, lsl #2
    sub r4, #1
    str r4, [sp, #LAST]
.endm

/* The first of the steps, which end at \none, and the bases' addresses. Then r5: the first filter. */
.macro SUMS_8_BEGIN none, many
    adr.w r3, \none + 1 /* Thumb */
    movs r4, #26
    subs r5, r2, #1
    muls r4, r5, r4
    subs r3, r4
    cmp r2, #9
    bls 1f
    adr.w r3, \many + 1
1:  str r3, [sp, #JUMP]
    add r3, sp, #BASES
    mov r5, r1
1:  ldm r5!, {r4}
    add r4, r1
    stm r3!, {r4}
    subs r2, #1
    bne 1b
    mov r5, r0
.endm

/* A filter's start and first table; the end after the last one. */
.macro SUMS_8_FIRST end
    ldr r2, [r5]
    cbz r2, \end
    SUMS_ADDRESS 0
    ldm r0, {r6-r12, lr}
    .irp sum, r6, r7, r8, r9, r10, r11, r12, lr
    add \sum, r2
    .endr
    ldr pc, [sp, #JUMP]
\end:
    ldr r0, [sp, #LAST]
    add sp, sp, r0, lsl #2
    add sp, #4
    pop {r4-r11, pc}
.endm

/* The other tables. */
.macro SUMS_8_TABLES many
\many:
    ldr r4, [sp, #LAST]
1:  ldrh r1, [r5, r4, lsl #1]
    ldr r0, [sp, r4, lsl #2]
    add r0, r1
    ldm r0!, {r1-r3}
    add r6, r1
    add r7, r2
    add r8, r3
    ldm r0!, {r1-r3}
    add r9, r1
    add r10, r2
    add r11, r3
    ldrd r1, r2, [r0]
    add r12, r1
    add lr, r2
    subs r4, #1
    cmp r4, #8 + 4
    bne 1b
    .irp k, 8, 7, 6, 5, 4, 3, 2, 1
    SUMS_ADDRESS \k
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
