/*
 * compare_mve.S - bf_compare(), bf_compare_several() and bf_compare_each() for cores with MVE (Helium): 128 lanes.
 *
 * What is computed is that of compare_v7m.S, a digit at a time.
 *
 * SPDX-License-Identifier: MIT
 */
#include "bitflow_port.h"

#ifdef BF_ARM_MVE

#include "macros.h"

    .equ PLANE, 16          @ bytes of bf_lanes
    .equ COUNT, 192         @ of a bf_count

counts  .req r0
limits  .req r1
digits   .req r2
to      .req r3
total   .req r4             @ C7, the next digit
near    .req r5             @ of the first difference, of the count that is subtracted; C3 in filter 1
far     .req r6             @ of filter 3's second difference; in filter 2, of the count that is added
limit   .req r7             @ its digits from the next one on
table   .req r8
words   .req r9             @ of the filter's limits, from the next one on
tmp     .req r12

#define WITHIN  q0
#define FIRST   q1          /* carries: FIRST and FIRST ^ not SAME; a borrow in filter 1 */
#define SAME    q2
#define FIRST2  q3          /* of filter 3's second difference */
#define SAME2   q4
#define Z       q5          /* a digit of C7, then of the value */
#define X       q6          /* of what is added, then of the limit */
#define Y       q7          /* of what is subtracted */

/* ---- The values' digits. ---- */

/* Before digit 0. */
.macro START filter
    add total, counts, #7 * COUNT
.if \filter == 1
    add near, counts, #3 * COUNT
    vmov.i32 FIRST, #0
    vmov.i32 WITHIN, #0
.else
.if \filter == 2
    add near, counts, #5 * COUNT
    add far, counts, #1 * COUNT
.else
    add near, counts, #2 * COUNT
    add far, counts, #6 * COUNT
    vmov.i32 SAME2, #0
.endif
    vmov.i32 SAME, #0       @ one carry is 1, whichever
    vmov.i8 WITHIN, #255
.endif
    vldrw.32 Z, [total], #PLANE
.endm

/* The next digit, in Z. */
.macro NEXT_PLANE filter
    vldrw.32 Z, [total], #PLANE
.if \filter == 1
    vldrw.32 Y, [near], #PLANE
    SUBTRACT Z, Y, FIRST
.else
.if \filter == 2
    vldrw.32 X, [far], #PLANE
