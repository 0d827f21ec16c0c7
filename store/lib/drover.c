/* SPDX-License-Identifier: MIT
 *
 * drover: databases, errors and freshness of the public library; see drover.h.
 * Reading is in drover_read.c, writing in drover_write.c, tables and listings
 * in drover_list.c. */
#include "store/lib/drover.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/base/clock.h"
#include "store/base/quote.h"
#include "store/base/sys.h"
#include "store/files/small_file.h"
#include "store/layout/fresh_age.h"
#include "store/lib/drover_impl.h"

_Static_assert((int)DROVER_E_IO == (int)ERR_IO &&
                   (int)DROVER_E_NOMEM == (int)ERR_NOMEM &&
                   (int)DROVER_E_NOTFOUND == (int)ERR_NOTFOUND &&
                   (int)DROVER_E_EXISTS == (int)ERR_EXISTS &&
                   (int)DROVER_E_BADKEY == (int)ERR_BADKEY &&
                   (int)DROVER_E_BADTABLE == (int)ERR_BADTABLE &&
                   (int)DROVER_E_TIMEOUT == (int)ERR_TIMEOUT &&
                   (int)DROVER_E_NOTTABLE == (int)ERR_NOTTABLE &&
                   (int)DROVER_E_PERM == (int)ERR_PERM,
               "public codes are the internal ones");
_Static_assert((int)DROVER_E_NOSPACE == (int)ERR_NOSPACE &&
                   (int)DROVER_E_READONLY == (int)ERR_READONLY &&
                   (int)DROVER_E_INVALID == (int)ERR_INVALID &&
                   (int)DROVER_E_CORRUPT == (int)ERR_CORRUPT &&
                   (int)DROVER_E_TOOBIG == (int)ERR_TOOBIG &&
                   (int)DROVER_E_GONE == (int)ERR_GONE,
               "public codes are the internal ones");
_Static_assert((int)DROVER_KEY_MAX_BYTES == (int)KEY_MAX_BYTES &&
                   (int)DROVER_TABLE_MAX_BYTES == (int)TABLE_MAX_BYTES,
               "public bounds are the internal ones");
_Static_assert(sizeof((struct drover_error *)0)->message == ERR_MSG_BYTES,
               "a message fits");

const char *drover_version(void)
{
    return DROVER_VERSION;
}

const char *drover_error_name(int code)
{
    static const char *const names[] = {
        "DROVER_OK",         "DROVER_E_IO",
        "DROVER_E_NOMEM",    "DROVER_E_NOTFOUND",
        "DROVER_E_EXISTS",   "DROVER_E_BADKEY",
        "DROVER_E_BADTABLE", "DROVER_E_TIMEOUT",
        "DROVER_E_NOTTABLE", "DROVER_E_PERM",
        "DROVER_E_NOSPACE",  "DROVER_E_READONLY",
        "DROVER_E_INVALID",  NULL,
        "DROVER_E_CORRUPT",  NULL,
        "DROVER_E_TOOBIG",   "DROVER_E_GONE",
    };
    int n = code <= 0 && code > -64 ? -code : 63;

    if (n >= (int)(sizeof names / sizeof names[0]) || names[n] == NULL) {
        return "DROVER_E_UNKNOWN";
    }
    return names[n];
}

int drover_report(int rc, const struct err *err, struct drover_error *out)
{
    if (rc < 0 && out != NULL) {
        out->code = rc;
        out->sys = err->sys;
        out->reserved = 0;
        memcpy(out->message, err->msg, sizeof out->message);
    }
    return rc;
}

int drover_wrap(struct err *err, const char *what, struct drover_bytes table,
                struct drover_bytes key)
{
    if (table.len == 0) {
        return err_wrap(err, "%s key %s", what, QUOTED(key.data, key.len));
    }
    return err_wrap(err, "%s key %s in table %s", what,
                    QUOTED(key.data, key.len), QUOTED(table.data, table.len));
}

int drover_check(struct drover_bytes table, struct drover_bytes key,
                 struct err *err)
{
    int rc = table_check(table.data, table.len, err);

    return rc < 0 ? rc : key_check(key.data, key.len, err);
}

int drover_sync(int fd, const char *what, struct err *err)
{
    return sys_fsync(fd) < 0 ? err_sys(err, errno, "fsync %s", what) : 0;
}

/* --- databases ----------------------------------------------------------- */

int drover_check_writable(const struct drover *db, struct err *err)
{
    if (db->flags & DROVER_OPEN_READONLY) {
        return err_set(err, ERR_READONLY, 0, "database %s was opened read-only",
                       QUOTED_STR(db->db.path));
    }
    return 0;
}

