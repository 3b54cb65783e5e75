/*
 * serve.h - the firmware's main loop.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef SERVE_H
#define SERVE_H

/* Sets up the board, and greets. */
void serve_begin(void);

/* Handles a received byte, if there is one; sleeps after a while without. Call it in an endless loop. */
void serve(void);

#endif
