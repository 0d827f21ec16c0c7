/* SPDX-License-Identifier: MIT
 *
 * trash_log: see trash_log.h. */
#include "sync/replica/trash/trash_log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "store/base/buf.h"
#include "store/base/cleanup.h"
#include "store/base/dir.h"
#include "store/base/hash.h"
#include "store/base/sys.h"
#include "store/files/own_dir.h"
#include "store/files/small_file.h"

enum {
    FIXED_BYTES = 8 + 8 + 8 + 1 + 2 + 1 + 8,
    RECORD_MAX_BYTES = FIXED_BYTES + TABLE_MAX_BYTES + KEY_MAX_BYTES,
};

#define LOG_MAX_BYTES (INT64_C(2) * TRASH_VALUES_MAX * RECORD_MAX_BYTES)

/* --- records ------------------------------------------------------------- */

static void put_record(struct buf *out, const struct trash_entry *e)
{
    size_t at = out->len;
    size_t body = FIXED_BYTES + e->table.len + e->key.len;

    buf_u32(out, (uint32_t)body);
    buf_u64(out, e->id);
    buf_u64(out, (uint64_t)e->deleted_s);
    buf_u64(out, e->size);
    buf_u8(out, e->named);
    buf_u16(out, (uint16_t)e->table.len);
    if (e->table.len > 0) {
        buf_put(out, e->table.p, e->table.len);
    }
    buf_u8(out, (uint8_t)e->key.len);
    if (e->key.len > 0) {
        buf_put(out, e->key.p, e->key.len);
    }
    if (!out->bad) {
        buf_u64(out, checksum_of(out->data + at, out->len - at));
    }
}

/* Names from a disk are believed no more than those from the wire: the value is
 * kept without a name. */
static void check_names(struct trash_entry *e)
{
    struct err err;

    if (table_check(e->table.p, e->table.len, &err) != 0 ||
        key_check(e->key.p, e->key.len, &err) != 0) {
        e->named = false;
        e->table.len = e->key.len = 0;
    }
}

/* One record out of `data`.  Its bytes, 0: there is none (more). */
static size_t get_record(const uint8_t *data, size_t n, struct trash_entry *out)
{
    struct cur c = cur_of(data, n);
    size_t body = cur_u32(&c);

    if (c.bad || body > RECORD_MAX_BYTES || body > c.left ||
        body < FIXED_BYTES) {
        return 0;
    }
    size_t all = 4 + body;
    uint64_t sum = checksum_of(data, all - 8);
    out->id = cur_u64(&c);
    out->deleted_s = (int64_t)cur_u64(&c);
    out->size = cur_u64(&c);
    out->named = cur_u8(&c) != 0;
    out->table.len = cur_u16(&c);
    out->table.p = cur_take(&c, out->table.len);
    out->key.len = cur_u8(&c);
    out->key.p = cur_take(&c, out->key.len);
    if (cur_u64(&c) != sum || c.bad || (size_t)(c.p - data) != all ||
        out->table.len > TABLE_MAX_BYTES || out->key.len > KEY_MAX_BYTES) {
        return 0;
    }
    check_names(out);
    return all;
}

bool trash_log_add(int log_fd, const struct trash_entry *e)
{
    CLEANUP(buf_deinit) struct buf b = BUF_NULL;

    put_record(&b, e);
    off_t was = lseek(log_fd, 0, SEEK_END);
    if (b.bad || was < 0) {
        return false;
    }
    if (sys_write_all(log_fd, b.data, b.len) == 0) {
        return true;
    }
    /* A piece of a record would hide those after it. */
    (void)!ftruncate(log_fd, was);
    return false;
}

int trash_log_open(int dir_fd, struct err *err)
{
    return own_file_open(dir_fd, TRASH_LOG, O_RDWR | O_APPEND, err);
}

/* --- reading ------------------------------------------------------------- */

/* The whole log; a missing one is empty. */
static int read_log(int dir_fd, struct buf *out, struct err *err)
{
    CLEANUP(fd_closep)
    int fd = sys_open_file(dir_fd, TRASH_LOG);
    struct stat st;

    if (fd < 0) {
        return errno == ENOENT ? 0 : err_sys(err, errno, "open " TRASH_LOG);
    }
    if (fstat(fd, &st) != 0) {
        return err_sys(err, errno, "stat " TRASH_LOG);
    }
    if (!S_ISREG(st.st_mode) || st.st_size > LOG_MAX_BYTES) {
        return err_set(err, ERR_CORRUPT, 0,
                       TRASH_LOG
                       " is not a regular file, or larger than any log");
    }
    if (!buf_reserve(out, (size_t)st.st_size + 1)) {
        return err_set(err, ERR_NOMEM, 0, "no memory to read " TRASH_LOG);
    }
    ssize_t n = sys_read_full(fd, out->data, (size_t)st.st_size);
    if (n < 0) {
        return err_sys(err, errno, "read " TRASH_LOG);
    }
    out->len = (size_t)n;
    return 0;
}

