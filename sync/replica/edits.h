/* SPDX-License-Identifier: MIT
 *
 * edits: the thread that notices what somebody else does to the database of a
 * live receiver, so that it is repaired within seconds and not by the next
 * verify.
 *
 * Happy path: inotify says that something happened to a name; what is there is
 * as the index says, for it was our own doing; that is all.  Else, when no
 * commit of ours can explain it (edits/edit_names.h), the scanner takes it into
 * the index, and the agent is told (EDITED); its comparison repairs it.
 * Whatever inotify cannot tell (its queue ran over, a table moved, something
 * was mounted, so much was installed that watching was too dear) is looked for
 * by a scan that takes stats alone, with long rests.  What is no value, or
 * cannot be read, is nothing that could be repaired: the agent is told as it
 * comes and goes (BLIND).
 * Failures: no inotify, or not for all directories: said once, and what cannot
 * be watched is noticed as before, by the digests and scans that the agent asks
 * for.  Nothing here ends the session but the loss of memory or of the
 * database.
 *
 * Not seen: a write through a mapping or a second name outside the database,
 * before the file is closed.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/base/err.h"

struct edits;
struct edits_job;
struct receive;
struct scan_result;

/* Before the sandbox is entered.  NULL: there is no inotify, which is said. */
struct edits *edits_new(void);
void edits_free(struct edits *e);
/* The replica's directory; before the sandbox is entered. */
void edits_root(struct edits *e, const char *dir);
/* Returns 0 or an errno; stop joins it.  NULL is fine. */
int edits_start(struct edits *e, struct receive *rv);
void edits_stop(struct edits *e);

/* --- for the scanner ----------------------------------------------------- */

/* The first scan begins, so the index has its key. */
void edits_indexed(struct edits *e);
/* A scan that tells the index what it finds begins: no other is needed for what
 * happened before. */
void edits_scanned(struct edits *e);
/* scan_options.dir: a scan meets a directory.  arg is the struct edits. */
void edits_dir(void *arg, const char *path, int dir_fd);
/* A scan that counts what it cannot read begins, meets something (why NULL: it
 * is only busy), and has seen everything.  After that the agent is told of it
 * once more, so the scan's own answer comes before the end. */
void edits_unread_begin(struct edits *e);
void edits_unread(struct edits *e, const struct err *why, const char *table,
                  size_t table_len, const char *key, size_t key_len);
void edits_unread_end(struct edits *e, const struct scan_result *result);
/* Do a job on the scanner's thread.  0, or what ends the session. */
int edits_run(struct receive *rv, struct edits_job *job,
              struct err *err) MUSTCHECK;
void edits_job_free(struct edits_job *job);
