/*
 * requests.h - the requests of the host and their answers; SPEC.md describes every byte.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef REQUESTS_H
#define REQUESTS_H

#include "messages.h"

#define LINK_VERSION 1u

typedef enum request_kind {
    REQUEST_HELLO = 1,
    REQUEST_INPUT = 2,
    REQUEST_RUN = 3,
    REQUEST_SCORES = 4,
    REQUEST_PROFILE = 5,
    REQUEST_HIDDEN = 6,
    REQUEST_LOAD = 7,
    REQUEST_RESET = 8,
    REQUEST_SELF_TEST = 9,
    REQUEST_CALIBRATE = 10,
} request_kind;

/* An answer's kind is its request's plus ANSWER, or one of these. */
enum { ANSWER = 0x80, ANSWER_MISSING = 0xFE, ANSWER_ERROR = 0xFF };

/* Statuses of the link, beside those of bf_status. */
typedef enum link_status {
    LINK_SESSION = -64,  /* no HELLO yet, or the device was reset since */
    LINK_REQUEST = -65,  /* unknown, or its body is too short or out of range */
    LINK_STALE = -66,    /* the slot holds a newer image */
    LINK_NO_IMAGE = -67, /* the slot does not hold this image, or not all of it */
    LINK_NO_LOAD = -68,  /* no loading here, or no room for that many bytes */
    LINK_NO_TEST = -69,  /* a loaded network has no self-test */
} link_status;

/* Serves a request. False: it gets no answer. */
bool requests_serve(request *r, answer *a);

/* False from HELLO to RESET. */
bool requests_text_allowed(void);

#endif
