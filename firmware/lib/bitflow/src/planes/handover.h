/*
 * handover.h - bit planes in and out of a kernel.
 * SPDX-License-Identifier: MIT
 */
#ifndef BITFLOW_HANDOVER_H
#define BITFLOW_HANDOVER_H

#include "pool.h"
#include "../run/job.h"

/*
 * A kernel on bit planes reads bf_input_planes(): the input, or planes that are made of it in scratch. It writes the
 * map before the pool to bf_output_planes(). bf_planes_done() then pools it, by bf_pool_by_two() or else by `pool`
 * (NULL in lite kernels), and writes the output. Scratch begins with bf_planes_scratch() words for all this.
 */
size_t bf_planes_scratch(const bf_job *job);
const uint32_t *bf_input_planes(const bf_job *job);
uint32_t *bf_output_planes(const bf_job *job);
void bf_planes_done(const bf_job *job, bf_plane_pool *pool);

#endif
