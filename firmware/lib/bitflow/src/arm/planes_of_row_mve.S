/*
 * planes_of_row_mve.S - bf_planes_of_row() for cores with MVE (Helium): 128 lanes.
 * SPDX-License-Identifier: MIT
 */
#include "bitflow_port.h"

#ifdef BF_ARM_MVE

#include "macros.h"

to      .req r0
from    .req r1
row     .req r2
stride  .req r3             @ bytes
right   .req r4             @ shifts: negative ones go to the right
left    .req r5

#define LEFT    q0          /* taps, then masks of them */
#define MIDDLE  q1
#define RIGHT   q2
#define OTHER   q3
#define MASK    q4
#define MASK2   q5
#define MASK3   q6

/* A tap's planes, at \offset. */
.macro PUT bits, mask, offset
    vand \bits, \bits, \mask
    vstrw.32 \bits, [to, #\offset]
    vmvn \bits, \bits
    vstrw.32 \bits, [to, #\offset + 16]
.endm

.macro PUT_ALL
    PUT LEFT, MASK, 0
    PUT MIDDLE, MASK2, 32
    PUT RIGHT, MASK3, 64
    add to, to, #96
.endm

    FUNCTION bf_planes_of_row
    push {r4-r6, lr}
    vpush {d8-d13}
    ldm row!, {r3, r4, r6}
    lsl stride, stride, #2
    vldrw.32 MASK, [row]
    vldrw.32 MASK2, [row, #16]
    vldrw.32 MASK3, [row, #32]
    wls lr, r6, 3f
    cmp r4, #31
    beq 2f
    rsb left, r4, #32
    rsb right, r4, #0
1:  vldrw.32 LEFT, [from]
    vldrw.32 OTHER, [from, #4]
    vmov RIGHT, OTHER
    vshl.u32 LEFT, right
    vshl.u32 RIGHT, left
    vshl.u32 OTHER, right   @ what comes behind the left tap: two bits of it
    vorr LEFT, LEFT, RIGHT
    vshr.u32 MIDDLE, LEFT, #1
    vsli.32 MIDDLE, OTHER, #31
    vshr.u32 RIGHT, LEFT, #2
    vsli.32 RIGHT, OTHER, #30
    add from, from, stride
    PUT_ALL
    le lr, 1b
    b 3f

/* The middle tap is a word: the bit to its left and that to its right are in two others. */
2:  vldrw.32 LEFT, [from]
    vldrw.32 MIDDLE, [from, #4]
    vldrw.32 OTHER, [from, #8]
    vshr.u32 LEFT, LEFT, #31
    vsli.32 LEFT, MIDDLE, #1
    vshr.u32 RIGHT, MIDDLE, #1
    vsli.32 RIGHT, OTHER, #31
    add from, from, stride
    PUT_ALL
    le lr, 2b
3:  vpop {d8-d13}
    pop {r4-r6, pc}
    .size bf_planes_of_row, . - bf_planes_of_row

#endif
