/* SPDX-License-Identifier: MIT
 *
 * cmd_status: `drover-replica status`: whose copy it is, how current it is and
 * who writes it, for any local user that may read the replica. */
#include <inttypes.h>
#include <string.h>

#include "store/base/cleanup.h"
#include "store/base/clock.h"
#include "store/base/units.h"
#include "store/base/utc.h"
#include "store/layout/fresh_age.h"
#include "sync/replica/commands/commands.h"
#include "sync/replica/commands/facts.h"

/* --- for people ------------------------------------------------------------- */

static void print_primary(FILE *out, const struct facts *f)
{
    char id[META_ID_TEXT];

    meta_id_text(f->role.db_id, id);
    (void)fprintf(out, "primary    %s\ndatabase   %s\nepoch      %" PRIu64 "\n",
                  f->dir, id, f->role.epoch);
}

static void print_text(FILE *out, const struct facts *f)
{
    char id[META_ID_TEXT] = "none yet";

    if (f->known) {
        meta_id_text(f->ident.db_id, id);
    }
    (void)fprintf(out, "replica    %s\ndatabase   %s\n", f->dir, id);
    if (f->known) {
        (void)fprintf(out, "epoch      %" PRIu64 "\n", f->ident.epoch);
    }
    if (f->fresh_known) {
        (void)fprintf(out,
                      "state      %s, sequence %" PRIu64 "\n"
                      "fresh      %s%s, %s on the primary's clock\n",
                      f->fresh.state, f->fresh.seq,
                      f->fresh.age_ns == FRESH_AGE_UNKNOWN
                          ? "unknown, for this host's clock was set back"
                          : DURATION_TEXT(f->fresh.age_ns),
                      f->fresh.age_ns == FRESH_AGE_UNKNOWN ? "" : " ago",
                      UTC_TEXT(f->fresh.fresh_ns));
    } else if (f->fresh_broken) {
        (void)fprintf(out,
                      "fresh      unknown: " META_DIR "/" META_FILE_FRESHNESS
                      " makes no sense; the primary's next heartbeat renews "
                      "it\n");
    } else {
        (void)fprintf(out, "fresh      never synced\n");
    }
    if (f->live > 0) {
        (void)fprintf(out, "receiver   live: pid %d since %s (replica %s)\n",
                      f->holder.pid, UTC_TEXT(f->holder.since_s * NS_PER_S),
                      f->holder.replica);
    } else {
        (void)fprintf(out, "receiver   %s\n",
                      f->live == 0 ? "none" : "unknown");
    }
    if (f->undone > 0) {
        (void)fprintf(out,
                      "undone     %" PRId64 " values are kept that the primary "
                      "undid after it had lost its last changes: "
                      "drover-replica undone list %s\n",
                      f->undone, f->dir);
    }
}

/* --- as JSON ---------------------------------------------------------------- */

static void put_identity(struct json_out *j, const struct facts *f)
{
    bool primary = f->role.role == ROLE_PRIMARY;
    char id[META_ID_TEXT];

    if (!primary && !f->known) {
        json_none(j, "database");
        return;
    }
    meta_id_text(primary ? f->role.db_id : f->ident.db_id, id);
    json_text(j, "role", primary ? "primary" : "replica");
    json_text(j, "database", id);
    json_uint(j, "epoch", primary ? f->role.epoch : f->ident.epoch);
    if (!primary) {
        json_uint(j, "watermark", f->ident.watermark);
    }
}

static void put_fresh(struct json_out *j, const struct facts *f)
{
    if (!f->fresh_known) {
        json_none(j, "equal_as_of");
        return;
    }
    json_text(j, "state", f->fresh.state);
    json_uint(j, "seq", f->fresh.seq);
    json_text(j, "equal_as_of", UTC_TEXT(f->fresh.fresh_ns));
    if (f->fresh.age_ns == FRESH_AGE_UNKNOWN) {
        json_none(j, "age_ms");
    } else {
        json_int(j, "age_ms", f->fresh.age_ns / NS_PER_MS);
    }
}

static void put_receiver(struct json_out *j, const struct facts *f)
{
    if (f->live < 0) {
        json_none(j, "receiver");
        return;
    }
    json_begin_object(j, "receiver");
    json_bool(j, "live", f->live > 0);
    if (f->live > 0) {
        json_int(j, "pid", f->holder.pid);
        json_text(j, "since", UTC_SECOND(f->holder.since_s));
        json_text(j, "replica", f->holder.replica);
    }
    json_end_object(j);
}

static void print_json(struct cmdline *line, const struct facts *f)
{
    CLEANUP(buf_deinit) struct buf b = BUF_NULL;
    struct json_out j = cmdline_json_begin(&b);

    json_uint(&j, "version", 1); /* of this object, before it had a schema */
    json_bytes(&j, "path", f->dir, strlen(f->dir));
    put_identity(&j, f);
    if (f->role.role != ROLE_PRIMARY) {
        put_fresh(&j, f);
        put_receiver(&j, f);
        if (f->undone >= 0) {
            json_int(&j, "undone", f->undone);
        }
    }
    cmdline_json_end(line, &j);
}

int cmd_status(struct cmdline *line)
{
    struct facts f;
    int rc = facts_gather(line, &f);

    if (rc != EXIT_GOOD) {
        return rc;
    }
    if (line->json) {
        print_json(line, &f);
    } else if (f.role.role == ROLE_PRIMARY) {
        print_primary(line->out, &f);
    } else {
        print_text(line->out, &f);
    }
    return f.role.role == ROLE_PRIMARY || f.fresh_known ? EXIT_GOOD
                                                        : EX_UNAVAILABLE;
}
