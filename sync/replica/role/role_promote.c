/* SPDX-License-Identifier: MIT
 *
 * role_promote: a replica becomes the primary (see role.h).
 *
 * Before the step that counts, id and epoch are only strange files in a
 * replica: receivers go on with the old primary, agents refuse the directory.
 * After it no receiver can come back: it finds an id and no `replica`, also one
 * that waited for the lock all the time. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "store/base/cleanup.h"
#include "store/base/quote.h"
#include "store/base/rand.h"
#include "store/base/sys.h"
#include "sync/errors/state.h"
#include "sync/replica/disk/old_stage.h"
#include "sync/replica/role/role.h"

static const struct small_how small = {
    .mode = 0644, .group = (gid_t)-1, .durable = true, .like_dir = true};

/* --- what is not a primary's --------------------------------------------- */

static int gone(int at, const char *name, int flags, struct err *err)
{
    if (unlinkat(at, name, flags) != 0 && errno != ENOENT) {
        return err_sys(err, errno, "remove " META_DIR "/%s", name);
    }
    return 0;
}

/* Left are id, epoch, what tells of the promotion, and the lock file: a
 * receiver that waits for it must find itself refused, not alone. */
static int clean_up(int meta_fd, struct err *err)
{
    static const char *const names[] = {META_FILE_FRESHNESS, META_FILE_APPLIED,
                                        META_FILE_INDEX, META_FILE_TAKEOVER};
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < sizeof names / sizeof names[0]; i++) {
        rc = gone(meta_fd, names[i], 0, err);
    }
    if (rc == 0) {
        rc = old_stage_remove(meta_fd, err);
    }
    if (rc == 0 && sys_fsync(meta_fd) != 0) {
        rc = err_sys(err, errno, "sync " META_DIR);
    }
    return rc;
}

/* --- the record of it ---------------------------------------------------- */

static int write_record(int meta_fd, const struct role_promoted *p,
                        struct err *err)
{
    char text[META_TEXT_MAX];
    int n = snprintf(text, sizeof text,
                     "epoch=%" PRIu64 " was=%" PRIu64 " seq=%" PRIu64
                     " fresh_ns=%" PRId64 " state=%s\n",
                     p->epoch, p->was, p->fresh.seq,
                     p->fresh_known ? p->fresh.fresh_ns : 0,
                     p->fresh_known ? p->fresh.state : "unknown");

    return meta_replace(meta_fd, META_FILE_PROMOTED, text, (size_t)n, &small,
                        err);
}

/* What an earlier promotion to this epoch wrote down, if it did. */
static void read_record(int meta_fd, uint64_t epoch, struct role_promoted *out)
{
    char text[META_TEXT_MAX];
    struct err err;
    struct role_promoted p = {.epoch = 0};

    if (meta_read(meta_fd, META_FILE_PROMOTED, text, sizeof text, NULL, &err) !=
            0 ||
        sscanf(text,
               "epoch=%" SCNu64 " was=%" SCNu64 " seq=%" SCNu64
               " fresh_ns=%" SCNd64 " state=%15[a-z]",
               &p.epoch, &p.was, &p.fresh.seq, &p.fresh.fresh_ns,
               p.fresh.state) != 5 ||
        p.epoch != epoch) {
        return;
    }
    p.fresh_known = p.fresh.fresh_ns > 0;

    *out = p;
}

/* --- the change ---------------------------------------------------------- */

static int write_epoch(int meta_fd, uint64_t epoch, struct err *err)
{
    char text[32];
    int n = snprintf(text, sizeof text, "%" PRIu64 "\n", epoch);

    return meta_replace(meta_fd, META_FILE_EPOCH, text, (size_t)n, &small, err);
}

