/* SPDX-License-Identifier: MIT
 *
 * watch_past: the names that the table in a directory had before the directory
 * moved, for as long as its keys have not all been told of under them.
 *
 * The watch goes on seeing a directory that moves.  So every key that was in it
 * when it moved is either found by a listing that begins afterwards, or an
 * event tells that it went; each is reported under the past names, too.  When
 * such a listing is complete, so is that.  Memory only.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* More names than that before a listing has ended are not followed: of one
 * directory, and of all. */
enum { PAST_MAX = 8, PAST_ALL_MAX = 16384 };

struct past {
    struct past *next;
    uint64_t since;   /* number of the last listing begun before the move */
    size_t table_len; /* the table's name is the path's first bytes */
    char path[];
};

/* The directory is not at `path` any more, where it was a table.  `all` counts
 * the names of all lists.  False: out of memory, or too many. */
bool past_add(struct past **list, size_t *all, const char *path,
              size_t table_len, uint64_t since);
/* Listing number `listing` told of all that was in it. */
void past_told(struct past **list, size_t *all, uint64_t listing);
void past_free(struct past **list, size_t *all);
