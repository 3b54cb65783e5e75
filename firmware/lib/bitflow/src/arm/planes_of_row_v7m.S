/*
 * planes_of_row_v7m.S - bf_planes_of_row() for ARMv7-M and later.
 * SPDX-License-Identifier: MIT
 */
#include "bitflow_port.h"

#ifdef BF_ARM_V7M

#include "macros.h"

to      .req r0
from    .req r1
stride  .req r2             @ bytes
count   .req r3             @ channels left * 256 + shift: shifts by a register take its lowest byte
left    .req r7             @ three taps, each with its complement, in the order of the planes
middle  .req r9
right   .req r11
high    .req r12
scale   .req lr             @ 2^(32 - shift), 0 for 2^32: multiplying shifts and adds in one instruction

    FUNCTION bf_planes_of_row
    push {r4-r11, lr}
    ldm r2!, {r4-r6}
    ldm r2, {r10-r12}
    lsl stride, r4, #2
    orr count, r5, r6, lsl #8
    rsb scale, r5, #32
    cmp r5, #31
    mov r5, #1
    lsl scale, r5, scale
    mov r4, r10             @ masks of the taps
    mov r5, r11
    mov r6, r12
    beq 3f
    subs count, count, #256
    bcc 2f
    .balign 4
1:  ldrd right, high, [from]
    add from, from, stride
    lsr left, right, count
    mla left, high, scale, left
    lsr high, high, count
    lsr middle, left, #1
    orr middle, middle, high, lsl #31
    lsr right, left, #2
    orr right, right, high, lsl #30
    and left, left, r4
    and middle, middle, r5
    and right, right, r6
    mvn r8, left
    mvn r10, middle
    mvn r12, right
    stm to!, {r7-r12}
    subs count, count, #256
    bcs 1b
2:  pop {r4-r11, pc}

/* The middle tap is a word: the bit to its left and that to its right are in two others. */
3:  subs count, count, #256
    bcc 2b
    .balign 4
4:  ldm from, {r8, middle, high}
    add from, from, stride
    lsl left, middle, #1
    orr left, left, r8, lsr #31
    lsr right, middle, #1
    orr right, right, high, lsl #31
    and left, left, r4
    and middle, middle, r5
    and right, right, r6
    mvn r8, left
    mvn r10, middle
    mvn r12, right
    stm to!, {r7-r12}
    subs count, count, #256
    bcs 4b
    b 2b
    .size bf_planes_of_row, . - bf_planes_of_row

#endif