static int become_primary(struct meta *m, const uint8_t db_id[META_ID_BYTES],
                          const struct role_promoted *p, struct err *err)
{
    char id[META_ID_TEXT + 1];

    meta_id_text(db_id, id);
    id[META_ID_TEXT - 1] = '\n';
    int rc = write_record(m->fd, p, err);
    if (rc == 0) {
        rc = write_epoch(m->fd, p->epoch, err);
    }
    if (rc == 0) {
        rc = meta_replace(m->fd, META_FILE_PRIMARY, id, META_ID_TEXT, &small,
                          err);
    }
    /* As on any primary: its root decides who may look. */
    if (rc == 0 && fchmod(m->fd, 0755) != 0) {
        rc = err_sys(err, errno, "chmod " META_DIR);
    }
    /* The step that counts. */
    if (rc == 0) {
        rc = gone(m->fd, META_FILE_REPLICA, 0, err);
    }
    if (rc == 0 && sys_fsync(m->fd) != 0) {
        rc = err_sys(err, errno, "sync " META_DIR);
    }
    return rc;
}

/* --- may it -------------------------------------------------------------- */

/* Ask as a newcomer: a receiver whose agent has fallen silent leaves.  By force
 * as a newcomer with a higher epoch, before which every receiver leaves. */
static int take_over(const struct meta *m, struct session *s,
                     const struct meta_ident *ident, bool force,
                     struct err *err)
{
    struct wire_hello hello = {.epoch = ident->epoch + (force ? 1 : 0),
                               .replica = bytes_of("promote", 7)};

    memcpy(hello.db_id, ident->db_id, sizeof hello.db_id);
    int rc = rand_bytes(hello.instance, sizeof hello.instance, err);
    if (rc == 0) {
        rc = session_lock(s, &hello, SESSION_TAKEOVER_MS, err);
    }
    if (rc == 0 || err->id != DR_RECEIVER_BUSY) {
        return rc;
    }
    struct err live = *err;
    (void)err_set(err, ERR_REFUSED, 0,
                  force ? "%.300s; it does not leave: is it stopped? end it, "
                          "then promote again: kill -KILL PID%s"
                        : "%.300s; its primary is still there: stop the "
                          "application and the agent on the primary's host "
                          "first; if that host cannot be reached: "
                          "drover-replica promote --force %s",
                  live.msg, force ? "" : QUOTED_STR(m->db.path));
    err->id = DR_RECEIVER_BUSY;
    return err->code;
}

/* What replicas would refuse is not begun. */
static int refuse_jump(uint64_t was, uint64_t epoch, struct err *err)
{
    (void)err_set(err, ERR_REFUSED, 0,
                  "--epoch %" PRIu64 " is too far above %" PRIu64
                  ": replicas take at most %" PRIu64 " after it",
                  epoch, was, was == 0 ? TERM_FIRST_MAX : was + TERM_JUMP_MAX);
    err->id = DR_EPOCH_JUMP;
    return err->code;
}

static int choose_epoch(const struct meta_ident *ident,
                        const struct role_promote *o, uint64_t *out,
                        struct err *err)
{
    if (ident->epoch == 0 && o->epoch == 0) {
        return err_set(err, ERR_REFUSED, 0,
                       "it has never met its primary, so the epoch to begin is "
                       "not known: give one higher than the primary's (drover "
                       "status there) with --epoch N");
    }
    if (o->epoch != 0 && o->epoch <= ident->epoch) {
        return err_set(err, ERR_REFUSED, 0,
                       "--epoch %" PRIu64 " is not higher than %" PRIu64
                       ", which it has followed",
                       o->epoch, ident->epoch);
    }
    if (o->epoch != 0 && !term_is_near(ident->epoch, o->epoch)) {
        return refuse_jump(ident->epoch, o->epoch, err);
    }
    if (ident->epoch == UINT64_MAX) {
        return err_set(err, ERR_REFUSED, 0,
                       "its epoch is the highest possible");
    }
    *out = o->epoch != 0 ? o->epoch : ident->epoch + 1;
    return 0;
}

/* A heartbeat of its primary's has told once that it was whole; the sequence
 * that came with it is saved now and then. */
static bool was_whole(const struct role_facts *f)
{
    return f->ident.watermark > 0;
}

