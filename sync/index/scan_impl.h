/* SPDX-License-Identifier: MIT
 *
 * scan_impl: the inside of a scan, for scan.c (the walk) and scan_key.c (one
 * key that the walk could not pass over).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/base/buf.h"
#include "store/layout/db.h"
#include "store/layout/name.h"
#include "sync/index/scan.h"
#include "sync/index/seen.h"

/* Keys looked up in the index at once. */
enum { SCAN_BATCH = 64 };

struct scan {
    const struct db *db;
    struct index *ix;
    const struct scan_options *opt;
    scan_note_fn note;
    void *arg;
    struct scan_result *out;
    struct err *err;      /* the caller's, for what ends the scan */
    struct buf value;     /* of the key being read */
    struct buf busy;      /* keys to look at again: scan_key_retry() */
    bool last_chance;     /* a busy key is reported, not put aside */
    int view_rc;          /* of opt->view, from a sweep */
    bool second_walk;     /* only entries not marked yet are of interest */
    uint64_t passed_over; /* by the second walk */
    uint64_t unseen;      /* entries that the first found to be gone */
    struct seen seen;     /* by the last walk, and covered in any */

    int dir_fd; /* of the table being walked */
    size_t batched;
    struct index_probe probes[SCAN_BATCH];
    struct {
        size_t key_len;
        char file[KEY_FILE_BYTES]; /* begins with the key */
    } files[SCAN_BATCH];
};

/* Tell the caller of the scan. */
void scan_report(const struct scan *s, enum scan_note note,
                 const struct scan_name *at);
/* ... of what could not be read; `why` NULL: it is busy. */
void scan_report_unread(const struct scan *s, const struct err *why,
                        const struct scan_name *at);
/* Keep the first message for the result. */
void scan_keep_error(struct scan *s, const struct err *why);
/* ERR_CLOSED when the scan is to stop, else 0. */
int scan_check_stop(const struct scan *s) MUSTCHECK;
/* Progress, for whoever watches. */
void scan_got_on(const struct scan *s, uint64_t n);

/* opt->still of what was found; counts what is not. */
bool scan_is_still(struct scan *s, struct vstat now);

/* Bring the entry of one key up to date.  `seen` is the stat just taken, or
 * NULL.  0, or what ends the scan (ERR_NOMEM, ERR_CLOSED). */
int scan_key_update(struct scan *s, int dir_fd, const struct scan_name *at,
                    const struct vstat *seen) MUSTCHECK;
/* The key is there, but cannot be read. */
void scan_key_unreadable(struct scan *s, const struct scan_name *at,
                         struct err *why);
/* The walk passed it over. */
void scan_foreign(struct scan *s, const char *dir, const char *name,
                  enum passed_why why);
/* Look again at the keys that were busy; afterwards busy means SCAN_BUSY. */
int scan_key_retry(struct scan *s) MUSTCHECK;
