/* SPDX-License-Identifier: MIT
 *
 * fuzz_disk: state that is read back from a disk: the index file, and the small
 * files of a replica, a primary and the agent's state directory.
 *
 * Input: a byte that chooses the file, then its contents.  For an index file
 * the checksum (and, chosen by a bit, the identity) is put right, so that
 * mutation reaches what is behind it.
 *
 * What is accepted says the same after it was written and read again; an index
 * file that is refused leaves the index as it was.  Names out of a trash's log,
 * also with right checksums, and of kept tables are possible names, whatever
 * stands there.
 */
#include "tests/fuzz/fuzz.h"

#include "agent/identity/identity.h"
#include "store/layout/db.h"
#include "sync/index/index.h"
#include "sync/replica/meta/meta.h"
#include "sync/replica/meta/session.h"
#include "sync/replica/role/kept.h"
#include "sync/replica/trash/trash_log.h"

static const struct index_ident ident = {
    .db_id = {1, 2, 3}, .root_dev = 4, .root_ino = 5, .boot = {.id = {6}}};

static void check_again(struct index *ix)
{
    static struct index *other;
    struct err err;
    int dir = fuzz_dir();

    if (other == NULL) {
        other = index_new();
        must(other != NULL);
    }
    must(index_save(ix, dir, "again", &ident, INT64_MAX, &err) == 0);
    must(index_load(other, dir, "again", &ident, &err) == 0);
    must(index_count(ix) == index_count(other));
    must(index_tables(ix) == index_tables(other));
    must(index_bytes(ix) == index_bytes(other));
    must(memcmp(&(struct digest){index_root(ix).lo, index_root(ix).hi},
                &(struct digest){index_root(other).lo, index_root(other).hi},
                sizeof(struct digest)) == 0);
}

static void try_index(struct cur in, bool repair)
{
    static struct index *ix;
    static struct buf file;

    enum { SUM = 16, IDENT_AT = 16 };
    struct err err = {0};

    if (ix == NULL) {
        ix = index_new();
        must(ix != NULL);
    }
    buf_clear(&file);
    buf_put(&file, in.p, in.left);
    if (repair && file.len > 48 + SUM) {
        memcpy(file.data + IDENT_AT, ident.db_id, 16);
        memcpy(file.data + IDENT_AT + 16, &ident.root_dev, 8);
        memcpy(file.data + IDENT_AT + 24, &ident.root_ino, 8);
        struct digest sum = digest_of(file.data, file.len - SUM);
        memcpy(file.data + file.len - SUM, &sum.lo, 8);
        memcpy(file.data + file.len - SUM + 8, &sum.hi, 8);
    }
    fuzz_file(fuzz_dir(), "index", 0600, file.data, file.len);
    uint64_t before = index_count(ix);
    int rc = index_load(ix, fuzz_dir(), "index", &ident, &err);
    if (rc == 0) {
        must(index_count(ix) + index_tables(ix) <= in.left / 57);
        check_again(ix);
    } else {
        must(rc == ERR_CORRUPT || rc == ERR_REFUSED);
        must(index_count(ix) == before);
    }
}

static void try_ident(struct cur in)
{
    static const struct meta_modes modes = {
        .dir_mode = 0700, .file_mode = 0600, .group = (gid_t)-1};
    struct meta_ident a, b;
    struct err err;

    fuzz_file(fuzz_dir(), META_FILE_REPLICA, 0600, in.p, in.left);
    if (meta_ident_read(fuzz_dir(), &a, &err) == 0) {
        must(meta_ident_write(fuzz_dir(), &a, &modes, &err) == 0);
        must(meta_ident_read(fuzz_dir(), &b, &err) == 0);
        must(memcmp(a.db_id, b.db_id, 16) == 0 && a.epoch == b.epoch);
        must(a.watermark == b.watermark);
    }
}

static void try_freshness(struct cur in)
{
    struct meta_freshness a, b;
    char text[META_TEXT_MAX];
    struct err err;

    fuzz_file(fuzz_dir(), META_FILE_FRESHNESS, 0600, in.p, in.left);
    if (meta_freshness_read(fuzz_dir(), &a, &err) == 0) {
        must(memchr(a.state, '\0', sizeof a.state) != NULL);
        size_t n = meta_freshness_text(&a, text);
        fuzz_file(fuzz_dir(), META_FILE_FRESHNESS, 0600, text, n);
        must(meta_freshness_read(fuzz_dir(), &b, &err) == 0);
        must(a.epoch == b.epoch && a.seq == b.seq);
        must(strcmp(a.state, b.state) == 0);
    }
}

static void try_takeover(struct cur in)
{
    struct session s;
    struct session_holder holder;
    struct err err;
    char why[200] = "";

    session_init(&s, fuzz_dir());
    s.heartbeat_ms = 1000;
    s.epoch = 5;
    memcpy(s.db_id, ident.db_id, 16);
    int64_t silent_ms = cur_u8(&in) * 50;
    fuzz_file(fuzz_dir(), META_FILE_TAKEOVER, 0600, in.p, in.left);
    if (session_superseded(&s, silent_ms, why, sizeof why)) {
        must(why[0] != '\0');
        fuzz_is_tame(why, strlen(why), "");
    }
    fuzz_file(fuzz_dir(), META_FILE_LOCK, 0600, in.p, in.left);
    must(session_live(fuzz_dir(), &holder, &err) == 0);
    must(memchr(holder.replica, '\0', sizeof holder.replica) != NULL);
    session_deinit(&s);
}

