/* SPDX-License-Identifier: MIT
 *
 * disk: the receiver's operations on a real directory, and the sandbox around
 * them. */
#include "tests/support/store_fixture.h"

#include <stdatomic.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>

#include "store/base/clock.h"
#include "store/layout/install.h"
#include "sync/replica/disk/disk.h"
#include "sync/replica/sandbox/sandbox.h"

/* What was synced, and what cannot be. */
static struct {
    _Atomic ino_t synced[64];
    atomic_int calls;
    ino_t fails;
} sync_log;

int __real_fsync(int fd);
int __wrap_fsync(int fd);
int __wrap_fsync(int fd)
{
    struct stat st;

    assert_int_equal(fstat(fd, &st), 0);
    if (st.st_ino == sync_log.fails) {
        errno = EIO;
        return -1;
    }
    sync_log.synced[sync_log.calls++ % 64] = st.st_ino;
    return __real_fsync(fd);
}

static bool was_synced(ino_t inode)
{
    for (int i = 0; i < sync_log.calls && i < 64; i++) {
        if (sync_log.synced[i] == inode) {
            return true;
        }
    }
    return false;
}

struct rig {
    struct fixture f;
    struct disk d;
    struct receiver_ops ops;
    uint64_t next;
};

static struct meta_modes modes(void)
{
    return (struct meta_modes){.dir_mode = META_DIR_MODE,
                               .file_mode = META_FILE_MODE,
                               .group = (gid_t)-1};
}

static int setup(void **state)
{
    struct rig *r = calloc(1, sizeof *r);
    struct meta_modes m = modes();

    memset(&sync_log, 0, sizeof sync_log);
    assert_non_null(r);
    fixture_begin(&r->f);
    assert_int_equal(disk_open(&r->d, r->f.path, &m, &r->f.err), 0);
    disk_ops(&r->ops);
    *state = r;
    return 0;
}

static int teardown(void **state)
{
    struct rig *r = *state;

    disk_close(&r->d);
    fixture_end(&r->f);
    free(r);
    return 0;
}

static struct bytes text(const char *s)
{
    return bytes_of(s, strlen(s));
}

static uint64_t stage_in(struct rig *r, const char *table, const void *p,
                         size_t n)
{
    uint64_t number = ++r->next;

    assert_int_equal(
        r->ops.stage_begin(&r->d, number, text(table), n, &r->f.err), 0);
    assert_int_equal(r->ops.stage_write(&r->d, number, p, n, &r->f.err), 0);
    assert_int_equal(r->ops.stage_end(&r->d, number, &r->f.err), 0);
    return number;
}

static uint64_t stage_synced(struct rig *r, const char *value)
{
    uint64_t number = stage_in(r, "t", value, strlen(value));

    assert_int_equal(r->ops.stage_sync(&r->d, &number, 1, &r->f.err), 0);
    return number;
}

static int install(struct rig *r, const char *table, const char *key,
                   uint64_t number, bool force)
{
    struct vstat st;
    uint32_t pid = 0;
    char comm[16];
    int rc =
        r->ops.install(&r->d, number, text(table), text(key),
                       force ? INSTALL_FORCE : 0, &st, &pid, comm, &r->f.err);

    if (rc == INSTALL_BUSY) {
        assert_int_equal(pid, getpid());
    }
    return rc;
}

static void set(struct rig *r, const char *table, const char *key,
                const char *value)
{
    assert_int_equal(install(r, table, key, stage_synced(r, value), false),
                     INSTALL_DONE);
    assert_int_equal(r->ops.dirs_sync(&r->d, &r->f.err), 0);
}

static int drop(struct rig *r, const char *table, bool force)
{
    char key[KEY_FILE_BYTES], comm[16];
    size_t len = 0;
    uint32_t pid = 0;

    return r->ops.table_drop(&r->d, text(table), force, key, &len, &pid, comm,
                             &r->f.err);
}

/* 1 GiB of zeros takes no room, also where the announced size had reserved
 * some, and what cannot be a file's length is refused. */
