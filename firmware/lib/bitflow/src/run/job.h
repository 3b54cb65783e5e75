/*
 * job.h - a kernel, and what it gets to run one layer.
 * SPDX-License-Identifier: MIT
 */
#ifndef BITFLOW_JOB_H
#define BITFLOW_JOB_H

#include "layer.h"

/* What a kernel gets. All pointers are valid and aligned; the kernel owns `scratch` while it runs. */
typedef struct bf_job {
    const bf_model *model;
    const bf_layer *layer;
    const bf_kernel *kernel;
    const bf_choice *choice;            /* of the plan; NULL: there is none */
    int planes_in;                      /* the input is bit planes (planes.h), not in the public form */
    int planes_out;                     /* the output must be so */
    const void *inputs[BF_MAX_SOURCES]; /* source_count maps; of BF_PIXELS [in_h][in_w][in_c] bytes, on any address */
    void *output;                       /* the map; BF_SCORES: int32_t[out_c] */
    uint32_t *scratch;                  /* as many bytes as its `scratch` query said */
} bf_job;

enum { BF_INPUT_PLANES = 1, BF_OUTPUT_PLANES = 2, BF_NEEDS_PLAN = 4 }; /* bf_kernel.flags */

struct bf_kernel {
    uint16_t kinds; /* bit k: layers of kind k */
    uint16_t flags;
    int (*covers)(const bf_kernel *kernel, const bf_layer *layer); /* NULL: all layers of its kinds */
    size_t (*scratch)(const bf_job *job); /* bytes of scratch, a multiple of 4; inputs, output, scratch are not set */
    void (*run)(const bf_job *job);
    const void *form; /* how it differs from kernels that share its functions; NULL: none do */
};

static inline int bf_covers(const bf_kernel *kernel, const bf_layer *layer) {
    return kernel->kinds >> layer->kind & 1u && (!kernel->covers || kernel->covers(kernel, layer));
}

/* What the plan has for a layer. */
static inline const void *bf_plan_data(const bf_job *job) {
    return (const uint8_t *)(const void *)job->model->plan + job->choice->data;
}

#endif
