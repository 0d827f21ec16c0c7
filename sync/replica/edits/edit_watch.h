/* SPDX-License-Identifier: MIT
 *
 * edit_watch: inotify watches on the directories of a replica, and what their
 * events say: look at this key, look at this directory, or something was lost.
 *
 * Each directory is watched as the inode behind an open descriptor, so no name
 * can lead the watch elsewhere; one that moves is forgotten with all below it
 * until it is added under its new name.  What is only read (OPEN, ACCESS,
 * CLOSE_NOWRITE) raises nothing, nor does a file that has no name yet: the
 * receiver's own values raise one event each when they come into place, three
 * when they replace one.
 *
 * While very much is installed even that costs too much: a directory with too
 * many events in one round is *noisy*, and its watch is taken away.  Whoever
 * takes the events is told so (EDIT_LOST), and adds it again before a look at
 * all that is there.
 *
 * Thread rule: edit_watch_add() from any thread, the rest from one.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/layout/name.h"

enum {
    EDIT_NOISY = 500,      /* events of one directory in a round ... */
    EDIT_NOISY_ALL = 4096, /* ... and of all, from which each one is */
};

struct edit_watch;

enum edit_kind {
    EDIT_KEY = 1, /* may have another value, or be gone */
    EDIT_DIR,     /* a directory may have come, gone, or have other rights */
    EDIT_LOST,    /* anything may have happened */
    EDIT_OTHER,   /* what has no key's name came, and is no directory */
};
struct edit_event {
    enum edit_kind kind;
    bool written; /* EDIT_KEY: by a write, which a stat need not show yet */
    bool came;    /* EDIT_DIR: it has a new name, and is not watched */
    bool moved;   /* ... or its old one has gone, with all that is in it */
    bool noisy;   /* EDIT_LOST: because there was too much of our own */
    char path[TABLE_PATH_BYTES]; /* of the directory: "a/b.tbl", "" */
    char key[KEY_FILE_BYTES];    /* EDIT_OTHER: the name of the file */
    size_t key_len;
};

/* NULL with errno. */
struct edit_watch *edit_watch_new(void);
void edit_watch_free(struct edit_watch *w); /* NULL is fine */
int edit_watch_fd(const struct edit_watch *w);
/* Watch the open directory, whose path below the root is `path` ("" for that).
 * 0 or an errno. */
int edit_watch_add(struct edit_watch *w, const char *path, int dir_fd);
/* A round begins: nobody is noisy yet. */
void edit_watch_round(struct edit_watch *w);
/* The next event out of what the kernel has queued; false: there is none. */
bool edit_watch_next(struct edit_watch *w, struct edit_event *out);
size_t edit_watch_count(struct edit_watch *w); /* directories */
