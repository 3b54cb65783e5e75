/*
 * arena.h - which kernel runs each layer, and where its maps lie.
 * SPDX-License-Identifier: MIT
 */
#ifndef BITFLOW_ARENA_H
#define BITFLOW_ARENA_H

#include "job.h"

/*
 * Finds the kernel of layer `index` and how its maps lie; 0 if no kernel is linked in. inputs, output and scratch are
 * not set.
 */
int bf_job_of(const bf_model *model, unsigned index, bf_job *job);

/* Bytes of a layer's map in the arena, as bit planes or in the public form. */
size_t bf_stored_size(const bf_layer *layer, int planes);

/* Bytes at both ends of the arena that kernels may read beside a map, and never use. */
#define BF_GUARD (4u * BF_LANE_WORDS)

/* What a run remembers from layer to layer. */
typedef struct bf_run_state {
    size_t transient; /* bytes of the last layer's map, 0 if it is pinned */
} bf_run_state;

/* Sets inputs, output and scratch of a job. */
void bf_set_maps(bf_job *job, unsigned index, const void *input, int32_t *scores, void *arena, bf_run_state *state);

/* Bytes from which on layer 0 does not touch the arena. Its kernel is linked in. */
size_t bf_end_of_first(const bf_model *model);

/* Where the map of a layer begins in the arena, in bytes; *planes: is it bit planes? 0 if no kernel is linked in. */
size_t bf_find_map(const bf_model *model, unsigned index, int *planes);

/* The size of the arena, and of its part for pinned maps, for layers that were checked. */
bf_status bf_arrange(const bf_model *model, uint32_t *arena, uint32_t *pinned);

#endif
