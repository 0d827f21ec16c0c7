/* SPDX-License-Identifier: MIT
 *
 * scanning: scans of the database, as coverage.c says, and what the core is
 * told of them.
 */
#include "agent/base/log.h"

#include "agent/daemon/daemon_impl.h"
#include "sync/errors/state.h"
#include <inttypes.h>

bool daemon_sees_all(const struct daemon *d)
{
    struct watch_counts c;

    watch_counts(d->watch, &c);
    return coverage_sees_all(&d->coverage, c.unwatched);
}

void daemon_index_stale(struct daemon *d)
{
    coverage_stale(&d->coverage);
    primary_index_stale(d->core);
    primary_compare_soon(d->core); /* doubts what is on its way, too */
}

void daemon_events_lost(struct daemon *d)
{
    daemon_index_stale(d);
    coverage_wait(&d->coverage, true);
}

void daemon_scan(struct daemon *d, bool scan_due)
{
    bool first = coverage_scan(&d->coverage, scan_due, daemon_ms(),
                               d->config->rescan_ms);

    scans_ask(d->scans, false, first, NULL, NULL);
}

void daemon_rescan(struct daemon *d, bool scan_due)
{
    coverage_wait(&d->coverage, scan_due);
    watch_resync(d->watch);
}

/* What a mount hides is neither there nor gone, and what has come to light may
 * have changed unseen. */
void daemon_mounts_changed(void *arg)
{
    struct daemon *d = arg;

    daemon_dirty(d);
    if (d->coverage.root == ROOT_LOST) {
        return; /* all is looked at when it is back */
    }
    log_event(LOG_NOTICE, "mounts", NULL, 0,
              "something was mounted or unmounted in %s: scanning",
              d->config->path);
    daemon_index_stale(d);
    daemon_rescan(d, true);
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
        log_event(LOG_WARNING, "scan_failed", NULL, r->err.id, "err=\"%s\"",
                  r->err.msg);
        return;
    }
    log_event(
        LOG_INFO, "scan", NULL, 0,
        "keys=%" PRIu64 " tables=%" PRIu64 " read=%" PRIu64 " changed=%" PRIu64
        " vanished=%" PRIu64 " "
        "left=%" PRIu64 " busy=%" PRIu64 " errors=%" PRIu64 " took=\"%s\"",
        s->counts.keys, s->counts.tables, s->reread, s->changed, s->vanished,
        s->left, s->busy, s->errors, DURATION_TEXT(r->took_ms * NS_PER_MS));
    if (s->errors > 0 ||
        (s->counts.incomplete > 0 && s->counts.incomplete != unread)) {
        log_event(LOG_WARNING, "scan_unreadable", NULL, dr_of_scan(s),
                  "keys=%" PRIu64 " tables=%" PRIu64 " err=\"%s\"", s->errors,
                  s->counts.incomplete, s->first_error);
    }
}

static void note_unread(struct daemon *d, const struct scan_result *s)
{
    d->unread_err = (struct err){0};
    if (s->counts.incomplete > 0) {
        (void)err_set(&d->unread_err, ERR_PERM, 0,
                      "%" PRIu64
                      " tables or directories of the database cannot be "
                      "read: %.300s",
                      s->counts.incomplete, s->first_error);
        d->unread_err.id = dr_of_scan(s);
    }
}

/* What coverage.c wants because of it. */
static void go_on(struct daemon *d, const struct coverage_next *next,
                  const struct scan_result *s)
{
    if (next->moved) {
        watch_resync(d->watch);
    }
    note_unread(d, s);
    if (next->readable) {
        log_event(LOG_NOTICE, "scan_readable", NULL, 0,
                  "all tables and directories can be read again");
        watch_resync(d->watch);
    }
    if (next->ready) {
        primary_index_ready(d->core, daemon_ms());
        daemon_save_index(d);
    } else if (s->changed > 0 || s->vanished > 0) {
        primary_compare_soon(d->core);
    }
}

void daemon_scan_ended(struct daemon *d, const struct scan_report *r)
{
    log_scan(r, d->coverage.unread);
    d->last_scan = *r;
    if (r->rc < 0) {
        coverage_scan_failed(&d->coverage, daemon_ms(), r->took_ms);
        return;
    }
    const struct coverage_scan scan = {
        .incomplete = r->result.counts.incomplete,
        .moved = r->result.moved > 0,
        .another = scans_waiting(d->scans),
        .took_ms = r->took_ms,
    };
    struct coverage_next next =
        coverage_scan_ended(&d->coverage, daemon_ms(), &scan);
    ignored_scanned(d->ignored, r->passed);
    go_on(d, &next, &r->result);
    struct watch_counts c;
    watch_counts(d->watch, &c);
    if (c.unwatched > 0 && coverage_scanned_all(&d->coverage)) {
        primary_drained(d->core, r->began_wall_ns, daemon_ms());
    }
}