/* Not known to be a whole copy: say what may be known, and what leads on. */
static int not_whole(const struct meta *m, const struct role_facts *f,
                     struct err *err)
{
    const char *dir = QUOTED_STR(m->db.path);

    if (was_whole(f)) {
        return err_set(
            err, ERR_REFUSED, 0,
            "until when it has everything is not known, because " META_DIR
            "/" META_FILE_FRESHNESS " is missing or makes no sense; it was a "
            "whole copy at sequence %" PRIu64 "; if other replicas show a time "
            "(drover-replica status DIR there), promote the one with the "
            "latest; if none does, this one: drover-replica promote --force "
            "%.200s",
            f->ident.watermark, dir);
    }
    return err_set(err, ERR_REFUSED, 0,
                   "it never was a whole copy of %s: keys are missing or of "
                   "different times; promote another replica, or this one "
                   "as it is: drover-replica promote --force %.200s",
                   f->epoch > 1 ? "its present primary" : "its primary", dir);
}

static int promote_replica(struct meta *m, const struct role_promote *o,
                           struct role_promoted *out, struct err *err)
{
    struct role_facts f;

    /* Under the lock: a receiver may have changed it until now. */
    int rc = role_inspect(m->fd, &f, err);
    if (rc == 0 && f.role != ROLE_REPLICA) {
        rc = err_set(err, ERR_REFUSED, 0, "its role changed meanwhile");
    }
    if (rc == 0) {
        out->was = f.epoch;
        rc = choose_epoch(&f.ident, o, &out->epoch, err);
    }
    if (rc != 0) {
        return rc;
    }
    rc = meta_freshness_read(m->fd, &out->fresh, err);
    out->fresh_known =
        rc == 0 && out->fresh.fresh_ns > 0 && out->fresh.epoch == f.epoch;
    if (!out->fresh_known && !o->force) {
        return not_whole(m, &f, err);
    }
    return become_primary(m, f.db_id, out, err);
}

static int raise_epoch(struct meta *m, const struct role_facts *f,
                       const struct role_promote *o, struct role_promoted *out,
                       struct err *err)
{
    CLEANUP(role_hold_end)
    struct role_hold hold = {.agent_fd = -1, .id_fd = -1};

    out->was = out->epoch = f->epoch;
    if (o->epoch == 0 || o->epoch == f->epoch) {
        read_record(m->fd, f->epoch, out);
        return 0;
    }
    if (o->epoch < f->epoch) {
        return err_set(err, ERR_REFUSED, 0,
                       "it is a primary with epoch %" PRIu64
                       ", and an epoch never goes back",
                       f->epoch);
    }
    if (!term_is_near(f->epoch, o->epoch)) {
        return refuse_jump(f->epoch, o->epoch, err);
    }
    int rc = role_hold_primary(m, &hold, err);
    if (rc == 0) {
        out->epoch = o->epoch;
        rc = write_epoch(m->fd, o->epoch, err);
    }
    return rc;
}

int role_promote(struct meta *m, const struct role_promote *o,
                 struct role_promoted *out, struct err *err)
{
    struct role_facts f;

    *out = (struct role_promoted){.epoch = 0};
    int rc = role_inspect(m->fd, &f, err);
    if (rc != 0) {
        return rc;
    }
    if (f.role == ROLE_NONE) {
        return err_set(err, ERR_REFUSED, 0,
                       "it is neither a primary nor a replica (a database that "
                       "is to become one: drover init)");
    }
    if (f.role == ROLE_PRIMARY) {
        rc = raise_epoch(m, &f, o, out, err);
        if (rc == 0) {
            rc = clean_up(m->fd, err);
        }
        return rc != 0 ? rc : ROLE_THERE;
    }
    struct session s;
    session_init(&s, m->fd);
    rc = take_over(m, &s, &f.ident, o->force, err);
    if (rc == 0) {
        rc = promote_replica(m, o, out, err);
    }
    if (rc == 0) {
        rc = clean_up(m->fd, err);
    }
    session_deinit(&s);
    return rc;
}
