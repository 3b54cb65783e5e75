/*
 * handover.h - maps as strings on their way in and out of a kernel.
 * SPDX-License-Identifier: MIT
 */
#ifndef BITFLOW_HANDOVER_H
#define BITFLOW_HANDOVER_H

#include "pool.h"
#include "../run/job.h"

/*
 * A kernel that takes and gives strings works on these. bf_strings_of() gives the input as strings, made in `scratch`
 * where it is none; bf_strings_done() takes what the kernel wrote to bf_strings_to(), the map before the pool, and
 * brings it to the output: by bf_pool_by_two() or else by `pool`, which a kernel of usual layers has not. The part of
 * scratch for both is bf_strings_scratch() words, at its beginning.
 */
size_t bf_strings_scratch(const bf_job *job);
const uint32_t *bf_strings_of(const bf_job *job);
uint32_t *bf_strings_to(const bf_job *job);
void bf_strings_done(const bf_job *job, bf_string_pool *pool);

#endif
