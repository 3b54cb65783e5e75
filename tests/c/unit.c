/*
 * unit.c - the C library's own tests. One source, many executors: natively, with sanitizers, on emulated cores.
 * Ends with 0 when all hold, else prints each failure and ends with 1.
 *
 * The test that runs this writes golden.h, a network as generated C, and golden_cases.h: images, and what the NumPy
 * reference says that every layer must give.
 */
#include <stdio.h>
#include <string.h>

#include "bitflow.h"
#include "golden.h"
#include "golden_cases.h"

static int failures;

#define CHECK(condition)                                                                                               \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            printf("%d: %s\n", __LINE__, #condition);                                                                  \
            failures++;                                                                                                \
        }                                                                                                              \
    } while (0)

static uint32_t arena[GOLDEN_ARENA_WORDS + 1];
static uint32_t copy[GOLDEN_IMAGE_BYTES / 4 + 1];
static uint32_t words[GOLDEN_HIDDEN_WORDS];
static int32_t scores[GOLDEN_CLASSES];

static void every_layer_must_give_the_golden_bits(const bf_model *model) {
    for (unsigned i = 0; i < GOLDEN_IMAGES; i++) {
        const uint32_t *want = golden_hidden[i];
        for (unsigned layer = 0; layer + 1 < model->layer_count; layer++) {
            const size_t n = bf_output_words(model, layer);
            CHECK(n > 0 && n <= GOLDEN_HIDDEN_WORDS);
            CHECK(bf_run_to(model, golden_images[i], layer + 1, arena, sizeof arena) == BF_OK);
            CHECK(bf_output(model, layer, arena, words, n) == BF_OK);
            CHECK(memcmp(words, want, n * sizeof *words) == 0);
            want += n;
        }
        CHECK(bf_run(model, golden_images[i], scores, arena, sizeof arena) == BF_OK);
        CHECK(memcmp(scores, golden_scores[i], sizeof scores) == 0);
    }
}

static void a_run_must_stay_inside_its_arena(const bf_model *model) {
    arena[GOLDEN_ARENA_WORDS] = 0xDEADBEEFu;
    CHECK(bf_run(model, golden_images[0], scores, arena, GOLDEN_ARENA_BYTES) == BF_OK);
    CHECK(arena[GOLDEN_ARENA_WORDS] == 0xDEADBEEFu);
}

static void open_must_make_the_same_model(void) {
    bf_model opened;
    memcpy(copy, golden_model.base, golden_model.size);
    CHECK(bf_open(&opened, copy, golden_model.size) == BF_OK);
    CHECK(opened.arena_size == golden_model.arena_size && opened.crc == golden_model.crc);
    CHECK(opened.layer_count == GOLDEN_LAYERS && bf_arena_size(&opened) == GOLDEN_ARENA_BYTES);
    CHECK(bf_input_size(&opened) == GOLDEN_INPUT_BYTES && bf_classes(&opened) == GOLDEN_CLASSES);
    CHECK(strcmp(bf_name(&opened), "golden") == 0);
    CHECK(strcmp(bf_layer_name(&opened, 0), "first") == 0);
    CHECK(strcmp(bf_label(&opened, 1), "class 1") == 0);
    CHECK(strcmp(bf_label(&opened, GOLDEN_CLASSES), "") == 0);
    CHECK(strcmp(bf_layer_name(&opened, GOLDEN_LAYERS), "") == 0);
    every_layer_must_give_the_golden_bits(&opened);
    ((uint8_t *)copy)[100] ^= 1u;
    CHECK(bf_open(&opened, copy, golden_model.size) == BF_ERR_CRC);
    CHECK(opened.base == NULL && opened.layer_count == 0);
}

static void check_must_see_what_decides_on_memory_and_nothing_else(void) {
    bf_model opened;
    bf_layer *first;
    memcpy(copy, golden_model.base, golden_model.size);
    CHECK(bf_open(&opened, copy, golden_model.size) == BF_OK);
    CHECK(bf_check(&opened) == BF_OK && bf_check(&golden_model) == BF_OK);
    first = (bf_layer *)(void *)((uint8_t *)copy + sizeof(bf_header));
    ((uint8_t *)copy)[first->weights] ^= 0xFFu;
    CHECK(bf_check(&opened) == BF_OK);
    first->in_h++;
    CHECK(bf_check(&opened) == BF_ERR_SHAPE);
    first->in_h--;
    ((bf_header *)(void *)copy)->layer_count--;
    CHECK(bf_check(&opened) != BF_OK);
    CHECK(bf_check(NULL) == BF_ERR_ARGUMENT);
}

