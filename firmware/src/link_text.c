/*
 * link_text.c - commands that end in '%', answers that end in the line "m-ready".
 *
 * SPDX-License-Identifier: MIT
 */
#include "link_text.h"
#include "board.h"
#include "network.h"

#include "firmware_model.h"

#include <bitflow_port.h>

#define LINE 80u

static char line[LINE + 1];
static unsigned length;   /* LINE: too long, dropped at its '%' */
static uint32_t expected; /* bytes of `db load` */
static uint32_t received;
static bool has_results;

/* ---- Printing. ---- */

static void print(const char *text) {
    size_t n = 0;
    while (text[n]) {
        n++;
    }
    board_write(text, n);
}

static void print_number(uint64_t value) {
    char digits[21];
    unsigned at = sizeof digits - 1;
    digits[at] = 0;
    do {
        digits[--at] = (char)('0' + value % 10u);
        value /= 10u;
    } while (value);
    print(digits + at);
}

static void print_lap(void) {
    uint32_t hz = board_timer_hz();
    uint64_t ticks = board_ticks(), second = ticks / hz;
    print("m-lap-us-");
    print_number(second * 1000000u + (ticks - second * hz) * 1000000u / hz);
    print("\r\n");
}

/* Scores as the protocol's runner wants them: it divides by their sum, so the smallest becomes 1. */
static void print_results(void) {
    const int32_t *scores = net.slots[0].scores;
    unsigned classes = bf_classes(net.model);
    int32_t least = scores[0];
    for (unsigned c = 1; c < classes; c++) {
        least = scores[c] < least ? scores[c] : least;
    }
    print("m-results-[");
    for (unsigned c = 0; c < classes; c++) {
        print(c ? "," : "");
        print_number((uint64_t)((int64_t)scores[c] - least + 1));
    }
    print("]\r\n");
}

static void print_error(const char *text) {
    print("e-[");
    print(text);
    print("]\r\n");
}

/* ---- Reading. ---- */

/* The text behind a word and a space, or its end; NULL if it does not begin with the word. */
static const char *after(const char *text, const char *word) {
    while (*word) {
        if (*text++ != *word++) {
            return 0;
        }
    }
    return *text == ' ' ? text + 1 : *text ? 0 : text;
}

static const char *number(const char *text, uint32_t *value) {
    const char *start = text;
    for (*value = 0; *text >= '0' && *text <= '9' && *value < 100000000u; text++) {
        *value = *value * 10u + (uint32_t)(*text - '0');
    }
    return text == start || (*text && *text != ' ') ? 0 : *text ? text + 1 : text;
}

static int hex(char c) {
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/* ---- Commands. ---- */

static void profile(void) {
    const bf_header *h = bf_header_of(net.model);
    const char *model = "none"; /* the runner knows tests for the shapes below only */
    if (*FIRMWARE_MLPERF && !net.loaded) {
        model = FIRMWARE_MLPERF;
    } else if (h->height == 32 && h->width == 32 && h->channels == 3) {
        model = "ic01";
    } else if (h->height == 96 && h->width == 96 && h->channels == 3) {
        model = "vww01";
    } else if (h->height == 49 && h->width == 10 && h->channels == 1) {
        model = "kws01";
    }
    print("m-profile-[ULPMark for tinyML Firmware V0.0.1]\r\nm-model-[");
    print(model);
    print("]\r\n");
}

static void db_load(const char *text) {
    uint32_t size;
    if (!number(text, &size) || size != bf_input_size(net.model)) {
        print_error("db load: not the size of an input");
        return;
    }
    network_clear();
    has_results = false;
    expected = size;
    received = 0;
    print("m-[Expecting ");
    print_number(size);
    print(" bytes]\r\n");
}

static void db(const char *text) {
    if (received == expected) {
        print_error("db: say db load N first");
        return;
    }
    for (; *text; text += 2) {
        int high = hex(text[0]), low = high < 0 ? -1 : hex(text[1]);
        if (low < 0 || received == expected) {
            expected = received = 0;
            print_error("db: not hexadecimal, or too many bytes");
            return;
        }
        net.slots[0].input.bytes[received++] = (uint8_t)(high << 4 | low);
    }
    if (received == expected) {
        print("m-load-done\r\n");
    }
}

static bool infer_times(uint32_t times) {
    uint64_t ticks;
    while (times--) {
        bf_status status = network_run(&net.slots[0], 0, &ticks);
        if (status != BF_OK) {
            print_error(bf_status_text(status));
            return false;
        }
    }
    return true;
}

static void infer(const char *text) {
    uint32_t times, warm;
    if (!(text = number(text, &times)) || !number(text, &warm)) {
        print_error("infer: say infer N W");
        return;
    }
    if (expected == 0 || received != expected) {
        print_error("infer: no input, say db load N first");
        return;
    }
    print("m-warmup-start-");
    print_number(warm);
    print("\r\n");
    if (!infer_times(warm)) {
        return;
    }
    print("m-warmup-done\r\nm-infer-start-");
    print_number(times);
    print("\r\n");
    print_lap();
    if (!infer_times(times)) {
        return;
    }
    print_lap();
    print("m-infer-done\r\n");
    has_results = times + warm > 0;
    if (has_results) {
        print_results();
    }
}

static void serve(const char *text) {
    const char *rest;
    if (after(text, "name")) {
        print("m-name-dut-[" FIRMWARE_BOARD "]\r\n");
    } else if (after(text, "profile")) {
        profile();
    } else if (after(text, "timestamp")) {
        print_lap();
    } else if ((rest = after(text, "db load"))) {
        db_load(rest);
    } else if ((rest = after(text, "db"))) {
        db(rest);
    } else if ((rest = after(text, "infer"))) {
        infer(rest);
    } else if (after(text, "results")) {
        if (has_results) {
            print_results();
        } else {
            print_error("results: none yet, say infer N W first");
        }
    } else if (after(text, "help")) {
        print("name% profile% timestamp% db load N% db HEX% infer N W% results% help%\r\n");
    } else {
        print_error("unknown command, say help");
    }
    print("m-ready\r\n");
}

void text_start(void) {
    print("m-init-done\r\nm-ready\r\n");
}

void text_drop(void) {
    length = 0;
}

void text_forget(void) {
    expected = received = 0;
    has_results = false;
}

void text_take(uint8_t byte) {
    if (byte < ' ' || byte > '~') {
        length = 0;
    } else if (byte != '%') {
        line[length] = (char)byte;
        length += length < LINE;
    } else {
        bool fits = length < LINE;
        line[length] = 0;
        length = 0;
        if (fits) {
            serve(line);
        }
    }
}
