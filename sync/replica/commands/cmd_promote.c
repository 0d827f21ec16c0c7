/* SPDX-License-Identifier: MIT
 *
 * cmd_promote: `drover-replica promote`: what the new primary has, what may be
 * missing, and what to type next.  What it does is in role.h. */
#include <errno.h>
#include <grp.h>
#include <inttypes.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "store/base/cleanup.h"
#include "store/base/clock.h"
#include "store/base/quote.h"
#include "store/base/utc.h"
#include "sync/replica/commands/commands.h"
#include "sync/replica/role/role.h"

static const char *user_name(uid_t uid, char room[32])
{
    const struct passwd *p = getpwuid(uid);

    (void)snprintf(room, 32, "%ju", (uintmax_t)uid);
    return p != NULL ? p->pw_name : room;
}

static const char *group_name(gid_t gid, char room[32])
{
    const struct group *g = getgrgid(gid);

    (void)snprintf(room, 32, "%ju", (uintmax_t)gid);
    return g != NULL ? g->gr_name : room;
}

/* What of the old primary is here, and what may be missing. */
static void report_copy(FILE *out, const struct role_promoted *p)
{
    if (!p->fresh_known) {
        (void)fprintf(out,
                      "the copy  never was equal to its primary: keys may be "
                      "missing, others old\n");
        return;
    }
    (void)fprintf(
        out,
        "the copy  has every change made on the old primary before %s "
        "(its clock),\n"
        "          up to sequence %" PRIu64 "; its state was %s\n",
        UTC_TEXT(p->fresh.fresh_ns), p->fresh.seq, p->fresh.state);
    if (strcmp(p->fresh.state, "held") == 0) {
        (void)fprintf(out,
                      "          deletes were held: keys that the old primary "
                      "had deleted are still here\n");
    }
    (void)fprintf(
        out, "missing   may be changes made after that, unless drover wait "
             "said that all is here;\n"
             "          they are on the old primary's disk: demote keeps "
             "them there\n");
}

static void report_owner(FILE *out, const char *dir, const struct stat *st)
{
    char user[32], group[32];

    (void)fprintf(out,
                  "next      1. the application must own the values, which "
                  "belong to %s:%s:\n"
                  "             chown -Rh APPLICATION-USER: %s\n",
                  user_name(st->st_uid, user), group_name(st->st_gid, group),
                  QUOTED(dir, strlen(dir)));
}

static void report_next(FILE *out, const char *dir, const struct stat *st)
{
    const char *path = QUOTED(dir, strlen(dir));

    report_owner(out, dir, st);
    (void)fprintf(
        out,
        "          2. an agent here: a file /etc/drover/NAME.conf with\n"
        "               [database]\n"
        "               path = %s\n"
        "             and a [replica ...] for each other copy (their\n"
        "             authorized_keys need this agent's key, see man "
        "drover-replica), then\n"
        "             systemctl enable --now drover@NAME\n"
        "          3. the other replicas follow when that agent connects; they "
        "refuse the old one\n"
        "          4. the old primary, before its agent starts again, on its "
        "host:\n"
        "             drover-replica demote DIR\n"
        "          5. start the application\n",
        path);
}

static int parse_epoch(const char *text, uint64_t *out)
{
    char *end;

    errno = 0;
    unsigned long long n = strtoull(text, &end, 10);
    if (errno != 0 || *end != '\0' || text[0] < '0' || text[0] > '9' ||
        n == 0) {
        return -1;
    }
    *out = n;
    return 0;
}

/* `there`: it was a primary before. */
static void print_text(struct cmdline *line, const char *dir, bool there,
                       const struct role_promoted *p, const struct stat *st)
{
    FILE *out = line->out;
    bool as_before = there && !p->fresh_known;

    if (there && p->epoch == p->was) {
        (void)fprintf(out, "%s is a primary already, epoch %" PRIu64 "\n", dir,
                      p->epoch);
        return;
    }
    (void)fprintf(out,
                  "%s is a primary %s, epoch %" PRIu64 " (was %" PRIu64 ")\n",
                  dir, as_before ? "as before" : "now", p->epoch, p->was);
    if (as_before) {
        (void)fprintf(out,
                      "next      start its agent; replicas refuse every agent "
                      "with a lower epoch from then on\n");
        return;
    }
    report_copy(out, p);
    if (st != NULL) {
        report_next(out, dir, st);
    }
}

static void print_json(struct cmdline *line, const char *dir,
                       const struct role_promoted *p)
{
    CLEANUP(buf_deinit) struct buf b = BUF_NULL;
    struct json_out j = commands_json(&b, dir);

    json_text(&j, "role", "primary");
    json_uint(&j, "epoch", p->epoch);
    json_uint(&j, "was", p->was);
    if (p->fresh_known) {
        json_begin_object(&j, "copy");
        json_text(&j, "equal_as_of", UTC_TEXT(p->fresh.fresh_ns));
        json_uint(&j, "seq", p->fresh.seq);
        json_text(&j, "state", p->fresh.state);
        json_end_object(&j);
    } else {
        json_none(&j, "copy");
    }
    cmdline_json_end(line, &j);
}

static int promote(struct cmdline *line, const struct role_promote *o)
{
    struct role_promoted p;
    struct err err = {0};
    struct stat st;
    struct meta m;
    char room[PATH_MAX];
    int rc = role_open(&m, line->words[0], &err);
    const char *dir = commands_whole_path(line->words[0], room);

    if (rc != 0) {
        return commands_refused(line, dir, &err);
    }
    rc = role_promote(&m, o, &p, &err);
    bool known = fstat(m.db.root_fd, &st) == 0;
    meta_close(&m);
    if (rc < 0) {
        return commands_refused(line, dir, &err);
    }
    if (line->json) {
        print_json(line, dir, &p);
    } else {
        print_text(line, dir, rc == ROLE_THERE, &p, known ? &st : NULL);
    }
    return EXIT_GOOD;
}

int cmd_promote(struct cmdline *line)
{
    const struct replica_line *l = replica_line_of(line);
    struct role_promote o = {.force = l->force};

    if (l->epoch != NULL && parse_epoch(l->epoch, &o.epoch) != 0) {
        return cmdline_fail_usage(line, "--epoch needs a number above 0");
    }
    return promote(line, &o);
}
