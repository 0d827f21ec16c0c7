/* SPDX-License-Identifier: MIT
 *
 * hint: the remedy for an error as it happened: its number, the stage it came
 * from (which the message says) and the system's error, with the names that
 * are known filled in.  dr_hint() is what is left when nothing more is known.
 *
 * Never a step that destroys something while a harmless cause is possible; and
 * none where the message itself names what to type. */
#pragma once

#include <stddef.h>

#include "store/base/err.h"

/* What stands for the words in a hint; NULL: the word stays. */
struct hint_names {
    const char *host, *user, *port, *replica;
    const char *dir;     /* DIR: where the trouble is */
    const char *primary; /* PRIMARY: the database on the agent's host */
    const char *file;    /* FILE: key or known_hosts */
};

enum { HINT_ROOM = 900 };

/* Of an error; "" when there is nothing to add. */
const char *hint_of(const struct err *err);
/* HOST, USER, PORT, REPLICA, DIR, PRIMARY and FILE replaced.  Returns `out`. */
char *hint_fill(char *out, size_t room, const char *hint,
                const struct hint_names *names);
