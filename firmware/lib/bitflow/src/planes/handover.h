/*
 * handover.h - maps as planes on their way in and out of a kernel.
 * SPDX-License-Identifier: MIT
 */
#ifndef BITFLOW_HANDOVER_H
#define BITFLOW_HANDOVER_H

#include "pool.h"
#include "../run/job.h"

/*
 * A kernel that takes and gives planes works on these. bf_input_planes() gives the input as planes, made in `scratch`
 * where it is none; bf_planes_done() takes what the kernel wrote to bf_output_planes(), the map before the pool, and
 * brings it to the output: by bf_pool_by_two() or else by `pool`, which a kernel of usual layers has not. The part of
 * scratch for both is bf_planes_scratch() words, at its beginning.
 */
size_t bf_planes_scratch(const bf_job *job);
const uint32_t *bf_input_planes(const bf_job *job);
uint32_t *bf_output_planes(const bf_job *job);
void bf_planes_done(const bf_job *job, bf_plane_pool *pool);

#endif
