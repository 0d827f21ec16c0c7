/* SPDX-License-Identifier: MIT
 *
 * index_file: the saved index, so that a restart costs a walk instead of a
 * read of every value; see index.h for what save and load promise.
 *
 * The file, all integers little-endian:
 *
 *     header   "DRVINDEX", u32 version, u32 zero, db_id (16 bytes), u64 root
 *              device, u64 root inode, i64 time of the save (ns), boot id
 *              (16 bytes), u64 mount, i64 write-back time (ns; see boot.h), key
 *              (32 bytes)
 *     records  59 bytes each, names ascending: name (lo, hi), digest (lo, hi),
 *              inode, ctime (ns), size, a byte: 1 table, 2 durable; u16 table
 *              (see struct index_entry), which version 2 had not
 *     trailer  u64 number of records, digest (lo, hi) of all before it
 *
 * It is a cache: whatever looks wrong with it (ERR_CORRUPT) costs time, never
 * correctness.  A file is believed only when it is whole, so the checksum is
 * compared before anything else that it says, and a load builds an index of
 * its own that takes the place of the caller's at the very end.
 */
#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/base/cleanup.h"
#include "store/base/clock.h"
#include "store/base/sys.h"
#include "store/files/newfile.h"
#include "sync/index/index.h"
#include "sync/index/index_impl.h"

enum {
    VERSION = 3,
    VERSION_UNTAGGED = 2, /* is loaded, too */
    HEADER_BYTES =
        8 + 4 + 4 + 16 + 8 + 8 + 8 + BOOT_ID_BYTES + 8 + 8 + INDEX_KEY_BYTES,
    TAG_BYTES = 2,
    RECORD_BYTES = 7 * 8 + 1 + TAG_BYTES,
    COUNT_BYTES = 8,
    SUM_BYTES = 16,
    TRAILER_BYTES = COUNT_BYTES + SUM_BYTES,
    KIND_TABLE = 1, /* of a record's last byte */
    KIND_DURABLE = 2,
    IO_BYTES = 1 << 18,
    FILE_NAME_BYTES = 256,
};

static const char magic[8] = {'D', 'R', 'V', 'I', 'N', 'D', 'E', 'X'};

static void put_u64(uint8_t **p, uint64_t v)
{
    v = htole64(v);
    memcpy(*p, &v, sizeof v);
    *p += sizeof v;
}

static uint64_t take_u64(const uint8_t **p)
{
    uint64_t v;

    memcpy(&v, *p, sizeof v);
    *p += sizeof v;
    return le64toh(v);
}

static void digest_stream_freep(struct digest_stream **s)
{
    digest_stream_free(*s);
}

/* --- save ---------------------------------------------------------------- */

struct saver {
    int fd;
    const char *file; /* for messages */
    struct digest_stream *sum;
    uint8_t *io;
    size_t used;
    uint64_t records;
    int64_t young_ns; /* from this ctime on, stats are not to be trusted */
};

static int flush(struct saver *s, struct err *err)
{
    digest_stream_update(s->sum, s->io, s->used);
    if (sys_write_all(s->fd, s->io, s->used) < 0) {
        return err_sys(err, errno, "write the index file %s", s->file);
    }
    s->used = 0;
    return 0;
}

static void save_header(struct saver *s, const struct index_key *key,
                        const struct index_ident *ident, int64_t now_ns)
{
    uint8_t *p = s->io;

    memcpy(p, magic, sizeof magic);
    p += sizeof magic;
    put_u64(&p, VERSION); /* u32 version, u32 zero */
    memcpy(p, ident->db_id, sizeof ident->db_id);
    p += sizeof ident->db_id;
    put_u64(&p, ident->root_dev);
    put_u64(&p, ident->root_ino);
    put_u64(&p, (uint64_t)now_ns);
    memcpy(p, ident->boot.id, sizeof ident->boot.id);
    p += sizeof ident->boot.id;
    put_u64(&p, ident->boot.mount);
    put_u64(&p, (uint64_t)ident->boot.writeback_ns);
    memcpy(p, key, INDEX_KEY_BYTES);
    s->used = HEADER_BYTES;
}

