/* SPDX-License-Identifier: MIT
 *
 * local: see local.h. */
#include "agent/check/local.h"

#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent/check/remedy.h"
#include "agent/config/config_probe.h"
#include "agent/identity/identity.h"
#include "store/base/cleanup.h"
#include "store/base/hex.h"
#include "store/base/quote.h"
#include "store/base/sys.h"
#include "store/base/units.h"
#include "store/files/filesystem.h"
#include "store/layout/walk.h"
#include "sync/check/host.h"
#include "sync/errors/state.h"

enum { SAMPLE_KEYS = 50 };

/* --- configuration --------------------------------------------------------- */

static void add_lines(const struct config_errors *list,
                      enum finding_level level, struct findings *out)
{
    for (size_t i = 0; i < list->count; i++) {
        if (level == FINDING_FAIL) {
            finding_fail(out, "config", DR_CONFIG, "", "%s", list->lines[i]);
        } else {
            finding_warn(out, "config", 0, "", "%s", list->lines[i]);
        }
    }
}

void local_config(const struct config *c, struct findings *out)
{
    CLEANUP(config_probe_deinit) struct config_probe p = {0};
    const struct passwd *pw = getpwuid(geteuid());

    config_probe(c, &p);
    add_lines(&p.mistakes, FINDING_FAIL, out);
    add_lines(&p.warnings, FINDING_WARN, out);
    add_lines(&p.notes, FINDING_WARN, out);
    if (p.mistakes.count + p.warnings.count + p.notes.count == 0) {
        finding_ok(out, "config", "%s, %zu replica%s, read as user %s",
                   c->file != NULL ? c->file : "command line",
                   c->replicas_count, c->replicas_count == 1 ? "" : "s",
                   pw != NULL ? pw->pw_name : "unknown");
    }
}

/* --- the database ---------------------------------------------------------- */

static void note_unreadable(struct survey *s, const char *name, size_t len,
                            const char *why)
{
    s->unreadable++;
    if (s->first[0] == '\0') {
        (void)snprintf(s->first, sizeof s->first, "%.170s: %.80s",
                       QUOTED(name, len), why);
    }
}

static int on_table(void *arg, const char *table, size_t len, int dir_fd)
{
    struct survey *s = arg;

    (void)table;
    (void)len;
    (void)dir_fd;
    s->directories++;
    return 0;
}

static int on_plain(void *arg, const char *path, int dir_fd)
{
    struct survey *s = arg;

    (void)path;
    (void)dir_fd;
    s->directories++;
    return 0;
}

static int on_key(void *arg, const char *table, size_t len, int dir_fd,
                  const char *key, size_t key_len)
{
    struct survey *s = arg;
    char file[KEY_FILE_BYTES];

    (void)table;
    (void)len;
    if (s->sampled >= SAMPLE_KEYS) {
        return 0;
    }
    key_file(key, key_len, file);
    CLEANUP(fd_closep) int fd = sys_open_file(dir_fd, file);
    /* What is gone meanwhile, or no file, is nobody's lack of rights. */
    if (fd < 0 && errno == EACCES) {
        note_unreadable(s, file, strlen(file), strerror(errno));
    }
    s->sampled++;
    return 0;
}

static int on_table_end(void *arg, const char *table, size_t len, bool complete,
                        const struct err *err)
{
    if (!complete && err != NULL) {
        note_unreadable(arg, table, len, err->msg);
    }
    return 0;
}

static int on_plain_incomplete(void *arg, const char *path,
                               const struct err *err)
{
    note_unreadable(arg, path, strlen(path), err->msg);
    return 0;
}

static int survey_take(const struct db *db, struct survey *s, struct err *err)
{
    static const struct walk_ops OPS = {
        .table_begin = on_table,
        .key = on_key,
        .table_end = on_table_end,
        .plain_dir = on_plain,
        .plain_incomplete = on_plain_incomplete,
    };
    struct walk_counts counts = {0};
    int rc = walk_db(db, &OPS, s, &counts, err);

    s->tables = counts.tables;
    s->keys = counts.keys;
    return rc;
}

static void judge_filesystem(const struct config *c, const struct db *db,
                             const struct survey *s, struct findings *out)
{
    char kind[FILESYSTEM_BYTES];
    struct err err = {0};
    bool poor;

    (void)filesystem_name(db->root_fd, kind, &poor);
    finding_ok(out, "path", "%s, %s table%s, %s key%s, %s", c->path,
               COUNT_TEXT(s->tables), s->tables == 1 ? "" : "s",
               COUNT_TEXT(s->keys), s->keys == 1 ? "" : "s", kind);
    if (poor) {
        (void)err_set(&err, ERR_IO, 0,
                      "%s: changes made by other hosts, or below it, are not "
                      "seen at once, only by the periodic scan",
                      kind);
        err.id = DR_POOR_FILESYSTEM;
        remedy_add(out, FINDING_WARN, "file system", &err, c, NULL);
    }
}

