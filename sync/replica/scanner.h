/* SPDX-License-Identifier: MIT
 *
 * scanner: the thread that keeps the replica's index true.
 *
 * One job at a time, in the order they came: the scan at start (id 0, answered
 * with READY), scans that the agent asks for, searches for names; between them
 * the index is saved when it changed, at most every five minutes.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "store/base/err.h"
#include "store/layout/value.h"
#include "sync/index/index.h"
#include "sync/wire/wire.h"

struct receive;
struct scanner_job;
struct edits_job;
struct perms_pass;
struct scan_options;

struct scanner {
    pthread_t thread;
    bool started;
    pthread_mutex_t mutex;
    pthread_cond_t wake;
    struct scanner_job *jobs;    /* oldest first */
    struct scanner_job *running; /* not in `jobs` any more, or NULL */
    bool stop;
    atomic_int stop_scan;           /* as scan_run() wants it */
    pthread_mutex_t progress_mutex; /* what the core was told last is true */
    bool busy;                      /* under progress_mutex: a job runs ... */
    bool scanning;                  /* ... and is a scan */
    atomic_uint_fast64_t keys_done; /* by the running job */
    uint16_t last_scan;
    struct index_ident
        ident;              /* its boot is set before the sandbox is entered */
    uint64_t saved_changes; /* disk's counter at the last save */
    bool perms_due;         /* modes were left until nothing is undone */
    bool modes_unset;       /* told of some that could not be set */
    bool young;             /* ctimes are: not the time to save them */
    struct index *prior;    /* what was saved under another key, or NULL */
};

void scanner_init(struct scanner *s);
void scanner_deinit(struct scanner *s);
/* Returns 0 or an errno. */
int scanner_start(struct scanner *s, struct receive *rv);
void scanner_stop(struct scanner *s);

/* The database is known and locked: load the saved index.  Reader's thread,
 * before any change is accepted.  The core asks for the scan at start; when the
 * index was saved under another key than the agent's, that scan takes over what
 * it knows. */
void scanner_identified(struct scanner *s, struct receive *rv,
                        const struct wire_hello *hello);
/* Out of memory: the session ends (receive_fail()). */
void scanner_scan(struct scanner *s, struct receive *rv, uint64_t id,
                  unsigned how);
void scanner_names(struct scanner *s, struct receive *rv, uint64_t id,
                   struct digest *names, size_t n); /* takes names (malloc) */
/* A scan sets owners, groups and modes (`how`: WIRE_SCAN_*), and tells of it
 * afterwards.  Scanner's thread. */
void scanner_perms_begin(const struct receive *rv, unsigned how,
                         struct perms_pass *d, struct scan_options *opt);
void scanner_perms_end(struct receive *rv, uint64_t id,
                       const struct perms_pass *d);
/* Takes the job, which nobody asked for: it is given to edits_run(). */
void scanner_edits(struct scanner *s, struct receive *rv,
                   struct edits_job *edits);
/* Nobody waits for that scan, or search for names, any more: it ends soon, and
 * is answered as what was not done. */
void scanner_give_up(struct scanner *s, bool names, uint64_t id);
/* Tell the core how far the running job is.  Reader's thread. */
void scanner_report(struct scanner *s, struct receive *rv);
/* Save the index if something changed since; from the scanner's thread, or
 * after scanner_stop(). */
int scanner_save(struct scanner *s, struct receive *rv,
                 struct err *err) MUSTCHECK;
