/*
 * serve.h - what the firmware does: it serves requests for ever.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef SERVE_H
#define SERVE_H

/* Sets up the board and says that it is there. */
void serve_begin(void);

/* Takes what came in; sleeps when nothing did for long. Call it again and again. */
void serve(void);

#endif
