/* SPDX-License-Identifier: MIT
 *
 * edit_odd: what cannot be read in a replica now: links, pipes and the like
 * under the name of a key or table, mounts, directories without rights;
 * bounded.
 *
 * A scan finds all of it, and between two scans events add to it and looks at
 * each take from it; so the agent can be told at any time what a scan would
 * count.  What is beyond the bound, or has no name, has a number alone, until
 * the next scan.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include "store/base/err.h"
#include "store/base/map.h"
#include "store/layout/name.h"

enum {
    EDIT_ODD_MAX = 256,
    EDIT_ODD_WHY_BYTES = 256,
};

/* What a look at it shows without opening it. */
struct edit_odd_stat {
    bool there;
    dev_t dev;
    ino_t ino;
    mode_t mode;
    uid_t uid;
    gid_t gid;
    int64_t ctime_ns; /* 0 for a directory: much may happen in it */
};

struct edit_odd {
    UT_hash_handle hh;
    bool foreign; /* no value: a look shows when it has gone */
    struct edit_odd_stat stat;
    unsigned scan; /* the last that met it */
    char why[EDIT_ODD_WHY_BYTES];
    bool is_table;
    size_t table_len, key_len;
    char text[]; /* table, a letter, key */
};

struct edit_odds {
    struct edit_odd *all;
    uint64_t more;                /* without a place here */
    unsigned scan;                /* the one under way, or the last */
    uint64_t met;                 /* by it, and kept here */
    bool untold;                  /* the agent knows something else */
    char why[EDIT_ODD_WHY_BYTES]; /* of the first that a scan met */
};

/* key NULL: a table.  NULL: there is no room, so it is counted alone. */
struct edit_odd *edit_odds_add(struct edit_odds *o, const char *table,
                               size_t table_len, const char *key,
                               size_t key_len, const char *why);
/* It can be read, or has gone.  True: what is left has no place here, so that
 * only a scan can tell. */
bool edit_odds_drop(struct edit_odds *o, struct edit_odd *odd);
void edit_odds_clear(struct edit_odds *o);

void edit_odds_scan_begin(struct edit_odds *o);
/* The scan under way met one: as edit_odds_add(). */
struct edit_odd *edit_odds_scan_met(struct edit_odds *o, const char *table,
                                    size_t table_len, const char *key,
                                    size_t key_len, const char *why);
/* It saw everything, and counts so many; the agent may have been told so, and
 * has to be told once more. */
void edit_odds_scan_end(struct edit_odds *o, uint64_t count, const char *why);

uint64_t edit_odds_count(const struct edit_odds *o);
/* Of one of them; "": there is none. */
const char *edit_odds_why(const struct edit_odds *o);

/* As lstat(2) says. */
struct edit_odd_stat edit_odd_stat(int root_fd, const struct edit_odd *odd);
bool edit_odd_same(const struct edit_odd_stat *a,
                   const struct edit_odd_stat *b);
