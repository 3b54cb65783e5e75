/*
 * main.cpp - a sketch with two networks: each says what it sees in a camera's frame.
 *
 * The networks are C that BitFlow generates, beside this file, and with them the library in bitflow/:
 *   bitflow generate digits.bfn -o src
 *   bitflow generate scene.bfn -o src
 *   pio run
 *
 * SPDX-License-Identifier: MIT
 */
#include <Arduino.h>

#include "bitflow.h"
#include "digits.h"
#include "scene.h"

#define LARGER(a, b) ((a) > (b) ? (a) : (b))

/* Yours: the picture that the camera took last. */
enum : uint32_t { WIDTH = 320, HEIGHT = 240 };
const uint8_t *camera_rgb565();
const uint8_t *camera_gray();

/* One memory for both networks, since they run one after the other; and for making their inputs, which comes before. */
#define ARENA LARGER(DIGITS_ARENA_BYTES, SCENE_ARENA_BYTES)
#define SCRATCH                                                                                                        \
    LARGER(BF_PICTURE_SCRATCH(WIDTH, HEIGHT, DIGITS_WIDTH, DIGITS_HEIGHT, DIGITS_CHANNELS),                            \
           BF_PICTURE_SCRATCH(WIDTH, HEIGHT, SCENE_WIDTH, SCENE_HEIGHT, SCENE_CHANNELS))
static uint32_t memory[LARGER(ARENA, SCRATCH) / 4u];
static uint8_t input[LARGER(DIGITS_INPUT_BYTES, SCENE_INPUT_BYTES)];
static int32_t scores[LARGER(DIGITS_CLASSES, SCENE_CLASSES)];

static void look(const bf_model &model, const bf_frame &frame) {
    bf_status status = bf_picture(&model, &frame, input, memory, sizeof memory);
    if (status == BF_OK) {
        status = bf_run(&model, input, scores, memory, sizeof memory);
    }
    Serial.print(bf_name(&model));
    Serial.print(": ");
    if (status != BF_OK) {
        Serial.println(bf_status_text(status));
        return;
    }
    Serial.print(bf_label(&model, bf_argmax(scores, bf_classes(&model))));
    for (unsigned c = 0; c < bf_classes(&model); c++) {
        Serial.print(" ");
        Serial.print(static_cast<long>(scores[c]));
    }
    Serial.println("");
}

void setup() {
    Serial.begin(115200);
}

void loop() {
    const bf_frame colour = {camera_rgb565(), WIDTH * HEIGHT * 2, WIDTH, HEIGHT, 0, BF_FRAME_RGB565};
    const bf_frame gray = {camera_gray(), WIDTH * HEIGHT, WIDTH, HEIGHT, 0, BF_FRAME_GRAY};
    look(digits_model, colour);
    look(scene_model, colour);
    look(digits_model, gray);
    look(scene_model, gray);
    delay(1000);
}
