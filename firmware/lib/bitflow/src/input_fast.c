/*
 * input_fast.c - the fast first layer as a kernel: its sums give strings.
 * SPDX-License-Identifier: MIT
 */
#include "input_sums.h"
#include "strings.h"

BF_COLD static int covers(const bf_layer *layer) {
    return bf_input_sums_scratch(layer, 0) != BF_NOT_COVERED &&
           bf_strings_fit((uint32_t)layer->conv_h * layer->conv_w, layer->out_c) &&
           bf_strings_fit((uint32_t)layer->out_h * layer->out_w, layer->out_c);
}

BF_COLD static size_t scratch(const bf_job *job) {
    return bf_strings_scratch(job) * sizeof(uint32_t) + bf_input_sums_scratch(job->layer, 0);
}

BF_COLD static int covers_usual(const bf_layer *layer) {
    return bf_is_by_two(layer) && covers(layer);
}

BF_COLD static void sum_up(const bf_job *job, bf_string_pool *pool) {
    const uint32_t positions = (uint32_t)job->layer->conv_h * job->layer->conv_w;
    bf_input_sums_run(job, job->scratch + bf_strings_scratch(job), bf_strings_to(job), bf_string_words(positions));
    bf_strings_done(job, pool);
}

BF_COLD static void run(const bf_job *job) {
    sum_up(job, bf_pool_windows);
}

BF_COLD static void run_usual(const bf_job *job) {
    sum_up(job, NULL);
}

const bf_kernel bf_input_sums = {1u << BF_INPUT_CONV, BF_GIVES_STRINGS, covers, scratch, run};
const bf_kernel bf_input_sums_usual = {1u << BF_INPUT_CONV, BF_GIVES_STRINGS, covers_usual, scratch, run_usual};