.else
    vldrw.32 X, [near, #-2 * COUNT]
.endif
    vldrw.32 Y, [near], #PLANE
    SUM Z, X, Y, FIRST, SAME
.if \filter == 3
    vldrw.32 X, [far, #-2 * COUNT]
    vldrw.32 Y, [far], #PLANE
    SUM Z, X, Y, FIRST2, SAME2
.endif
.endif
.endm

/* The sign, in Z. */
.macro SIGN filter
    vldrw.32 Y, [near]
.if \filter == 1
    veor Z, FIRST, Y
.else
    veor Z, SAME, Y
.if \filter == 2
    vldrw.32 X, [far]
    veor Z, Z, X
.else
    vldrw.32 X, [near, #-2 * COUNT]
    veor Z, Z, X
    vldrw.32 X, [far]
    veor Z, Z, X
    vldrw.32 X, [far, #-2 * COUNT]
    veor Z, Z, X
    veor Z, Z, SAME2
.endif
.endif
.endm

.macro BEGIN name
    FUNCTION \name
    push {r4-r9, lr}
    sub sp, sp, #4
    vpush {d8-d15}
.endm

/* Filter 0. */
.macro COMPARE_0
    add total, counts, #7 * COUNT
    add total, total, digits, lsl #4
    vldrw.32 Z, [total, #-PLANE]
    vmvn Z, Z
    vstrw.32 Z, [to]
    subs digits, digits, #1   @ digits between the lowest one and the sign
.endm

.macro END
    vpop {d8-d15}
    add sp, sp, #4
    pop {r4-r9, pc}
.endm

/* ---- bf_compare(). ---- */

/* The digit in Z, where the limit's is 1 or 0. \as_is: filter 1, which has the value's complement; or a sign. */
.macro WITHIN_1 as_is
.if \as_is
    vorr WITHIN, WITHIN, Z
.else
    vorn WITHIN, WITHIN, Z
.endif
.endm

.macro WITHIN_0 as_is
.if \as_is
    vand WITHIN, WITHIN, Z
.else
    vbic WITHIN, WITHIN, Z
.endif
.endm

.macro WITHIN_ONE as_is
    lsrs limit, limit, #1
    bcs 80f
    WITHIN_0 \as_is
    b 81f
80: WITHIN_1 \as_is
81:
.endm

/*
 * The value's digit replaces one of a count that no other filter needs; of filter 1 that of V1 - 1, whose digit 0 is the
 * complement of C7's.
 */
.macro KEEP filter
.if \filter == 1
    vmvn X, Z
    vstrw.32 X, [near, #-PLANE]
.elseif \filter == 2
    vstrw.32 Z, [far, #-PLANE]
.else
    vstrw.32 Z, [near, #-2 * COUNT - PLANE]
.endif
.endm

.macro KEEP_SIGN filter
.if \filter == 1
    vstrw.32 Z, [near]
.else
    vmvn X, Z
.if \filter == 2
    vstrw.32 X, [far]
.else
    vstrw.32 X, [near, #-2 * COUNT]
.endif
.endif
.endm

.macro COMPARE filter, keep=0
    ldrh limit, [limits], #2
    START \filter
    WITHIN_ONE (\filter == 1)
    dls lr, digits
1:  NEXT_PLANE \filter
.if \keep
    KEEP \filter
.endif
    lsrs limit, limit, #1
    bcs 2f
    WITHIN_0 (\filter == 1)
    le lr, 1b
    b 3f
2:  WITHIN_1 (\filter == 1)
    le lr, 1b
3:  SIGN \filter
.if \keep
    KEEP_SIGN \filter
.endif
    WITHIN_ONE (\filter != 1)
    vstrw.32 WITHIN, [to, #\filter * PLANE]
.endm

BEGIN bf_compare
    COMPARE_0
    COMPARE 1
    COMPARE 2
    COMPARE 3
    END
    .size bf_compare, . - bf_compare

/* ---- bf_compare_several(). The first threshold as above; then the others, of the digits that were kept. ---- */

/* A value's digits from digit 1 on are at \offset; Y: C7's digit 0. */
.macro MORE filter, offset
    add total, counts, #\offset
    ldrh limit, [limits], #2
    dls lr, digits
.if \filter == 1
    vmov.i32 WITHIN, #0
    lsrs limit, limit, #1
    bcc 1f
    vmov WITHIN, Y
.else
    vmov.i8 WITHIN, #255
    lsrs limit, limit, #1
    bcs 1f
    vmvn WITHIN, Y
.endif
1:  vldrw.32 Z, [total], #PLANE
    lsrs limit, limit, #1
    bcs 2f
    vbic WITHIN, WITHIN, Z
    le lr, 1b
    b 3f
2:  vorn WITHIN, WITHIN, Z
    le lr, 1b
3:  vstrw.32 WITHIN, [to], #PLANE
.endm

BEGIN bf_compare_several
    COMPARE_0
    add far, counts, #7 * COUNT + PLANE
    add far, far, digits, lsl #4
    vmov.i8 X, #255
    vstrw.32 X, [far]       @ the sign of C7
    COMPARE 1, 1
    COMPARE 2, 1
    COMPARE 3, 1
    add total, counts, #7 * COUNT
    vldrw.32 Y, [total]
    adds digits, digits, #1
    adds to, to, #4 * PLANE
    ldr words, [sp, #96]    @ above d8-d15, one word, r4-r9 and lr
    subs words, words, #1
    beq 5f
4:  MORE 0, (7 * COUNT + PLANE)
    MORE 1, (3 * COUNT)
    MORE 2, (1 * COUNT)
    MORE 3, 0
    subs words, words, #1
    bne 4b
5:  END
    .size bf_compare_several, . - bf_compare_several

/* ---- bf_compare_each(). ---- */

/* The limit's next digit in X, and the digit in Z with it. Above the five digits of a word there is one more bit. */
.macro WITHIN_EACH as_is
    cmp limit, #1
    bne 80f
    ldr limit, [words], #4
    orr limit, limit, #0x40000000
80: and tmp, limit, #63
    add tmp, table, tmp, lsl #4
    vldrw.32 X, [tmp]
    lsr limit, limit, #6
    COMPARE_DIGIT \as_is, WITHIN, Z, X
.endm

.macro COMPARE_EACH filter
    add words, limits, #12 * (\filter - 1)
    movs limit, #1
    START \filter
    WITHIN_EACH (\filter == 1)
    dls lr, digits
1:  NEXT_PLANE \filter
    WITHIN_EACH (\filter == 1)
    le lr, 1b
    SIGN \filter
    WITHIN_EACH (\filter != 1)
    vstrw.32 WITHIN, [to, #\filter * PLANE]
.endm

BEGIN bf_compare_each
    mov table, r3
    ldr to, [sp, #96]       @ above d8-d15, one word, r4-r9 and lr
    COMPARE_0
    COMPARE_EACH 1
    COMPARE_EACH 2
    COMPARE_EACH 3
    END
    .size bf_compare_each, . - bf_compare_each

#endif
