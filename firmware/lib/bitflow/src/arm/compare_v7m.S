/*
 * compare_v7m.S - bf_compare() and bf_compare_each() for ARMv7-M and later.
 *
 * Plane by plane, from the lowest one on, a value is computed and compared with its limit: within = the majority of
 * (within, not value, limit) says whether the planes up to this one are at most those of the limit. Filter 1 computes
 * C7 - 2 C3 with a borrow, which is the complement of V1 - 1, and compares for less. The filters 2 and 3 add pairs of
 * bits (add_v7m.S says how), with a pair of carries for each difference of two counts. Adding a complement and 1
 * subtracts: the 1 is one of the two carries to begin with.
 *
 * Plane 0 is that of C7. Loops take two planes; where the width is even, plane 1 goes before them. The sign, plane
 * `width`, has no plane of C7, and is compared the other way round.
 *
 * SPDX-License-Identifier: MIT
 */
#include "bitflow_port.h"

#ifdef BF_ARM_V7M

    .syntax unified
    .thumb

    .equ COUNT, 48          @ bytes of a bf_count
    .equ C0, -7 * COUNT     @ counts, from C7 on
    .equ C1, -6 * COUNT
    .equ C2, -5 * COUNT
    .equ C3, -4 * COUNT
    .equ C4, -3 * COUNT
    .equ C5, -2 * COUNT
    .equ C6, -1 * COUNT

at      .req r0             @ plane of C7 that the loop is at
within  .req r4
limit   .req r5             @ its planes from the next one on
z0      .req r6             @ two planes of C7, then of the value
z1      .req r7
x0      .req r8             @ two planes of what is added, then of the limit
x1      .req r9
y0      .req r10            @ of what is subtracted
y1      .req r11
first   .req lr             @ carries: first and first ^ not same; a borrow in filter 1
same    .req r1
first2  .req r12            @ of filter 3's second difference

/* ---- The values' planes, of filter 1, 2 or 3. \same2: the register of first2's pair. ---- */

/* z - y - the borrow. The difference is left in \z. */
.macro SUBTRACT z, y
    eor \z, \z, \y
    eor \y, \y, first
    and \y, \y, \z
    eor \z, \z, first
    eor first, first, \y
.endm

/* z + x + not y + the carries. The sum is left in \z. */
.macro SUM z, x, y, first, same
    eor \y, \y, \x
    eor \x, \x, \z
    orn \x, \x, \y
    eor \z, \z, \y
    eor \y, \first, \z
    orn \y, \y, \same
    eor \first, \z, \y
    eor \z, \z, \same
    eor \same, \x, \y
.endm

/* The same where one carry is 1 and the other is 0. */
.macro SUM_FIRST z, x, y, first, same
    eor \y, \y, \x
    eor \x, \x, \z
    eor \z, \z, \y
    bic \same, \y, \x
    mvn \first, \z
.endm