static int save_entry(struct saver *s, const struct index_entry *e,
                      struct err *err)
{
    if (IO_BYTES - s->used < RECORD_BYTES && flush(s, err) < 0) {
        return err->code;
    }
    struct vstat stat =
        e->stat.ctime_ns >= s->young_ns ? index_unproven(e->stat) : e->stat;
    uint8_t *p = s->io + s->used;
    put_u64(&p, e->name.lo);
    put_u64(&p, e->name.hi);
    put_u64(&p, e->digest.lo);
    put_u64(&p, e->digest.hi);
    put_u64(&p, stat.ino);
    put_u64(&p, (uint64_t)stat.ctime_ns);
    put_u64(&p, stat.size);
    *p = (uint8_t)((e->is_table ? KIND_TABLE : 0) |
                   (e->durable ? KIND_DURABLE : 0));
    p[1] = (uint8_t)e->table;
    p[2] = (uint8_t)(e->table >> 8);
    s->used += RECORD_BYTES;
    s->records++;
    return 0;
}

static int save_entries(struct saver *s, struct index *ix, struct err *err)
{
    CLEANUP(freep) struct index_entry *entries = NULL;
    size_t cap = 0;

    for (unsigned bucket = 0; bucket < INDEX_BUCKETS; bucket++) {
        int n = index_list(ix, bucket, &entries, &cap, err);
        if (n < 0) {
            return n;
        }
        for (int i = 0; i < n; i++) {
            int rc = save_entry(s, &entries[i], err);
            if (rc < 0) {
                return rc;
            }
        }
    }
    return 0;
}

static int save_trailer(struct saver *s, struct err *err)
{
    int rc = flush(s, err);

    if (rc < 0) {
        return rc;
    }
    uint8_t *p = s->io;
    put_u64(&p, s->records);
    s->used = COUNT_BYTES;
    rc = flush(s, err); /* the count is summed too */
    if (rc < 0) {
        return rc;
    }
    struct digest sum = digest_stream_final(s->sum);
    p = s->io;
    put_u64(&p, sum.lo);
    put_u64(&p, sum.hi);
    s->used = SUM_BYTES;
    return flush(s, err);
}

static int save_to(struct index *ix, int fd, const char *file,
                   const struct index_ident *ident, int64_t now_ns,
                   struct err *err)
{
    CLEANUP(freep) uint8_t *io = malloc(IO_BYTES);
    CLEANUP(digest_stream_freep)
    struct digest_stream *sum = digest_stream_new();
    struct saver s = {.fd = fd,
                      .file = file,
                      .sum = sum,
                      .io = io,
                      .young_ns = now_ns - UNPROVEN_NS};

    if (io == NULL || sum == NULL) {
        return err_set(err, ERR_NOMEM, 0, "save the index: out of memory");
    }
    save_header(&s, &ix->key, ident, now_ns);
    int rc = save_entries(&s, ix, err);
    if (rc == 0) {
        rc = save_trailer(&s, err);
    }
    if (rc == 0 && sys_fsync(fd) < 0) {
        rc = err_sys(err, errno, "fsync the index file %s", file);
    }
    return rc;
}

int index_save(struct index *ix, int dir_fd, const char *file,
               const struct index_ident *ident, int64_t now_ns, struct err *err)
{
    char temp[FILE_NAME_BYTES];

    int len = snprintf(temp, sizeof temp, "%s.new", file);
    assert(len > 0 && (size_t)len < sizeof temp);
    /* What a crash left behind; a new file has our mode and no other links. */
    (void)unlinkat(dir_fd, temp, 0);
    struct newfile f;
    if (newfile_open(&f, dir_fd, temp, 0600) < 0) {
        return err_sys(err, errno, "create the index file %s", temp);
    }
    int rc = save_to(ix, f.fd, temp, ident, now_ns, err);
    if (rc == 0 && newfile_place_over(&f, dir_fd, temp, file) < 0) {
        rc = err_sys(err, errno, "rename the index file %s to %s", temp, file);
    }
    newfile_drop(&f, dir_fd, temp);
    if (rc < 0) {
        return rc;
    }
    if (sys_fsync(dir_fd) < 0) {
        return err_sys(err, errno, "fsync the directory of index file %s",
                       file);
    }
    return 0;
}

/* --- load ---------------------------------------------------------------- */

struct loader {
    int fd;
    const char *file; /* for messages */
    struct digest_stream *sum;
    uint8_t *io;
    size_t used;   /* bytes in io */
    size_t at;     /* of them taken */
    uint64_t left; /* bytes of the file not read yet */
    size_t record_bytes;
    struct index *ix;
    const struct boot *boot; /* this one */
    int64_t unproven_ns;     /* stats from this ctime on are not believed */
    struct index_entry *run; /* entries of the bucket being read */
    size_t run_len;
    size_t run_cap;
};

static int corrupt(const struct loader *l, struct err *err, const char *why)
{
    return err_set(err, ERR_CORRUPT, 0,
                   "the index file %s is not used: %s; all values are read "
                   "again",
                   l->file, why);
}

