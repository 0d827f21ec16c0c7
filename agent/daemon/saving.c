/* SPDX-License-Identifier: MIT
 *
 * saving: the index, saved in the state directory so that the next start need
 * not read every value again.  What cannot be saved is tried again, and status
 * says so. */
#include <inttypes.h>
#include <string.h>

#include "agent/base/log.h"
#include "agent/daemon/daemon_impl.h"
#include "sync/errors/state.h"

#define INDEX_FILE IDENTITY_INDEX

enum {
    /* Older than that all of a save is trusted (UNPROVEN_NS, and a margin).
     */
    SAVE_AGED_MS = 3000,
};

/* What the index is of. */
static struct index_ident ident_of(const struct daemon *d)
{
    struct index_ident ident = {
        .root_dev = (uint64_t)d->root->db.dev,
        .root_ino = (uint64_t)d->root->db.ino,
    };

    memcpy(ident.db_id, d->self.id, sizeof ident.db_id);
    boot_now(d->root->db.root_fd, &ident.boot);
    return ident;
}

static void on_saved(void *arg, int rc, const struct err *err)
{
    struct daemon *d = arg;

    if (rc < 0) {
        d->saved.aged = false;
        d->saved.err = *err;
        d->saved.err.id = DR_STATE_DIR;
        (void)err_wrap(&d->saved.err, "save the index in %s",
                       d->config->state_dir);
        d->saved.changes = UINT64_MAX; /* save it again */
        log_event(LOG_WARNING, "save_failed", NULL, DR_STATE_DIR, "err=\"%s\"",
                  d->saved.err.msg);
    } else {
        d->saved.err = (struct err){0};
    }
    if (d->stop.begun) {
        d->life->stop_step(d);
    }
}

void daemon_save_index(struct daemon *d)
{
    if (!d->coverage.index_ready || d->root == NULL || scans_saving(d->scans)) {
        return;
    }
    uint64_t changes = index_changes(d->ix);
    bool same = changes == d->saved.changes;
    /* What is too young to be trusted is saved as such, and would be read again
     * after a restart: save once more when it has grown old. */
    if (same && (d->saved.aged || daemon_ms() - d->saved.ms < SAVE_AGED_MS)) {
        return;
    }
    d->saved.aged = same;
    d->saved.changes = changes;
    d->saved.ms = daemon_ms();
    struct index_ident ident = ident_of(d);
    scans_save(d->scans, d->state_fd, INDEX_FILE, &ident, on_saved, d);
}

void daemon_load_index(struct daemon *d)
{
    struct err err = {0};
    struct index_ident ident = ident_of(d);
    int rc = index_load(d->ix, d->state_fd, INDEX_FILE, &ident, &err);

    if (rc == 0) {
        log_event(LOG_INFO, "index_loaded", NULL, 0, "keys=%" PRIu64,
                  index_count(d->ix));
        d->saved.changes = index_changes(d->ix);
        d->saved.aged = true;
    } else if (rc != ERR_NOTFOUND) {
        log_event(LOG_NOTICE, "index_not_used", NULL, 0,
                  "err=\"%s\"; every value is read again", err.msg);
    }
}
