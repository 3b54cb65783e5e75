/*
 * plan_library.c - what tests/planner/test_plan.py asks the C library: the arena of an image, and who covers its
 * layers.
 */
#include "run/job.h"

#define ONLY_LITE
#include "lite.h"

size_t plan_library_model_size(void) {
    return sizeof(bf_model);
}

/* Bytes of the arena, or a negative bf_status. */
long long plan_library_open(bf_model *model, const void *image, size_t size) {
    const bf_status status = bf_open(model, image, size);
    return status == BF_OK ? (long long)bf_arena_size(model) : (long long)status;
}

/* Where an input may lie in an arena, and the size of one with room for it. */
unsigned plan_library_shared(const bf_model *model, int is_place) {
    return (unsigned)(is_place ? bf_input_place(model) : bf_shared_size(model));
}

int plan_library_has_plan(const bf_model *model) {
    return model->plan != NULL;
}

/* Bit k: kernel k covers the layer. form: 0: full; 1: lite; 2: several; 3: strided; where there is one. */
unsigned plan_library_covered(const bf_model *model, unsigned layer, unsigned form) {
    const bf_kernel *const *const tables[] = {bf_all_kernels, lite_kernels, several_kernels, strided_kernels};
    const bf_layer *l = &model->layers[layer];
    unsigned found = 0;
    for (unsigned k = 0; k < BF_KERNELS; k++) {
        const bf_kernel *kernel = tables[form][k];
        if (kernel && bf_covers(kernel, l)) {
            found |= 1u << k;
        }
    }
    return found;
}
