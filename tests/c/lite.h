/*
 * lite.h - tables of the kernels' smaller forms and, unless ONLY_LITE, of the kernels that have none: lite_kernels,
 * several_kernels with those for any number of thresholds, strided_kernels with those that copy as well.
 */
#ifndef LITE_H
#define LITE_H

#include "bitflow.h"

#ifdef ONLY_LITE
#define OTHERS
#else
#define OTHERS                                                                                                         \
    [BF_USE_INPUT_PLAIN] = &bf_input_conv_plain, [BF_USE_SET_BITS] = &bf_conv_set_bits,                                \
    [BF_USE_WIDE_CONV] = &bf_wide_conv, [BF_USE_SUM] = &bf_sum, [BF_USE_CONCAT] = &bf_concat,                          \
    [BF_USE_TOTAL] = &bf_total,
#endif

#define TABLE(form)                                                                                                    \
    static const bf_kernel *const form##_kernels[BF_KERNELS] = {                                                       \
        [BF_USE_INPUT_SUMS] = &bf_input_sums_##form,      [BF_USE_PATTERNS_16] = &bf_conv_patterns_16_##form,          \
        [BF_USE_PATTERNS_8] = &bf_conv_patterns_8_##form, [BF_USE_PATTERNS_1] = &bf_conv_patterns_1_##form,            \
        [BF_USE_CONV_PLAIN] = &bf_conv_plain_lite,        OTHERS}

TABLE(lite);
TABLE(several);
#define bf_input_sums_strided bf_input_sums_several
TABLE(strided);

#endif