/* Two planes of two differences, at \offset from those of C7. */
.macro ADD_BOTH plus, minus, first, same
    ldrd x0, x1, [at, #\plus - 4]
    ldrd y0, y1, [at, #\minus - 4]
    SUM z0, x0, y0, \first, \same
    SUM z1, x1, y1, \first, \same
.endm

/* The next two planes, in z0 and z1. */
.macro NEXT_PLANES filter, same2
    ldrd z0, z1, [at, #8]!
.if \filter == 1
    ldrd y0, y1, [at, #C3 - 4]
    SUBTRACT z0, y0
    SUBTRACT z1, y1
.elseif \filter == 2
    ADD_BOTH C1, C5, first, same
.else
    ADD_BOTH C0, C2, first, same
    ADD_BOTH C4, C6, first2, \same2
.endif
.endm

/* Plane 1 alone, in z0. (The offsets of C0 and C1 are too large for ldr.) */
.macro PLANE_1 filter, same2
    ldr z0, [at, #4]
.if \filter == 1
    ldr y0, [at, #C3]
    bic first, y0, z0
    eor z0, z0, y0
.else
.if \filter == 2
    ldrd x0, x1, [at, #C1]
    ldr y0, [at, #C5]
.else
    ldrd x0, x1, [at, #C0]
    ldr y0, [at, #C2]
.endif
    SUM_FIRST z0, x0, y0, first, same
.if \filter == 3
    ldr x0, [at, #C4]
    ldr y0, [at, #C6]
    SUM_FIRST z0, x0, y0, first2, \same2
.endif
.endif
.endm

/* Before plane 1. */
.macro BEFORE_1 filter, same2
.if \filter == 1
    mov first, #0
.else
    mov same, #0            @ one carry is 1, whichever
.endif
.if \filter == 3
    mov \same2, #0
.endif
    sub at, at, #4
.endm

/* The sign, in z0, after the planes up to the highest one of the counts. */
.macro SIGN filter, same2
.if \filter == 1
    ldr y0, [at, #C3 + 4]
    eor z0, first, y0
.else
.if \filter == 2
    ldrd x0, x1, [at, #C1 + 4]
    ldr y0, [at, #C5 + 4]
.else
    ldrd x0, x1, [at, #C0 + 4]
    ldr y0, [at, #C2 + 4]
    ldr x1, [at, #C4 + 4]
    ldr y1, [at, #C6 + 4]
    eor x0, x0, x1
    eor y0, y0, y1
    eor x0, x0, \same2
.endif
    eor z0, x0, y0
    eor z0, z0, same
.endif
.endm

/* ---- bf_compare(). ---- */

last    .req r2             @ where the loop ends: the highest plane of C7 but one
    .equ LIMITS, 4          @ on the stack: C7, limits, width, to
    .equ TO, 12

/* The condition \bit says what the limit's plane is. \as_is: filter 1, which has the value's complement; or a sign. */
.macro WITHIN as_is, bit, not_bit, z
    ite \bit
.if \as_is
    orr\bit within, within, \z
    and\not_bit within, within, \z
.else
    orn\bit within, within, \z
    bic\not_bit within, within, \z
.endif
.endm

/* The limit's plane 0 is in the highest bit: shifted by two, the next two planes are the carry and the sign. */
.macro COMPARE filter
    ldm sp, {r0-r2}
    ldrh limit, [r1, #2 * (\filter - 1)]
    lsls r3, r2, #31        @ negative: the width is odd
    add last, at, last, lsl #2
    sub last, last, #8
    rbit limit, limit
    ldr z0, [at]
.if \filter == 1
    and within, z0, limit, asr #31
.else
    mvn within, z0
    orr within, within, limit, asr #31
.endif
    bmi 1f
    PLANE_1 \filter, r3
    lsls limit, limit, #1
    WITHIN (\filter == 1), mi, pl, z0
    b 2f
1:  BEFORE_1 \filter, r3
2:  NEXT_PLANES \filter, r3
    lsls limit, limit, #2
    WITHIN (\filter == 1), cs, cc, z0
    WITHIN (\filter == 1), mi, pl, z1
    cmp at, last
    bne 2b
    SIGN \filter, r3
    lsls limit, limit, #1
    WITHIN (\filter != 1), mi, pl, z0
    ldr r1, [sp, #TO]
    str within, [r1, #4 * \filter]
.endm

    .section .text.bf_compare, "ax", %progbits
    .balign 4
    .global bf_compare
    .type bf_compare, %function
    .thumb_func
bf_compare:
    add at, at, #-C0
    push {r0-r11, lr}
    add at, at, r2, lsl #2
    ldr r4, [at, #-4]
    mvn r4, r4
    str r4, [r3]
    COMPARE 1
    COMPARE 2
    COMPARE 3
    add sp, sp, #16
    pop {r4-r11, pc}
    .size bf_compare, . - bf_compare

/* ---- bf_compare_each(). ---- */

table   .req r3
    .equ LAST, 16           @ on the stack: C7, limits, width, table; last; two words; one unused; r4-r11, lr; to
    .equ NEXT_LIMITS, 20
    .equ EACH_TO, 68

/* The limit's plane, whose index is at bit \shift of \word, in \plane. */
.macro LOOK_UP plane, word, shift
    ubfx \plane, \word, #\shift, #6
    ldr \plane, [table, \plane, lsl #2]
.endm

/* \plane is the limit's, and is used. */
.macro WITHIN_EACH as_is, z, plane
    eor \z, \z, \plane
.if \as_is
    and within, within, \z
    bic \plane, \plane, \z
.else
    bic within, within, \z
    and \plane, \plane, \z
.endif
    orr within, within, \plane
.endm

.macro NEXT_EACH filter, shift
    NEXT_PLANES \filter, r2
    LOOK_UP x0, limit, \shift
    LOOK_UP x1, limit, (\shift + 6)
    WITHIN_EACH (\filter == 1), z0, x0
    WITHIN_EACH (\filter == 1), z1, x1
.endm

/* Filter 3 has no register left for it. */
.macro IS_LAST filter
.if \filter < 3
    cmp at, first2
.else
    ldr x0, [sp, #LAST]
    cmp at, x0
.endif
.endm

/* The groups of four planes that the loop takes do not begin with words: x0, x1, y0 are shifted for them. */
.macro COMPARE_EACH filter
    ldm sp, {r0-r3}
    ldrd x0, x1, [r1, #12 * (\filter - 1)]
    ldr y0, [r1, #12 * (\filter - 1) + 8]
    lsls r2, r2, #31        @ negative: the width is odd
    LOOK_UP y1, x0, 0
    ldr z0, [at]
.if \filter == 1
    and within, z0, y1
.else
    orn within, y1, z0
.endif
    bmi 1f
    lsr limit, x0, #12
    orr limit, limit, x1, lsl #18
    lsr x1, x1, #6
    strd x1, y0, [sp, #NEXT_LIMITS]
    LOOK_UP y1, x0, 6
    PLANE_1 \filter, r2
    WITHIN_EACH (\filter == 1), z0, y1
    b 2f
1:  lsr limit, x0, #6
    lsr x0, x1, #24
    orr x0, x0, y0, lsl #6
    strd x1, x0, [sp, #NEXT_LIMITS]
    BEFORE_1 \filter, r2
2:
.if \filter < 3
    ldr first2, [sp, #LAST]
.endif
5:  NEXT_EACH \filter, 0
    IS_LAST \filter
    beq 3f
    NEXT_EACH \filter, 12
    ldrd limit, x1, [sp, #NEXT_LIMITS]
    str x1, [sp, #NEXT_LIMITS]
    IS_LAST \filter
    bne 5b
    b 4f
3:  lsr limit, limit, #12
4:  SIGN \filter, r2
    LOOK_UP x0, limit, 0
    WITHIN_EACH (\filter != 1), z0, x0
    ldr r1, [sp, #EACH_TO]
    str within, [r1, #4 * \filter]
.endm

    .section .text.bf_compare_each, "ax", %progbits
    .balign 4
    .global bf_compare_each
    .type bf_compare_each, %function
    .thumb_func
bf_compare_each:
    add at, at, #-C0
    push {r4-r11, lr}
    sub sp, sp, #32
    stm sp, {r0-r3}
    add at, at, r2, lsl #2
    ldr r5, [sp, #EACH_TO]
    ldr r4, [at, #-4]
    mvn r4, r4
    str r4, [r5]
    sub at, at, #8
    str at, [sp, #LAST]
    COMPARE_EACH 1
    COMPARE_EACH 2
    COMPARE_EACH 3
    add sp, sp, #32
    pop {r4-r11, pc}
    .size bf_compare_each, . - bf_compare_each

#endif
