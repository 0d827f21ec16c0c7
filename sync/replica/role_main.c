/* SPDX-License-Identifier: MIT
 *
 * role_main: the commands promote, demote and kept: what they print and what
 * to type next.  What they do is in role.h. */
#include <errno.h>
#include <getopt.h>
#include <grp.h>
#include <inttypes.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/base/clock.h"
#include "store/base/quote.h"
#include "store/base/units.h"
#include "store/base/utc.h"
#include "sync/replica/replica.h"
#include "sync/replica/role/restore.h"
#include "sync/replica/role/role.h"

static int usage(const char *what)
{
    replica_say("%s; see drover-replica --help", what);
    return EXIT_USAGE;
}

/* Why not, with its number; what to do is in the text itself. */
static int refused(const char *dir, const struct err *err)
{
    if (err->id != 0) {
        replica_say("DR-%d: %s: %s", err->id, dir, err->msg);
    } else {
        replica_say("%s: %s", dir, err->msg);
    }
    return err->id == DR_RECEIVER_BUSY ? EXIT_TEMPORARY
           : err->code == ERR_REFUSED || err->code == ERR_CORRUPT ||
                   err->code == ERR_NOTFOUND
               ? EXIT_CONFIG
               : replica_exit_of(err);
}

/* What is printed is to be typed elsewhere: the whole path. */
static const char *whole_path(const char *dir, char room[PATH_MAX])
{
    return realpath(dir, room) != NULL ? room : dir;
}

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

/* --- promote ------------------------------------------------------------- */

/* What of the old primary is here, and what may be missing. */
static void report_copy(const struct role_promoted *p)
{
    if (!p->fresh_known) {
        (void)printf("the copy  never was equal to its primary: keys may be "
                     "missing, others old\n");
        return;
    }
    (void)printf("the copy  has every change made on the old primary before %s "
                 "(its clock),\n"
                 "          up to sequence %" PRIu64 "; its state was %s\n",
                 UTC_TEXT(p->fresh.fresh_ns), p->fresh.seq, p->fresh.state);
    if (strcmp(p->fresh.state, "held") == 0) {
        (void)printf("          deletes were held: keys that the old primary "
                     "had deleted are still here\n");
    }
    (void)printf("missing   may be changes made after that, unless drover wait "
                 "said that all is here;\n"
                 "          they are on the old primary's disk: demote keeps "
                 "them there\n");
}

static void report_owner(const char *dir, const struct stat *st)
{
    char user[32], group[32];

    (void)printf("next      1. the application must own the values, which "
                 "belong to %s:%s:\n"
                 "             chown -Rh APPLICATION-USER: %s\n",
                 user_name(st->st_uid, user), group_name(st->st_gid, group),
                 QUOTED(dir, strlen(dir)));
}

static void report_next(const char *dir, const struct stat *st)
{
    const char *path = QUOTED(dir, strlen(dir));

    report_owner(dir, st);
    (void)printf(
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

static int promote(const char *dir, const struct role_promote *o)
{
    struct role_promoted p;
    struct err err = {0};
    struct stat st;
    struct meta m;
    char room[PATH_MAX];
    int rc = role_open(&m, dir, &err);

    dir = whole_path(dir, room);
    if (rc != 0) {
        return refused(dir, &err);
    }
    rc = role_promote(&m, o, &p, &err);
    bool known = fstat(m.db.root_fd, &st) == 0;
    meta_close(&m);
    if (rc < 0) {
        return refused(dir, &err);
    }
    if (rc == ROLE_THERE && p.epoch == p.was) {
        (void)printf("%s is a primary already, epoch %" PRIu64 "\n", dir,
                     p.epoch);
        return EXIT_GOOD;
    }
    (void)printf("%s is a primary %s, epoch %" PRIu64 " (was %" PRIu64 ")\n",
                 dir, rc == ROLE_THERE && !p.fresh_known ? "as before" : "now",
                 p.epoch, p.was);
    if (rc == ROLE_THERE && !p.fresh_known) {
        (void)printf("next      start its agent; replicas refuse every agent "
                     "with a lower epoch from then on\n");
        return EXIT_GOOD;
    }
    report_copy(&p);
    if (known) {
        report_next(dir, &st);
    }
    return EXIT_GOOD;
}

int promote_main(int argc, char **argv)
{
    static const struct option options[] = {
        {"force", no_argument, NULL, 'f'},
        {"epoch", required_argument, NULL, 'e'},
        {NULL, 0, NULL, 0},
    };
    struct role_promote o = {.force = false};
    int option;

    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option == 'f') {
            o.force = true;
        } else if (option != 'e') {
            return usage("promote takes DIR, --force and --epoch N");
        } else if (parse_epoch(optarg, &o.epoch) != 0) {
            return usage("--epoch needs a number above 0");
        }
    }
    if (optind != argc - 1) {
        return usage("promote needs exactly one directory");
    }
    return promote(argv[optind], &o);
}

