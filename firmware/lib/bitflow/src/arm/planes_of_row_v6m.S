/*
 * planes_of_row_v6m.S - bf_planes_of_row() for ARMv6-M, and for ARMv8-M without its main extension.
 * SPDX-License-Identifier: MIT
 */
#include "bitflow_port.h"

#ifdef BF_ARM_V6M

#include "macros.h"

to      .req r0
from    .req r1
shift   .req r2
back    .req r3             @ 32 - shift
stride  .req r8             @ bytes
left    .req r9             @ masks of the taps
middle  .req r10
right   .req r11
end     .req r12            @ of the planes

/* A tap's planes: the bits in \bits and \mask. \other is used; its number is higher. */
.macro PUT bits, other, mask
    mov \other, \mask
    ands \bits, \other
    mvns \other, \bits
    stm to!, {\bits, \other}
.endm

    FUNCTION bf_planes_of_row
    push {r4-r7, lr}
    mov r4, r8
    mov r5, r9
    mov r6, r10
    mov r7, r11
    push {r4-r7}
    ldm r2!, {r3, r4, r5}
    lsls r3, r3, #2
    mov stride, r3
    movs r6, #24
    muls r5, r6, r5
    adds r5, r5, to
    mov end, r5
    cmp r5, to
    beq 3f
    ldm r2!, {r5, r6, r7}
    mov left, r5
    mov middle, r6
    mov right, r7
    movs shift, r4
    cmp shift, #31
    beq 2f
    movs back, #32
    subs back, back, shift
1:  ldr r4, [from]
    ldr r5, [from, #4]
    add from, stride
    lsrs r4, shift
    movs r6, r5
    lsls r6, back
    orrs r4, r6             @ the left tap; two more bits are in r5
    lsrs r5, shift
    mov r6, left
    ands r6, r4
    mvns r7, r6
    stm to!, {r6, r7}
    lsrs r6, r4, #1
    lsls r7, r5, #31
    orrs r6, r7
    PUT r6, r7, middle
    lsrs r4, r4, #2
    lsls r5, r5, #30
    orrs r4, r5
    PUT r4, r5, right
    cmp to, end
    bne 1b
    b 3f

/* The middle tap is a word: the bit to its left and that to its right are in two others. */
2:  ldr r4, [from]
    ldr r5, [from, #4]
    ldr r6, [from, #8]
    add from, stride
    lsrs r4, r4, #31
    lsls r7, r5, #1
    orrs r4, r7
    PUT r4, r7, left
    mov r4, middle
    ands r4, r5
    mvns r7, r4
    stm to!, {r4, r7}
    lsrs r5, r5, #1
    lsls r6, r6, #31
    orrs r5, r6
    PUT r5, r6, right
    cmp to, end
    bne 2b

3:  pop {r4-r7}
    mov r8, r4
    mov r9, r5
    mov r10, r6
    mov r11, r7
    pop {r4-r7, pc}
    .size bf_planes_of_row, . - bf_planes_of_row

#endif
