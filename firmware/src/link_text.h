/*
 * link_text.h - the text protocol of the serial line: that of MLPerf Tiny.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef LINK_TEXT_H
#define LINK_TEXT_H

#include <stdint.h>

/* Sends what a board says after its start. */
void text_start(void);

/* Takes a received byte; a '%' ends a command, which is served before this returns. */
void text_take(uint8_t byte);

/* Forgets a command that began. */
void text_drop(void);

/* Forgets the input and the results: the network or its inputs were used otherwise. */
void text_forget(void);

#endif