static void try_identity(struct cur in, bool epoch)
{
    static struct db db;
    static int meta = -1;
    uint8_t id[IDENTITY_BYTES];
    uint64_t number;
    struct err err = {0};

    if (meta < 0) {
        must(mkdirat(fuzz_dir(), "db", 0700) == 0);
        must(db_open(&db, fuzz_path("db"), false, &err) == 0);
        must(mkdirat(db.root_fd, META_DIR, 0700) == 0);
        meta = openat(db.root_fd, META_DIR, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        must(meta >= 0);
    }
    fuzz_file(meta, epoch ? "epoch" : "id", 0600, in.p, in.left);
    if (epoch) {
        must(identity_epoch(&db, &number, &err) < 0 || number > 0);
    } else if (identity_read(&db, id, &err) == 0) {
        must(identity_check(&db, id, &err) == 0);
        id[0] ^= 1;
        must(identity_check(&db, id, &err) == ERR_GONE);
    }
}

static void try_record(struct cur in)
{
    uint8_t id[IDENTITY_BYTES], again[IDENTITY_BYTES];
    struct err err = {0};
    const char *path = "/srv/db";

    fuzz_file(fuzz_dir(), IDENTITY_RECORD, 0600, in.p, in.left);
    if (identity_recall(fuzz_dir(), path, id, &err) == 0) {
        must(identity_record(fuzz_dir(), path, id, &err) == 0);
        must(identity_recall(fuzz_dir(), path, again, &err) == 0);
        must(memcmp(id, again, sizeof id) == 0);
    }
}

static void is_possible(struct bytes table, struct bytes key)
{
    struct err err;

    must(table_check(table.p, table.len, &err) == 0);
    must(key_check(key.p, key.len, &err) == 0);
}

static int on_trash(void *arg, const struct trash_entry *e)
{
    (void)arg;
    if (e->named) {
        is_possible(e->table, e->key);
    } else {
        must(e->table.len == 0 && e->key.len == 0);
    }
    return 0;
}

/* One record: an id, and two names of these lengths. */
static struct trash_entry take_entry(struct cur *in)
{
    struct trash_entry e = {.id = cur_u8(in) & 3U, .named = true};

    e.table.len = cur_u8(in);
    e.key.len = cur_u8(in);
    e.table.len = e.table.len < in->left ? e.table.len : in->left;
    e.table.p = cur_take(in, e.table.len);
    e.key.len = e.key.len < in->left ? e.key.len : in->left;
    e.key.p = cur_take(in, e.key.len);
    return e;
}

static void try_trash(struct cur in, bool raw)
{
    static int dir = -1;
    struct err err;

    if (dir < 0) {
        must(mkdirat(fuzz_dir(), "trash", 0700) == 0);
        dir = openat(fuzz_dir(), "trash", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        must(dir >= 0);
        fuzz_file(dir, "0000000000000001", 0600, "a", 1);
        fuzz_file(dir, "0000000000000002", 0600, "b", 1);
    }
    fuzz_file(dir, TRASH_LOG, 0600, in.p, raw ? in.left : 0);
    if (!raw) {
        int log = trash_log_open(dir, &err);
        must(log >= 0);
        for (int i = 0; i < 20 && in.left > 3; i++) {
            struct trash_entry e = take_entry(&in);
            must(trash_log_add(log, &e));
        }
        (void)close(log);
    }
    must(trash_each(dir, on_trash, NULL, &err) == 0);
}

static int on_kept(void *arg, struct bytes table, struct bytes key, int fd)
{
    (void)arg;
    must(fd >= 0);
    is_possible(table, key);
    return 0;
}

static void try_kept(struct cur in)
{
    static int kept = -1;
    struct kept k;
    struct err err;
    int dir = fuzz_dir();

    if (kept < 0) {
        must(mkdirat(dir, "kept-1", 0700) == 0);
        kept = openat(dir, "kept-1", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        must(kept >= 0);
        fuzz_file(kept, KEPT_LAYOUT, 0600, KEPT_LAYOUT_TEXT,
                  strlen(KEPT_LAYOUT_TEXT));
        must(mkdirat(kept, "0", 0700) == 0);
        fuzz_file(kept, "0/k.v", 0600, "v", 1);
    }
    fuzz_file(kept, "0/" KEPT_TABLE, 0600, in.p, in.left);
    if (kept_open(&k, dir, "kept-1", &err) == 0) {
        must(kept_each(&k, on_kept, NULL, &err) == 0);
        kept_close(&k);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1 || size > 65536) {
        return 0;
    }
    struct cur in = cur_of(data, size);
    switch (cur_u8(&in) % 11) {
    case 0:
        try_index(in, false);
        break;
    case 1:
        try_index(in, true);
        break;
    case 2:
        try_ident(in);
        break;
    case 3:
        try_freshness(in);
        break;
    case 4:
        try_takeover(in);
        break;
    case 5:
        try_identity(in, false);
        break;
    case 6:
        try_identity(in, true);
        break;
    case 7:
        try_record(in);
        break;
    case 8:
        try_trash(in, true);
        break;
    case 9:
        try_trash(in, false);
        break;
    default:
        try_kept(in);
    }
    return 0;
}
