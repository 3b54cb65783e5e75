/*
 * fuzz_open.c - libFuzzer target: whatever bytes come in, bf_open() says yes or no, and what it accepts runs.
 *
 * The mutator repairs sizes and CRCs of image and plan most of the time, so that mutations reach the checks behind
 * them. Every buffer is allocated to the byte, so that AddressSanitizer sees one step outside.
 */
#include <stdlib.h>
#include <string.h>

#include "bitflow.h"
#include "lite.h"

#define MACS_LIMIT  300000u /* work of one run: the fuzzer should see many images, not large ones */
#define ARENA_LIMIT 0x100000u

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Bytes of the image, where a plan may follow it. */
static size_t image_bytes(const uint8_t *data, size_t size) {
    uint32_t length, magic;
    if (size < sizeof(bf_header) + 4 + sizeof(bf_plan) + 4) {
        return size;
    }
    memcpy(&length, data + offsetof(bf_header, size), sizeof length);
    if (length % 4u || length < sizeof(bf_header) + 4 || length > size - sizeof(bf_plan) - 4) {
        return size;
    }
    memcpy(&magic, data + length, sizeof magic);
    return magic == BF_PLAN_MAGIC ? length : size;
}

static void put(uint8_t *data, size_t at, size_t value) {
    const uint32_t word = (uint32_t)value;
    memcpy(data + at, &word, sizeof word);
}

/* The CRC of `size` bytes, at their end. */
static uint32_t repair(uint8_t *data, size_t size) {
    const uint32_t crc = bf_crc32(0, data, size - 4);
    put(data, size - 4, crc);
    return crc;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed) {
    size_t image = image_bytes(data, size);
    if (seed % 4u && size > sizeof(bf_header)) {
        /* In place: a changed length moves every array. Mostly in header and records, or in the plan. */
        const size_t records = sizeof(bf_header) + 34 * sizeof(bf_layer);
        const size_t from = image < size && seed % 8u < 5 ? image : 0;
        const size_t end = from ? size : seed % 4u == 1 && image > records ? records : image;
        const size_t choices = sizeof(bf_plan) + 8 * sizeof(bf_choice);
        const size_t window = from && seed % 3u == 0 && size - from > choices ? choices : end - from;
        (void)LLVMFuzzerMutate(data + from, window, window);
    } else {
        size = LLVMFuzzerMutate(data, size, max_size);
    }
    size &= ~(size_t)3u;
    image = image <= size && image_bytes(data, size) == image ? image : size;
    if (seed % 32u && image >= sizeof(bf_header) + 4) {
        put(data, offsetof(bf_header, size), image);
        const uint32_t crc = repair(data, image);
        if (image < size) {
            put(data, image + offsetof(bf_plan, size), size - image);
            put(data, image + offsetof(bf_plan, image), crc);
            (void)repair(data + image, size - image);
        }
    }
    return size;
}

static uint64_t macs_of(const bf_model *model) {
    uint64_t macs = 0;
    for (uint32_t i = 0; i < model->layer_count; i++) {
        const bf_layer *l = &model->layers[i];
        const uint64_t taps = l->weight_bits ? (uint64_t)l->kernel_h * l->kernel_w * (l->in_c / l->groups) : 0;
        macs +=
            (taps + 31) * l->out_c * l->conv_h * l->conv_w + (uint64_t)l->in_h * l->in_w * l->in_c * l->source_count;
        macs += (uint64_t)l->pool_h * l->pool_w * l->out_h * l->out_w * l->out_c;
    }
    return macs;
}

static int small(const bf_model *model) {
    return macs_of(model) <= MACS_LIMIT && bf_arena_size(model) <= ARENA_LIMIT;
}

static void run(const bf_model *model) {
    const size_t arena_size = bf_arena_size(model);
    uint32_t *arena = malloc(arena_size);
    uint8_t *input = malloc(bf_input_size(model));
    int32_t *scores = malloc(bf_classes(model) * sizeof *scores);
    if (!arena || !input || !scores) {
        abort();
    }
    memset(input, 0xA5, bf_input_size(model));
    if (bf_run(model, input, scores, arena, arena_size) != BF_OK || bf_argmax(scores, bf_classes(model)) >= 65535u) {
        abort();
    }
    for (unsigned layer = 0; layer + 1 < model->layer_count; layer++) {
        const size_t n = bf_output_words(model, layer);
        uint32_t *words = malloc(n * sizeof *words);
        if (!words || bf_run_to(model, input, layer + 1, arena, arena_size) != BF_OK ||
            bf_output(model, layer, arena, words, n) != BF_OK) {
            abort();
        }
        free(words);
    }
    free(scores);
    free(input);
    free(arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    uint8_t *image = malloc(size ? size : 1);
    bf_model model;
    if (!image) {
        abort();
    }
    memcpy(image, data, size);
    if (bf_open(&model, NULL, size) != BF_ERR_ARGUMENT || bf_open(&model, image + 1, size) != BF_ERR_ALIGNMENT ||
        bf_check(NULL) != BF_ERR_ARGUMENT) {
        abort();
    }
    if (bf_open(&model, image, size) == BF_OK) {
        size_t text = strlen(bf_name(&model)) + strlen(bf_layer_name(&model, 0)) + strlen(bf_label(&model, 0));
        text += strlen(bf_label(&model, bf_classes(&model) - 1));
        if (text > size) {
            abort();
        }
        if (small(&model)) {
            run(&model);
        }
        /* On the lite forms, where they cover all that their kernels run. */
        const bf_kernel *const *kernels = model.kernels;
        model.kernels = lite_kernels;
        if (bf_check(&model) == BF_OK && small(&model)) {
            run(&model);
        }
        model.kernels = kernels;
        model.layer_count++;
        if (bf_check(&model) == BF_OK) {
            abort();
        }
        model.layer_count--;
        model.arena_size += 4;
        if (bf_check(&model) != BF_ERR_HEADER) {
            abort();
        }
        model.arena_size -= 4;
        /* Somebody writes to image or plan after they were opened: what bf_check() lets through must still run. */
        for (unsigned i = 0; i < 6; i++) {
            const uint32_t noise = bf_crc32(i, data, size) * 2654435761u;
            const size_t limit = i % 2u ? size : sizeof(bf_header) + model.layer_count * sizeof(bf_layer);
            const size_t from = i > 3u && model.plan ? model.size : 0;
            image[from + noise % (limit > from ? limit - from : size - from)] ^= (uint8_t)(1u << (noise >> 29));
            if (bf_check(&model) == BF_OK && small(&model)) {
                run(&model);
            }
        }
    }
    free(image);
    return 0;
}
