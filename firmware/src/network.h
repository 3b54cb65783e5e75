/*
 * network.h - the network in use, compiled in or loaded, and the memory that belongs to it.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef NETWORK_H
#define NETWORK_H

#include "messages.h"

#include <bitflow.h>

/* Bytes that come in chunks of FRAME_CHUNK, in any order, some twice. */
typedef struct inbox {
    uint8_t *bytes;
    uint32_t size;
    uint8_t *seen; /* a bit a chunk */
    uint32_t left; /* chunks that are missing */
} inbox;

uint32_t inbox_chunks(uint32_t size);
void inbox_clear(inbox *box);
bool inbox_put(inbox *box, uint32_t offset, const uint8_t *bytes, size_t n); /* false: no such chunk */
bool inbox_has(const inbox *box, uint32_t chunk);

/* Memory for one input, and its result. */
typedef struct slot {
    inbox input;
    int32_t *scores;
    uint64_t ticks; /* of the run */
    uint16_t image; /* its number on the link */
    bool used, done;
} slot;

#define SLOTS 2u

typedef struct network {
    const bf_model *model;
    slot slots[SLOTS];
    unsigned slot_count; /* 1 or 2, as RAM allows */
    uint32_t *arena;
    size_t arena_size;
    uint8_t *spare; /* RAM that is left over, aligned to 4 bytes */
    size_t spare_size;
    bool loaded;
} network;

extern network net;

/* Uses the built-in network from now on. */
void network_use_builtin(void);

/* Makes room for a network of `size` bytes, and uses the built-in one until then; false if it does not fit. */
bool network_begin_load(inbox *box, uint32_t size);

/* Uses the network in `box` from now on; on failure, the built-in one. */
bf_status network_use_loaded(const inbox *box);

/* Runs the network on the input of slot s. *ticks: while it runs, when it started; then, how long it took. */
bf_status network_run(const slot *s, const bf_hook *hook, uint64_t *ticks);

/* Runs the self-test; counts scores that differ. */
bf_status network_self_test(unsigned *mismatches);

/* Forgets all inputs. */
void network_clear(void);

#endif
