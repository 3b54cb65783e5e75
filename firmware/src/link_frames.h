/*
 * link_frames.h - frames on the serial line: 0x00, COBS of (kind, sequence number, body, CRC-32), 0x00.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef LINK_FRAMES_H
#define LINK_FRAMES_H

#include "messages.h"

/* Serves a request. False: it gets no answer. */
typedef bool frames_handler(request *r, answer *a);

/* Takes a received byte. A whole, sound request is served and answered before this returns. */
void frames_take(uint8_t byte, frames_handler *handler);

/* Between the 0x00 that starts a frame and the one that ends it. */
bool frames_inside(void);

/* Forgets a frame that began. */
void frames_drop(void);

/* Forgets the stored answers. */
void frames_forget(void);

#endif
