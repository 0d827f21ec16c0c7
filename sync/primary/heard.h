/* SPDX-License-Identifier: MIT
 *
 * heard: does the replica get on with what a comparison waits for?
 *
 * A receiver whose disk hangs under its committer or its scanner still answers
 * pings, so its session lives on; an operator who asked for a comparison of
 * many replicas must not wait for that one until the time is over.  What counts
 * is an answer to the comparison itself, or progress of the scan or search that
 * it waits for: a scan may take hours.  What the primary is slow at is not held
 * against the replica.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct compare;
struct primary;
struct repl;
struct wire_pong;

struct heard {
    int64_t at_ms; /* the last one, or when nothing was waited for */
    uint64_t scan_keys;
    bool scanning; /* as the last PONG said */
};

/* An answer of the comparison's own came. */
void heard_answer(const struct primary *p, struct repl *r);
/* Changes were answered, or a piece of a large value went out. */
void heard_commit(const struct primary *p, struct repl *r);
void heard_pong(const struct primary *p, struct repl *r,
                const struct wire_pong *m);
/* Since when it has been silent, or INT64_MAX: nothing is waited for. */
int64_t heard_since(const struct primary *p, struct repl *r);
/* Is it the replica that is waited for?  Else it begins anew. */
bool heard_is_waited_for(const struct primary *p, struct repl *r);
/* The comparison is over before its question was answered: spare the replica
 * the work, and whoever asks next the wait for it. */
void heard_give_back(struct primary *p, struct repl *r,
                     const struct compare *c);
/* May one more scan be asked for?  Not of an older receiver that still has the
 * scans of comparisons that were given up before it: at one too many of these
 * it ends the session. */
bool heard_may_scan(const struct repl *r);
