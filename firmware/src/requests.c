/*
 * requests.c - serves the requests of the link.
 *
 * SPDX-License-Identifier: MIT
 */
#include "requests.h"
#include "board.h"
#include "link_frames.h"
#include "link_text.h"
#include "network.h"

#include "firmware_model.h"
#include <bitflow_port.h>

#define NUMBERS        (FRAME_CHUNK / 4u) /* scores, ticks or words in one answer */
#define MISSING_CHUNKS 48u                /* named in one answer */

enum { FLAG_LAST = 1 };                   /* INPUT: then run. LOAD: then use it */
enum { INFO_LOADED = 1, INFO_SIZE = 48 }; /* of the info block */

static uint16_t session; /* 0: none */
static bool frames_only;

bool requests_text_allowed(void) {
    return !frames_only;
}

static bool fail(answer *a, int status) {
    a->kind = ANSWER_ERROR;
    a->size = 0;
    answer_u32(a, (uint32_t)status);
    return true;
}

static uint32_t at_most(uint32_t value, uint32_t limit) {
    return value < limit ? value : limit;
}

/* ---- HELLO: a part of the info block. The block is made again for each part. ---- */

typedef struct part {
    answer *out;
    uint32_t at, from;
} part;

static void part_bytes(part *p, const void *bytes, size_t n) {
    const uint8_t *b = bytes;
    for (; n--; b++, p->at++) {
        if (p->at >= p->from && p->at - p->from < FRAME_CHUNK) {
            answer_bytes(p->out, b, 1);
        }
    }
}

static void part_text(part *p, const char *text) {
    do {
        part_bytes(p, text, 1);
    } while (*text++);
}

static uint32_t info(answer *out, uint32_t from) {
    answer head = {.size = 0};
    answer_u16(&head, LINK_VERSION);
    answer_u16(&head, INFO_SIZE);
    answer_u32(&head, board_cpuid());
    answer_u32(&head, net.model->crc);
    answer_u32(&head, net.model->size);
    answer_u32(&head, (uint32_t)bf_input_size(net.model));
    answer_u16(&head, (uint16_t)bf_classes(net.model));
    answer_u16(&head, (uint16_t)net.model->layer_count);
    answer_u32(&head, (uint32_t)bf_arena_size(net.model));
    answer_u32(&head, board_timer_hz());
    size_t spare = 0;
    board_free_ram(&spare);
    answer_u32(&head, FIRMWARE_LOAD ? (uint32_t)spare : 0u);
    answer_u16(&head, (uint16_t)net.slot_count);
    answer_u16(&head, net.loaded ? INFO_LOADED : 0);
    answer_u32(&head, (uint32_t)board_stack_size());
    answer_u32(&head, (uint32_t)board_stack_used());

    part p = {out, 0, from};
    part_bytes(&p, head.body, head.size);
    part_text(&p, FIRMWARE_BUILD_ID);
    part_text(&p, FIRMWARE_BOARD);
    part_text(&p, BF_VERSION);
    part_text(&p, bf_name(net.model));
    for (unsigned c = 0; bf_header_of(net.model)->labels && c < bf_classes(net.model); c++) {
        part_text(&p, bf_label(net.model, c));
    }
    return p.at;
}

static bool hello(request *r, answer *a) {
    uint16_t wanted = request_u16(r);
    uint32_t offset = request_u32(r);
    if (r->short_body || wanted == 0) {
        return fail(a, LINK_REQUEST);
    }
    if (wanted != session) {
        session = wanted;
        frames_forget();
        network_clear();
    }
    frames_only = true;
    answer nowhere = {.size = 0};
    answer_u32(a, info(&nowhere, 0));
    answer_u32(a, offset);
    info(a, offset);
    return true;
}

/* ---- INPUT, RUN, SCORES. ---- */

static bool missing(answer *a, uint16_t number, const inbox *box) {
    a->kind = ANSWER_MISSING;
    answer_u16(a, number);
    answer_u16(a, (uint16_t)at_most(box->left, 0xFFFFu));
    uint32_t chunks = inbox_chunks(box->size), named = 0;
    for (uint32_t c = 0; c < chunks && named < MISSING_CHUNKS; c++) {
        if (!inbox_has(box, c)) {
            answer_u16(a, (uint16_t)c);
            named++;
        }
    }
    return true;
}

