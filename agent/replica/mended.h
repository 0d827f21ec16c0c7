/* SPDX-License-Identifier: MIT
 *
 * mended: whether a file of this host that a link failed for is another than
 * when the attempt began: a reason to try again without being told.
 *
 * These are the login key, the known_hosts file and the program of a command,
 * each for the errors that it can be to blame for.  Only that something has
 * changed is seen, not whether it is good now: the attempt finds out.  They are
 * looked at where they stand, as the attempt does; on the loop's thread, but
 * only while a replica is kept away by one of them. */
#pragma once

#include <stdbool.h>
#include <sys/stat.h>

#include "agent/config/config.h"

struct mended_file {
    int sys; /* why it cannot be looked at, 0: it can */
    dev_t dev;
    ino_t ino;
    off_t size;
    struct timespec modified, changed;
};

struct mended {
    struct mended_file identity, known_hosts, program;
};

/* Before an attempt reads them. */
void mended_note(struct mended *m, const struct config_replica *c);
/* Has the file changed since that an attempt with this error (DR_...) failed
 * for? */
bool mended_since(const struct mended *m, const struct config_replica *c,
                  int error_id);
