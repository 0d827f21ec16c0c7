/* SPDX-License-Identifier: MIT
 *
 * daemon_root: whose database is at the configured path, what happens when it
 * is gone, and when it is back.
 *
 * At the first start (no record in the state directory for this path) the id in
 * the root is taken on, or made.  From then on a root without that id is not
 * our database: nothing is read there, nothing deleted anywhere; the agent
 * waits, shows why, and looks again every second.
 * Coming back: open, check the id, watch, scan (until it is over nothing is
 * claimed to be seen), tell the core, compare.
 */
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "agent/base/log.h"
#include "agent/daemon/daemon_impl.h"
#include "store/base/hex.h"
#include "store/files/filesystem.h"

enum { IDENTITY_CHECK_MS = 5000, LIKENESS_MS = 30000 };

static void lost_because(struct daemon *d, const struct err *why)
{
    d->lost.err = *why;
    if (why->id != DR_IS_REPLICA) {
        d->lost.err.id = DR_NOT_OUR_DATABASE;
    }
}

/* It has no id at all: are its keys ours?  Asked now and then only, for it
 * reads. */
static bool lost_its_id(struct daemon *d, const struct root *root)
{
    uint8_t id[IDENTITY_BYTES];
    struct err err;

    if (identity_read(&root->db, id, &err) != ERR_NOTFOUND) {
        return false;
    }
    int64_t now_ms = daemon_ms();

    if (d->lost.likeness_ms == 0 ||
        now_ms - d->lost.likeness_ms > LIKENESS_MS) {
        d->lost.likeness =
            known_count(&root->db, d->ix, d->state_fd, d->self.id);
        d->lost.likeness_ms = now_ms;
    }
    return known_alike(&d->lost.likeness);
}

/* Why the root is not ours, and how to make it ours if it should be. */
static void not_ours(struct daemon *d, const struct root *root,
                     const struct err *why)
{
    char hex[IDENTITY_HEX_BYTES];

    if (why->id == DR_IS_REPLICA) {
        d->lost.err = *why;
        return;
    }
    if (lost_its_id(d, root)) {
        (void)err_set(&d->lost.err, ERR_GONE, 0,
                      "%.200s has no id any more, but %u of %u keys looked at "
                      "are those of database %s: if it is that one and only "
                      "its " META_DIR " was removed, or not restored with it, "
                      "run as its owner: drover init --id %s --state %.200s "
                      "%.200s",
                      d->config->path, d->lost.likeness.known,
                      d->lost.likeness.sampled,
                      hex_encode(hex, d->self.id, sizeof d->self.id), hex,
                      d->config->state_dir, d->config->path);
        d->lost.err.id = DR_NOT_OUR_DATABASE;
        return;
    }
    /* A disk that is not mounted looks like this: no word of a new start. */
    if (known_is_empty(&root->db)) {
        (void)err_set(&d->lost.err, ERR_GONE, 0,
                      "%.300s; there is no key in it: is its disk mounted?",
                      why->msg);
        d->lost.err.id = DR_NOT_OUR_DATABASE;
        return;
    }
    (void)err_set(&d->lost.err, ERR_GONE, 0,
                  "%.300s; if this is a new database, remove %.200s/%s and "
                  "restart the agent",
                  why->msg, d->config->state_dir, IDENTITY_RECORD);
    d->lost.err.id = DR_NOT_OUR_DATABASE;
}

/* The root is there: has it the right id?  Exit code, 0: yes, or lost. */
static int first_identity(struct daemon *d, struct root *root, bool known,
                          struct err *err)
{
    uint8_t id[IDENTITY_BYTES];

    if (known) {
        if (identity_check(&root->db, d->self.id, err) == 0) {
            return EXIT_GOOD;
        }
        /* Demoted: that does not come right by waiting. */
        if (err->id == DR_IS_REPLICA) {
            return EX_CONFIG;
        }
        not_ours(d, root, err);
        return EXIT_GOOD;
    }
    int rc = identity_make(&root->db, id, err);
    if (rc < 0 && err->id == DR_IS_REPLICA) {
        return EX_CONFIG;
    }
    if (rc < 0) {
        if (rc == ERR_PERM || rc == ERR_READONLY) {
            (void)err_set(err, rc, 0,
                          "%s has no id yet and the agent may not write one: "
                          "run once, as the owner: drover init %s",
                          d->config->path, d->config->path);
        }
        err->id = DR_NO_IDENTITY;
        return rc == ERR_PERM || rc == ERR_READONLY ? EX_NOPERM : EXIT_BAD;
    }
    memcpy(d->self.id, id, sizeof id);
    rc = identity_record(d->state_fd, d->config->path, id, err);
    if (rc < 0) {
        err->id = DR_STATE_DIR;
        return EXIT_BAD;
    }
    char hex[IDENTITY_HEX_BYTES];
    log_event(LOG_NOTICE, rc == IDENTITY_THERE ? "identity" : "identity_new",
              NULL, 0, "database=%s id=%s", d->config->path,
              hex_encode(hex, id, sizeof id));
    return EXIT_GOOD;
}

