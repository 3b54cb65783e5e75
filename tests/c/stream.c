/*
 * stream.c - many networks through the library, each compared with what the NumPy reference says. Compiled with
 * sanitizers; every buffer is allocated to the byte, so that one step outside is seen.
 *
 * Standard input, for each network: u32 bytes of its image, u32 number of inputs; the image; all inputs; for each input
 * the maps of all hidden layers, u32 words one after the other, then its scores, i32. Ends with 0 when all are equal,
 * prints the first difference and ends with 1 otherwise.
 *
 * LITE: on the kernels' forms of a table in lite.h.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bitflow.h"

#ifdef LITE
#include "lite.h"

/* A plan that these kernels do not cover is seen by bf_check() alone: a run believes it. */
static bf_status give_kernels(bf_model *model) {
    uint8_t *pixels = calloc(bf_input_size(model), 1);
    int32_t *scores = calloc(bf_classes(model), sizeof *scores);
    uint32_t *arena;
    bf_status status;
    model->kernels = LITE;
    status = bf_check(model);
    if (status != BF_OK && !model->plan) {
        model->arena_size += 0x10000u; /* before a layer that nobody runs maps lie in the public form */
        arena = calloc(1, bf_arena_size(model));
        status = bf_run(model, pixels, scores, arena, bf_arena_size(model));
        free(arena);
    }
    free(pixels);
    free(scores);
    return status;
}
#else
static bf_status give_kernels(const bf_model *model) {
    return bf_check(model);
}
#endif

static void *taken(size_t size) {
    void *bytes = malloc(size ? size : 1);
    if (!bytes || fread(bytes, 1, size, stdin) != size) {
        printf("the stream ends early\n");
        exit(1);
    }
    return bytes;
}

static void *room(size_t size) {
    void *bytes = malloc(size);
    if (!bytes) {
        exit(1);
    }
    return bytes;
}

static int differs(const bf_model *model, unsigned layer, uint32_t input, const uint32_t *got, size_t n) {
    uint32_t *wanted = taken(n * sizeof *wanted);
    size_t at = 0;
    while (at < n && got[at] == wanted[at]) {
        at++;
    }
    if (at < n) {
        printf("%s: input %u, layer %s, word %zu: expected %08x, got %08x\n", bf_name(model), (unsigned)input,
               bf_layer_name(model, layer), at, (unsigned)wanted[at], (unsigned)got[at]);
    }
    free(wanted);
    return at < n;
}

/* The same with the input in the arena, which no layer but the first one may need. */
static int differs_in_arena(const bf_model *model, const uint8_t *pixels, const uint32_t *wanted) {
    const size_t arena_size = bf_shared_size(model), place = bf_input_place(model);
    uint8_t *arena = room(arena_size);
    uint32_t *scores = room(bf_classes(model) * sizeof *scores);
    int bad;
    memcpy(arena + place, pixels, bf_input_size(model));
    bad = bf_run(model, arena + place, (int32_t *)(void *)scores, arena, arena_size) != BF_OK ||
          memcmp(scores, wanted, bf_classes(model) * sizeof *scores) != 0;
    if (bad) {
        printf("%s: other scores with the input in the arena\n", bf_name(model));
    }
    free(scores);
    free(arena);
    return bad;
}

static int run(const bf_model *model, const uint8_t *pixels, uint32_t input) {
    const size_t arena_size = bf_arena_size(model);
    uint32_t *arena = room(arena_size);
    uint32_t *scores = room(bf_classes(model) * sizeof *scores);
    int bad = 0;
    for (unsigned layer = 0; layer + 1 < model->layer_count && !bad; layer++) {
        const size_t n = bf_output_words(model, layer);
        uint32_t *words = room(n * sizeof *words);
        bad = bf_run_to(model, pixels, layer + 1, arena, arena_size) != BF_OK ||
              bf_output(model, layer, arena, words, n) != BF_OK || differs(model, layer, input, words, n);
        free(words);
    }
    bad = bad || bf_run(model, pixels, (int32_t *)(void *)scores, arena, arena_size) != BF_OK ||
          differs(model, model->layer_count - 1, input, scores, bf_classes(model)) ||
          differs_in_arena(model, pixels, scores);
    free(scores);
    free(arena);
    return bad;
}

static int network(const uint32_t head[2]) {
    bf_model model;
    void *image = taken(head[0]);
    bf_status status = bf_open(&model, image, head[0]);
    if (status == BF_OK) {
        status = give_kernels(&model);
    }
    if (status != BF_OK) {
        printf("refused: %s\n", bf_status_text(status));
        free(image);
        return 1;
    }
    uint8_t *all = taken(head[1] * bf_input_size(&model));
    int bad = 0;
    for (uint32_t i = 0; i < head[1] && !bad; i++) {
        uint8_t *pixels = room(bf_input_size(&model));
        memcpy(pixels, all + i * bf_input_size(&model), bf_input_size(&model));
        bad = run(&model, pixels, i);
        free(pixels);
    }
    free(all);
    free(image);
    return bad;
}

int main(void) {
    uint32_t head[2];
    unsigned count = 0;
    while (fread(head, sizeof *head, 2, stdin) == 2) {
        if (network(head)) {
            printf("network %u of the stream\n", count);
            return 1;
        }
        count++;
    }
    printf("%u networks\n", count);
    return 0;
}
