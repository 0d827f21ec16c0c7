/* SPDX-License-Identifier: MIT
 *
 * render: the agent's JSON objects (control.h) as text for people.
 *
 * Pure: objects in, text out.  Fields that are missing or of another type are
 * shown as "-", so that a newer or older agent is still readable.  Text from
 * outside (keys, error messages) is made harmless for a terminal.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

#include "store/base/buf.h"

/* The warnings of a status, wait or comparison. */
void render_warnings(FILE *out, const json_t *result);
/* drover status. */
void render_status(FILE *out, const json_t *status, bool color);
/* One of its replicas as a line without its newline: how far its first copy is,
 * or its state with what is wrong. */
void render_replica_line(struct buf *out, const json_t *status,
                         const json_t *replica);
/* Its two parts: the head with the table, and what is said below. */
void render_status_table(FILE *out, const json_t *status, bool color);
void render_status_rest(FILE *out, const json_t *status);
/* drover resync, verify: the summary; at most `names_max` differing names. */
/* One replica of it. */
void render_compared(FILE *out, const char *mode, const json_t *replica,
                     size_t names_max);
/* All of them but those that are names in `told` (or NULL), and the last word.
 */
void render_compare(FILE *out, const json_t *result, size_t names_max,
                    const json_t *told);
/* drover approve --dry-run: what is held for a replica, or that nothing is. */
void render_held(FILE *out, const char *replica, const json_t *held);
/* drover key: KEY, and the "file" that cmd_key.c adds. */
void render_key(FILE *out, const json_t *result);
/* drover wait. */
void render_wait(FILE *out, const json_t *result, size_t names_max);
/* A job's progress as one line without its newline. */
void render_progress(struct buf *out, const json_t *object);
/* "drover: DR-502 text" and "  HINT: ...", of {"id", "text", "hint"}. */
void render_error(FILE *out, const json_t *error);
/* The shell word for the NAME in `object`: TABLE/KEY, or TABLE alone. */
void render_name(struct buf *out, const json_t *object);
/* The same for a member "path" or "path_b64". */
void render_path(struct buf *out, const json_t *object);

/* --- text tables --------------------------------------------------------- */

enum { TABLE_COLUMNS_MAX = 10 };
struct table {
    size_t columns;
    size_t rows;
    char **cells; /* rows * columns */
    bool bad;     /* out of memory: rows are missing */
};

/* Append a row; NULL cells end it and are shown empty. */
void table_row(struct table *t, const char *const *cells);
/* Columns are two blanks apart; no blanks at the end of a line.  `decorate`
 * (may be NULL) may print before and after a cell. */
void table_print(const struct table *t, FILE *out,
                 void (*decorate)(FILE *out, size_t row, size_t column,
                                  const char *cell, bool before));
void table_deinit(struct table *t);
