/*
 * picture.c - bf_picture() for cases from standard input; to standard output each one's status, scratch and result.
 *
 * All memory is as long as it must be, not a byte longer, so that sanitizers see a wrong access.
 */
#include "bitflow.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct test_case {
    uint32_t width, height, row_bytes, size, format; /* of the frame, whose bytes follow */
    uint32_t to_width, to_height, channels, order, resize, dtype;
    uint32_t missing; /* bytes of scratch that are kept back */
} test_case;

int main(void) {
    test_case c;
    while (fread(&c, sizeof c, 1, stdin) == 1) {
        bf_header *header = (bf_header *)calloc(1, sizeof *header);
        bf_model model = {0};
        bf_frame frame = {0};
        void *pixels = malloc(c.size + 1u), *scratch, *input;
        size_t need, got = fread(pixels, 1, c.size, stdin);
        int32_t said[2];
        if (got != c.size) {
            return 1;
        }
        pixels = realloc(pixels, c.size ? c.size : 1u);
        model.base = (const uint8_t *)header;
        header->width = (uint16_t)c.to_width;
        header->height = (uint16_t)c.to_height;
        header->channels = (uint16_t)c.channels;
        header->channel_order = (uint8_t)c.order;
        header->resize = (uint8_t)c.resize;
        header->dtype = (uint8_t)c.dtype;
        frame.pixels = pixels;
        frame.size = c.size;
        frame.width = c.width;
        frame.height = c.height;
        frame.row_bytes = c.row_bytes;
        frame.format = (uint8_t)c.format;
        need = bf_picture_scratch(&model, c.width, c.height);
        if (need > BF_PICTURE_SCRATCH((size_t)c.width, (size_t)c.height, c.to_width, c.to_height, c.channels)) {
            return 2;
        }
        scratch = need ? malloc(need) : NULL;
        input = calloc(1, bf_input_size(&model));
        said[0] = (int32_t)bf_picture(&model, &frame, input, scratch, need - (need ? c.missing : 0));
        said[1] = (int32_t)need;
        fwrite(said, sizeof said, 1, stdout);
        fwrite(input, 1, said[0] == BF_OK ? bf_input_size(&model) : 0, stdout);
        free(header);
        free(pixels);
        free(scratch);
        free(input);
    }
    return 0;
}
