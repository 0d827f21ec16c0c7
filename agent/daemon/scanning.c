/* SPDX-License-Identifier: MIT
 *
 * scanning: when the database is scanned, what the end of a scan means, and
 * when the index is saved.
 *
 * Whoever lost events says daemon_index_stale(), and daemon_rescan() (or
 * daemon_scan(), when the watches are in order); nothing is claimed to be seen
 * until daemon_scan_ended() was told of a scan that began after that.
 */
#include <string.h>

#include "agent/base/log.h"
#include "agent/daemon/daemon_impl.h"
#include "sync/errors/state.h"

enum {
    /* Older than that all of a save is trusted (INDEX_YOUNG_NS, and a margin).
     */
    SAVE_SETTLED_MS = 3000,
    RESCAN_FAILED_MS = 10 * 1000,
};

bool daemon_sees_all(const struct daemon *d)
{
    struct watch_counts c;

    watch_counts(d->watch, &c);
    return d->root_state == ROOT_HERE && !d->debt && c.unwatched == 0 &&
           d->unread == 0;
}

void daemon_index_stale(struct daemon *d)
{
    d->index_ready = false;
    primary_index_stale(d->core);
    primary_compare_soon(d->core); /* doubts what is on its way, too */
}

void daemon_scan(struct daemon *d, bool debt)
{
    d->debt = d->debt || debt;
    d->scan_when_settled = false;
    if (d->config->rescan_ms > 0) {
        d->next_rescan_ms = daemon_ms() + d->config->rescan_ms;
    }
    scans_ask(d->scans, false, !d->scanned, NULL, NULL);
}

void daemon_rescan(struct daemon *d, bool debt)
{
    d->debt = d->debt || debt;
    d->scan_when_settled = true;
    watch_resync(d->watch);
}

/* --- a scan has ended ---------------------------------------------------- */

static int dr_of_scan(const struct scan_result *s)
{
    return s->first_code == ERR_NOTTABLE ? DR_COVERED : DR_UNREADABLE;
}

/* `unread`: what the scan before could not read, which was told then. */
static void log_scan(const struct scan_report *r, uint64_t unread)
{
    const struct scan_result *s = &r->result;

    if (r->rc < 0) {
        log_event(LOG_WARN, "scan_failed", NULL, r->err.id, "err=\"%s\"",
                  r->err.msg);
        return;
    }
    log_event(LOG_INFORM, "scan", NULL, 0,
              "keys=%llu tables=%llu read=%llu changed=%llu vanished=%llu "
              "left=%llu busy=%llu errors=%llu took=\"%s\"",
              (unsigned long long)s->counts.keys,
              (unsigned long long)s->counts.tables,
              (unsigned long long)s->reread, (unsigned long long)s->changed,
              (unsigned long long)s->vanished, (unsigned long long)s->left,
              (unsigned long long)s->busy, (unsigned long long)s->errors,
              DURATION_TEXT(r->took_ms * NS_PER_MS));
    if (s->errors > 0 || s->counts.incomplete != unread) {
        log_event(LOG_WARN, "scan_unreadable", NULL, dr_of_scan(s),
                  "keys=%llu tables=%llu err=\"%s\"",
                  (unsigned long long)s->errors,
                  (unsigned long long)s->counts.incomplete, s->first_error);
    }
}

/* Tables that cannot be read raise no event when they can be again, and what
 * was written there meanwhile raised none either. */
static void note_unread(struct daemon *d, const struct scan_report *r)
{
    const struct scan_result *s = &r->result;
    bool was = d->unread > 0;

    d->unread = s->counts.incomplete;
    d->unread_err = (struct err){0};
    if (d->unread > 0) {
        (void)err_set(&d->unread_err, ERR_PERM, 0,
                      "%llu tables or directories of the database cannot be "
                      "read: %.300s",
                      (unsigned long long)d->unread, s->first_error);
        d->unread_err.id = dr_of_scan(s);
    } else if (was) {
        daemon_rescan(d, true);
    }
}

/* A table that moves under a scan's hands leaves entries under the name it had.
 * The notes of them take these out again; the first scan makes none. */
static void scan_again(struct daemon *d, const struct scan_result *s)
{
    bool untold = !d->scanned || d->notes_missed;

    d->notes_missed = false;
    if (s->moved > 0 && untold && d->root_state == ROOT_HERE) {
        daemon_rescan(d, true);
    }
}

void daemon_scan_ended(struct daemon *d, const struct scan_report *r)
{
    log_scan(r, d->unread);
    d->last_scan = *r;
    d->last_scan_ms = daemon_ms();
    if (r->rc < 0) {
        if (d->root_state == ROOT_HERE) {
            d->next_rescan_ms = daemon_ms() + RESCAN_FAILED_MS;
        }
        return;
    }
    /* One that waits was asked for after this one began. */
    if (!scans_waiting(d->scans) && !d->scan_when_settled) {
        d->debt = false;
    }
    ignored_scanned(d->ignored, r->passed);
    scan_again(d, &r->result);
    d->scanned = true;
    note_unread(d, r);
    if (!d->index_ready && !d->debt) {
        d->index_ready = true;
        primary_index_ready(d->core, daemon_ms());
        daemon_save_index(d);
    } else if (r->result.changed > 0 || r->result.vanished > 0) {
        primary_compare_soon(d->core);
    }
    struct watch_counts c;
    watch_counts(d->watch, &c);
    /* Unwatched directories were seen as of the scan's beginning. */
    if (c.unwatched > 0 && d->unread == 0 && !d->debt &&
        d->root_state == ROOT_HERE) {
        primary_drained(d->core, r->began_wall_ns, daemon_ms());
    }
}

/* --- saving -------------------------------------------------------------- */

static void on_saved(void *arg, int rc, const struct err *err)
{
    struct daemon *d = arg;

    if (rc < 0) {
        d->saved_settled = false;
        d->state_err = *err;
        d->state_err.id = DR_STATE_DIR;
        (void)err_wrap(&d->state_err, "save the index in %s",
                       d->config->state_dir);
        d->saved_changes = UINT64_MAX; /* save it again */
        log_event(LOG_WARN, "save_failed", NULL, DR_STATE_DIR, "err=\"%s\"",
                  d->state_err.msg);
    } else {
        d->state_err = (struct err){0};
    }
    if (d->stopping) {
        d->life->stop_step(d);
    }
}

void daemon_save_index(struct daemon *d)
{
    if (!d->index_ready || d->root == NULL || scans_saving(d->scans)) {
        return;
    }
    uint64_t changes = index_changes(d->ix);
    bool same = changes == d->saved_changes;
    /* What is too young to be trusted is saved as such, and would be read again
     * after a restart: save once more when it has grown old. */
    if (same &&
        (d->saved_settled || daemon_ms() - d->saved_ms < SAVE_SETTLED_MS)) {
        return;
    }
    d->saved_settled = same;
    d->saved_changes = changes;
    d->saved_ms = daemon_ms();
    struct index_ident ident = {
        .root_dev = (uint64_t)d->root->db.dev,
        .root_ino = (uint64_t)d->root->db.ino,
    };
    memcpy(ident.db_id, d->id, sizeof ident.db_id);
    boot_now(d->root->db.root_fd, &ident.boot);
    scans_save(d->scans, d->state_fd, INDEX_FILE, &ident, on_saved, d);
}
