/*
 * network.c - memory of the network in use. Nothing is allocated: the built-in network has arrays, a loaded one lies in
 * the RAM between these arrays and the stack.
 *
 * SPDX-License-Identifier: MIT
 */
#include "network.h"
#include "board.h"

#include "firmware_model.h"
#include <bitflow_port.h>

#define SEEN_BYTES(size) (((size) + FRAME_CHUNK * 8u - 1u) / (FRAME_CHUNK * 8u))

/* Two inputs, so that one is received while the other runs; one input if two needed more than a quarter of the RAM. */
#define BUILTIN_SLOTS (FIRMWARE_INPUT_BYTES > BOARD_RAM / 8u ? 1u : SLOTS)

network net;

#if FIRMWARE_ARENA_SECTION /* the fastest memory that has room */
#define ARENA __attribute__((section(".arena")))
#else
#define ARENA
#endif

static uint32_t ARENA builtin_arena[(FIRMWARE_ARENA_BYTES + 3u) / 4u];
static uint8_t builtin_input[BUILTIN_SLOTS][FIRMWARE_INPUT_BYTES];
static uint8_t builtin_seen[BUILTIN_SLOTS][SEEN_BYTES(FIRMWARE_INPUT_BYTES)];
static int32_t builtin_scores[BUILTIN_SLOTS][FIRMWARE_CLASSES];

/* ---- Inbox. ---- */

uint32_t inbox_chunks(uint32_t size) {
    return (size + FRAME_CHUNK - 1u) / FRAME_CHUNK;
}

void inbox_clear(inbox *box) {
    box->left = inbox_chunks(box->size);
    bf_fill(box->seen, 0, (box->left + 7u) / 8u);
}

bool inbox_has(const inbox *box, uint32_t chunk) {
    return box->seen[chunk / 8u] >> chunk % 8u & 1u;
}

bool inbox_put(inbox *box, uint32_t offset, const uint8_t *bytes, size_t n) {
    uint32_t chunk = offset / FRAME_CHUNK;
    if (offset % FRAME_CHUNK || offset >= box->size) {
        return false;
    }
    uint32_t rest = box->size - offset;
    if (n != (rest < FRAME_CHUNK ? rest : FRAME_CHUNK)) {
        return false;
    }
    if (!inbox_has(box, chunk)) {
        bf_copy(box->bytes + offset, bytes, n);
        box->seen[chunk / 8u] = (uint8_t)(box->seen[chunk / 8u] | 1u << chunk % 8u);
        box->left--;
    }
    return true;
}

/* ---- The network in use. ---- */

void network_clear(void) {
    for (unsigned i = 0; i < net.slot_count; i++) {
        net.slots[i].used = false;
    }
}

void network_use_builtin(void) {
    net.model = &FIRMWARE_MODEL;
    net.slot_count = BUILTIN_SLOTS;
    for (unsigned i = 0; i < BUILTIN_SLOTS; i++) {
        net.slots[i].input = (inbox){builtin_input[i], FIRMWARE_INPUT_BYTES, builtin_seen[i], 0};
        net.slots[i].scores = builtin_scores[i];
    }
    net.arena = builtin_arena;
    net.arena_size = sizeof builtin_arena;
    net.spare = board_free_ram(&net.spare_size);
    net.loaded = false;
    network_clear();
}

bf_status network_run(const slot *s, const bf_hook *hook, uint64_t *ticks) {
    board_receive(false); /* so that no interrupt is measured; an emulator holds the bytes */
    board_ticks_align();
    uint64_t first = board_ticks();
    uint64_t start = board_ticks();
    *ticks = start;
    bf_status status = hook ? bf_run_hooked(net.model, s->input.bytes, s->scores, net.arena, net.arena_size, hook)
                            : bf_run(net.model, s->input.bytes, s->scores, net.arena, net.arena_size);
    uint64_t end = board_ticks();
    board_receive(true);
    *ticks = (end - start) - (start - first);
    return status;
}

bf_status network_self_test(unsigned *mismatches) {
    network_clear();
    bf_status status = bf_run(net.model, FIRMWARE_SELF_TEST_INPUT, net.slots[0].scores, net.arena, net.arena_size);
    *mismatches = 0;
    for (unsigned i = 0; i < FIRMWARE_CLASSES; i++) {
        *mismatches += net.slots[0].scores[i] != FIRMWARE_SELF_TEST_SCORES[i];
    }
    return status;
}

/* ---- Loading. ---- */

#if FIRMWARE_LOAD

static bf_model loaded;

/* Cuts n bytes, rounded up to 8, from the spare RAM; NULL if there are fewer. */
static void *cut(size_t n) {
    uint8_t *bytes = net.spare;
    if (n > net.spare_size || (n = (n + 7u) & ~(size_t)7u) > net.spare_size) {
        return 0;
    }
    net.spare += n;
    net.spare_size -= n;
    return bytes;
}

bool network_begin_load(inbox *box, uint32_t size) {
    network_use_builtin();
    box->size = size;
    box->bytes = cut(size);
    box->seen = cut(SEEN_BYTES(size));
    bool fits = box->bytes && box->seen;
    net.spare = board_free_ram(&net.spare_size);
    if (fits) {
        inbox_clear(box);
    }
    return fits;
}

/* `size`: of what was loaded, a plan included. */
static bool lay_out(uint32_t size, unsigned slots) {
    uint32_t input = (uint32_t)bf_input_size(&loaded);
    net.slot_count = slots;
    net.arena_size = bf_arena_size(&loaded);
    bool fits = cut(size) && (net.arena = cut(net.arena_size));
    for (unsigned i = 0; fits && i < slots; i++) {
        slot *s = &net.slots[i];
        s->input = (inbox){cut(input), input, cut(SEEN_BYTES(input)), 0};
        s->scores = cut(bf_classes(&loaded) * sizeof(int32_t));
        fits = s->input.bytes && s->input.seen && s->scores;
    }
    return fits;
}

bf_status network_use_loaded(const inbox *box) {
    bf_status status = bf_open(&loaded, box->bytes, box->size);
    for (unsigned slots = SLOTS; status == BF_OK && slots; slots--) {
        net.spare = board_free_ram(&net.spare_size);
        if (lay_out(box->size, slots)) {
            net.model = &loaded;
            net.loaded = true;
            network_clear();
            return BF_OK;
        }
    }
    network_use_builtin();
    return status ? status : BF_ERR_SPACE;
}

#else

bool network_begin_load(inbox *box, uint32_t size) {
    (void)box;
    (void)size;
    return false;
}

bf_status network_use_loaded(const inbox *box) {
    (void)box;
    return BF_ERR_SPACE;
}

#endif