static int open_failed(struct daemon *d, bool known, struct err *err)
{
    if (known) {
        d->lost.err = *err;
        d->lost.err.id = DR_NOT_OUR_DATABASE;
        return EXIT_GOOD;
    }
    err->id = DR_NOT_OUR_DATABASE;
    return err->code == ERR_PERM                                    ? EX_NOPERM
           : err->code == ERR_NOTFOUND || err->code == ERR_NOTTABLE ? EX_CONFIG
                                                                    : EXIT_BAD;
}

/* Whose term it is that sessions will speak of. */
static int read_term(struct daemon *d, struct root *root, struct err *err)
{
    root_hold(root);
    if (identity_epoch(&root->db, &d->self.epoch, err) < 0 ||
        identity_origin(&root->db, d->self.origin, err) < 0) {
        return err->code;
    }
    /* For a database that loses it (known.h); without it somebody has to look.
     */
    if (identity_record_epoch(d->state_fd, d->self.epoch, err) < 0) {
        log_event(LOG_WARNING, "epoch_not_recorded", NULL, DR_STATE_DIR,
                  "err=\"%s\"", err->msg);
    }
    /* Held or not: what was read is of a primary. */
    return identity_check(&root->db, d->self.id, err);
}

/* The origin, and then what is random per process. */
void daemon_instance(const struct daemon *d, uint8_t out[16])
{
    memcpy(out, d->self.instance, sizeof d->self.instance);
    memcpy(out, d->self.origin, sizeof d->self.origin);
}

static void report_term(struct daemon *d)
{
    uint8_t instance[16];

    daemon_instance(d, instance);
    primary_set_term(d->core, d->self.epoch, instance);
}

int daemon_root_first(struct daemon *d, struct err *err)
{
    d->self.epoch = 1;
    int rc = identity_recall(d->state_fd, d->config->path, d->self.id, err);
    if (rc < 0 && rc != ERR_NOTFOUND) {
        err->id = DR_STATE_DIR;
        return EXIT_BAD;
    }
    bool known = rc == 0;
    struct root *root = root_open(d->config->path, err);
    if (root == NULL) {
        return open_failed(d, known, err);
    }
    int code = first_identity(d, root, known, err);
    if (code != EXIT_GOOD || d->lost.err.code != 0) {
        root_unref(root);
        return code;
    }
    if (read_term(d, root, err) < 0) {
        root_unref(root);
        return EX_CONFIG;
    }
    memcpy(root->id, d->self.id, sizeof root->id);
    d->root = root;
    return EXIT_GOOD;
}

/* Changes that nobody tells of are found by scans alone: what status, wait and
 * verify claim is bounded by that, and they say so. */
static void judge_filesystem(struct daemon *d)
{
    char name[FILESYSTEM_BYTES];
    bool poor;

    (void)filesystem_name(d->root->db.root_fd, name, &poor);
    d->poor_err = (struct err){0};
    if (!poor) {
        return;
    }
    (void)err_set(&d->poor_err, ERR_IO, 0,
                  "%s is on %s: changes made by other hosts (or below it) are "
                  "not seen at once, only by the periodic scan",
                  d->config->path, name);
    d->poor_err.id = DR_POOR_FILESYSTEM;
    log_event(LOG_WARNING, "poor_filesystem", NULL, DR_POOR_FILESYSTEM, "%s",
              d->poor_err.msg);
}

void daemon_root_start(struct daemon *d)
{
    struct err err = {0};

    assert(d->root != NULL);
    judge_filesystem(d);
    if (!d->coverage.root_seen) {
        daemon_load_index(d);
        unclean_start(&d->unclean, d->root->db.root_fd);
    }
    coverage_root_found(&d->coverage);
    d->identity_checked_ms = daemon_ms();
    if (d->mounts != NULL) {
        mounts_set_root(d->mounts, d->config->path);
    }
    reader_set_root(d->reader, d->root);
    scans_set_root(d->scans, d->root);
    if (watch_start(d->watch, &d->root->db, &err) < 0) {
        daemon_root_lost(d, &err);
    }
}

void daemon_root_watched(struct daemon *d)
{
    struct watch_counts c;

    watch_counts(d->watch, &c);
    log_event(LOG_INFO, "watching", NULL, 0, "directories=%zu tables=%zu",
              c.watched, c.tables);
    struct coverage_back back = coverage_root_here(&d->coverage);
    d->lost.err = (struct err){0};
    if (back.was_missed) {
        primary_root_back(d->core, daemon_ms());
        log_event(LOG_NOTICE, "root_back", NULL, 0, "%s is back",
                  d->config->path);
    }
    if (back.was_here) {
        daemon_index_stale(d);
    }
    daemon_scan(d, true);
    daemon_dirty(d);
    d->life->open_doors(d);
}

