/* SPDX-License-Identifier: MIT
 *
 * mounts: what is mounted at or below the database's root.
 *
 * A mount over a table, a key or a directory raises no inotify event, nor does
 * its end; and what was written in what it hides, or in what it showed, has
 * raised none either.  The kernel tells who polls /proc/self/mountinfo that
 * some mount of this namespace came or went; this says when it was one of the
 * database's.
 */
#pragma once

#include <uv.h>

#include "store/base/buf.h"

struct mounts;

/* `changed` is called on the loop, LOOK_MS (mounts.c) after it at the latest.
 * NULL: no memory, or there is no such file: nothing is told then. */
struct mounts *mounts_new(uv_loop_t *loop, void (*changed)(void *arg),
                          void *arg);
/* The root is there now, and what is mounted as of now is known. */
void mounts_set_root(struct mounts *m, const char *path);
/* Call `changed` now for what happened until now. */
void mounts_check(struct mounts *m);
/* May be NULL.  `freed` is called when it is. */
void mounts_free(struct mounts *m, void (*freed)(void *arg), void *arg);
