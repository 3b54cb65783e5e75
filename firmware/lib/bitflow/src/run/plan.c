/*
 * plan.c - a plan behind an image: used where it fits, and checked completely before a kernel follows it.
 *
 * What holds afterwards: every layer has a kernel that covers it, with data of the right size inside the plan; a list
 * names only planes that its block has, and so few of them that no count overflows, wherever it starts; a channel is
 * one of the layer's; the memory for lists is no larger than a map may be. What weights lists and limits stand for is
 * not looked at: others give wrong scores, never a wild access.
 *
 * SPDX-License-Identifier: MIT
 */
#include "plan.h"
#include "../kernels/conv_set_bits.h"
#include "../kernels/input_sums.h"
#include "../patterns/border.h"
#include "../patterns/sort.h"
#include "job.h"

static const bf_choice *choices_of(const bf_plan *plan) {
    return (const bf_choice *)(const void *)(plan + 1);
}

int bf_is_plan(const uint8_t *bytes, size_t size) {
    const bf_plan *plan = (const bf_plan *)(const void *)bytes;
    return size >= sizeof *plan + sizeof(uint32_t) && size % 4u == 0 && plan->magic == BF_PLAN_MAGIC;
}

bf_status bf_open_plan(bf_model *model, const uint8_t *bytes, size_t size) {
    const bf_plan *plan = (const bf_plan *)(const void *)bytes;
    uint32_t crc;
    if (size == 0) {
        return BF_OK;
    }
    BF_CHECK(plan->size == size, BF_ERR_PLAN);
    bf_copy(&crc, bytes + size - sizeof crc, sizeof crc);
    BF_CHECK(bf_crc32(0, bytes, size - sizeof crc) == crc && plan->image == model->crc, BF_ERR_PLAN);
    if (plan->version != BF_PLAN_VERSION || plan->lane_words != BF_LANE_WORDS) {
        return BF_OK; /* for other cores or a newer library: this one goes without */
    }
    model->plan = plan;
    model->plan_size = plan->size;
    return bf_check_plan(model);
}

/* Is this plane one of the zeros that end a chunk? */
static int is_filler(const bf_geometry *k, uint32_t plane) {
    const uint32_t chunk = 2u * k->layer->kernel_w * k->chunk;
    const uint32_t at = plane % k->row_planes;
    return at >= k->row_planes - 2u || at % (chunk + 2u) >= chunk;
}

/* An entry of a list: there is such a plane. How many inputs it adds: 1, or 0 if it is a filler; 2^16 if it is none. */
static uint32_t inputs_of(const bf_geometry *k, uint32_t plane) {
    return plane >= k->planes ? 0x10000u : is_filler(k, plane) ? 0u : 1u;
}

/* Runs of entries of 16 bits; 2^16 inputs or more: at least one is no plane. */
static uint32_t runs_of_16(const bf_geometry *k, const uint8_t *list, uint32_t runs) {
    uint32_t inputs = 0;
    for (uint32_t i = 0; i < runs * BF_RUN && inputs < 0x10000u; i++, list += 2) {
        const uint32_t offset = list[0] | (uint32_t)list[1] << 8;
        inputs += offset % sizeof(bf_lanes) ? 0x10000u : inputs_of(k, offset / (uint32_t)sizeof(bf_lanes));
    }
    return inputs;
}

static uint32_t runs_of_8(const bf_geometry *k, const uint8_t *list, uint32_t runs) {
    uint32_t inputs = 0, base = 0;
    for (; runs && inputs < 0x10000u; runs--, list += BF_RUN) {
        for (uint32_t i = 0; i < BF_RUN; i++) {
            inputs += inputs_of(k, base + list[i]);
        }
        base += list[BF_RUN - 1u];
    }
    return inputs;
}

/* The list of a quad, which adds no more inputs than a layer has; its end, NULL if it is none. */
static const uint8_t *check_list(const bf_geometry *k, int bytes, const uint8_t *list, const uint8_t *end) {
    uint32_t inputs = 0;
    for (uint32_t c = 0; c < BF_PATTERNS; c++) {
        uint32_t runs_8, runs_16;
        if (end - list < 2) {
            return NULL;
        }
        runs_16 = bytes ? list[1] : list[0] | (uint32_t)list[1] << 8;
        runs_8 = bytes ? list[0] : 0u;
        list += 2;
        if ((size_t)(end - list) < (runs_8 + 2u * (size_t)runs_16) * BF_RUN) {
            return NULL;
        }
        inputs += runs_of_8(k, list, runs_8);
        list += runs_8 * BF_RUN;
        inputs += runs_of_16(k, list, runs_16);
        list += 2u * runs_16 * BF_RUN;
        if (inputs > k->inputs) {
            return NULL;
        }
    }
    return list;
}