static void zeros_are_a_hole(void **state)
{
    struct rig *r = *state;
    uint64_t number = ++r->next;
    struct stat st;

    assert_int_equal(
        r->ops.stage_begin(&r->d, number, text("t"), 4 << 20, &r->f.err), 0);
    assert_int_equal(r->ops.stage_write(&r->d, number, "ab", 2, &r->f.err), 0);
    assert_int_equal(r->ops.stage_zeros(&r->d, number, 1 << 30, &r->f.err), 0);
    assert_int_equal(r->ops.stage_write(&r->d, number, "cd", 2, &r->f.err), 0);
    assert_int_equal(r->ops.stage_zeros(&r->d, number, 5, &r->f.err), 0);
    assert_int_equal(r->ops.stage_end(&r->d, number, &r->f.err), 0);
    assert_int_equal(r->ops.stage_sync(&r->d, &number, 1, &r->f.err), 0);
    assert_int_equal(install(r, "t", "holes", number, false), INSTALL_DONE);
    int fd = openat(r->f.fd, "t.tbl/holes.kv", O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    char got[10];
    assert_int_equal(fstat(fd, &st), 0);
    assert_int_equal(st.st_size, (1 << 30) + 9);
    assert_true(st.st_blocks < 2048);
    assert_int_equal(pread(fd, got, 4, 0), 4);
    assert_memory_equal(got, "ab\0\0", 4);
    assert_int_equal(pread(fd, got, 10, (1 << 30) + 1), 8);
    assert_memory_equal(got, "\0cd\0\0\0\0\0", 8);
    (void)close(fd);
    number = ++r->next;
    assert_int_equal(r->ops.stage_begin(&r->d, number, text("t"), 0, &r->f.err),
                     0);
    assert_int_equal(r->ops.stage_zeros(&r->d, number, INT64_MAX, &r->f.err),
                     ERR_IO);
    r->ops.stage_drop(&r->d, number);
}

static void a_value_is_installed_with_its_modes_in_a_new_table(void **state)
{
    struct rig *r = *state;
    struct stat st;

    set(r, "a/b", "k", "value");
    assert_file(r->f.fd, "a/b.tbl/k.kv", "value");
    assert_int_equal(fstatat(r->f.fd, "a/b.tbl/k.kv", &st, 0), 0);
    assert_int_equal(st.st_mode & 07777, 0640);
    assert_int_equal(fstatat(r->f.fd, "a", &st, 0), 0);
    assert_int_equal(st.st_mode & 07777, 02750);
    assert_int_equal(fstatat(r->f.fd, "a/b.tbl", &st, 0), 0);
    assert_int_equal(st.st_mode & 07777, 02750);
    assert_int_equal(r->d.stages.open, 0);
}

static void modes_do_not_depend_on_the_umask(void **state)
{
    struct rig *r = *state;
    struct stat st;
    mode_t was = umask(077);

    set(r, "t", "k", "value");
    (void)umask(was);
    assert_int_equal(fstatat(r->f.fd, "t.tbl/k.kv", &st, 0), 0);
    assert_int_equal(st.st_mode & 07777, 0640);
}

static void values_get_the_group_of_the_settings(void **state)
{
    struct rig *r = *state;
    struct meta_modes m = modes();
    struct stat st;

    if (geteuid() != 0) {
        print_message("skipped: giving files to a group needs root\n");
        skip();
    }
    disk_close(&r->d);
    m.group = 4321;
    assert_int_equal(disk_open(&r->d, r->f.path, &m, &r->f.err), 0);
    set(r, "t", "k", "value");
    assert_int_equal(fstatat(r->f.fd, "t.tbl/k.kv", &st, 0), 0);
    assert_int_equal(st.st_gid, 4321);
    assert_int_equal(fstatat(r->f.fd, "t.tbl", &st, 0), 0);
    assert_int_equal(st.st_gid, 4321);
    assert_int_equal(fstatat(r->f.fd, ".drover", &st, 0), 0);
    assert_int_equal(st.st_gid, 4321);
}

static void
a_locked_key_is_busy_names_the_holder_and_can_be_forced(void **state)
{
    struct rig *r = *state;

    set(r, "", "k", "old");
    int fd = hold_lock(r->f.fd, "k.kv", LOCK_SH);
    uint64_t number = stage_synced(r, "new");
    assert_int_equal(install(r, "", "k", number, false), INSTALL_BUSY);
    assert_file(r->f.fd, "k.kv", "old");
    assert_int_equal(install(r, "", "k", number, true), INSTALL_DONE);
    assert_file(r->f.fd, "k.kv", "new");
    (void)close(fd);
}

static void a_lock_holder_is_looked_up_once_for_many_tries(void **state)
{
    struct rig *r = *state;

    set(r, "", "k", "old");
    int fd = hold_lock(r->f.fd, "k.kv", LOCK_SH);
    uint64_t number = stage_synced(r, "new");
    for (int i = 0; i < 50; i++) {
        assert_int_equal(install(r, "", "k", number, false), INSTALL_BUSY);
    }
    /* Once more for each two seconds that a slow machine needed. */
    assert_true(r->d.holders.asked < 10);
    (void)close(fd);
}

static void groups_of_many_values_and_tables_are_installed(void **state)
{
    enum { MANY = 700 };
    struct rig *r = *state;
    static uint64_t numbers[MANY];

    for (int i = 0; i < MANY; i++) {
        char value[16];
        int n = snprintf(value, sizeof value, "v%d", i);
        numbers[i] = stage_in(r, "t", value, (size_t)n);
    }
    assert_int_equal(r->ops.stage_sync(&r->d, numbers, MANY, &r->f.err), 0);
    for (int i = 0; i < MANY; i++) {
        char table[16];
        (void)snprintf(table, sizeof table, "t%d", i % 300);
        char key[16];
        (void)snprintf(key, sizeof key, "k%d", i);
        assert_int_equal(install(r, table, key, numbers[i], false),
                         INSTALL_DONE);
    }
    assert_int_equal(r->ops.dirs_sync(&r->d, &r->f.err), 0);
    assert_int_equal(r->d.tables.n, 0);
    assert_file(r->f.fd, "t299.tbl/k299.kv", "v299");
    assert_file(r->f.fd, "t0.tbl/k600.kv", "v600");
    assert_int_equal(r->d.stages.open, 0);
}

static ino_t inode_of(int dir, const char *path)
{
    struct stat st;

    assert_int_equal(fstatat(dir, path, &st, 0), 0);
    return st.st_ino;
}

/* Of the file that has no name. */
static ino_t unnamed_inode(void)
{
    struct stat st;

    for (int fd = 3; fd < 1024; fd++) {
        int flags =
            fcntl(fd, F_GETFL); /* one that is only removed is not ours */
        if (flags >= 0 && (flags & O_TMPFILE) == O_TMPFILE &&
            fstat(fd, &st) == 0 && st.st_nlink == 0) {
            return st.st_ino;
        }
    }
    print_message("SKIP: this file system has no O_TMPFILE\n");
    skip();
    return 0;
}

/* `a` is applied, its directory not synced; `b` is staged. */
static void begin_both(struct rig *r, uint64_t *b, ino_t *table, ino_t *value)
{
    assert_int_equal(install(r, "t", "a", stage_synced(r, "1"), false),
                     INSTALL_DONE);
    *b = stage_in(r, "t", "2", 1);
    *table = inode_of(r->f.fd, "t.tbl");
    *value = unnamed_inode();
    memset(&sync_log, 0, sizeof sync_log);
}

/* One go stands for both: the values of a group, the names of the one before.
 */
static void values_and_directories_are_synced_in_one_go(void **state)
{
    struct rig *r = *state;
    struct err dirs = {0};
    ino_t table, value;
    uint64_t b;

    begin_both(r, &b, &table, &value);
    assert_int_equal(r->ops.sync_both(&r->d, &b, 1, &r->f.err, &dirs), 0);
    assert_int_equal(dirs.code, 0);
    assert_true(was_synced(value));
    assert_true(was_synced(table));
    assert_int_equal(r->d.tables.n, 0);
    assert_int_equal(install(r, "t", "b", b, false), INSTALL_DONE);
    assert_int_equal(r->ops.dirs_sync(&r->d, &r->f.err), 0);
    assert_file(r->f.fd, "t.tbl/b.kv", "2");
}

static void each_half_of_it_has_its_own_failure(void **state)
{
    struct rig *r = *state;
    struct err dirs = {0};
    ino_t table, value;
    uint64_t b;

    begin_both(r, &b, &table, &value);
    sync_log.fails = value;
    assert_int_equal(r->ops.sync_both(&r->d, &b, 1, &r->f.err, &dirs), ERR_IO);
    assert_int_equal(dirs.code, 0);
    assert_true(was_synced(table));
    assert_int_equal(r->d.stages.open, 0);
    sync_log.fails = 0;
    begin_both(r, &b, &table, &value);
    sync_log.fails = table;
    assert_int_equal(r->ops.sync_both(&r->d, &b, 1, &r->f.err, &dirs), 0);
    assert_int_equal(dirs.code, ERR_IO);
    assert_int_equal(dirs.id, DR_REPLICA_IO);
    memset(&sync_log, 0, sizeof sync_log);
    /* It stays so: a later sync would prove nothing. */
    assert_int_equal(r->ops.dirs_sync(&r->d, &r->f.err), ERR_IO);
}

/* Descriptors run out: staged values are made durable one by one. */
static void few_descriptors_are_enough_for_many_values(void **state)
{
    enum { MANY = 200 };
    struct rig *r = *state;
    uint64_t numbers[MANY];

    r->d.stages.open_max = 5;
    for (int i = 0; i < MANY; i++) {
        numbers[i] = stage_in(r, "t", "v", 1);
    }
    assert_true(r->d.stages.open <= 5);
    assert_int_equal(r->ops.stage_sync(&r->d, numbers, MANY, &r->f.err), 0);
    assert_true(r->d.stages.open <= 5);
    assert_int_equal(install(r, "", "k", numbers[MANY - 1], false),
                     INSTALL_DONE);
    assert_int_equal(install(r, "t", "k", numbers[0], false), INSTALL_DONE);
}

static void removing_what_is_not_there_is_fine(void **state)
{
    struct rig *r = *state;
    uint32_t pid;
    char comm[16];

    assert_int_equal(r->ops.remove(&r->d, text("no"), text("k"), false, &pid,
                                   comm, &r->f.err),
                     INSTALL_ABSENT);
    assert_int_equal(
        r->ops.remove(&r->d, text(""), text("k"), false, &pid, comm, &r->f.err),
        INSTALL_ABSENT);
    assert_false(exists(r->f.fd, "no.tbl"));
}

static void a_table_removed_under_us_is_made_again(void **state)
{
    struct rig *r = *state;

    assert_int_equal(install(r, "t", "a", stage_synced(r, "1"), false),
                     INSTALL_DONE);
    assert_int_equal(unlinkat(r->f.fd, "t.tbl/a.kv", 0), 0);
    assert_int_equal(unlinkat(r->f.fd, "t.tbl", AT_REMOVEDIR), 0);
    /* The same group. */
    assert_int_equal(install(r, "t", "b", stage_synced(r, "2"), false),
                     INSTALL_DONE);
    assert_int_equal(r->ops.dirs_sync(&r->d, &r->f.err), 0);
    assert_file(r->f.fd, "t.tbl/b.kv", "2");
}

static void links_in_place_of_a_table_or_key_are_refused(void **state)
{
    struct rig *r = *state;

    assert_int_equal(mkdirat(r->f.fd, "outside", 0755), 0);
    put_text(r->f.fd, "outside/secret", "secret");
    assert_int_equal(symlinkat("outside", r->f.fd, "t.tbl"), 0);
    assert_int_equal(symlinkat("outside/secret", r->f.fd, "k.kv"), 0);
    uint64_t number = stage_synced(r, "evil");
    assert_true(install(r, "t", "k", number, false) < 0);
    assert_true(install(r, "", "k", number, false) < 0);
    assert_true(install(r, "", "k", number, true) < 0);
    assert_true(drop(r, "t", false) < 0);
    assert_false(exists(r->f.fd, "outside/k.kv"));
    assert_file(r->f.fd, "outside/secret", "secret");
}

static void a_link_planted_between_two_groups_is_not_followed(void **state)
{
    struct rig *r = *state;

    set(r, "t", "k", "1");
    assert_int_equal(mkdirat(r->f.fd, "outside", 0755), 0);
    assert_int_equal(renameat(r->f.fd, "t.tbl", r->f.fd, "moved"), 0);
    assert_int_equal(symlinkat("outside", r->f.fd, "t.tbl"), 0);
    assert_true(install(r, "t", "k", stage_synced(r, "2"), false) < 0);
    assert_false(exists(r->f.fd, "outside/k.kv"));
    assert_file(r->f.fd, "moved/k.kv", "1");
}

static void a_table_is_dropped_key_by_key(void **state)
{
    struct rig *r = *state;
    int steps = 0;

    for (int i = 0; i < 5; i++) {
        char key[16];
        (void)snprintf(key, sizeof key, "k%d", i);
        set(r, "t", key, "v");
    }
    put_text(r->f.fd, "t.tbl/k0.kv123", "left over");
    while (drop(r, "t", false) == TABLE_DROP_MORE) {
        steps++;
    }
    assert_int_equal(steps, 5);
    assert_false(exists(r->f.fd, "t.tbl"));
    assert_int_equal(drop(r, "t", false), TABLE_DROP_DONE);
}

static void
a_locked_key_does_not_keep_the_others_from_being_dropped(void **state)
{
    struct rig *r = *state;
    int rc, steps = 0;

    set(r, "t", "a", "v");
    set(r, "t", "b", "v");
    set(r, "t", "c", "v");
    int fd = hold_lock(r->f.fd, "t.tbl/b.kv", LOCK_SH);
    while ((rc = drop(r, "t", false)) == TABLE_DROP_MORE) {
        steps++;
    }
    assert_int_equal(rc, TABLE_DROP_BUSY);
    assert_int_equal(steps, 2);
    assert_true(exists(r->f.fd, "t.tbl/b.kv"));
    assert_int_equal(drop(r, "t", true), TABLE_DROP_MORE);
    assert_int_equal(drop(r, "t", true), TABLE_DROP_DONE);
    assert_false(exists(r->f.fd, "t.tbl"));
    (void)close(fd);
}

static void a_foreign_file_keeps_the_table_and_is_named(void **state)
{
    struct rig *r = *state;

    assert_int_equal(r->ops.table_make(&r->d, text("t"), &r->f.err), 0);
    put_text(r->f.fd, "t.tbl/notes.txt", "mine");
    assert_true(drop(r, "t", false) < 0);
    assert_non_null(strstr(r->f.err.msg, "notes.txt"));
    assert_file(r->f.fd, "t.tbl/notes.txt", "mine");
    assert_true(drop(r, "", false) < 0);
}

static void freshness_carries_the_primarys_time(void **state)
{
    struct rig *r = *state;
    struct meta_freshness f;

    assert_int_equal(r->ops.freshness(&r->d, 0, 1, REPLICA_INITIAL, &r->f.err),
                     0);
    assert_int_equal(meta_freshness_read(r->d.meta.fd, &f, &r->f.err), 0);
    assert_true(f.fresh_ns == 0);
    assert_string_equal(f.state, "initial");
    assert_int_equal(
        r->ops.freshness(&r->d, 1000000007, 9, REPLICA_STREAMING, &r->f.err),
        0);
    assert_int_equal(meta_freshness_read(r->d.meta.fd, &f, &r->f.err), 0);
    assert_true(f.fresh_ns == 1000000007 && f.seq == 9);
    /* Same text, later time; then unknown time keeps the last one, and the
     * sequence that goes with it. */
    assert_int_equal(
        r->ops.freshness(&r->d, 2000000000, 9, REPLICA_STREAMING, &r->f.err),
        0);
    assert_int_equal(r->ops.freshness(&r->d, 0, 10, REPLICA_CATCHUP, &r->f.err),
                     0);
    assert_int_equal(meta_freshness_read(r->d.meta.fd, &f, &r->f.err), 0);
    assert_true(f.fresh_ns == 2000000000 && f.seq == 9);
}

static int note_undone(void *arg, const struct trash_entry *e)
{
    char *text = arg;
    size_t at = strlen(text);

    (void)snprintf(text + at, 400 - at, "%.*s/%.*s=%llu ", (int)e->table.len,
                   (const char *)e->table.p, (int)e->key.len,
                   (const char *)e->key.p, (unsigned long long)e->size);
    return 0;
}

/* What is written now has a ctime not before `ns`: the file system's clock is
 * a coarse one. */
static void until_ticked(int64_t ns)
{
    struct timespec now;

    do {
        assert_int_equal(clock_gettime(CLOCK_REALTIME_COARSE, &now), 0);
    } while (clock_of_timespec(now) < ns);
}

/* A primary that may have lost its last changes: what was here before is linked
 * aside first, once for each key, durably; what came since is not. */
static void what_is_undone_is_kept_aside(void **state)
{
    struct rig *r = *state;
    char listed[400] = "", comm[16];
    struct stat log;
    uint32_t pid;

    set(r, "t", "over", "newer");
    set(r, "t", "gone", "deleted");
    set(r, "d", "dropped", "with it");
    assert_int_equal(trash_count(r->d.meta.fd, UNDONE_DIR), 0);
    assert_int_equal(r->ops.keep_undone(&r->d, true, &r->f.err), 0);
    until_ticked(atomic_load(&r->d.undo_since_ns));
    set(r, "t", "over", "old");
    set(r, "t", "over", "again");
    set(r, "t", "fresh", "x");
    set(r, "t", "fresh", "y");
    assert_int_equal(r->ops.remove(&r->d, text("t"), text("gone"), false, &pid,
                                   comm, &r->f.err),
                     INSTALL_DONE);
    while (drop(r, "d", false) == TABLE_DROP_MORE) {
    }
    memset(&sync_log, 0, sizeof sync_log);
    assert_int_equal(r->ops.dirs_sync(&r->d, &r->f.err), 0);
    assert_int_equal(fstat(r->d.undone.log_fd, &log), 0);
    assert_true(was_synced(log.st_ino));
    assert_int_equal(r->ops.keep_undone(&r->d, false, &r->f.err), 0);
    set(r, "t", "over", "live");
    assert_int_equal(
        trash_each(r->d.undone.dir_fd, note_undone, listed, &r->f.err), 0);
    assert_string_equal(listed, "t/over=5 t/gone=7 d/dropped=7 ");
    assert_int_equal(trash_count(r->d.meta.fd, UNDONE_DIR), 3);
}

static ino_t fresh_inode(struct rig *r)
{
    struct stat st;

    assert_int_equal(fstatat(r->d.meta.fd, "freshness", &st, 0), 0);
    return st.st_ino;
}

static void fresh_at(struct rig *r, int64_t fresh_ns, uint64_t seq)
{
    assert_int_equal(
        r->ops.freshness(&r->d, fresh_ns, seq, REPLICA_STREAMING, &r->f.err),
        0);
}

/* A text is on disk before it gets the name, the first name as well; a time
 * costs nothing, and a sequence that comes soon after another comes with it. */
static void freshness_is_whole_after_a_power_loss_and_cheap(void **state)
{
    struct rig *r = *state;
    struct meta_freshness f;
    struct stat meta;

    assert_int_equal(fstat(r->d.meta.fd, &meta), 0);
    fresh_at(r, 1000000000, 9);
    assert_true(was_synced(fresh_inode(r)));
    assert_true(was_synced(meta.st_ino));
    memset(&sync_log, 0, sizeof sync_log);
    for (int i = 2; i < 50; i++) {
        fresh_at(r, i * INT64_C(1000000000), 9 + (uint64_t)i);
    }
    assert_true(sync_log.calls <= 1);
    assert_int_equal(meta_freshness_read(r->d.meta.fd, &f, &r->f.err), 0);
    assert_true(f.fresh_ns == 49 * INT64_C(1000000000) && f.seq <= 58);
    /* Another state is told at once. */
    memset(&sync_log, 0, sizeof sync_log);
    assert_int_equal(
        r->ops.freshness(&r->d, 50000000000, 60, REPLICA_CATCHUP, &r->f.err),
        0);
    assert_int_equal(sync_log.calls, 1);
    assert_true(was_synced(fresh_inode(r)));
    assert_int_equal(meta_freshness_read(r->d.meta.fd, &f, &r->f.err), 0);
    assert_true(f.seq == 60);
}

static void applied_is_replaced_only_by_a_change(void **state)
{
    struct rig *r = *state;
    uint64_t seen = 0;
    struct stat a, b;

    assert_int_equal(disk_report_applied(&r->d, &seen, &r->f.err), 0);
    assert_false(exists(r->d.meta.fd, "applied"));
    set(r, "", "k", "v");
    assert_int_equal(disk_report_applied(&r->d, &seen, &r->f.err), 0);
    assert_int_equal(fstatat(r->d.meta.fd, "applied", &a, 0), 0);
    assert_int_equal(disk_report_applied(&r->d, &seen, &r->f.err), 0);
    assert_int_equal(fstatat(r->d.meta.fd, "applied", &b, 0), 0);
    assert_true(a.st_ino == b.st_ino && a.st_ctim.tv_nsec == b.st_ctim.tv_nsec);
}

static void identify_stores_the_identity_and_removes_an_old_stage(void **state)
{
    struct rig *r = *state;
    struct wire_hello hello = {.epoch = 4};
    struct wire_hello_ok ok = {0};
    struct meta_ident ident;

    memset(hello.db_id, 7, sizeof hello.db_id);
    assert_int_equal(mkdirat(r->d.meta.fd, "stage", 0750), 0);
    assert_int_equal(mkdirat(r->d.meta.fd, "stage/1", 0750), 0);
    put_text(r->d.meta.fd, "stage/s99", "left over");
    put_text(r->d.meta.fd, "stage/1/s1000", "left over");
    assert_int_equal(disk_identify(&r->d, &hello, &ok, &r->f.err), 0);
    assert_true(ok.was_empty && ok.epoch == 4);
    assert_false(exists(r->d.meta.fd, "stage"));
    assert_int_equal(meta_ident_read(r->d.meta.fd, &ident, &r->f.err), 0);
    assert_true(ident.epoch == 4 && ident.db_id[0] == 7);
    session_deinit(&r->d.session);
    hello.epoch = 6;
    assert_int_equal(disk_identify(&r->d, &hello, &ok, &r->f.err), 0);
    assert_false(ok.was_empty);
    assert_int_equal(meta_ident_read(r->d.meta.fd, &ident, &r->f.err), 0);
    assert_true(ident.epoch == 6);
}

/* In a child: the sandbox cannot be left again.  Exit 0 when all is as it
 * should be, 99 when there is no Landlock, else the number of what failed. */
static int try_sandbox(struct rig *r, const char *outside)
{
    char why[160], comm[16];
    struct stat st;
    char path[300];

    sandbox_limits();
    int held = openat(r->f.fd, "held.kv", O_RDONLY | O_CREAT, 0600);
    if (held < 0 || flock(held, LOCK_SH) != 0 || fstat(held, &st) != 0) {
        return 1;
    }
    if (sandbox_enter(r->d.meta.db.root_fd, why, sizeof why) != 0) {
        return 99;
    }
    (void)snprintf(path, sizeof path, "%s/new", outside);
    if (open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600) >= 0) {
        return 2;
    }
    (void)snprintf(path, sizeof path, "%s/there", outside);
    if (open(path, O_RDONLY | O_CLOEXEC) >= 0 || unlink(path) == 0) {
        return 3;
    }
    if (open("/etc/passwd", O_RDONLY | O_CLOEXEC) >= 0) {
        return 4;
    }
    /* Inside, everything works: from the stage into a new nested table. */
    uint64_t number = ++r->next;
    struct vstat vst;
    uint32_t pid;
    if (r->ops.stage_begin(&r->d, number, text("a/b"), 2 << 20, &r->f.err) !=
            0 ||
        r->ops.stage_write(&r->d, number, "x", 1, &r->f.err) != 0 ||
        r->ops.stage_end(&r->d, number, &r->f.err) != 0 ||
        r->ops.stage_sync(&r->d, &number, 1, &r->f.err) != 0) {
        return 5;
    }
    if (r->ops.install(&r->d, number, text("a/b"), text("k"), false, &vst, &pid,
                       comm, &r->f.err) != INSTALL_DONE ||
        r->ops.dirs_sync(&r->d, &r->f.err) != 0) {
        return 6;
    }
    if (r->ops.remove(&r->d, text(""), text("held"), false, &pid, comm,
                      &r->f.err) != INSTALL_BUSY ||
        pid != (uint32_t)getpid() || comm[0] == '\0') {
        return 7; /* /proc/locks must stay readable */
    }
    if (r->ops.freshness(&r->d, 5, 1, REPLICA_STREAMING, &r->f.err) != 0) {
        return 8;
    }
    struct rlimit core;
    if (getrlimit(RLIMIT_CORE, &core) != 0 || core.rlim_max != 0) {
        return 9;
    }
    return 0;
}