static int stat_value(int dir_fd, uint64_t id, struct stat *st)
{
    char name[TRASH_NAME_BYTES];

    trash_name(id, name);
    return fstatat(dir_fd, name, st, AT_SYMLINK_NOFOLLOW) == 0 &&
                   S_ISREG(st->st_mode)
               ? 0
               : -1;
}

struct ids {
    uint64_t *id;
    size_t n, cap;
};

static bool ids_add(struct ids *s, uint64_t id)
{
    if (s->n == s->cap) {
        size_t cap = s->cap > 0 ? s->cap * 2 : 256;
        uint64_t *more = realloc(s->id, cap * sizeof *more);
        if (more == NULL) {
            return false;
        }
        s->id = more;
        s->cap = cap;
    }
    s->id[s->n++] = id;
    return true;
}

static int by_id(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return x < y ? -1 : x > y;
}

/* Values that no record tells of. */
static int each_unnamed(int dir_fd, struct ids *seen, trash_fn fn, void *arg,
                        struct err *err)
{
    CLEANUP(dir_end) struct dir dir = dir_list(dir_fd, ".");
    int rc = 0;

    if (seen->n > 1) {
        qsort(seen->id, seen->n, sizeof *seen->id, by_id);
    }
    for (const struct dirent *e; rc == 0 && (e = dir_next(&dir)) != NULL;) {
        struct trash_entry u = {.named = false};
        struct stat st;
        char *end = NULL;
        u.id = strtoull(e->d_name, &end, 16);
        if (strlen(e->d_name) != TRASH_NAME_BYTES - 1 || *end != '\0' ||
            (seen->n > 0 &&
             bsearch(&u.id, seen->id, seen->n, sizeof u.id, by_id) != NULL) ||
            stat_value(dir_fd, u.id, &st) != 0) {
            continue;
        }
        u.deleted_s = st.st_ctim.tv_sec;
        u.size = (uint64_t)st.st_size;
        rc = fn(arg, &u);
    }
    return dir.sys != 0 ? err_sys(err, dir.sys, "list " TRASH_DIR) : rc;
}

int trash_each(int dir_fd, trash_fn fn, void *arg, struct err *err)
{
    CLEANUP(buf_deinit) struct buf log = BUF_NULL;
    struct ids seen = {NULL, 0, 0};
    size_t at = 0, n;
    struct trash_entry e;
    struct stat st;

    int rc = read_log(dir_fd, &log, err);
    while (rc == 0 && (n = get_record(log.data + at, log.len - at, &e)) > 0) {
        at += n;
        if (stat_value(dir_fd, e.id, &st) != 0) {
            continue;
        }
        if (!ids_add(&seen, e.id)) {
            rc = err_set(err, ERR_NOMEM, 0, "no memory for " TRASH_DIR);
            break;
        }
        e.size = (uint64_t)st.st_size;
        rc = fn(arg, &e);
    }
    if (rc == 0) {
        rc = each_unnamed(dir_fd, &seen, fn, arg, err);
    }
    free(seen.id);
    return rc;
}

/* --- writing anew -------------------------------------------------------- */

struct rewrite {
    struct buf out;
    uint64_t records;
};

static int keep_record(void *arg, const struct trash_entry *e)
{
    struct rewrite *w = arg;

    put_record(&w->out, e);
    w->records++;
    return w->out.bad ? ERR_NOMEM : 0;
}

int trash_log_rewrite(int dir_fd, uint64_t *records_out, struct err *err)
{
    struct rewrite w = {BUF_NULL, 0};

    int rc = trash_each(dir_fd, keep_record, &w, err);
    if (rc == ERR_NOMEM) {
        (void)err_set(err, ERR_NOMEM, 0, "no memory to write " TRASH_LOG);
    }
    if (rc == 0) {
        rc = small_write(dir_fd, TRASH_LOG, w.out.data, w.out.len,
                         SMALL_DURABLE(0600), err);
    }
    if (rc == 0) {
        *records_out = w.records;
    }
    buf_deinit(&w.out);
    return rc;
}
