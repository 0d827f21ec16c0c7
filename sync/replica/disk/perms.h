/* SPDX-License-Identifier: MIT
 *
 * perms: owner, group and mode of a replica's values and directories, as the
 * receiver's settings say.
 *
 * A new value gets them before it comes into place.  What was there before,
 * copied by hand or under other settings, gets them from the next scan: else
 * its readers would be told EACCES while the digests are equal.
 *
 * A default ACL of a directory allows what it allows on purpose, and stays,
 * with the mode of what is in it; so does an ACL of a file or a directory.  The
 * group, without a setting of its own, is what the directory gives, and a
 * directory with the setgid bit keeps the one it was given.  DIR itself is the
 * operator's.
 *
 * Nothing is followed: only what was opened as what it is gets changed.  For
 * root only what nobody else could have put there (own_dir.h).
 *
 * Thread rule: a struct perms_pass belongs to one thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "store/layout/name.h"
#include "sync/replica/meta/meta.h"

#define PERMS_MODE_STAYS ((mode_t)-1)

struct perms {
    uid_t owner; /* (uid_t)-1: stays */
    gid_t group; /* (gid_t)-1: stays */
    mode_t mode; /* or PERMS_MODE_STAYS */
};

/* Make what is open as it should be; `st` is its stat before, and afterwards.
 * 0: it was; 1: it is now; -1 with errno. */
int perms_set(int fd, const struct perms *want, struct stat *st);

/* What a scan sets. */
struct perms_pass {
    struct meta_modes modes;
    bool count_only; /* nothing is changed, only counted as not set */
    bool hold_keys;  /* keys stay for now: their ctimes are needed */
    uint64_t set, held;
    uint64_t unset; /* ... what could not be set; the first of them: */
    int sys;
    bool is_table;
    size_t table_len, key_len;
    char table[TABLE_MAX_BYTES], key[KEY_MAX_BYTES];
    struct stat dir; /* the directory the scan is in */
    bool has_acl;    /* ... has a default ACL */
};

/* scan_options.perms_dir and .perms_key. */
void perms_pass_dir(void *arg, const char *path, size_t len, bool is_root,
                    int dir_fd);
bool perms_pass_key(void *arg, const char *table, size_t table_len,
                    const char *key, size_t key_len, int dir_fd,
                    struct stat *st);