static int rows_hold(const bf_geometry *k, uint32_t g, const uint8_t *rows) {
    for (uint32_t j = 0; j < BF_QUAD; j++) {
        if (g / BF_PAGE * BF_PAGE * BF_QUAD + rows[j] >= k->filters) {
            return 0;
        }
    }
    return 1;
}

/* Bits that a word of a border may have, its third of `planes` planes. */
static uint32_t bits_of_digits(uint32_t digits, uint32_t third) {
    const uint32_t left = digits < 5u * third ? 0u : digits - 5u * third;
    return (1u << 6u * (left < 5u ? left : 5u)) - 1u;
}

/* Starts and limits of each lane. Where counts start at those of a border, these are below 2^digits. */
static int borders_hold(const bf_geometry *k, const bf_quad *quad) {
    const uint32_t *word = (const uint32_t *)(const void *)(quad + 1);
    const uint32_t starts = quad->first & BF_FIRST_LIMIT ? 0u : 1u << k->digits;
    if ((quad->first & BF_FIRST_NUMBER) || (quad->limit[0] | quad->limit[1] | quad->limit[2]) ||
        starts + k->inputs > BF_COUNTED) {
        return 0;
    }
    for (uint32_t i = 0; i < k->thresholds * k->borders * BF_BORDER_WORDS; i++) {
        const int is_start = starts && i < k->borders * BF_BORDER_WORDS && i % BF_BORDER_WORDS < 3u;
        const uint32_t planes = is_start ? k->digits : k->digits + 1u;
        if (word[i] & ~bits_of_digits(planes, i % 3u)) {
            return 0;
        }
    }
    return 1;
}

/* No count overflows, whatever the inputs; and no number has bits that one kernel sees and another does not. */
static int record_holds(const bf_geometry *k, const bf_quad *quad) {
    const uint32_t first = quad->first & BF_FIRST_NUMBER;
    uint32_t limits = 0;
    if (bf_first_threshold(quad) >= k->thresholds) {
        return 0;
    }
    if (k->exact) {
        return borders_hold(k, quad);
    }
    for (uint32_t i = 0; i < BF_QUAD * k->thresholds - 1u; i++) {
        limits |= bf_limits_of(quad)[i];
    }
    return limits < 2u << k->digits &&
           (quad->first & BF_FIRST_LIMIT ? first <= k->inputs + 1u : first + k->inputs < BF_COUNTED);
}

static bf_status check_patterns(const bf_layer *l, int bytes, const uint8_t *data, uint32_t size) {
    bf_geometry k;
    const uint8_t *end = data + size;
    const uint8_t *list;
    bf_geometry_of(l, bytes ? BF_LIST8_CHANNELS : 0u, &k);
    if (k.exact) {
        bf_border_of(&k);
    }
    BF_CHECK((uint64_t)k.quads * k.record * sizeof(uint32_t) <= size, BF_ERR_PLAN);
    list = data + (size_t)k.quads * k.record * sizeof(uint32_t);
    for (uint32_t g = 0; g < k.quads; g++) {
        const bf_quad *quad = (const bf_quad *)(const void *)(data + g * k.record * sizeof(uint32_t));
        BF_CHECK(rows_hold(&k, g, quad->row) && record_holds(&k, quad), BF_ERR_PLAN);
        list = check_list(&k, bytes, list, end);
        BF_CHECK(list, BF_ERR_PLAN);
    }
    return BF_OK;
}

/* Lists are made of the weights: only with the right sizes they stay where there is room for them. */
static bf_status check_sizes(const bf_model *model, const bf_layer *l, const uint8_t *data, uint32_t size) {
    const bf_sizes *sizes = (const bf_sizes *)(const void *)data;
    bf_geometry k;
    bf_geometry_of(l, 0, &k);
    BF_CHECK(size == k.quads * sizeof *sizes, BF_ERR_PLAN);
    for (uint32_t g = 0; g < k.quads; g++) {
        uint16_t rows[BF_QUAD], counted[BF_PATTERNS];
        BF_CHECK(rows_hold(&k, g, sizes[g].row), BF_ERR_PLAN);
        for (uint32_t j = 0; j < BF_QUAD; j++) {
            rows[j] = (uint16_t)(g / BF_PAGE * BF_PAGE * BF_QUAD + sizes[g].row[j]);
        }
        bf_count_patterns(model, &k, rows, counted);
        for (uint32_t c = 0; c < BF_PATTERNS; c++) {
            BF_CHECK(counted[c] == sizes[g].size[c], BF_ERR_PLAN);
        }
    }
    return BF_OK;
}

