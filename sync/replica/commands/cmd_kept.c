/* SPDX-License-Identifier: MIT
 *
 * cmd_kept: `drover-replica kept`: the values of a demoted primary that the new
 * one does not have: listed, copied elsewhere, or removed. */
#include <inttypes.h>
#include <string.h>

#include "store/base/cleanup.h"
#include "store/base/quote.h"
#include "store/base/units.h"
#include "sync/replica/commands/commands.h"
#include "sync/replica/role/restore.h"
#include "sync/replica/role/role.h"

/* What `kept` is asked for. */
struct kept_job {
    struct cmdline *line;
    const char *dir;
    bool remove;
    const char *out; /* restore there */
    struct db db;
    uint64_t restored;
    struct buf json;
    struct json_out j; /* into it; with --json */
    bool any, differs, complete;
};

static void put_key(struct kept_job *job, struct bytes table, struct bytes key,
                    bool gone)
{
    if (!job->line->json) {
        (void)fprintf(job->line->out, "%s  %s%s%s\n",
                      gone ? "gone     " : "different",
                      table.len > 0 ? QUOTED_TABLE(table.p, table.len) : "",
                      table.len > 0 ? " " : "", QUOTED(key.p, key.len));
        return;
    }
    json_begin_object(&job->j, NULL);
    json_text(&job->j, "now", gone ? "gone" : "different");
    json_bytes(&job->j, "table", table.p, table.len);
    json_bytes(&job->j, "key", key.p, key.len);
    json_end_object(&job->j);
}

static int on_key(void *arg, struct bytes table, struct bytes key, bool gone,
                  int fd, struct err *err)
{
    struct kept_job *job = arg;

    put_key(job, table, key, gone);
    if (job->out == NULL) {
        return 0;
    }
    int rc = restore_value(&job->db, table, key, fd, err);
    job->restored += rc == 0;
    return rc;
}

/* Is what the new primary has here yet? */
static bool is_caught_up(const struct meta *m, uint64_t epoch)
{
    struct meta_freshness f;
    struct role_facts facts;
    struct err err;

    return role_inspect(m->fd, &facts, &err) == 0 &&
           (facts.role == ROLE_PRIMARY ||
            (meta_freshness_read(m->fd, &f, &err) == 0 && f.fresh_ns > 0 &&
             f.epoch > epoch));
}

static void print_counts(struct kept_job *job, uint64_t epoch,
                         const struct role_kept *k)
{
    FILE *out = job->line->out;

    (void)fprintf(out,
                  "%s/" META_DIR "/" META_KEPT "%" PRIu64 ": %" PRIu64
                  " values; now gone %" PRIu64 ", different %" PRIu64 "\n",
                  job->dir, epoch, k->values, k->gone, k->different);
    if (k->added > 0) {
        (void)fprintf(out,
                      "keys here now that were not among them: %" PRIu64
                      " (new since, or deleted here and never sent)\n",
                      k->added);
    }
}

static void put_counts(struct json_out *j, const struct role_kept *k)
{
    json_end_array(j);
    json_uint(j, "values", k->values);
    json_uint(j, "gone", k->gone);
    json_uint(j, "different", k->different);
    json_uint(j, "added", k->added);
}

/* An epoch's values, compared with what is here now. */
static int compare_one(struct meta *m, uint64_t epoch, struct kept_job *job,
                       struct err *err)
{
    struct role_kept k;
    bool json = job->line->json;

    if (!json && !is_caught_up(m, epoch)) {
        (void)fprintf(job->line->out,
                      "%s: has not caught up with its new primary yet: this "
                      "list is not complete\n",
                      job->dir);
    }
    if (json) {
        json_begin_array(&job->j, "differs");
    }
    int rc = role_kept_compare(m, epoch, on_key, job, &k, err);
    if (rc != 0) {
        return rc;
    }
    if (json) {
        put_counts(&job->j, &k);
    } else {
        print_counts(job, epoch, &k);
    }
    job->differs = job->differs || k.gone + k.different > 0;
    return 0;
}

