/* SPDX-License-Identifier: MIT
 *
 * look: does a replica's directory serve its purpose?  Who is asked is
 * `drover-replica check` on its host, or a receiver that was started to be
 * asked (WIRE_FEATURE_CHECK), as its own user and behind its own sandbox.
 *
 * Nothing is changed: no lock is waited for, nothing with a name is made.  What
 * is said of many files is said of a sample. */
#pragma once

#include <sys/stat.h>

#include "sync/check/finding.h"
#include "sync/replica/meta/meta.h"
#include "sync/wire/wire.h"

struct look {
    const char *dir;
    const char *host;        /* for hints; NULL: this one */
    const struct meta *meta; /* it is open already, as behind the sandbox */
    /* As the receiver's options say; NULL: they are not known here. */
    const struct meta_modes *modes;
    /* Of the agent that asks; NULL, or with no database in it: nobody's. */
    const struct wire_hello *hello;
    /* In a receiver: how it is confined, and what of it is missing; NULL: not
     * in one, the kernel is asked what it could. */
    const char *confined, *unconfined;
    /* Receivers usually log in as this one; NULL: nothing is said of it. */
    const char *account;
};

/* Where root asks: from now on with the rights of the directory's owner.  For a
 * process that does nothing else afterwards. */
void look_become(const struct look *l, struct findings *out);
void look_all(const struct look *l, struct findings *out);

/* --- for the files of this room ------------------------------------------- */

/* An error with its remedy, the directory's name filled in. */
void look_err(const struct look *l, struct findings *out,
              enum finding_level level, const char *what,
              const struct err *err);
/* look_as.c: are this process's rights the receiver's? */
bool look_is_receiver(const struct look *l, int root_fd);
/* look_rights.c: what of the copy the receiver's user may not write. */
struct look_rights {
    const char *dir; /* the copy's */
    bool tried;      /* these are that user's rights */
    uint64_t denied;
    char first[700];                     /* one of them, and why */
    char place[TABLE_PATH_BYTES + 1024]; /* and its directory */
};
void look_rights_table(struct look_rights *r, const char *table, size_t len,
                       int dir_fd, const struct stat *st);
void look_rights_value(struct look_rights *r, const char *table, size_t len,
                       int dir_fd, const char *key, size_t key_len,
                       const struct stat *st);
void look_rights_say(const struct look_rights *r, struct findings *out);
/* look_copy.c: whose it is, how fresh, who writes it, what is kept aside. */
void look_copy(const struct look *l, const struct meta *m,
               struct findings *out);
/* look_files.c: owners, groups and modes, temporaries, the largest value. */
struct look_files {
    uint64_t tables, keys, temps;
    uint64_t largest;
    bool all; /* not cut short */
};
void look_files(const struct look *l, const struct db *db,
                struct look_files *seen, struct findings *out);