static void in_the_sandbox_only_the_database_can_be_reached(void **state)
{
    struct rig *r = *state;
    struct fixture outside;
    int status;

    fixture_begin(&outside);
    put_text(outside.fd, "there", "x");
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        _exit(try_sandbox(r, outside.path));
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    fixture_end(&outside);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == 99) {
        print_message("skipped: this kernel has no Landlock (ABI 2)\n");
        skip();
    }
    assert_int_equal(WEXITSTATUS(status), 0);
}

#define RIG_TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG_TEST(a_value_is_installed_with_its_modes_in_a_new_table),
        RIG_TEST(modes_do_not_depend_on_the_umask),
        RIG_TEST(values_get_the_group_of_the_settings),
        RIG_TEST(a_locked_key_is_busy_names_the_holder_and_can_be_forced),
        RIG_TEST(a_lock_holder_is_looked_up_once_for_many_tries),
        RIG_TEST(groups_of_many_values_and_tables_are_installed),
        RIG_TEST(few_descriptors_are_enough_for_many_values),
        RIG_TEST(values_and_directories_are_synced_in_one_go),
        RIG_TEST(each_half_of_it_has_its_own_failure),
        RIG_TEST(zeros_are_a_hole),
        RIG_TEST(removing_what_is_not_there_is_fine),
        RIG_TEST(a_table_removed_under_us_is_made_again),
        RIG_TEST(links_in_place_of_a_table_or_key_are_refused),
        RIG_TEST(a_link_planted_between_two_groups_is_not_followed),
        RIG_TEST(a_table_is_dropped_key_by_key),
        RIG_TEST(a_locked_key_does_not_keep_the_others_from_being_dropped),
        RIG_TEST(a_foreign_file_keeps_the_table_and_is_named),
        RIG_TEST(what_is_undone_is_kept_aside),
        RIG_TEST(freshness_carries_the_primarys_time),
        RIG_TEST(freshness_is_whole_after_a_power_loss_and_cheap),
        RIG_TEST(applied_is_replaced_only_by_a_change),
        RIG_TEST(identify_stores_the_identity_and_removes_an_old_stage),
        RIG_TEST(in_the_sandbox_only_the_database_can_be_reached),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
