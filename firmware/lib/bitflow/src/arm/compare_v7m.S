/*
 * compare_v7m.S - bf_compare(), bf_compare_several() and bf_compare_each() for ARMv7-M and later.
 *
 * Digit by digit, from the lowest one on, a value is computed and compared with its limit: within = the majority of
 * (within, not value, limit) says whether the digits up to this one are at most those of the limit. Filter 1 computes
 * C7 - 2 C3 with a borrow, which is the complement of V1 - 1, and compares for less. The filters 2 and 3 add pairs of
 * bits (add_v7m.S says how), with a pair of carries for each difference of two counts. Adding a complement and 1
 * subtracts: the 1 is one of the two carries to begin with.
 *
 * Digit 0 is that of C7. Loops take two of the other digits at a time. The sign, digit `digits`, has no digit of C7 and
 * is compared the other way round. Where `digits` is even it comes at the end of the loop: there ones stand for C7's
 * digit while values are compared, which adds 2^digits. Where it is odd, the sign comes after the loop.
 *
 * SPDX-License-Identifier: MIT
 */
#include "bitflow_port.h"

#ifdef BF_ARM_V7M

#include "macros.h"

    .equ COUNT, 48          @ bytes of a bf_count
    .equ C0, -7 * COUNT     @ counts, from C7 on
    .equ C1, -6 * COUNT
    .equ C2, -5 * COUNT
    .equ C3, -4 * COUNT
    .equ C4, -3 * COUNT
    .equ C5, -2 * COUNT
    .equ C6, -1 * COUNT

at      .req r0             @ digit of C7 that the loop is at
within  .req r4
limit   .req r5             @ its digits from the next one on
z0      .req r6             @ two digits of C7, then of the value
z1      .req r7
x0      .req r8             @ two digits of what is added, then of the limit
x1      .req r9
y0      .req r10            @ of what is subtracted
y1      .req r11
first   .req lr             @ carries: first and first ^ not same; a borrow in filter 1
same    .req r1
first2  .req r12            @ of filter 3's second difference

/* ---- The values' digits, of filter 1, 2 or 3. \same2: the register of first2's pair. ---- */