static int refuse_replica(const struct db *db, struct err *err)
{
    if (faccessat(db->root_fd, META_REPLICA, F_OK, AT_SYMLINK_NOFOLLOW) < 0) {
        if (errno == ENOENT || errno == ENOTDIR) {
            return 0;
        }
        return err_sys(err, errno, "see whether database %s is a replica",
                       QUOTED_STR(db->path));
    }
    return err_set(err, ERR_READONLY, 0,
                   "database %s is a replica: what is written here is undone "
                   "by its primary; write on the primary instead",
                   QUOTED_STR(db->path));
}

static int open_impl(const char *path, unsigned flags, struct drover **db_out,
                     struct err *err)
{
    const unsigned known =
        DROVER_OPEN_READONLY | DROVER_OPEN_CREATE | DROVER_OPEN_FORCE;
    const unsigned both = DROVER_OPEN_READONLY | DROVER_OPEN_CREATE;

    if ((flags & ~known) != 0 || (flags & both) == both) {
        return err_set(err, ERR_INVALID, 0, "drover_open: flags %#x", flags);
    }
    CLEANUP(freep) struct drover *db = calloc(1, sizeof *db);
    if (db == NULL) {
        return err_set(err, ERR_NOMEM, 0, "out of memory");
    }
    int rc = db_open(&db->db, path, (flags & DROVER_OPEN_CREATE) != 0, err);
    if (rc < 0) {
        return rc;
    }
    if ((flags & (DROVER_OPEN_READONLY | DROVER_OPEN_FORCE)) == 0) {
        rc = refuse_replica(&db->db, err);
        if (rc < 0) {
            db_close(&db->db);
            return rc;
        }
    }
    db->flags = flags;
    *db_out = TAKE_PTR(db);
    return 0;
}

int drover_open(const char *path, unsigned flags, struct drover **db_out,
                struct drover_error *err)
{
    struct err e;

    return drover_report(open_impl(path, flags, db_out, &e), &e, err);
}

void drover_close(struct drover *db)
{
    if (db != NULL) {
        db_close(&db->db);
        free(db);
    }
}

void drover_free(void *value)
{
    free(value);
}

/* --- freshness ----------------------------------------------------------- */

/* Copy the text behind "NAME=" up to a space; false when there is none. */
static bool field(const char *line, const char *name, char *out, size_t room)
{
    size_t n = strlen(name);

    for (const char *p = line; *p != '\0'; p += strcspn(p, " \n")) {
        p += strspn(p, " \n");
        if (strncmp(p, name, n) == 0 && p[n] == '=') {
            size_t len = strcspn(p + n + 1, " \n");
            if (len == 0 || len >= room) {
                return false;
            }
            memcpy(out, p + n + 1, len);
            out[len] = '\0';
            return true;
        }
    }
    return false;
}

static bool number_field(const char *line, const char *name, uint64_t *out)
{
    char text[24];
    char *end;

    if (!field(line, name, text, sizeof text) || text[0] < '0' ||
        text[0] > '9') {
        return false;
    }
    errno = 0;
    *out = strtoull(text, &end, 10);
    return errno == 0 && *end == '\0';
}

static int freshness_impl(const struct db *db, struct drover_freshness *out,
                          struct err *err)
{
    struct drover_freshness f = {.time_ns = 0};
    struct stat st;
    char line[512];
    int n =
        small_read(db->root_fd, META_FRESHNESS, line, sizeof line, &st, err);

    if (n == ERR_NOTFOUND) {
        return err_set(err, ERR_NOTFOUND, 0,
                       "database %s is not a replica, or never caught up "
                       "with its primary",
                       QUOTED_STR(db->path));
    }
    if (n < 0) {
        return n;
    }
    if (!field(line, "db", f.db, sizeof f.db) ||
        !field(line, "state", f.state, sizeof f.state) ||
        !number_field(line, "epoch", &f.epoch) ||
        !number_field(line, "seq", &f.seq)) {
        return err_set(err, ERR_CORRUPT, 0, "%s in database %s: not readable",
                       META_FRESHNESS, QUOTED_STR(db->path));
    }
    f.time_ns = clock_of_timespec(st.st_mtim);
    f.age_ns = fresh_age_ns(&st, clock_real_ns());
    *out = f;
    return 0;
}

int drover_freshness(struct drover *db, struct drover_freshness *out,
                     struct drover_error *err)
{
    struct err e;

    return drover_report(freshness_impl(&db->db, out, &e), &e, err);
}
