/* SPDX-License-Identifier: MIT
 *
 * enroll: carries out a plan (plan.h), step by step.
 *
 *     login key   made as the agent's user, unless it is there
 *     host key    asked for, shown, pinned after a yes or by its fingerprint
 *     replica     the script (script.h), over an administrator's own login
 *     drop-in     checked as check-config does, then written
 *     reload      the agent reads it
 *
 * Each step looks first and does nothing where all is so already; a dry run
 * only looks.  When one fails, what this run had done is undone, last first,
 * and what could not be is said.  Waiting for the first copy is the caller's.
 * Blocking.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "agent/enroll/plan.h"
#include "store/base/buf.h"
#include "store/base/err.h"

struct pinned_key;

enum enroll_state {
    ENROLL_WAITING, /* not come to yet */
    ENROLL_DONE,
    ENROLL_SO,      /* it was so already */
    ENROLL_WOULD,   /* a dry run: it is not so yet */
    ENROLL_SKIPPED, /* not asked for, or there is nothing to do it with */
    ENROLL_FAILED,
    ENROLL_UNDONE,
    ENROLL_LEFT, /* done, and could not be undone */
};
const char *enroll_state_word(enum enroll_state state);

enum { ENROLL_TEXT_BYTES = 900 };

struct enroll_step {
    enum enroll_state state;
    char text[ENROLL_TEXT_BYTES]; /* what was done, or is so */
};

/* What the program around it does. */
struct enroll_ops {
    void *arg;
    /* A step has come to a state. */
    void (*told)(void *arg, enum enroll_step_id id,
                 const struct enroll_step *step);
    /* Is it the host's key?  0: yes; else a failure, with its words. */
    int (*confirm)(void *arg, const char *host, const struct pinned_key *key,
                   const char *fingerprint, struct err *err);
    /* 0: the agent reads the configuration again, and says what changed; 1: no
     * agent runs; or negative: it refuses. */
    int (*reload)(void *arg, char *text, size_t room, struct err *err);
    /* The operator wants to stop. */
    bool (*stopped)(void *arg);
};

struct enroll {
    const struct enroll_plan *plan;
    const struct enroll_ops *ops;
    bool dry_run;
    struct enroll_step steps[ENROLL_STEPS];
    char *public_key; /* a line of a .pub file; NULL: there is none yet */
    /* What this run has done, to be undone. */
    bool made_key, made_key_dir, made_dropin, made_dropin_dir;
    bool made_there, made_line; /* anything on the other host; the login */
    bool unsure_there;          /* it is not known what was done there */
    bool pinned;
    off_t pinned_from, pinned_to; /* bytes of the known_hosts file */
};

/* *e has plan, ops and dry_run.  0 also when no agent runs (its step says so).
 */
int enroll_run(struct enroll *e, struct err *err) MUSTCHECK;
/* The login key alone: for what --print needs.  With dry_run it must be there.
 */
int enroll_key(struct enroll *e, struct err *err) MUSTCHECK;
void enroll_deinit(struct enroll *e);

/* --- taking a replica away ----------------------------------------------- */

/* Sections of a configuration file: [first, last] are the lines of that
 * replica, comments just above it included; `alone`: nothing else is defined in
 * the file.  false: it is not in the text. */
struct enroll_lines {
    unsigned first, last;
    bool alone;
};
bool enroll_find_lines(const char *text, const char *replica,
                       struct enroll_lines *out);
/* Run the script over ssh VIA.  What it said is appended to `text`, "; "
 * between.  0: all of it was done, by its own word; or negative: it could not
 * be run, or failed.  *unsure: it is not known what it did; a script that fails
 * by itself has taken it back. */
struct script_said;
int enroll_run_there(const char *via, const char *script,
                     struct script_said *said, struct buf *text, bool *unsure,
                     struct err *err) MUSTCHECK;
/* What ends the login of this key, typed on that host: its line of
 * authorized_keys goes.  `file` NULL: the user's own. */
void enroll_by_hand(struct buf *out, const char *public_key, const char *file,
                    const char *user);
/* The public half of the plan's key, as a line of a .pub file: a new string. */
int enroll_public_key(const struct enroll_plan *plan, char **out,
                      struct err *err) MUSTCHECK;