/* Two digits of two differences, at \offset from those of C7. */
.macro ADD_BOTH plus, minus, first, same
    ldrd x0, x1, [at, #\plus - 4]
    ldrd y0, y1, [at, #\minus - 4]
    SUM z0, x0, y0, \first, \same
    SUM z1, x1, y1, \first, \same
.endm

/* The next two digits, in z0 and z1. */
.macro NEXT_PLANES filter, same2
    ldrd z0, z1, [at, #8]!
.if \filter == 1
    ldrd y0, y1, [at, #C3 - 4]
    SUBTRACT z0, y0, first
    SUBTRACT z1, y1, first
.elseif \filter == 2
    ADD_BOTH C1, C5, first, same
.else
    ADD_BOTH C0, C2, first, same
    ADD_BOTH C4, C6, first2, \same2
.endif
.endm

/* The carries, before digit 1. */
.macro NO_CARRY filter, same2
.if \filter == 1
    mov first, #0
.else
    mov same, #0            @ one carry is 1, whichever
.endif
.if \filter == 3
    mov \same2, #0
.endif
.endm

/* The sign where `digits` is odd, in z0: of the digits behind those that the loop took last. */
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

/* ---- Around the filters. ---- */

    .equ LAST, 8            @ on the stack: C7 less a digit, limits, the last digits, table or to; digit `digits` of C7,
    .equ TO, 12             @ whether it is odd: 1, and where the plane is; to
    .equ ODD, 20
    .equ EACH_TO, 28
    .equ NEXT_LIMITS, 32    @ of filters whose lanes have limits of their own: two words

/* Filter 0, and what is pushed in r0 .. r6. \to: its register. */
.macro BEGIN to
    add r6, at, r2, lsl #2
    ldr r4, [r6, #-4]
    mvn r4, r4
    str r4, [\to]
    and r5, r2, #1
    lsrs r2, r2, #1
    subs at, at, #4
    add r2, at, r2, lsl #3
    ldr r4, [r6]
    mov r7, #-1
    str r7, [r6]
.endm

/* ---- bf_compare(). ---- */

last    .req r2

/* The condition \bit says what the limit's digit is. \as_is: filter 1, which has the value's complement. */
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

/*
 * \keep: the value's digits, from digit 1 on, replace those of a count that no other filter needs; of filter 1 those of
 * V1 - 1, whose digit 0 is the complement of C7's.
 */
.macro KEEP filter
.if \filter == 1
    mvn z0, z0
    mvn z1, z1
    strd z0, z1, [at, #C3 - 4]
.elseif \filter == 2
    strd z0, z1, [at, #C1 - 4]
.else
    strd z0, z1, [at, #C0 - 4]
.endif
.endm

.macro KEEP_SIGN filter
.if \filter == 1
    str z0, [at, #C3 + 4]
.else
    mvn z0, z0
.if \filter == 2
    strd z0, z1, [at, #C1 + 4] @ z1: nobody reads it; an str has no such offset
.else
    strd z0, z1, [at, #C0 + 4]
.endif
.endif
.endm

/* The limit's digit 0 is in the highest bit: shifted by two, the next two digits are the carry and the sign. */
.macro COMPARE filter, keep=0
.if \filter > 1
    ldm sp, {r0-r2}
.endif
    ldrh limit, [r1, #2 * (\filter - 1)]
    rbit limit, limit
    ldr z0, [at, #4]
.if \filter == 1
    and within, z0, limit, asr #31
.else
    mvn within, z0
    orr within, within, limit, asr #31
.endif
    NO_CARRY \filter, r3
1:  NEXT_PLANES \filter, r3
    lsls limit, limit, #2
    WITHIN (\filter == 1), cs, cc, z0
    WITHIN (\filter == 1), mi, pl, z1
.if \keep
    KEEP \filter
.endif
    cmp at, last
    bne 1b
    ldr last, [sp, #ODD]
    cbz last, 2f
    SIGN \filter, r3
    lsls limit, limit, #1
    WITHIN (\filter != 1), mi, pl, z0
.if \keep
    KEEP_SIGN \filter
.endif
2:  ldr r1, [sp, #TO]
    str within, [r1, #4 * \filter]
.endm

    FUNCTION bf_compare
    push {r4-r11, lr}
    add at, at, #-C0
    BEGIN r3
    push {r0-r6}
    COMPARE 1
    COMPARE 2
    COMPARE 3
    pop {r0-r6}
    str r4, [r6]
    pop {r4-r11, pc}
    .size bf_compare, . - bf_compare

/* ---- bf_compare_several(). The first threshold as above; then the others, of the digits that were kept. ---- */

count7      .req r0
limits  .req r1
pairs   .req r2             @ where as many pairs of digits as there are entry
to      .req r3
not_low .req r8             @ the complement of C7's digit 0, which is that of V2 and V3 too
entry   .req r9             @ pairs, or before them an odd digit
sets    .req r10
digit   .req r11

.macro MORE filter, offset
    add digit, count7, #\offset
    ldrh limit, [limits], #2
    rbit limit, limit
.if \filter == 1
    asr within, limit, #31
    bic within, within, not_low
.else
    orr within, not_low, limit, asr #31
.endif
    blx entry
    str within, [to], #4
.endm

    FUNCTION bf_compare_several
    push {r4-r11, lr}
    add at, at, #-C0
    BEGIN r3
    push {r0-r6}
    COMPARE 1, 1
    COMPARE 2, 1
    COMPARE 3, 1
    ldm sp, {r0-r3}
    ldr r9, [sp, #ODD]
    subs pairs, pairs, count7
    lsrs pairs, pairs, #3
    movs r5, #(.Lpairs - .Lfirst_pair) / 6
    muls pairs, r5, pairs
    adr.w r12, .Lpairs + 1 /* Thumb */
    sub pairs, r12, pairs
    adr.w r12, .Lodd + 1
    cmp r9, #0
    ite eq
    moveq entry, pairs
    movne entry, r12
    adds count7, #4
    adds limits, #6
    adds to, #16
    ldr not_low, [count7]
    mvn not_low, not_low
    ldr sets, [sp, #64]     @ above r0-r6, r4-r11 and lr
    subs sets, #1
    beq 2f
1:  MORE 0, 4
    MORE 1, C3
    MORE 2, C1
    MORE 3, C0
    subs sets, #1
    bne 1b
2:  pop {r0-r6}
    str r4, [r6]
    pop {r4-r11, pc}
.Lodd:
    ldr z0, [digit], #4
    lsls limit, limit, #1
    WITHIN 0, mi, pl, z0
    bx pairs
.Lfirst_pair:
    .rept 6
    ldrd z0, z1, [digit], #8
    lsls limit, limit, #2
    WITHIN 0, cs, cc, z0
    WITHIN 0, mi, pl, z1
    .endr
.Lpairs:
    bx lr
    .size bf_compare_several, . - bf_compare_several

    .unreq count7
    .unreq limits
    .unreq pairs
    .unreq to
    .unreq not_low
    .unreq entry
    .unreq sets
    .unreq digit

/* ---- bf_compare_each(). ---- */

table   .req r3

/* The limit's digit, whose index is at bit \shift of \word, in \digit. */
.macro LOOK_UP digit, word, shift
    ubfx \digit, \word, #\shift, #6
    ldr \digit, [table, \digit, lsl #2]
.endm

.macro NEXT_EACH filter, shift
    NEXT_PLANES \filter, r2
    LOOK_UP x0, limit, \shift
    LOOK_UP x1, limit, (\shift + 6)
    COMPARE_DIGIT (\filter == 1), within, z0, x0
    COMPARE_DIGIT (\filter == 1), within, z1, x1
.endm

/* Filter 3 has no register left for it. */
.macro IS_LAST filter
.if \filter < 3
    cmp at, last
.else
    ldr x0, [sp, #LAST]
    cmp at, x0
.endif
.endm

/* The loop takes four digits at a time, which do not begin with words: x0, x1, y0 are shifted for them. */
.macro COMPARE_EACH filter
.if \filter > 1
    ldm sp, {r0-r3}
.endif
    ldrd x0, x1, [r1, #12 * (\filter - 1)]
    ldr y0, [r1, #12 * (\filter - 1) + 8]
    LOOK_UP y1, x0, 0
    ldr z0, [at, #4]
.if \filter == 1
    and within, z0, y1
.else
    orn within, y1, z0
.endif
    lsr limit, x0, #6
    lsr x0, x1, #24
    orr x0, x0, y0, lsl #6
    strd x1, x0, [sp, #NEXT_LIMITS]
    NO_CARRY \filter, r2
1:  NEXT_EACH \filter, 0
    IS_LAST \filter
    beq 2f
    NEXT_EACH \filter, 12
    ldrd limit, x1, [sp, #NEXT_LIMITS]
    str x1, [sp, #NEXT_LIMITS]
    IS_LAST \filter
    bne 1b
    lsl limit, limit, #12
2:  ldr x0, [sp, #ODD]
    cmp x0, #0
    beq 3f
    SIGN \filter, r2
    LOOK_UP x0, limit, 12
    COMPARE_DIGIT (\filter != 1), within, z0, x0
3:  ldr r1, [sp, #EACH_TO]
    str within, [r1, #4 * \filter]
.endm

    FUNCTION bf_compare_each
    push {r4-r11, lr}
    ldr r12, [sp, #36]
    sub sp, sp, #8
    add at, at, #-C0
    BEGIN r12
    push {r0-r6, r12}
    COMPARE_EACH 1
    COMPARE_EACH 2
    COMPARE_EACH 3
    pop {r0-r6, r12}
    str r4, [r6]
    add sp, sp, #8
    pop {r4-r11, pc}
    .size bf_compare_each, . - bf_compare_each

#endif
