/* SPDX-License-Identifier: MIT
 *
 * chaos_writer: what the two files of the writer share.
 *
 * Changes of keys are in chaos_writer.c, of tables in chaos_tables.c.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "tests/chaos/chaos_journal.h"
#include "tests/chaos/chaos_names.h"

struct writer {
    struct journal j;
    const char *db, *outside; /* on one file system */
    int db_fd, out_fd;
    unsigned index, of;
    uint64_t random;
    uint32_t big_bytes; /* 0: no large values */
    bool silent;        /* also changes that raise no event */
    bool there[NAMES_TABLES];
    /* What each key is, for this process is its only writer; 0: absent. */
    uint64_t version[NAMES_SLOTS];
    uint32_t size[NAMES_SLOTS];
    uint64_t changes, bytes, busy, failed, tables;
};

/* A whole value of this size in static memory. */
const char *writer_value(struct writer *w, uint32_t size, uint64_t version);
uint32_t writer_size(struct writer *w);
uint64_t writer_random(struct writer *w, uint64_t below);
/* The state of a slot became this; records are begun and settled by others. */
void writer_became(struct writer *w, unsigned slot, uint64_t version,
                   uint32_t size);
/* Make the directory of a table that stays, at the start. */
void tables_make(struct writer *w, unsigned table);
/* Drop, make or move it. */
void tables_change(struct writer *w, unsigned table);
/* Which tables have the same writer: the lowest of them. */
unsigned tables_group(unsigned table);
