/* SPDX-License-Identifier: MIT
 *
 * quote: byte strings (keys, table names) made fit for a terminal, a shell or
 * a log line.
 *
 * Nothing here fails or allocates: text that does not fit in `room` is cut and
 * ends in "...".  Characters that would act on a terminal or hide (control
 * bytes, C1, zero-width and bidirectional marks) and invalid UTF-8 are written
 * as escapes.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "store/base/buf.h"

/* Room that is always enough for `n` bytes, with quotes and NUL. */
#define QUOTE_ROOM(n) (4 * (n) + 8)

enum { QUOTE_MSG_BYTES = 200 }; /* for a name inside an error message */

/* As a shell word: bare when safe, '...' when printable, $'\n\xff' otherwise.
 * What is printed can be pasted into bash or zsh and gives the same bytes
 * (unless cut).  Writes NUL; returns `out`. room >= 8. */
char *quote_shell(char *out, size_t room, const void *bytes, size_t len);

/* As the inside of a C string: \n, \", \\, \xff; no quotes around it. */
char *quote_log(char *out, size_t room, const void *bytes, size_t len);

/* For a text that is made already, names in it quoted or not: whatever would
 * act on a terminal, or hide, becomes '?'.  In place. */
void quote_tame(char *text);

/* Append the whole shell word to `b`, never cut. */
void quote_shell_buf(struct buf *b, const void *bytes, size_t len);

/* True when the bytes are valid UTF-8 (no surrogates, no overlong forms). */
bool quote_is_utf8(const void *bytes, size_t len);

/* A table's name for a message: (root) for the root table. */
char *quote_table(char *out, size_t room, const void *name, size_t len);

/* For messages: lives until the end of the enclosing block. */
#define QUOTED(bytes, len)                                                     \
    quote_shell((char[QUOTE_MSG_BYTES]){0}, QUOTE_MSG_BYTES, (bytes), (len))
#define QUOTED_TABLE(name, len)                                                \
    quote_table((char[QUOTE_MSG_BYTES]){0}, QUOTE_MSG_BYTES, (name), (len))
#define QUOTED_STR(s) QUOTED(s, strlen(s))