static void bad_arguments_must_be_refused(const bf_model *model) {
    bf_model opened;
    uint8_t *bytes = (uint8_t *)arena;
    CHECK(bf_open(NULL, copy, sizeof copy) == BF_ERR_ARGUMENT);
    CHECK(bf_open(&opened, NULL, 0) == BF_ERR_ARGUMENT);
    CHECK(bf_open(&opened, (const uint8_t *)copy + 1, 100) == BF_ERR_ALIGNMENT);
    CHECK(bf_open(&opened, copy, 8) == BF_ERR_TRUNCATED);
    CHECK(bf_run(NULL, golden_images[0], scores, arena, sizeof arena) == BF_ERR_ARGUMENT);
    CHECK(bf_run(model, NULL, scores, arena, sizeof arena) == BF_ERR_ARGUMENT);
    CHECK(bf_run(model, golden_images[0], NULL, arena, sizeof arena) == BF_ERR_ARGUMENT);
    CHECK(bf_run(model, golden_images[0], scores, NULL, sizeof arena) == BF_ERR_ARGUMENT);
    CHECK(bf_run(model, golden_images[0], scores, bytes + 2, sizeof arena - 2) == BF_ERR_ALIGNMENT);
    CHECK(bf_run(model, golden_images[0], scores, arena, GOLDEN_ARENA_BYTES - 4) == BF_ERR_ARENA);
    CHECK(bf_run_to(model, golden_images[0], 0, arena, sizeof arena) == BF_ERR_ARGUMENT);
    CHECK(bf_run_to(model, golden_images[0], GOLDEN_LAYERS, arena, sizeof arena) == BF_ERR_ARGUMENT);
    CHECK(bf_output(model, GOLDEN_LAYERS - 1, arena, words, GOLDEN_HIDDEN_WORDS) == BF_ERR_ARGUMENT);
    CHECK(bf_output(model, GOLDEN_LAYERS, arena, words, GOLDEN_HIDDEN_WORDS) == BF_ERR_ARGUMENT);
    CHECK(bf_output(model, 0, arena, words, bf_output_words(model, 0) - 1) == BF_ERR_SPACE);
    CHECK(bf_output_words(model, GOLDEN_LAYERS) == 0);
}

static int stop_after(void *user, unsigned layer) {
    unsigned *calls = (unsigned *)user;
    (*calls)++;
    return layer == 1;
}

static void a_hook_must_see_each_layer_and_can_stop(const bf_model *model) {
    unsigned calls = 0;
    const bf_hook hook = {stop_after, &calls};
    CHECK(bf_run_hooked(model, golden_images[0], scores, arena, sizeof arena, &hook) == BF_STOPPED);
    CHECK(calls == 2);
}

static void a_missing_kernel_must_be_said(void) {
    static const bf_kernel *const none[BF_KERNELS] = {NULL};
    bf_model model = golden_model;
    model.kernels = none;
    CHECK(bf_run(&model, golden_images[0], scores, arena, sizeof arena) == BF_ERR_KERNEL);
}

static void argmax_must_take_the_first_of_equal_ones(void) {
    const int32_t some[] = {-5, 7, 7, 3};
    const int32_t one[] = {-1};
    CHECK(bf_argmax(some, 4) == 1);
    CHECK(bf_argmax(one, 1) == 0);
}

static void every_status_must_have_a_text(void) {
    CHECK(strcmp(bf_status_text(BF_ERR_CRC), "the image is damaged: its CRC-32 does not match") == 0);
    CHECK(strcmp(bf_status_text(BF_ERR_FEATURE), "the image needs a newer version of this library") == 0);
    CHECK(strcmp(bf_status_text((bf_status)-99), "unknown status") == 0);
}

static void crc_must_be_zlibs(void) {
    CHECK(bf_crc32(0, "123456789", 9) == 0xCBF43926u);
    CHECK(bf_crc32(bf_crc32(0, "1234", 4), "56789", 5) == 0xCBF43926u);
}

int main(void) {
    every_layer_must_give_the_golden_bits(&golden_model);
    a_run_must_stay_inside_its_arena(&golden_model);
    open_must_make_the_same_model();
    check_must_see_what_decides_on_memory_and_nothing_else();
    bad_arguments_must_be_refused(&golden_model);
    a_hook_must_see_each_layer_and_can_stop(&golden_model);
    a_missing_kernel_must_be_said();
    argmax_must_take_the_first_of_equal_ones();
    every_status_must_have_a_text();
    crc_must_be_zlibs();
    printf("%d failures\n", failures);
    return failures != 0;
}
