/*
 * usual.h - a table of the kernels' forms for usual layers, and beside them, unless ONLY_USUAL, those that have none.
 */
#ifndef USUAL_H
#define USUAL_H

#include "bitflow.h"

static const bf_kernel *const usual_kernels[BF_KERNELS] = {
    [BF_USE_INPUT_SUMS] = &bf_input_sums_usual,
    [BF_USE_CLASSES_16] = &bf_conv_classes_16_usual,
    [BF_USE_CLASSES_8] = &bf_conv_classes_8_usual,
    [BF_USE_CLASSES_1] = &bf_conv_classes_1_usual,
    [BF_USE_CONV_PLAIN] = &bf_conv_plain_usual,
#ifndef ONLY_USUAL
    [BF_USE_INPUT_PLAIN] = &bf_input_conv_plain,
    [BF_USE_SET_BITS] = &bf_conv_set_bits,
    [BF_USE_WIDE_CONV] = &bf_wide_conv,
    [BF_USE_SUM] = &bf_sum,
    [BF_USE_CONCAT] = &bf_concat,
    [BF_USE_TOTAL] = &bf_total,
#endif
};

#endif