static slot *slot_of(uint16_t image) {
    return &net.slots[image % net.slot_count];
}

static bool scores(answer *a, const slot *s, uint32_t first) {
    uint32_t classes = bf_classes(net.model);
    a->kind = ANSWER + REQUEST_SCORES;
    answer_u16(a, s->image);
    answer_u64(a, s->ticks);
    answer_u16(a, (uint16_t)classes);
    answer_u16(a, (uint16_t)first);
    for (uint32_t c = first; c < classes && c - first < NUMBERS; c++) {
        answer_u32(a, (uint32_t)s->scores[c]);
    }
    return true;
}

static bool run(answer *a, slot *s, uint16_t image) {
    if (!s->used || s->image != image) {
        return fail(a, LINK_NO_IMAGE);
    }
    if (s->input.left) {
        return missing(a, image, &s->input);
    }
    if (!s->done) {
        bf_status status = network_run(s, 0, &s->ticks);
        if (status != BF_OK) {
            return fail(a, status);
        }
        s->done = true;
    }
    return scores(a, s, 0);
}

static bool input(request *r, answer *a) {
    uint16_t image = request_u16(r);
    uint32_t offset = request_u32(r);
    uint8_t flags = request_u8(r);
    bool answered = flags & FLAG_LAST;
    slot *s = slot_of(image);
    if (r->short_body) {
        return fail(a, LINK_REQUEST);
    }
    if (s->used && (int16_t)(image - s->image) < 0) {
        return answered && fail(a, LINK_STALE);
    }
    if (!s->used || s->image != image) {
        s->used = true;
        s->done = false;
        s->image = image;
        inbox_clear(&s->input);
    }
    if (!inbox_put(&s->input, offset, r->next, r->left)) {
        return fail(a, LINK_REQUEST);
    }
    return answered && run(a, s, image);
}

static bool more_scores(request *r, answer *a) {
    uint16_t image = request_u16(r);
    uint16_t first = request_u16(r);
    const slot *s = slot_of(image);
    if (r->short_body || first >= bf_classes(net.model)) {
        return fail(a, LINK_REQUEST);
    }
    if (!s->used || !s->done || s->image != image) {
        return fail(a, LINK_NO_IMAGE);
    }
    return scores(a, s, first);
}

/* ---- PROFILE, HIDDEN: they run a stored image again. ---- */

typedef struct profile_state {
    uint64_t last;
    uint32_t first;
    uint32_t ticks[NUMBERS];
} profile_state;

static int after_layer(void *user, unsigned layer) {
    profile_state *p = user;
    uint64_t now = board_ticks(), again = board_ticks();
    if (layer >= p->first && layer - p->first < NUMBERS) {
        p->ticks[layer - p->first] =
            (uint32_t)((now - p->last) - (again - now)); /* without the time of reading the clock */
    }
    p->last = again;
    return 0;
}

static bool whole(const slot *s, uint16_t image) {
    return s->used && s->image == image && s->input.left == 0;
}

static bool profile(request *r, answer *a) {
    uint16_t image = request_u16(r);
    uint16_t first = request_u16(r);
    slot *s = slot_of(image);
    if (r->short_body || first >= net.model->layer_count) {
        return fail(a, LINK_REQUEST);
    }
    if (!whole(s, image)) {
        return fail(a, LINK_NO_IMAGE);
    }
    profile_state p = {.last = 0, .first = first};
    bf_hook hook = {after_layer, &p};
    bf_status status = network_run(s, &hook, &p.last);
    if (status != BF_OK) {
        return fail(a, status);
    }
    answer_u16(a, image);
    answer_u16(a, (uint16_t)net.model->layer_count);
    answer_u16(a, first);
    for (uint32_t n = 0; n < at_most(net.model->layer_count - first, NUMBERS); n++) {
        answer_u32(a, p.ticks[n]);
    }
    return true;
}

