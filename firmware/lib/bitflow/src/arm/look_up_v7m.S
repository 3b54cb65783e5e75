/*
 * look_up_v7m.S - bf_look_up() for ARMv7-M and later.
 * SPDX-License-Identifier: MIT
 */
#include "bitflow_port.h"

#ifdef BF_ARM_V7M

#include "macros.h"

/* The plane whose index is at bit \shift of \word. */
.macro LOOK_UP plane, word, shift
    ubfx \plane, \word, #\shift, #6
    ldr \plane, [r1, \plane, lsl #2]
.endm

    FUNCTION bf_look_up
    push {r4-r11}
    cmp r2, #10             @ ten planes, or all
    ldm r0, {r0, r2, r12}
    LOOK_UP r4, r0, 0
    LOOK_UP r5, r0, 6
    LOOK_UP r6, r0, 12
    LOOK_UP r7, r0, 18
    LOOK_UP r8, r0, 24
    LOOK_UP r9, r2, 0
    LOOK_UP r10, r2, 6
    LOOK_UP r11, r2, 12
    stm r3!, {r4-r11}
    LOOK_UP r4, r2, 18
    LOOK_UP r5, r2, 24
    strd r4, r5, [r3]
    bls 1f
    LOOK_UP r4, r12, 0
    LOOK_UP r5, r12, 6
    strd r4, r5, [r3, #8]
1:  pop {r4-r11}
    bx lr
    .size bf_look_up, . - bf_look_up

#endif