/* --- demote -------------------------------------------------------------- */

static void report_demoted(const char *dir, const struct role_demoted *d,
                           bool kept)
{
    const char *path = QUOTED(dir, strlen(dir));

    (void)printf("%s is a replica now, for a primary with an epoch higher than "
                 "%" PRIu64 "\n",
                 dir, d->epoch);
    if (kept) {
        (void)printf("kept      its %" PRIu64 " values, in %s/" META_DIR
                     "/" META_KEPT "%" PRIu64 " (as links: they take space "
                     "only where\n"
                     "          something changes); what the new primary lacks "
                     "or has otherwise, when the\n"
                     "          copy is complete: drover-replica kept %s\n",
                     d->kept, dir, d->epoch, path);
    }
    (void)printf("next      1. the receiver's user must own it, with the "
                 "readers' group, as for a new replica:\n"
                 "             chown -Rh drover-recv:GROUP %s\n"
                 "             chmod -R u=rwX,g=rX,o= %s\n"
                 "             find %s -type d -exec chmod g+s {} +\n"
                 "          2. a line for the new primary's key in "
                 "~drover-recv/.ssh/authorized_keys:\n"
                 "             restrict,command=\"drover-replica receive %s "
                 "--group GROUP\" ssh-ed25519 ...\n"
                 "          3. on the new primary: a [replica ...] for this "
                 "host, then drover reload\n",
                 path, path, path, dir);
}

static int demote(const char *dir, bool discard)
{
    struct role_demoted d;
    struct err err = {0};
    struct meta m;
    char room[PATH_MAX];
    int rc = role_open(&m, dir, &err);

    dir = whole_path(dir, room);
    if (rc != 0) {
        return refused(dir, &err);
    }
    rc = role_demote(&m, discard, &d, &err);
    meta_close(&m);
    if (rc < 0) {
        return refused(dir, &err);
    }
    if (rc == ROLE_THERE) {
        (void)printf("%s is a replica already, epoch %" PRIu64 "\n", dir,
                     d.epoch);
        return EXIT_GOOD;
    }
    report_demoted(dir, &d, !discard);
    return EXIT_GOOD;
}

/* The one directory of `command`, which has one option without a value; NULL:
 * it was typed wrong, and that was said. */
static const char *one_flag(int argc, char **argv, const char *command,
                            const char *flag, bool *set)
{
    const struct option options[] = {{flag, no_argument, NULL, 'f'},
                                     {NULL, 0, NULL, 0}};
    char text[80];
    int option;

    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option != 'f') {
            (void)snprintf(text, sizeof text, "%s takes DIR and --%s", command,
                           flag);
            (void)usage(text);
            return NULL;
        }
        *set = true;
    }
    if (optind != argc - 1) {
        (void)snprintf(text, sizeof text, "%s needs exactly one directory",
                       command);
        (void)usage(text);
        return NULL;
    }
    return argv[optind];
}

int demote_main(int argc, char **argv)
{
    bool discard = false;
    const char *dir = one_flag(argc, argv, "demote", "discard", &discard);

    return dir != NULL ? demote(dir, discard) : EXIT_USAGE;
}

/* --- kept ---------------------------------------------------------------- */

/* What `kept` is asked for. */
struct kept_job {
    bool remove;
    const char *out; /* restore there */
    struct db db;
    uint64_t restored;
};

