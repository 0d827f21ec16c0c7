/* SPDX-License-Identifier: MIT
 *
 * look: the commands that only look at a replica (fresh, status), and adopt.
 *
 * They work for any local user that may read the replica.  The age that
 * `fresh` prints compares this host's clock with the primary's, so both need
 * NTP; nothing in replication itself does that.  Where this host's clock is
 * behind, it is the time since the last word.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "store/base/buf.h"
#include "store/base/clock.h"
#include "store/base/quote.h"
#include "store/base/utc.h"
#include "store/layout/fresh_age.h"
#include "sync/replica/disk/stages.h"
#include "sync/replica/meta/session.h"
#include "sync/replica/replica.h"
#include "sync/replica/role/role.h"

static int usage(const char *what)
{
    replica_say("%s; see drover-replica --help", what);
    return EXIT_USAGE;
}

/* No META_DIR, no freshness, or no time in it: never a whole copy. */
static int never_synced(const char *dir, const struct err *err)
{
    if (err != NULL && err->code == ERR_CORRUPT) {
        (void)printf("%s: of unknown age, " META_DIR "/" META_FILE_FRESHNESS
                     " makes no sense; the primary's next heartbeat renews it, "
                     "and what has been received is there\n",
                     dir);
        return EXIT_UNAVAILABLE;
    }
    if (err != NULL && err->code != ERR_NOTFOUND) {
        replica_say_error(err);
        return err->code == ERR_PERM ? EXIT_NOT_PERMITTED : EXIT_UNAVAILABLE;
    }
    (void)printf("%s: never synced\n", dir);
    return EXIT_UNAVAILABLE;
}

static int judge(const struct meta *m, const char *dir, int64_t max_age_ns)
{
    struct err err = {0};
    struct meta_freshness f;
    struct role_facts facts;
    int rc = meta_freshness_read(m->fd, &f, &err);

    if (rc == ERR_NOTFOUND && role_inspect(m->fd, &facts, &err) == 0 &&
        facts.role == ROLE_PRIMARY) {
        /* An application's start script is the same after a promotion. */
        (void)printf("%s: fresh, it is the primary\n", dir);
        return EXIT_GOOD;
    }
    if (rc != 0) {
        return never_synced(dir, &err);
    }
    if (f.fresh_ns <= 0) {
        return never_synced(dir, NULL);
    }
    if (f.age_ns == FRESH_AGE_UNKNOWN) {
        (void)printf("%s: of unknown age, for this host's clock was set back "
                     "since the primary's last word, %s\n",
                     dir, f.state);
        return EXIT_BAD;
    }
    bool fresh = f.age_ns <= max_age_ns;
    int64_t ahead_ns = f.fresh_ns - clock_real_ns();

    (void)printf("%s: %s, %s old", dir, fresh ? "fresh" : "stale",
                 DURATION_TEXT(f.age_ns));
    if (ahead_ns > 0) {
        (void)printf(" by the primary's last word, whose clock is %s ahead",
                     DURATION_TEXT(ahead_ns));
    }
    (void)printf(", %s\n", f.state);
    return fresh ? EXIT_GOOD : EXIT_BAD;
}

int fresh_main(int argc, char **argv)
{
    static const struct option options[] = {
        {"max-age", required_argument, NULL, 'a'}, {NULL, 0, NULL, 0}};
    struct err err = {0};
    int64_t max_age_ns = -1;
    int option;

    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option != 'a') {
            return usage("fresh takes DIR and --max-age");
        }
        if (units_parse_duration(optarg, &max_age_ns, &err) != 0) {
            replica_say_error(&err);
            return EXIT_USAGE;
        }
    }
    if (optind != argc - 1 || max_age_ns < 0) {
        return usage("fresh needs a directory and --max-age, such as 10s");
    }
    const char *dir = argv[optind];
    struct meta m;
    if (meta_inspect(&m, dir, &err) != 0) {
        return never_synced(dir, &err);
    }
    int code = judge(&m, dir, max_age_ns);

    meta_close(&m);
    return code;
}

/* --- status -------------------------------------------------------------- */

struct facts {
    const char *dir;
    struct role_facts role;
    bool known; /* it has an identity */
    struct meta_ident ident;
    bool fresh_known;
    bool fresh_broken; /* the file makes no sense */
    struct meta_freshness fresh;
    int live; /* 1, 0, or ERR_* */
    struct session_holder holder;
    int64_t undone;
};

