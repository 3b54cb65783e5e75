/*
 * planes_of_tap_v7m.S - bf_planes_of_tap() for ARMv7-M and later.
 * SPDX-License-Identifier: MIT
 */
#include "bitflow_port.h"

#ifdef BF_ARM_V7M

#include "macros.h"

to      .req r0
from    .req r1
stride  .req r3             @ bytes
step    .req r4             @ bytes
shift   .req r5
left    .req r6             @ channels
chunk   .req r7
mask    .req r8
scale   .req r9             @ 2^(32 - shift), 0 for 2^32: multiplying shifts and adds in one instruction
plane   .req r10
other   .req r11            @ its complement
n       .req r12            @ channels up to a pair of fillers

    FUNCTION bf_planes_of_tap
    push {r4-r11, lr}
    ldm r2, {r3-r8}
    lsls stride, stride, #2
    lsls step, step, #2
    rsb scale, shift, #32
    mov n, #1
    lsl scale, n, scale
1:  mov n, chunk
    cmp left, chunk
    it lo
    movlo n, left
    sub left, left, n
    cbz shift, 3f
    .balign 4
2:  ldrd plane, other, [from]
    add from, from, stride
    lsr plane, plane, shift
    mla plane, other, scale, plane
    and plane, plane, mask
    mvn other, plane
    strd plane, other, [to]
    add to, to, step
    subs n, n, #1
    bne 2b
    b 4f
3:  ldr plane, [from]
    add from, from, stride
    and plane, plane, mask
    mvn other, plane
    strd plane, other, [to]
    add to, to, step
    subs n, n, #1
    bne 3b
4:  adds to, to, #8
    cmp left, #0
    bne 1b
    pop {r4-r11, pc}
    .size bf_planes_of_tap, . - bf_planes_of_tap

#endif
