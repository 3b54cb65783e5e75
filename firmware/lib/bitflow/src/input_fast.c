/*
 * input_fast.c - the fast first layer as a kernel: its sums give strings.
 * SPDX-License-Identifier: MIT
 */
#include "input_sums.h"
#include "strings.h"

/* How windows are pooled that are not 2 x 2 side by side; NULL: layers that have such are not covered. */
typedef struct form {
    bf_string_pool *pool;
} form;

BF_COLD static int covers(const bf_kernel *kernel, const bf_layer *layer) {
    return (((const form *)kernel->form)->pool || bf_is_by_two(layer)) &&
           bf_input_sums_scratch(layer, 0) != BF_NOT_COVERED && bf_strings_fit_behind(layer);
}

BF_COLD static size_t scratch(const bf_job *job) {
    return bf_strings_scratch(job) * sizeof(uint32_t) + bf_input_sums_scratch(job->layer, 0);
}

BF_COLD static void run(const bf_job *job) {
    const uint32_t positions = (uint32_t)job->layer->conv_h * job->layer->conv_w;
    bf_input_sums_run(job, job->scratch + bf_strings_scratch(job), bf_strings_to(job), bf_string_words(positions));
    bf_strings_done(job, ((const form *)job->kernel->form)->pool);
}

static const form any = {bf_pool_windows}, usual = {NULL};

const bf_kernel bf_input_sums = {1u << BF_INPUT_CONV, BF_GIVES_STRINGS, covers, scratch, run, &any};
const bf_kernel bf_input_sums_lite = {1u << BF_INPUT_CONV, BF_GIVES_STRINGS, covers, scratch, run, &usual};