static int gather(const struct meta *m, struct facts *f, struct err *err)
{
    int rc = role_inspect(m->fd, &f->role, err);

    if (rc != 0) {
        return rc;
    }
    f->known = f->role.role == ROLE_REPLICA;
    f->ident = f->role.ident;
    rc = meta_freshness_read(m->fd, &f->fresh, err);
    f->fresh_known = rc == 0 && f->fresh.fresh_ns > 0;
    f->fresh_broken = rc == ERR_CORRUPT;
    if (rc != 0 && rc != ERR_NOTFOUND && rc != ERR_CORRUPT) {
        return rc;
    }
    f->live = session_live(m->fd, &f->holder, err);
    f->undone = trash_count(m->fd, UNDONE_DIR);
    return 0;
}

static void json_string(const char *s)
{
    size_t n = strlen(s);
    bool utf8 = quote_is_utf8(s, n);

    (void)putchar('"');
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)s[i];
        if (c == '"' || c == '\\') {
            (void)printf("\\%c", c);
        } else if (c < 0x20 || c == 0x7f) {
            (void)printf("\\u%04x", c);
        } else if (c >= 0x80 && !utf8) {
            (void)fputs("\\ufffd", stdout);
        } else {
            (void)putchar(c);
        }
    }
    (void)putchar('"');
}

static void print_primary(const struct facts *f, bool json)
{
    char id[META_ID_TEXT];

    meta_id_text(f->role.db_id, id);
    if (json) {
        (void)printf("{\"version\": 1, \"path\": ");
        json_string(f->dir);
        (void)printf(", \"role\": \"primary\", \"database\": \"%s\", "
                     "\"epoch\": %" PRIu64 "}\n",
                     id, f->role.epoch);
        return;
    }
    (void)printf("primary    %s\ndatabase   %s\nepoch      %" PRIu64 "\n",
                 f->dir, id, f->role.epoch);
}

static void print_text(const struct facts *f)
{
    char id[META_ID_TEXT] = "none yet";

    if (f->known) {
        meta_id_text(f->ident.db_id, id);
    }
    (void)printf("replica    %s\ndatabase   %s\n", f->dir, id);
    if (f->known) {
        (void)printf("epoch      %" PRIu64 "\n", f->ident.epoch);
    }
    if (f->fresh_known) {
        (void)printf("state      %s, sequence %" PRIu64 "\n"
                     "fresh      %s%s, %s on the primary's clock\n",
                     f->fresh.state, f->fresh.seq,
                     f->fresh.age_ns == FRESH_AGE_UNKNOWN
                         ? "unknown, for this host's clock was set back"
                         : DURATION_TEXT(f->fresh.age_ns),
                     f->fresh.age_ns == FRESH_AGE_UNKNOWN ? "" : " ago",
                     UTC_TEXT(f->fresh.fresh_ns));
    } else if (f->fresh_broken) {
        (void)printf("fresh      unknown: " META_DIR "/" META_FILE_FRESHNESS
                     " makes no sense; the primary's next heartbeat renews "
                     "it\n");
    } else {
        (void)printf("fresh      never synced\n");
    }
    if (f->live > 0) {
        (void)printf("receiver   live: pid %d since %s (replica %s)\n",
                     f->holder.pid, UTC_TEXT(f->holder.since_s * NS_PER_S),
                     f->holder.replica);
    } else {
        (void)printf("receiver   %s\n", f->live == 0 ? "none" : "unknown");
    }
    if (f->undone > 0) {
        (void)printf("undone     %" PRId64 " values are kept that the primary "
                     "undid after it had lost its last changes: "
                     "drover-replica undone list %s\n",
                     f->undone, f->dir);
    }
}

static void print_age(int64_t age_ns)
{
    if (age_ns == FRESH_AGE_UNKNOWN) {
        (void)printf(", \"age_ms\": null");
    } else {
        (void)printf(", \"age_ms\": %" PRId64, age_ns / NS_PER_MS);
    }
}