/* Is it the database that the agent's state remembers? */
static int check_record(const struct config *c, const struct db *db,
                        struct err *err)
{
    uint8_t was[IDENTITY_BYTES];
    struct err ignored = {0};
    CLEANUP(fd_closep)
    int fd = sys_open(c->state_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0 || identity_recall(fd, c->path, was, &ignored) != 0) {
        return 0;
    }
    return identity_check(db, was, err);
}

static void judge_identity(const struct config *c, const struct db *db,
                           struct findings *out)
{
    uint8_t id[IDENTITY_BYTES];
    char hex[IDENTITY_HEX_BYTES];
    uint64_t epoch = 0;
    struct err err = {0};
    int rc = identity_read(db, id, &err);

    if (rc == ERR_NOTFOUND) {
        (void)err_set(&err, ERR_NOTFOUND, 0,
                      "the database has no id yet; an agent that may write "
                      "there makes it");
        err.id = DR_NO_IDENTITY;
        remedy_add(out, FINDING_WARN, "identity", &err, c, NULL);
        return;
    }
    if (rc == 0) {
        rc = check_record(c, db, &err);
    }
    if (rc == 0) {
        rc = identity_epoch(db, &epoch, &err);
    }
    if (rc != 0) {
        remedy_add(out, FINDING_FAIL, "identity", &err, c, NULL);
        return;
    }
    finding_ok(out, "identity", "%s, epoch %s", hex_encode(hex, id, sizeof id),
               COUNT_TEXT(epoch));
}

static void judge_access(const struct config *c, const struct survey *s,
                         struct findings *out)
{
    struct err err = {0};

    if (s->unreadable == 0) {
        finding_ok(out, "read access",
                   "%s director%s, a sample of %s key%s, all readable",
                   COUNT_TEXT(s->directories),
                   s->directories == 1 ? "y" : "ies", COUNT_TEXT(s->sampled),
                   s->sampled == 1 ? "" : "s");
        return;
    }
    (void)err_set(&err, ERR_PERM, 0, "%s of what was tried: %s",
                  COUNT_TEXT(s->unreadable), s->first);
    err.id = DR_UNREADABLE;
    remedy_add(out, FINDING_FAIL, "read access", &err, c, NULL);
}

bool local_database(const struct config *c, struct survey *s,
                    struct findings *out)
{
    struct err err = {0};
    struct db db;

    *s = (struct survey){0};
    int rc = db_open(&db, c->path, false, &err);
    if (rc != 0) {
        err.id = rc == ERR_PERM ? DR_UNREADABLE : DR_NOT_OUR_DATABASE;
        remedy_add(out, FINDING_FAIL, "path", &err, c, NULL);
        return false;
    }
    rc = survey_take(&db, s, &err);
    if (rc != 0) {
        remedy_add(out, FINDING_FAIL, "path", &err, c, NULL);
    } else {
        judge_filesystem(c, &db, s, out);
        judge_identity(c, &db, out);
        judge_access(c, s, out);
    }
    db_close(&db);
    return rc == 0;
}

/* --- the rest -------------------------------------------------------------- */

void local_state(const struct config *c, struct findings *out)
{
    struct err err = {0};
    CLEANUP(fd_closep)
    int fd = sys_open(c->state_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0 && errno == ENOENT) {
        finding_ok(out, "state", "%s is made when the agent starts",
                   c->state_dir);
        return;
    }
    if (fd < 0 || faccessat(fd, ".", W_OK | X_OK, AT_EACCESS) != 0) {
        (void)err_sys(&err, errno, "%s", c->state_dir);
        err.id = DR_STATE_DIR;
        remedy_add(out, FINDING_FAIL, "state", &err, c, NULL);
        return;
    }
    finding_ok(out, "state", "%s", c->state_dir);
    host_space(out, fd, c->state_dir, 0, DR_STATE_DIR);
}

void local_check(const struct config *c, struct findings *out)
{
    struct survey s;
    struct limits l;

    local_config(c, out);
    if (local_database(c, &s, out)) {
        limits_read(&l);
        limits_judge(&l, c, &s, out);
    }
    local_state(c, out);
    host_clock(out, "the ages that replicas show are off by as much");
}
