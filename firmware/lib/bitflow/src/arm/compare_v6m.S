/*
 * compare_v6m.S - bf_value_of(), bf_within() and bf_compare() for ARMv6-M, and for ARMv8-M without its main extension.
 *
 * Digits are added as in add_v7m.S, pair by pair, with registers for the complements of some, so that
 * there is an instruction for each operation.
 *
 * SPDX-License-Identifier: MIT
 */
#include "bitflow_port.h"

#ifdef BF_ARM_V6M

#include "macros.h"

    .equ COUNT, 48          @ bytes of a bf_count

value   .req r0             @ the next digit
plus    .req r1
minus   .req r2
x       .req r3
y       .req r4
z       .req r5
first   .req r6             @ the complement of the first carry
same    .req r7             @ the complement of the carries' exclusive or
last    .req r12            @ digit of the sign
even    .req lr             @ 0: the number of digits from digit 1 to the sign is even

/* The next digit of z + plus + not minus + carries. \same is taken, \next is left; each is y or same. */
.macro PLANE distance, same, next
    ldm plus!, {x}
    ldm minus!, {\next}
.if \distance >= 0
    ldr z, [minus, #\distance]
.else
    ldr z, [value]
.endif
    eors \next, x
    eors x, z
    eors z, \next
    bics \next, x
    eors first, z
    ands first, \same
    eors \next, first
    eors first, z
    eors z, \same
    stm value!, {z}
.endm

/*
 * value, from digit 1 on: z + 2 * (plus - minus), where z is a count that lies \distance bytes behind minus; without,
 * z is what value has. One of the first carries is 1, whichever: adding a complement and 1 subtracts.
 */
.macro ADD_TWICE distance=-1
    movs same, #0
    movs y, #0
    cmp even, same
    bne 2f
1:  PLANE \distance, same, y
2:  PLANE \distance, y, same
    cmp value, last
    bne 1b
    ldr x, [plus]
    ldr y, [minus]
    eors x, y
    eors x, same
.if \distance < 0
    ldr y, [value]
    eors x, y
.else
    mvns x, x
.endif
    str x, [value]
.endm

    FUNCTION bf_value_of
    push {r4-r7, lr}
    movs r7, #(7 * COUNT / 2)
    adds r7, r7, r7
    ldr r7, [r1, r7]
    lsls r4, r3, #2
    adds r4, r4, r0
    mov last, r4
    stm value!, {r7}
    mvns r3, r3
    lsls r3, r3, #31
    mov even, r3
    cmp r2, #2
    beq 20f
    bhi 30f
    adds r1, #3 * COUNT
    movs minus, r1
    adds minus, #4 * COUNT
    ADD_TWICE 0
    pop {r4-r7, pc}
20: adds r1, #1 * COUNT
    movs minus, r1
    adds minus, #4 * COUNT
    ADD_TWICE (2 * COUNT)
    pop {r4-r7, pc}
30: push {r0, r1}
    adds r1, #4 * COUNT
    movs minus, r1
    adds minus, #2 * COUNT
    ADD_TWICE COUNT
    pop {r0, r1}
    movs minus, r1
    adds minus, #2 * COUNT
    ADD_TWICE
    pop {r4-r7, pc}
    .size bf_value_of, . - bf_value_of

/* r2: the lanes that are not within the limit in r3, whose last digit a 1 follows. \value: the digits. */
.macro OUTSIDE value
    movs r2, #0
    lsrs r3, r3, #1
    bcs 3f
2:  ldm \value!, {r0}
    orrs r2, r0
    lsrs r3, r3, #1
    bcc 2b
3:  beq 4f
    ldm \value!, {r0}
    ands r2, r0
    lsrs r3, r3, #1
    bcs 3b
    b 2b
4:  mvns r2, r2
.endm

    FUNCTION bf_within
    movs r3, r1
    movs r1, r0
    OUTSIDE r1
    movs r0, r2
    bx lr
    .size bf_within, . - bf_within

/* Below: the digits of a value up to its sign; so much of the stack. */
    .equ VALUE, 56

    FUNCTION bf_compare
    push {r3-r7, lr}
    sub sp, #VALUE
    movs r4, r0
    movs r5, r1
    movs r6, r2
    movs r7, r3
    lsls r2, r2, #2
    adds r2, r2, r0
    adds r2, #(7 * COUNT / 2)
    adds r2, #(7 * COUNT / 2 - 4)
    ldr r2, [r2]
    mvns r2, r2
    stm r7!, {r2}
1:  mov r0, sp
    movs r1, r4
    ldr r2, [sp, #VALUE]
    subs r2, r7, r2
    lsrs r2, r2, #2         @ the filter
    movs r3, r6
    bl bf_value_of
    ldrh r3, [r5]
    adds r5, #2
    movs r2, #2
    lsls r2, r6
    orrs r3, r2             @ a bit behind the limit's last one
    mov r1, sp
    OUTSIDE r1
    stm r7!, {r2}
    ldr r3, [sp, #VALUE]
    adds r3, #16
    cmp r7, r3
    bne 1b
    add sp, #VALUE
    pop {r3-r7, pc}
    .size bf_compare, . - bf_compare

#endif