static int on_key(void *arg, struct bytes table, struct bytes key, bool gone,
                  int fd, struct err *err)
{
    struct kept_job *job = arg;

    (void)printf("%s  %s%s%s\n", gone ? "gone     " : "different",
                 table.len > 0 ? QUOTED_TABLE(table.p, table.len) : "",
                 table.len > 0 ? " " : "", QUOTED(key.p, key.len));
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

static int kept_one(struct meta *m, const char *dir, uint64_t epoch,
                    struct kept_job *job, struct err *err)
{
    struct role_kept k;

    if (!is_caught_up(m, epoch)) {
        (void)printf(
            "%s: has not caught up with its new primary yet: this list "
            "is not complete\n",
            dir);
    }
    int rc = role_kept_compare(m, epoch, on_key, job, &k, err);
    if (rc != 0) {
        return rc;
    }
    (void)printf("%s/" META_DIR "/" META_KEPT "%" PRIu64 ": %" PRIu64
                 " values; now gone %" PRIu64 ", different %" PRIu64 "\n",
                 dir, epoch, k.values, k.gone, k.different);
    if (k.added > 0) {
        (void)printf("keys here now that were not among them: %" PRIu64
                     " (new since, or deleted here and never sent)\n",
                     k.added);
    }
    return k.gone + k.different > 0 ? 1 : 0;
}

static void report_kept(const char *dir, const struct kept_job *job,
                        bool differs)
{
    const char *path = QUOTED(dir, strlen(dir));

    if (job->out != NULL) {
        (void)printf("%s values, as listed, are in %s now, laid out as a "
                     "database\n"
                     "bring one back by setting it on the present primary:\n"
                     "          drover-kv %s get KEY --table TABLE\n",
                     COUNT_TEXT(job->restored), job->out, job->out);
    } else if (differs) {
        (void)printf("read them drover-replica kept --restore OUT %s\n", path);
    }
    (void)printf("remove    drover-replica kept --remove %s\n", path);
}

static int kept_all(struct meta *m, const char *dir, struct kept_job *job,
                    struct err *err)
{
    uint64_t epoch = 0;
    bool any = false, differs = false, complete = true;
    int rc = 0;
    int next = 0;

    while (rc >= 0 && (next = role_kept_next(m->fd, epoch, &epoch, err)) == 0) {
        any = true;
        complete = complete && is_caught_up(m, epoch);
        rc = job->remove ? role_kept_remove(m, epoch, err)
                         : kept_one(m, dir, epoch, job, err);
        differs = differs || rc > 0;
    }
    if (rc < 0 || next != ERR_NOTFOUND) {
        return refused(dir, err);
    }
    if (!any) {
        (void)printf("%s: no values are kept\n", dir);
    } else if (!job->remove) {
        report_kept(dir, job, differs);
    }
    return !job->remove && !complete ? EXIT_UNAVAILABLE
           : differs                 ? EXIT_BAD
                                     : EXIT_GOOD;
}

static int kept(const char *dir, struct kept_job *job)
{
    struct err err = {0};
    struct meta m;
    char room[PATH_MAX];
    int rc = role_open(&m, dir, &err);

    dir = whole_path(dir, room);
    if (rc < 0) {
        return refused(dir, &err);
    }
    if (job->out != NULL && restore_open(&job->db, job->out, &err) < 0) {
        meta_close(&m);
        return refused(job->out, &err);
    }
    int code = kept_all(&m, dir, job, &err);
    if (job->out != NULL) {
        db_close(&job->db);
    }
    meta_close(&m);
    return code;
}

int kept_main(int argc, char **argv)
{
    static const struct option options[] = {
        {"remove", no_argument, NULL, 'x'},
        {"restore", required_argument, NULL, 'o'},
        {NULL, 0, NULL, 0},
    };
    struct kept_job job = {.remove = false};
    int option;

    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option == 'x') {
            job.remove = true;
        } else if (option == 'o') {
            job.out = optarg;
        } else {
            return usage("kept takes DIR and --remove or --restore OUT");
        }
    }
    if (optind != argc - 1 || (job.remove && job.out != NULL)) {
        return usage(
            "kept needs exactly one directory, and --remove or --restore OUT");
    }
    return kept(argv[optind], &job);
}
