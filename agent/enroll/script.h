/* SPDX-License-Identifier: MIT
 *
 * script: the text that a POSIX shell on the replica's host runs: settings,
 * each quoted, and then replica.sh word for word, which is part of this
 * program. What goes over ssh and what --print prints is the same text.
 *
 * Pure.
 */
#pragma once

#include "agent/enroll/plan.h"
#include "store/base/buf.h"

enum script_mode { SCRIPT_ADD, SCRIPT_CHECK, SCRIPT_REMOVE };

/* `public_key` is a line of a .pub file, without its end; NULL with
 * SCRIPT_CHECK: there is none yet.  Failures: ERR_INVALID (the line is no key),
 * ERR_NOMEM.  The text ends in a NUL that is not counted. */
int enroll_script(const struct enroll_plan *plan, enum script_mode mode,
                  const char *public_key, struct buf *out,
                  struct err *err) MUSTCHECK;

/* replica.sh, made a constant by the build. */
extern const unsigned char enroll_replica_sh[];
extern const unsigned long enroll_replica_sh_bytes;

/* What it printed, counted: `made` is what it did, `left` what it could not
 * take away. */
struct script_said {
    unsigned made, removed, there, would, left;
    bool made_line; /* the login is of this run */
    bool ended;     /* all of it was done */
};
/* One of its lines, without its end: counts it, and returns the text behind its
 * word, or NULL when it is none; so its end mark. */
const char *script_take_line(struct script_said *said, const char *line);