static int do_one(struct meta *m, uint64_t epoch, struct kept_job *job,
                  struct err *err)
{
    bool json = job->line->json;

    job->any = true;
    job->complete = job->complete && is_caught_up(m, epoch);
    if (json) {
        json_begin_object(&job->j, NULL);
        json_uint(&job->j, "epoch", epoch);
    }
    int rc = job->remove ? role_kept_remove(m, epoch, err)
                         : compare_one(m, epoch, job, err);
    if (json) {
        json_end_object(&job->j);
    }
    return rc;
}

static void report_text(const struct kept_job *job)
{
    const char *path = QUOTED(job->dir, strlen(job->dir));
    FILE *out = job->line->out;

    if (!job->any) {
        (void)fprintf(out, "%s: no values are kept\n", job->dir);
        return;
    }
    if (job->remove) {
        return;
    }
    if (job->out != NULL) {
        (void)fprintf(out,
                      "%s values, as listed, are in %s now, laid out as a "
                      "database\n"
                      "bring one back by setting it on the present primary:\n"
                      "          drover-kv %s get KEY --table TABLE\n",
                      COUNT_TEXT(job->restored), job->out, job->out);
    } else if (job->differs) {
        (void)fprintf(out, "read them drover-replica kept --restore OUT %s\n",
                      path);
    }
    (void)fprintf(out, "remove    drover-replica kept --remove %s\n", path);
}

static void report_json(struct kept_job *job)
{
    json_end_array(&job->j);
    json_bool(&job->j, "complete", job->complete);
    json_bool(&job->j, "removed", job->remove && job->any);
    if (job->out != NULL) {
        json_uint(&job->j, "restored", job->restored);
    }
    cmdline_json_end(job->line, &job->j);
}

static int kept_all(struct meta *m, struct kept_job *job)
{
    struct err err = {0};
    uint64_t epoch = 0;
    int rc = 0;
    int next = 0;

    if (job->line->json) {
        job->j = commands_json(&job->json, job->dir);
        json_begin_array(&job->j, "kept");
    }
    while (rc >= 0 &&
           (next = role_kept_next(m->fd, epoch, &epoch, &err)) == 0) {
        rc = do_one(m, epoch, job, &err);
    }
    if (rc < 0 || next != ERR_NOTFOUND) {
        return commands_refused(job->line, job->dir, &err);
    }
    if (job->line->json) {
        report_json(job);
    } else {
        report_text(job);
    }
    return !job->remove && !job->complete ? EX_UNAVAILABLE
           : job->differs                 ? EXIT_BAD
                                          : EXIT_GOOD;
}

static int kept(struct kept_job *job)
{
    struct err err = {0};
    struct meta m;
    char room[PATH_MAX];
    int rc = role_open(&m, job->dir, &err);

    job->dir = commands_whole_path(job->dir, room);
    if (rc < 0) {
        return commands_refused(job->line, job->dir, &err);
    }
    if (job->out != NULL && restore_open(&job->db, job->out, &err) < 0) {
        meta_close(&m);
        return commands_refused(job->line, job->out, &err);
    }
    int code = kept_all(&m, job);
    if (job->out != NULL) {
        db_close(&job->db);
    }
    meta_close(&m);
    return code;
}

int cmd_kept(struct cmdline *line)
{
    const struct replica_line *l = replica_line_of(line);
    struct kept_job job = {.line = line,
                           .dir = line->words[0],
                           .remove = l->remove,
                           .out = l->out,
                           .json = BUF_NULL,
                           .complete = true};

    if (job.remove && job.out != NULL) {
        return cmdline_fail_usage(line, "use --remove or --restore, not both");
    }
    int code = kept(&job);
    buf_deinit(&job.json);
    return code;
}
