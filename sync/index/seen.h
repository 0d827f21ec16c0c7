/* SPDX-License-Identifier: MIT
 *
 * seen: of what a scan did not meet, what is gone and what may be covered?
 *
 * A table that could not be listed hides its keys, and a directory the tables
 * below it.  The index knows no names, but of each key its table's tag, and of
 * each table a tag of the first directory on the way to it: so an entry outside
 * of all that was covered can be told from one that may lie behind it.  Tags
 * of two names may be equal: then more is taken for covered, never less.
 *
 * Pure.  A walk tells what it met; then each entry of a table that was not met
 * is asked about, and then those of keys.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "sync/index/index.h"

enum { SEEN_TAG_BYTES = (UINT16_MAX + 1) / 8 };

/* Zero: nothing was met yet. */
struct seen {
    uint8_t whole[SEEN_TAG_BYTES];   /* tables that were listed to the end */
    uint8_t gone[SEEN_TAG_BYTES];    /* ... that are not there */
    uint8_t covered[SEEN_TAG_BYTES]; /* ... that may be anything */
    uint8_t tops[SEEN_TAG_BYTES];    /* first directories, with something
                                        below them that is covered */
    bool some_covered;               /* else all that was not met is gone */
    bool all_covered;                /* the root could not be listed */
};

/* Another walk begins: what was covered stays it. */
void seen_again(struct seen *s);
void seen_table(struct seen *s, const struct index_key *k, const char *table,
                size_t len, bool complete);
/* A directory that is no table could not be listed. */
void seen_dir_covered(struct seen *s, const struct index_key *k,
                      const char *path);

/* An entry that no walk met: of a table; of a key, after all tables.  True: it
 * is gone. */
bool seen_table_gone(struct seen *s, const struct index_entry *e);
bool seen_key_gone(const struct seen *s, const struct index_entry *e);