void daemon_root_lost(struct daemon *d, const struct err *why)
{
    if (d->coverage.root == ROOT_LOST && d->root == NULL) {
        return;
    }
    lost_because(d, why);
    log_event(LOG_ERR, "root_lost", NULL, d->lost.err.id,
              "err=\"%s\"; nothing is read or deleted until it is back",
              why->msg);
    coverage_root_lost(&d->coverage);
    primary_root_lost(d->core, why->msg);
    daemon_dirty(d);
    watch_stop(d->watch);
    reader_set_root(d->reader, NULL);
    scans_set_root(d->scans, NULL);
    root_unref(d->root);
    d->root = NULL;
}

/* The root is back and has the right id.  Sessions carry the epoch and the
 * origin that they began with: a new term, or another directory in the old
 * one's place, is told only by a new process. */
static void take_back(struct daemon *d, struct root *root)
{
    uint8_t origin[IDENTITY_ORIGIN_BYTES];
    uint64_t epoch = d->self.epoch;
    struct err err = {0};

    memcpy(origin, d->self.origin, sizeof origin);
    if (read_term(d, root, &err) < 0) {
        not_ours(d, root, &err);
        root_unref(root);
        return;
    }
    memcpy(root->id, d->self.id, sizeof root->id);
    d->root = root;
    if (!d->coverage.root_seen) {
        report_term(d);
    } else if (epoch != d->self.epoch ||
               memcmp(origin, d->self.origin, sizeof origin) != 0) {
        log_event(LOG_NOTICE, "epoch", NULL, 0,
                  "the database's epoch is %" PRIu64 " now%s: restarting",
                  d->self.epoch,
                  epoch == d->self.epoch ? ", in another directory than before"
                                         : "");
        d->life->stop(d, EXIT_BAD);
        return;
    }
    daemon_root_start(d);
}

/* Is it back?  Quietly, since this is tried every second. */
static void try_again(struct daemon *d)
{
    struct err err = {0};
    struct root *root = root_open(d->config->path, &err);

    if (root == NULL) {
        lost_because(d, &err);
    } else if (identity_check(&root->db, d->self.id, &err) < 0) {
        not_ours(d, root, &err);
        root_unref(root);
    } else {
        take_back(d, root);
    }
}

/* Was it given a higher epoch, by somebody who did not see this agent? */
static bool is_new_term(struct daemon *d)
{
    uint64_t epoch;
    struct err err;

    if (identity_epoch(&d->root->db, &epoch, &err) < 0 ||
        epoch == d->self.epoch) {
        return false;
    }
    log_event(LOG_NOTICE, "epoch", NULL, 0,
              "the database's epoch is %" PRIu64 " now: restarting", epoch);

    return true;
}

/* Directories without a watch are scanned instead, and those that cannot be
 * read are tried again. */
static void poll_unwatched(struct daemon *d)
{
    struct watch_counts c;

    watch_counts(d->watch, &c);
    if (!scans_busy(d->scans) &&
        coverage_poll_due(&d->coverage, c.unwatched, daemon_ms())) {
        daemon_rescan(d, false);
    }
}

/* What changed since the scan that told what is no key. */
static void count_ignored(struct daemon *d)
{
    struct watch_counts c;

    watch_counts(d->watch, &c);
    if (d->coverage.index_ready && !scans_busy(d->scans)) {
        ignored_tick(d->ignored, d->root, c.events, daemon_ms());
    }
}

void daemon_root_second(struct daemon *d)
{
    int64_t now_ms = daemon_ms();

    if (d->stop.begun) {
        return;
    }
    if (d->coverage.root == ROOT_LOST) {
        try_again(d);
        return;
    }
    watch_check_root(d->watch);
    if (d->coverage.root != ROOT_HERE) {
        return;
    }
    if (now_ms - d->identity_checked_ms >= IDENTITY_CHECK_MS) {
        struct err err = {0};
        d->identity_checked_ms = now_ms;
        root_hold(d->root);
        if (identity_check(&d->root->db, d->self.id, &err) < 0) {
            daemon_root_lost(d, &err);
            return;
        }
        if (is_new_term(d)) {
            d->life->stop(d, EXIT_BAD);
            return;
        }
    }
    if (!scans_busy(d->scans) && coverage_due(&d->coverage, now_ms)) {
        daemon_rescan(d, false);
        return;
    }
    /* Nothing could be listed, so nothing will settle. */
    if (coverage_waits(&d->coverage) &&
        watch_marker_passed(d->watch, watch_marker(d->watch))) {
        daemon_scan(d, false);
    }
    poll_unwatched(d);
    count_ignored(d);
}
