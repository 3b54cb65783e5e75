/*
 * plans.c - a network with a plan behind its image, on any core: the same maps and scores as without, a plan for others
 * left alone, a spoiled one seen. Ends with 0 when all hold, else prints each failure and ends with 1.
 *
 * The test that runs this writes planned.h: the image and its plan for these lanes, inputs, and what the NumPy
 * reference says that every layer must give.
 */
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "bitflow.h"
#include "bitflow_port.h"
#include "planned.h"

static int failures;

#define CHECK(condition)                                                                                               \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            printf("%d: %s\n", __LINE__, #condition);                                                                  \
            failures++;                                                                                                \
        }                                                                                                              \
    } while (0)

static uint32_t copy[sizeof planned_bytes / 4];
static uint32_t arena[PLANNED_ARENA_WORDS + 1];
static uint32_t words[PLANNED_HIDDEN_WORDS];
static int32_t scores[PLANNED_CLASSES];
static uint8_t *const plan = (uint8_t *)copy + PLANNED_IMAGE_BYTES;

#define PLAN_BYTES (sizeof planned_bytes - PLANNED_IMAGE_BYTES)

/* The image and its plan as they were, with one byte of the plan exclusive-or'ed. */
static bf_status opened(bf_model *model, size_t at, uint8_t flip) {
    uint32_t crc;
    memcpy(copy, planned_bytes, sizeof copy);
    plan[at] ^= flip;
    crc = bf_crc32(0, plan, PLAN_BYTES - sizeof crc);
    memcpy(plan + PLAN_BYTES - sizeof crc, &crc, sizeof crc);
    return bf_open(model, copy, sizeof copy);
}

static void every_layer_must_give_the_reference_s_words(const bf_model *model) {
    CHECK(bf_arena_size(model) <= PLANNED_ARENA_WORDS * sizeof *arena);
    for (unsigned i = 0; i < PLANNED_INPUTS; i++) {
        const uint32_t *want = planned_hidden[i];
        for (unsigned layer = 0; layer + 1 < model->layer_count; layer++) {
            const size_t n = bf_output_words(model, layer);
            memset(arena, 0xA5, sizeof arena);
            CHECK(bf_run_to(model, planned_inputs[i], layer + 1, arena, bf_arena_size(model)) == BF_OK);
            CHECK(n <= PLANNED_HIDDEN_WORDS && bf_output(model, layer, arena, words, n) == BF_OK);
            CHECK(memcmp(words, want, n * sizeof *words) == 0);
            want += n;
        }
        CHECK(bf_run(model, planned_inputs[i], scores, arena, bf_arena_size(model)) == BF_OK);
        CHECK(memcmp(scores, planned_scores[i], sizeof scores) == 0);
        CHECK(arena[bf_arena_size(model) / sizeof *arena] == 0xA5A5A5A5u);
    }
}

static void a_plan_must_change_no_map_and_no_score(void) {
    bf_model with, without;
    CHECK(opened(&with, 0, 0) == BF_OK);
    CHECK((const uint8_t *)with.plan == plan && with.plan_size == PLAN_BYTES);
    CHECK(bf_arena_size(&with) == PLANNED_ARENA_BYTES);
    every_layer_must_give_the_reference_s_words(&with);
    CHECK(bf_open(&without, copy, PLANNED_IMAGE_BYTES) == BF_OK);
    CHECK(without.plan == NULL && without.plan_size == 0 && bf_arena_size(&without) == PLANNED_ARENA_BYTES_WITHOUT);
    every_layer_must_give_the_reference_s_words(&without);
}

static void a_plan_for_others_must_be_left_alone(void) {
    const size_t fields[] = {offsetof(bf_plan, version), offsetof(bf_plan, lane_words)};
    for (unsigned i = 0; i < 2; i++) {
        bf_model model;
        CHECK(opened(&model, fields[i], 2) == BF_OK);
        CHECK(model.plan == NULL && bf_arena_size(&model) == PLANNED_ARENA_BYTES_WITHOUT);
        CHECK(bf_check(&model) == BF_OK);
        every_layer_must_give_the_reference_s_words(&model);
    }
}

/* Somebody writes to the plan of an open model. */
static void check_must_see(size_t at, uint8_t flip) {
    bf_model model;
    CHECK(opened(&model, 0, 0) == BF_OK);
    CHECK(bf_check(&model) == BF_OK);
    plan[at] ^= flip;
    CHECK(bf_check(&model) == BF_ERR_PLAN);
    CHECK(opened(&model, at, flip) == BF_ERR_PLAN);
    CHECK(model.base == NULL && model.plan == NULL);
    memcpy(copy, planned_bytes, sizeof copy);
}

static void check_must_see_all_that_decides_on_memory(void) {
    const bf_choice *choices = (const bf_choice *)(const void *)((const bf_plan *)(const void *)plan + 1);
    CHECK(PLAN_BYTES > sizeof(bf_plan) + PLANNED_LAYERS * sizeof *choices);
    memcpy(copy, planned_bytes, sizeof copy);
    check_must_see(offsetof(bf_plan, size) + 3, 0x40);
    check_must_see(offsetof(bf_plan, layer_count), 1);
    for (size_t i = 0; i < PLANNED_LAYERS; i++) {
        const size_t at = sizeof(bf_plan) + i * sizeof *choices;
        check_must_see(at + offsetof(bf_choice, kernel), 0x10);
        check_must_see(at + offsetof(bf_choice, memory) + 3, 0x40);
        check_must_see(at + offsetof(bf_choice, data) + 3, 0x40);
        check_must_see(at + offsetof(bf_choice, size) + 3, 0x40);
        if (choices[i].kernel == BF_USE_SET_BITS) {
            check_must_see(choices[i].data + choices[i].size - 1, 0x80); /* the filler */
        } else if (choices[i].size) {
            check_must_see(choices[i].data + 1, 0x80); /* a row */
        }
        if (choices[i].kernel == BF_USE_PATTERNS_1) {
            check_must_see(choices[i].data + 4, 1); /* how many inputs a pattern has */
        }
    }
    check_must_see(PLANNED_AN_ENTRY, 1);
    check_must_see(PLANNED_AN_ENTRY + 1, 0xFF);
}

int main(void) {
    a_plan_must_change_no_map_and_no_score();
    a_plan_for_others_must_be_left_alone();
    check_must_see_all_that_decides_on_memory();
    printf("%d failures\n", failures);
    return failures != 0;
}
