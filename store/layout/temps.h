/* SPDX-License-Identifier: MIT
 *
 * temps: temporaries that writers left because they were killed.
 *
 * Readers ignore them, so they only cost space.  A writer that lives holds the
 * exclusive lock of its temporary, but for an instant after it made it; so
 * whoever may write to the table may remove one whose lock can be taken and
 * that is older than TEMPS_OLD_NS.  libdrover does so when it is asked to
 * (drover_sweep()), a replica's receiver by itself, for nobody else writes
 * there; the agent on the primary only reads, and removes nothing.
 */
#pragma once

#include <stdint.h>

#include "store/base/clock.h"
#include "store/base/err.h"
#include "store/layout/db.h"

#define TEMPS_OLD_NS (60 * NS_PER_S)

/* Remove those of the open table `dir_fd` that were last written before
 * `before_ns` on the wall clock (INT64_MAX: all whose lock is free).  Returns
 * how many; ERR_* when the directory cannot be read.  What cannot be removed
 * stays. */
int temps_sweep_table(int dir_fd, int64_t before_ns, struct err *err) MUSTCHECK;

/* Of the whole database, those last written before `before_ns` on the wall
 * clock (clock_real_ns() - TEMPS_OLD_NS, unless it is known that no writer was
 * between making and locking its own).  *removed_out is set in any case; 0, or
 * the first ERR_* met after all was visited. */
int temps_sweep(const struct db *db, int64_t before_ns, uint64_t *removed_out,
                struct err *err) MUSTCHECK;