/* Behind the planes of all inputs stands one of zeros, which fills lists up: only so no count overflows. */
static bf_status check_set_bits(const bf_layer *l, const uint8_t *data, uint32_t size) {
    const bf_lanes *planes = (const bf_lanes *)(const void *)data;
    const uint32_t blocks = (bf_words(bf_filter_count(l)) + BF_LANE_WORDS - 1u) / BF_LANE_WORDS;
    BF_CHECK(size == bf_set_bits_size(l), BF_ERR_PLAN);
    for (uint32_t b = 1; b <= blocks; b++) {
        BF_CHECK(!bf_any_lane(planes[size / sizeof *planes / blocks * b - 1u]), BF_ERR_PLAN);
    }
    return BF_OK;
}

static bf_status check_data(const bf_model *model, const bf_choice *choice, const bf_layer *l) {
    const uint8_t *data = (const uint8_t *)(const void *)model->plan + choice->data;
    switch (choice->kernel) {
    case BF_USE_SET_BITS:
        return check_set_bits(l, data, choice->size);
    case BF_USE_PATTERNS_1:
        return check_sizes(model, l, data, choice->size);
    case BF_USE_PATTERNS_8:
    case BF_USE_PATTERNS_16:
        return check_patterns(l, choice->kernel == BF_USE_PATTERNS_8, data, choice->size);
    default:
        return BF_ERR_PLAN; /* data that no kernel wants */
    }
}

/* left: bytes that this and later layers may have, so that checking takes no longer than the plan is. */
static bf_status check_choice(const bf_model *model, const bf_choice *choice, const bf_layer *l, uint32_t *left) {
    const bf_plan *plan = model->plan;
    const uint32_t end = plan->size - (uint32_t)sizeof(uint32_t);
    const bf_kernel *kernel;
    BF_CHECK(choice->kernel < BF_KERNELS && model->kernels[choice->kernel], BF_ERR_PLAN);
    kernel = model->kernels[choice->kernel];
    BF_CHECK(bf_covers(kernel, l), BF_ERR_PLAN);
    if (choice->kernel == BF_USE_INPUT_SUMS) {
        BF_CHECK(bf_input_sums_scratch(l, choice->memory) != BF_NOT_COVERED, BF_ERR_PLAN);
    } else {
        BF_CHECK(choice->memory <= (choice->kernel == BF_USE_PATTERNS_1 ? BF_MAP_LIMIT : 0u), BF_ERR_PLAN);
    }
    if (!(kernel->flags & BF_NEEDS_PLAN) && choice->size == 0) {
        BF_CHECK(choice->data == 0, BF_ERR_PLAN);
        return BF_OK;
    }
    BF_CHECK(choice->data % 4u == 0 && choice->data <= end && choice->size % 4u == 0, BF_ERR_PLAN);
    BF_CHECK(choice->data >= sizeof *plan + plan->layer_count * sizeof *choice, BF_ERR_PLAN);
    BF_CHECK(choice->size <= end - choice->data && choice->size <= *left, BF_ERR_PLAN);
    *left -= choice->size;
    return check_data(model, choice, l);
}

bf_status bf_check_plan(const bf_model *model) {
    const bf_plan *plan = model->plan;
    uint32_t left;
    if (!plan) {
        return BF_OK;
    }
    BF_CHECK(plan->size == model->plan_size && plan->layer_count == model->layer_count, BF_ERR_PLAN);
    BF_CHECK(!(plan->reserved[0] | plan->reserved[1] | plan->reserved[2]), BF_ERR_PLAN);
    left = plan->size - (uint32_t)(sizeof *plan + sizeof(uint32_t));
    BF_CHECK(left / sizeof(bf_choice) >= plan->layer_count, BF_ERR_PLAN);
    left -= plan->layer_count * (uint32_t)sizeof(bf_choice);
    for (uint32_t i = 0; i < plan->layer_count; i++) {
        const bf_status status = check_choice(model, choices_of(plan) + i, &model->layers[i], &left);
        BF_CHECK(status == BF_OK, status);
    }
    return BF_OK;
}
