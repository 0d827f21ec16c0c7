/* SPDX-License-Identifier: MIT
 *
 * note: a note of the agent's in its state directory: a file of some lines, one
 * for each replica, written whole and durable. */
#pragma once

#include "store/base/buf.h"

/* All of it, to be freed; "" when there is none.  NULL: it cannot be read, or
 * is no text, as a bad disk leaves it; logged as
 * `event`, with `harm`: what comes of it. */
char *note_read(int state_fd, const char *file, const char *event,
                const char *harm);
/* The next line of `*text`, ended in place; NULL: there is none (also of a text
 * that is NULL). */
char *note_line(char **text);

/* A failure is logged as `event`, with `harm`: what comes of it. */
void note_write(int state_fd, const char *file, const struct buf *text,
                const char *event, const char *harm);