/* The next `n` bytes (n <= IO_BYTES); they stay valid until the next call. */
static int take(struct loader *l, size_t n, const uint8_t **out,
                struct err *err)
{
    if (l->used - l->at < n) {
        memmove(l->io, l->io + l->at, l->used - l->at);
        l->used -= l->at;
        l->at = 0;
    }
    while (l->used < n) {
        size_t room = IO_BYTES - l->used;
        size_t want = l->left < room ? (size_t)l->left : room;
        ssize_t got = want > 0 ? sys_read(l->fd, l->io + l->used, want) : 0;
        if (got < 0) {
            return err_sys(err, errno, "read the index file %s", l->file);
        }
        if (got == 0) {
            return corrupt(l, err, "it is too short");
        }
        l->used += (size_t)got;
        l->left -= (uint64_t)got;
    }
    *out = l->io + l->at;
    l->at += n;
    return 0;
}

/* take(), and add what was taken to the checksum. */
static int take_summed(struct loader *l, size_t n, const uint8_t **out,
                       struct err *err)
{
    int rc = take(l, n, out, err);

    if (rc == 0) {
        digest_stream_update(l->sum, *out, n);
    }
    return rc;
}

/* What may have been in memory alone when this was saved is believed only
 * while that memory lives. */
static int64_t unproven_from(const struct loader *l, const struct boot *boot,
                             int64_t saved_ns)
{
    if (boot_same(boot, l->boot)) {
        return INT64_MAX;
    }
    return saved_ns < INT64_MIN + boot->writeback_ns
               ? INT64_MIN
               : saved_ns - boot->writeback_ns;
}

static int load_header(struct loader *l, struct index_ident *ident_out,
                       struct err *err)
{
    const uint8_t *p;

    int rc = take_summed(l, HEADER_BYTES, &p, err);
    if (rc < 0) {
        return rc;
    }
    if (memcmp(p, magic, sizeof magic) != 0) {
        return corrupt(l, err, "it is something else");
    }
    p += sizeof magic;
    uint64_t version = take_u64(&p);
    if (version != VERSION && version != VERSION_UNTAGGED) {
        return corrupt(l, err, "another version of drover wrote it");
    }
    l->record_bytes =
        version == VERSION ? RECORD_BYTES : RECORD_BYTES - TAG_BYTES;
    memcpy(ident_out->db_id, p, sizeof ident_out->db_id);
    p += sizeof ident_out->db_id;
    ident_out->root_dev = take_u64(&p);
    ident_out->root_ino = take_u64(&p);
    int64_t saved_ns = (int64_t)take_u64(&p);
    struct boot *boot = &ident_out->boot;
    memcpy(boot->id, p, sizeof boot->id);
    p += sizeof boot->id;
    boot->mount = take_u64(&p);
    boot->writeback_ns = (int64_t)take_u64(&p);
    if (boot->writeback_ns < 0) {
        return corrupt(l, err, "its write-back time makes no sense");
    }
    memcpy(&l->ix->key, p, INDEX_KEY_BYTES);
    l->unproven_ns = unproven_from(l, boot, saved_ns);
    return 0;
}

static int no_memory(struct err *err)
{
    return err_set(err, ERR_NOMEM, 0, "load the index: out of memory");
}

static int end_run(struct loader *l, struct err *err)
{
    if (l->run_len > 0 && !index_fill_bucket(l->ix, l->run, l->run_len)) {
        return no_memory(err);
    }
    l->run_len = 0;
    return 0;
}

static int add_to_run(struct loader *l, const struct index_entry *e,
                      struct err *err)
{
    if (l->run_len > 0) {
        struct digest last = l->run[l->run_len - 1].name;
        if (digest_order(last, e->name) >= 0) {
            return corrupt(l, err, "its records are out of order");
        }
        if (index_bucket(last) != index_bucket(e->name)) {
            int rc = end_run(l, err);
            if (rc < 0) {
                return rc;
            }
        }
    }
    if (l->run_len == l->run_cap) {
        size_t cap = l->run_cap * 2 + 64;
        struct index_entry *run = realloc(l->run, cap * sizeof *run);
        if (run == NULL) {
            return no_memory(err);
        }
        l->run = run;
        l->run_cap = cap;
    }
    l->run[l->run_len++] = *e;
    return 0;
}

