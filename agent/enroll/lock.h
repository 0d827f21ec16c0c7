/* SPDX-License-Identifier: MIT
 *
 * lock: one drover replica add or remove at a time, for a file that
 * several of them change: FILE.lock beside it.
 *
 * Without, two at once would take each other's half-made things for what was so
 * before: the one that fails undoes what the other relies on.  The lock is a
 * file of its own, which no other user can open and hold.  It stays; whoever
 * holds it has written its process there.  Blocking.
 */
#pragma once

#include "store/base/err.h"

/* Waits for the lock of `file`, links followed; before it waits it tells by
 * whom it is held.  *fd: whoever closes it lets the lock go; -1: the directory
 * is not there, or not ours to write to, so that there is nothing to lock. */
int enroll_lock(const char *file, void (*waits)(void *arg, const char *text),
                void *arg, int *fd, struct err *err) MUSTCHECK;