static bool hidden(request *r, answer *a) {
    uint16_t image = request_u16(r);
    uint16_t layer = request_u16(r);
    uint32_t first = request_u32(r);
    slot *s = slot_of(image);
    if (r->short_body || layer + 1u >= net.model->layer_count) {
        return fail(a, LINK_REQUEST);
    }
    if (!whole(s, image)) {
        return fail(a, LINK_NO_IMAGE);
    }
    uint32_t *words = (uint32_t *)(void *)net.spare;
    uint32_t count = (uint32_t)bf_output_words(net.model, layer);
    bf_status status = bf_run_to(net.model, s->input.bytes, layer + 1u, net.arena, net.arena_size);
    if (status == BF_OK) {
        status = bf_output(net.model, layer, net.arena, words, net.spare_size / 4u);
    }
    if (status != BF_OK) {
        return fail(a, status);
    }
    answer_u16(a, image);
    answer_u16(a, layer);
    answer_u32(a, count);
    answer_u32(a, first);
    for (uint32_t w = first; w < count && w - first < NUMBERS; w++) {
        answer_u32(a, words[w]);
    }
    return true;
}

/* ---- LOAD. ---- */

static inbox incoming;
static uint16_t incoming_number;
static bool incoming_open;

static bool load(request *r, answer *a) {
    uint16_t number = request_u16(r);
    uint32_t total = request_u32(r);
    uint32_t offset = request_u32(r);
    bool last = request_u8(r) & FLAG_LAST;
    if (r->short_body) {
        return fail(a, LINK_REQUEST);
    }
    if (total == 0) {
        incoming_open = false;
        network_use_builtin();
    } else if (!incoming_open || number != incoming_number || total != incoming.size) {
        incoming_number = number;
        incoming_open = network_begin_load(&incoming, total);
        if (!incoming_open) {
            return last && fail(a, LINK_NO_LOAD);
        }
    }
    if (total && !inbox_put(&incoming, offset, r->next, r->left)) {
        return fail(a, LINK_REQUEST);
    }
    if (!last) {
        return false;
    }
    if (total && incoming.left) {
        return missing(a, number, &incoming);
    }
    if (total) {
        incoming_open = false;
        bf_status status = network_use_loaded(&incoming);
        if (status != BF_OK) {
            return fail(a, status);
        }
    }
    answer_u16(a, number);
    answer_u32(a, net.model->crc);
    return true;
}

/* ---- The rest. ---- */

static bool reset(void) {
    session = 0;
    frames_only = false;
    incoming_open = false;
    text_forget();
    frames_forget();
    network_use_builtin();
    return true;
}

static bool self_test(answer *a) {
    unsigned mismatches;
    if (net.loaded) {
        return fail(a, LINK_NO_TEST);
    }
    bf_status status = network_self_test(&mismatches);
    if (status != BF_OK) {
        return fail(a, status);
    }
    answer_u16(a, FIRMWARE_CLASSES);
    answer_u16(a, (uint16_t)mismatches);
    return true;
}

static bool calibrate(request *r, answer *a) {
    uint32_t n = request_u32(r);
    if (r->short_body || n == 0 || n > 1000000u) {
        return fail(a, LINK_REQUEST);
    }
    board_receive(false);
    uint32_t ticks = board_calibrate(n);
    board_receive(true);
    answer_u32(a, ticks);
    return true;
}

bool requests_serve(request *r, answer *a) {
    a->kind = (uint8_t)(ANSWER + r->kind);
    if (session == 0 && r->kind != REQUEST_HELLO && r->kind != REQUEST_RESET) {
        return fail(a, LINK_SESSION);
    }
    switch (r->kind) {
    case REQUEST_HELLO:
        return hello(r, a);
    case REQUEST_INPUT:
        return input(r, a);
    case REQUEST_RUN: {
        uint16_t image = request_u16(r);
        return r->short_body ? fail(a, LINK_REQUEST) : run(a, slot_of(image), image);
    }
    case REQUEST_SCORES:
        return more_scores(r, a);
    case REQUEST_PROFILE:
        return profile(r, a);
    case REQUEST_HIDDEN:
        return hidden(r, a);
    case REQUEST_LOAD:
        return load(r, a);
    case REQUEST_RESET:
        return reset();
    case REQUEST_SELF_TEST:
        return self_test(a);
    case REQUEST_CALIBRATE:
        return calibrate(r, a);
    default:
        return fail(a, LINK_REQUEST);
    }
}