static int load_record(struct loader *l, const uint8_t *p, struct err *err)
{
    struct index_entry e = {.scan = 0};

    e.name.lo = take_u64(&p);
    e.name.hi = take_u64(&p);
    e.digest.lo = take_u64(&p);
    e.digest.hi = take_u64(&p);
    e.stat.ino = take_u64(&p);
    e.stat.ctime_ns = (int64_t)take_u64(&p);
    e.stat.size = take_u64(&p);
    e.is_table = (*p & KIND_TABLE) != 0;
    e.durable = (*p & KIND_DURABLE) != 0;
    if (*p > (KIND_TABLE | KIND_DURABLE)) {
        return corrupt(l, err, "a record is neither key nor table");
    }
    if (l->record_bytes == RECORD_BYTES) {
        e.table = (uint16_t)(p[1] | p[2] << 8);
    }
    if (e.stat.ctime_ns >= l->unproven_ns) {
        e.stat = index_unproven(e.stat);
    }
    return add_to_run(l, &e, err);
}

/* Records are summed by the hundred: a sum per record would cost more than
 * the rest of the load. */
static int load_records(struct loader *l, uint64_t records, struct err *err)
{
    enum { BATCH = 1024 };

    while (records > 0) {
        size_t n = records < BATCH ? (size_t)records : BATCH;
        const uint8_t *p;
        int rc = take_summed(l, n * l->record_bytes, &p, err);
        for (size_t i = 0; i < n && rc == 0; i++) {
            rc = load_record(l, p + i * l->record_bytes, err);
        }
        if (rc < 0) {
            return rc;
        }
        records -= n;
    }
    return end_run(l, err);
}

static int load_trailer(struct loader *l, uint64_t records, struct err *err)
{
    const uint8_t *p;

    int rc = take_summed(l, COUNT_BYTES, &p, err);
    if (rc < 0) {
        return rc;
    }
    if (take_u64(&p) != records) {
        return corrupt(l, err, "its count does not match its size");
    }
    struct digest sum = digest_stream_final(l->sum);
    rc = take(l, SUM_BYTES, &p, err);
    if (rc < 0) {
        return rc;
    }
    uint64_t lo = take_u64(&p);
    uint64_t hi = take_u64(&p);
    if (lo != sum.lo || hi != sum.hi) {
        return corrupt(l, err, "its checksum does not match");
    }
    return 0;
}

static int check_ident(const struct loader *l, const struct index_ident *got,
                       const struct index_ident *want, struct err *err)
{
    if (memcmp(got->db_id, want->db_id, sizeof got->db_id) != 0) {
        return err_set(err, ERR_REFUSED, 0,
                       "the index file %s is not used: it belongs to another "
                       "database",
                       l->file);
    }
    if (want->root_ino != 0 &&
        (got->root_dev != want->root_dev || got->root_ino != want->root_ino)) {
        return err_set(err, ERR_REFUSED, 0,
                       "the index file %s is not used: the database was "
                       "copied or moved since it was saved",
                       l->file);
    }
    return 0;
}

static int load_from(struct loader *l, const struct index_ident *ident,
                     struct err *err)
{
    struct index_ident got;
    struct stat st;

    if (fstat(l->fd, &st) < 0) {
        return err_sys(err, errno, "fstat the index file %s", l->file);
    }
    if (!S_ISREG(st.st_mode)) {
        return corrupt(l, err, "it is not a regular file");
    }
    uint64_t size = (uint64_t)st.st_size;
    if (size < HEADER_BYTES + TRAILER_BYTES) {
        return corrupt(l, err, "it is too short");
    }
    uint64_t body = size - HEADER_BYTES - TRAILER_BYTES;
    l->left = size;
    int rc = load_header(l, &got, err);
    if (rc < 0) {
        return rc;
    }
    if (body % l->record_bytes != 0) {
        return corrupt(l, err, "it was cut off");
    }
    rc = load_records(l, body / l->record_bytes, err);
    if (rc == 0) {
        rc = load_trailer(l, body / l->record_bytes, err);
    }
    return rc == 0 ? check_ident(l, &got, ident, err) : rc;
}

int index_load(struct index *ix, int dir_fd, const char *file,
               const struct index_ident *ident, struct err *err)
{
    CLEANUP(fd_closep)
    int fd = sys_open_file(dir_fd, file);

    if (fd < 0) {
        return err_sys(err, errno, "open the index file %s", file);
    }
    CLEANUP(freep) uint8_t *io = malloc(IO_BYTES);
    CLEANUP(digest_stream_freep)
    struct digest_stream *sum = digest_stream_new();
    struct loader l = {.fd = fd,
                       .file = file,
                       .sum = sum,
                       .io = io,
                       .boot = &ident->boot,
                       .ix = index_new()};
    int rc = io == NULL || sum == NULL || l.ix == NULL
                 ? no_memory(err)
                 : load_from(&l, ident, err);
    free(l.run);
    if (rc == 0) {
        index_take(ix, l.ix);
    } else {
        index_free(l.ix);
    }
    return rc;
}
