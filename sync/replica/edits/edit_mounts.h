/* SPDX-License-Identifier: MIT
 *
 * edit_mounts: something was mounted at or below a replica's root, or is not
 * any more.
 *
 * No inotify event tells of that.  It is known of the receiver's own mount
 * namespace, and of what other ones let it see.  The files are opened before
 * the sandbox is entered, which lets the descriptor be read.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "store/base/buf.h"

struct edit_mounts {
    int fd;     /* /proc/self/mountinfo; -1: it is not known */
    char *root; /* NULL: not set yet */
    struct buf known;
    bool due; /* some mount came or went, and nobody has looked */
    int64_t looked_ms;
};

void edit_mounts_open(struct edit_mounts *m);
void edit_mounts_close(struct edit_mounts *m);
/* The replica's directory; what is mounted as of now is known.  Before the
 * sandbox is entered: links in the path are followed. */
void edit_mounts_root(struct edit_mounts *m, const char *dir);
/* What to poll the descriptor for (-1: nothing). */
int edit_mounts_fd(const struct edit_mounts *m);
short edit_mounts_events(void);
/* It was told. */
void edit_mounts_told(struct edit_mounts *m);
/* Milliseconds until a look is due; -1: none is. */
int edit_mounts_wait_ms(const struct edit_mounts *m, int64_t now_ms);
/* Did one of the replica's come or go?  Looks when that is due. */
bool edit_mounts_changed(struct edit_mounts *m, int64_t now_ms);
