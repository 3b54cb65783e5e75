/*
 * macros.h - what the assembly of several cores shares: how a function begins, and how digits are added and compared.
 *
 * Registers are words on ARMv7-M and vectors with MVE (Helium). The arithmetic is that of generic/add.h.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef BITFLOW_ARM_MACROS_H
#define BITFLOW_ARM_MACROS_H

/* clang-format off */

    .syntax unified
    .thumb

.macro FUNCTION name
    .section .text.\name, "ax", %progbits
    .balign 4
    .global \name
    .type \name, %function
    .thumb_func
\name:
.endm

#if !defined(BF_ARM_V6M) /* whose instructions take two operands: it has macros of its own */

#if defined(BF_ARM_MVE)
#define AND vand
#define XOR veor
#define OR  vorr
#define BIC vbic
#define ORN vorn
#else
#define AND and
#define XOR eor
#define OR  orr
#define BIC bic
#define ORN orn
#endif

/* ---- Adding. A pair is (first, differ). ---- */

/* The first half: the pair (\first, \differ) enters \digit, \half is left. */
.macro OPEN digit, half, first, differ
    XOR \half, \first, \digit
    OR \half, \half, \differ
    XOR \digit, \digit, \differ
.endm

/* The second half: the pair (\first, \differ) enters. The carries are left in (\first, \half). */
.macro CLOSE digit, half, first, differ
    XOR \first, \first, \digit
    BIC \first, \first, \differ
    XOR \half, \half, \first
    XOR \first, \first, \digit
    XOR \digit, \digit, \differ
.endm

/* One pair enters \digit; \first is what it carries. */
.macro ADD_PAIR digit, first, differ
    XOR \first, \first, \digit
    OR \first, \first, \differ
    XOR \digit, \digit, \differ
    XOR \first, \first, \digit
.endm

/* ---- Comparing. ---- */

/* z - y - the borrow in \first. The difference is left in \z, the borrow in \first; \y is used. */
.macro SUBTRACT z, y, first
    XOR \z, \z, \y
    XOR \y, \y, \first
    AND \y, \y, \z
    XOR \z, \z, \first
    XOR \first, \first, \y
.endm

/* z + x + not y + the carries, which are first and first ^ not same. The sum is left in \z; \x and \y are used. */
.macro SUM z, x, y, first, same
    XOR \y, \y, \x
    XOR \x, \x, \z
    ORN \x, \x, \y
    XOR \z, \z, \y
    XOR \y, \first, \z
    ORN \y, \y, \same
    XOR \first, \z, \y
    XOR \z, \z, \same
    XOR \same, \x, \y
.endm

/*
 * \within: the lanes whose digits up to this one are at most those of the limit. \z: the value's digit, or \as_is its
 * complement; \limit: the limit's digit. Both are used.
 */
.macro COMPARE_DIGIT as_is, within, z, limit
    XOR \z, \z, \limit
.if \as_is
    AND \within, \within, \z
    BIC \limit, \limit, \z
.else
    BIC \within, \within, \z
    AND \limit, \limit, \z
.endif
    OR \within, \within, \limit
.endm

#endif
#endif