static void print_json(const struct facts *f)
{
    char id[META_ID_TEXT];

    meta_id_text(f->ident.db_id, id);
    (void)printf("{\"version\": 1, \"path\": ");
    json_string(f->dir);
    if (f->known) {
        (void)printf(
            ", \"role\": \"replica\", \"database\": \"%s\", \"epoch\": %" PRIu64
            ", \"watermark\": %" PRIu64,
            id, f->ident.epoch, f->ident.watermark);
    } else {
        (void)printf(", \"database\": null");
    }
    if (f->fresh_known) {
        (void)printf(", \"state\": \"%s\", \"seq\": %" PRIu64
                     ", \"fresh_ns\": %" PRId64,
                     f->fresh.state, f->fresh.seq, f->fresh.fresh_ns);
        print_age(f->fresh.age_ns);
    } else {
        (void)printf(", \"fresh_ns\": null");
    }
    if (f->live < 0) {
        (void)printf(", \"receiver\": null");
    } else {
        (void)printf(", \"receiver\": {\"live\": %s",
                     f->live > 0 ? "true" : "false");
    }
    if (f->live > 0) {
        (void)printf(", \"pid\": %d, \"since\": %" PRId64 ", \"replica\": ",
                     f->holder.pid, f->holder.since_s);
        json_string(f->holder.replica);
    }
    if (f->live >= 0) {
        (void)putchar('}');
    }
    if (f->undone >= 0) {
        (void)printf(", \"undone\": %" PRId64, f->undone);
    }
    (void)printf("}\n");
}

int status_main(int argc, char **argv)
{
    static const struct option options[] = {{"json", no_argument, NULL, 'j'},
                                            {NULL, 0, NULL, 0}};
    bool json = false;
    int option;

    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option != 'j') {
            return usage("status takes DIR and --json");
        }
        json = true;
    }
    if (optind != argc - 1) {
        return usage("status needs exactly one directory");
    }
    struct err err = {0};
    struct facts f = {.dir = argv[optind]};
    struct meta m;
    int rc = meta_inspect(&m, f.dir, &err);
    if (rc == 0) {
        rc = gather(&m, &f, &err);
        meta_close(&m);
    }
    if (rc != 0) {
        if (rc == ERR_NOTFOUND) {
            replica_say("%s is not a replica: %s", f.dir, err.msg);
        } else {
            replica_say_error(&err);
        }
        return rc == ERR_PERM ? EXIT_NOT_PERMITTED : EXIT_UNAVAILABLE;
    }
    if (f.role.role == ROLE_PRIMARY) {
        print_primary(&f, json);
        return EXIT_GOOD;
    }
    if (json) {
        print_json(&f);
    } else {
        print_text(&f);
    }
    return f.fresh_known ? EXIT_GOOD : EXIT_UNAVAILABLE;
}

/* --- adopt --------------------------------------------------------------- */

/* Epoch 0: the first agent that comes with this id is taken, whatever its
 * epoch. */
static int adopt(const char *dir, const uint8_t id[META_ID_BYTES],
                 struct err *err)
{
    struct meta_modes modes = {.dir_mode = META_DIR_MODE,
                               .file_mode = META_FILE_MODE,
                               .group = (gid_t)-1};
    struct meta m;
    struct meta_ident ident = {.epoch = 0};
    int rc = meta_open(&m, dir, &modes, err);

    if (rc != 0) {
        return rc;
    }
    rc = meta_ident_read(m.fd, &ident, err);
    if (rc == 0 && memcmp(ident.db_id, id, META_ID_BYTES) != 0) {
        char hex[META_ID_TEXT];
        meta_id_text(ident.db_id, hex);
        rc = err_set(err, ERR_REFUSED, 0,
                     "%s is a copy of database %s already; to give it up "
                     "remove %s/" META_DIR "/" META_FILE_REPLICA,
                     dir, hex, dir);
        err->id = DR_OTHER_DATABASE;
    } else if (rc == ERR_NOTFOUND) {
        memcpy(ident.db_id, id, META_ID_BYTES);
        rc = geteuid() == 0 ? meta_ident_write_as_owner(m.fd, &ident, err)
                            : meta_ident_write(m.fd, &ident, &modes, err);
    }
    meta_close(&m);
    return rc;
}

int adopt_main(int argc, char **argv)
{
    uint8_t id[META_ID_BYTES];
    struct err err = {0};

    if (argc != 3) {
        return usage("adopt needs a directory and a database id");
    }
    if (!meta_id_parse(argv[2], id)) {
        return usage("a database id has 32 hexadecimal digits");
    }
    int rc = adopt(argv[1], id, &err);
    if (rc != 0) {
        replica_say_error(&err);
        return replica_exit_of(&err);
    }
    (void)printf("%s: a replica of %s; the first session compares and repairs "
                 "it\n",
                 argv[1], argv[2]);
    return EXIT_GOOD;
}
