/* SPDX-License-Identifier: MIT
 *
 * host: what the checks of both sides look at on the host they run on: the
 * room left on a file system, the clock, the kernel's bounds.  Each appends
 * what it saw.  Blocking, but short. */
#pragma once

#include <stdint.h>

#include "sync/check/finding.h"

/* Space and inodes left on the file system of `fd`; `dir` names it.  Less than
 * 5 % or `need` bytes is a warning, nothing at all a failure with number
 * `id`. */
void host_space(struct findings *f, int fd, const char *dir, uint64_t need,
                int id);

/* Is the clock kept right?  `why` says what depends on it. */
void host_clock(struct findings *f, const char *why);

/* How many inotify watches and instances a user may have here: of the whole
 * host and of the user namespace, the lesser one.  -1: not known. */
int64_t host_inotify_watches(void);
int64_t host_inotify_instances(void);

/* A number in /proc/sys, such as "fs/inotify/max_user_watches"; -1: not
 * known. */
int64_t host_sysctl(const char *name);
