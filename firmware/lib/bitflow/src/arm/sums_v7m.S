/*
 * sums_v7m.S - the inner loops of input_sums.c for ARMv7-M and later; input_rows.h says what they do.
 *
 * Each word's sum stays in a register, and the words of a table are read by load-multiple.
 *
 * The steps for nine tables are unrolled, the last one first: a filter jumps over those that it does not have. What it
 * has beyond nine goes through a loop before them. The bases are copied to the stack, whose pointer is the only
 * register that is left for them.
 *
 * SPDX-License-Identifier: MIT
 */
#include "bitflow_port.h"

#ifdef BF_ARM_V7M

#include "macros.h"

/* ---- Eight words. r0: the filters, r1: the bases, r2: their number. ---- */

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

/* The filter is r5, the sums are r6-r12 and lr. A step has 13 instructions. */
    FUNCTION bf_sums_8
    push {r4-r11, lr}
    SUMS_8_FRAME
    str r3, [sp, #BYTES]
    SUMS_8_BEGIN .Lnone8, .Lmany8
.Lfilter8:
    SUMS_8_FIRST .Lend8
    SUMS_8_TABLES .Lmany8
.Lnone8:
    SUMS_8_SIGNS
    ldr r2, [sp, #BYTES]
    add r5, r2
    b .Lfilter8
    .size bf_sums_8, . - bf_sums_8

/*
 * For several thresholds. The sums stay in their registers: for each further threshold the difference to the one before
 * is added to all of them. The steps for these are unrolled, too, the last one first.
 */
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

/* ---- Three tables, and how a table is made. ---- */

/*
 * Three tables, all words of a row: the tables' addresses are r0-r2, the filter is r7, the sums are r8-r11, the start
 * is r12. lr has the bits, and below them a 1 that is shifted out with the row's last word.
 */
    FUNCTION bf_sums_3
    push {r4-r11, lr}
    sub sp, #20
    mov r7, r0
    movs r6, #1
    subs r2, #1
    lsls r6, r2
    ldm r1, {r3-r5}
    add r3, r1
    add r4, r1
    add r5, r1
    stm sp, {r3-r6}
.Lfilter3:
    ldr r3, [r7]
    cbz r3, .Lend3
    mov r12, r3
    ldrh r0, [r7, #8]
    ldrh r1, [r7, #10]
    ldrh r2, [r7, #12]
    ldm sp, {r3-r6}
    add r0, r3
    add r1, r4
    add r2, r5
    mov lr, r6
.Lwords3:
    ldm r0!, {r8-r11}
    ldm r1!, {r3-r6}
    .irp sum, r8, r9, r10, r11
    add \sum, r12
    .endr
    add r8, r3
    add r9, r4
    add r10, r5
    add r11, r6
    ldm r2!, {r3-r6}
    add r8, r3
    add r9, r4
    add r10, r5
    add r11, r6
    .irp sum, r8, r9, r10, r11
    and \sum, #0x80008000
    orrs lr, \sum, lr, lsr #1
    .endr
    bcc .Lwords3
    str lr, [r7, #4]
    adds r7, #16
    b .Lfilter3
.Lend3:
    add sp, #20
    pop {r4-r11, pc}
    .size bf_sums_3, . - bf_sums_3

/*
 * r0: the n values of four words, r1: n, r2: the four words of code 0, r3: bytes of a code's words, [sp]: bytes from a
 * word's values to those of the next. The values go to the stack. With each value from the third on there are twice as
 * many codes that are multiples of 4; then, from each, the three after it.
 */
    .equ COLUMN, 80 /* on the stack, after five values: code 0, */
    .equ END, 84   /* and the end of the codes */

    FUNCTION bf_sums_table
    push {r4-r11, lr}
    ldr r12, [sp, #36]
    sub sp, #88
    str r2, [sp, #COLUMN]
    mov lr, sp
    mov r8, #0
    mov r9, r8
    mov r10, r8
    mov r11, r8
1:  add r6, r0, r12, lsl #1
    ldr r5, [r0, r12]
    ldr r7, [r6, r12]
    ldr r6, [r6]
    ldr r4, [r0], #4
    stm lr!, {r4-r7}
    sub r8, r4
    sub r9, r5
    sub r10, r6
    sub r11, r7
    subs r1, #1
    bne 1b
    stm r2, {r8-r11}
    mov r12, sp
    sub r1, lr, r12
    cmp r1, #16
    itt ne /* a single value is like one from the third on */
    lslne r3, #2
    addne r12, #32
    add r1, r2, r3
    cmp r12, lr
    beq 4f
2:  ldm r12!, {r8-r11} /* from r0 .. r2 to r1 */
    ldr r0, [sp, #COLUMN]
    mov r2, r1
3:  ldm r0, {r4-r7}
    add r4, r4, r8, lsl #1
    add r5, r5, r9, lsl #1
    add r6, r6, r10, lsl #1
    add r7, r7, r11, lsl #1
    stm r1, {r4-r7}
    add r0, r3
    add r1, r3
    cmp r0, r2
    bne 3b
    cmp r12, lr
    bne 2b
4:  mov r12, sp
    sub r0, lr, r12
    cmp r0, #16
    beq 6f
    str r1, [sp, #END]
    ldr r0, [sp, #COLUMN]
    lsrs r3, #2
    ldm r12!, {r8-r11}
    ldm r12, {r1, r2, r12, lr}
5:  ldm r0, {r4-r7}
    add r0, r3
    add r4, r4, r8, lsl #1
    add r5, r5, r9, lsl #1
    add r6, r6, r10, lsl #1
    add r7, r7, r11, lsl #1
    stm r0, {r4-r7}
    add r0, r0, r3, lsl #1
    add r4, r4, r1, lsl #1
    add r5, r5, r2, lsl #1
    add r6, r6, r12, lsl #1
    add r7, r7, lr, lsl #1
    stm r0, {r4-r7}
    subs r0, r3
    sub r4, r4, r8, lsl #1
    sub r5, r5, r9, lsl #1
    sub r6, r6, r10, lsl #1
    sub r7, r7, r11, lsl #1
    stm r0, {r4-r7}
    add r0, r0, r3, lsl #1
    ldr r4, [sp, #END]
    cmp r0, r4
    bne 5b
6:  add sp, #88
    pop {r4-r11, pc}
    .size bf_sums_table, . - bf_sums_table

#endif
