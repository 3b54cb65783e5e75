/*
 * add_v6m.S - bf_add_lists16() for ARMv6-M, and for ARMv8-M without its main extension.
 *
 * The tree of 32 inputs is that of add_v7m.S, which says how it adds. Here eight registers compute: the running count's
 * digits 2 and 3 and their halves rest in the others, which can only be moved, added and compared. All steps of adding
 * take two operands, so that nothing else is lost.
 *
 * SPDX-License-Identifier: MIT
 */
#include "bitflow_port.h"

#ifdef BF_ARM_V6M

#include "macros.h"

    .equ COUNT, 48          @ bytes of a bf_count

planes  .req r0
list    .req r1             @ the next entry
ones    .req r2
u       .req r3
v       .req r4
w       .req r5
x       .req r6
twos    .req r7
fours   .req r8
half4   .req r9
eights  .req r10
half8   .req r11
end     .req r12            @ of the pattern's entries
upper   .req lr             @ digit 4 of the pattern's count

    .equ PLANES, 0          @ on the stack
    .equ LAST, 4            @ upper, after the last pattern

/* Four planes into ones. The pair of carries is left in (\first, u); x is used. */
.macro ADD_FOUR first, i
    ldrh u, [list, #2 * (\i)]
    ldrh \first, [list, #2 * (\i) + 2]
    ldr u, [planes, u]
    ldr \first, [planes, \first]
    eors \first, u
    eors u, ones
    orrs u, \first
    eors ones, \first
    ldrh \first, [list, #2 * (\i) + 4]
    ldrh x, [list, #2 * (\i) + 6]
    ldr \first, [planes, \first]
    ldr x, [planes, x]
    eors x, \first
    eors \first, ones
    bics \first, x
    eors u, \first
    eors \first, ones
    eors ones, x
.endm

/* A run into ones and twos. The pair of carries is left in (w, v). */
.macro ADD_RUN i
    ADD_FOUR v, \i
    eors v, twos
    orrs v, u
    eors twos, u
    ADD_FOUR w, (\i + 4)
    eors w, twos
    bics w, u
    eors v, w
    eors w, twos
    eors twos, u
.endm

/* The pair (w, \differ) enters \digit first: \half is left. u is used. */
.macro OPEN digit, half, differ
    mov u, \digit
    eors w, u
    orrs w, \differ
    eors u, \differ
    mov \half, w
    mov \digit, u
.endm

/* The pair (w, \differ) enters second: the carries are left in (w, \spare). u is used. */
.macro CLOSE digit, half, differ, spare
    mov u, \digit
    eors w, u
    bics w, \differ
    mov \spare, \half
    eors \spare, w
    eors w, u
    eors u, \differ
    mov \digit, u
.endm

/* w, carried out of the digit below, into a digit: what it carries on is left in it. u: upper. */
.macro CARRY offset
    ldr v, [u, #\offset]
    eors v, w
    str v, [u, #\offset]
    bics w, v
.endm

    FUNCTION bf_add_lists16
    push {r4-r7, lr}
    mov r4, r8
    mov r5, r9
    mov r6, r10
    mov r7, r11
    push {r4-r7}
    sub sp, #12
    str planes, [sp, #PLANES]
    lsls v, u, #12          @ BF_START(), in u: the number of patterns
    lsrs v, v, #28
    movs w, #COUNT
    muls v, w, v
    adds v, v, r2
    adds v, #16
    str v, [sp, #LAST]
    cmp u, #0
    bmi 1f
    mvns u, u               @ each digit: all bits are the carry's complement
    .rept 3
    lsrs u, u, #1
    sbcs v, v
    lsrs u, u, #1
    sbcs w, w
    lsrs u, u, #1
    sbcs x, x
    lsrs u, u, #1
    sbcs r7, r7
    stm r2!, {v, w, x, r7}
    .endr
    subs r2, #COUNT
1:  ldm r2!, {v, w, x, r7}
    mov upper, r2
    mov eights, r7
    mov fours, x
    movs twos, w
    movs ones, v

/* A pattern: rounds of four runs; the first one may have less. */
1:  ldrh u, [list]
    adds list, #2
    lsls v, u, #4
    beq 3f
    adds v, v, list
    mov end, v
    lsls u, u, #31          @ carry: bit 1 of the number of runs, negative: bit 0
    bcs 20f
    bpl 4f
    mov half4, fours
    mov half8, eights
    subs list, #48
    b 7f
20: bmi 21f
    mov half8, eights
    subs list, #32
    b 6f
21: mov half4, fours
    subs list, #16
    b 5f
3:  b 2f
    .balign 4
4:  ADD_RUN 0
    OPEN fours, half4, v
5:  ADD_RUN 8
    CLOSE fours, half4, v, x
    OPEN eights, half8, x
6:  ADD_RUN 16
    OPEN fours, half4, v
7:  ADD_RUN 24
    CLOSE fours, half4, v, x
    CLOSE eights, half8, x, v
    mov u, upper
    ldr x, [u]
    eors w, x
    orrs w, v
    eors x, v
    str x, [u]
    eors w, x
    CARRY 4
    CARRY 8
    bne 9f
8:  adds list, #64
    cmp list, end
    beq 2f
    b 4b

/* The pattern's count is complete: store it, and go on from there. */
2:  mov x, upper
    subs x, #16
    movs r3, twos
    mov r4, fours
    mov r5, eights
    stm x!, {r2-r5}
    ldm x!, {r0, r3-r5}
    adds x, #COUNT - 16
    stm x!, {r0, r3-r5}
    subs x, #COUNT
    ldm x!, {r0, r3-r5}
    adds x, #COUNT - 16
    stm x!, {r0, r3-r5}
    subs x, #32
    mov upper, x
    ldr planes, [sp, #PLANES]
    ldr u, [sp, #LAST]
    cmp x, u
    beq 10f
    b 1b
10: movs r0, list
    add sp, #12
    pop {r4-r7}
    mov r8, r4
    mov r9, r5
    mov r10, r6
    mov r11, r7
    pop {r4-r7, pc}

/* What is carried out of digit 6, into the digits from 7 on, as far as it goes. */
9:  adds u, #12
11: ldr v, [u]
    eors v, w
    stm u!, {v}
    bics w, v
    bne 11b
    b 8b
    .size bf_add_lists16, . - bf_add_lists16

#endif
