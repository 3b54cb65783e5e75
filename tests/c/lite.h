/*
 * lite.h - a table of the kernels' lite forms and, unless ONLY_LITE, of the kernels that have none.
 */
#ifndef LITE_H
#define LITE_H

#include "bitflow.h"

static const bf_kernel *const lite_kernels[BF_KERNELS] = {
    [BF_USE_INPUT_SUMS] = &bf_input_sums_lite,
    [BF_USE_PATTERNS_16] = &bf_conv_patterns_16_lite,
    [BF_USE_PATTERNS_8] = &bf_conv_patterns_8_lite,
    [BF_USE_PATTERNS_1] = &bf_conv_patterns_1_lite,
    [BF_USE_CONV_PLAIN] = &bf_conv_plain_lite,
#ifndef ONLY_LITE
    [BF_USE_INPUT_PLAIN] = &bf_input_conv_plain,
    [BF_USE_SET_BITS] = &bf_conv_set_bits,
    [BF_USE_WIDE_CONV] = &bf_wide_conv,
    [BF_USE_SUM] = &bf_sum,
    [BF_USE_CONCAT] = &bf_concat,
    [BF_USE_TOTAL] = &bf_total,
#endif
};

#endif
