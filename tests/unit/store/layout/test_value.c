/* SPDX-License-Identifier: MIT
 *
 * Looking at keys: every result, and values that change under the reader. */
#include "tests/support/store_fixture.h"

#include "store/base/cleanup.h"
#include "store/base/clock.h"
#include "store/layout/copy.h"
#include "store/layout/read.h"
#include "store/layout/value.h"

static int look(struct fixture *f, const char *key, struct buf *value,
                struct reading *out)
{
    return value_read(f->fd, key, strlen(key), 1000, value, out, &f->err);
}

/* Comes between the open and the share lock, once. */
static void (*before_lock)(struct fixture *f);
static struct fixture *before_lock_in;

int __real_flock(int fd, int how);
int __wrap_flock(int fd, int how);
int __wrap_flock(int fd, int how)
{
    void (*hook)(struct fixture * f) = before_lock;

    if (hook != NULL && (how & LOCK_SH) != 0) {
        before_lock = NULL;
        hook(before_lock_in);
    }
    return __real_flock(fd, how);
}

static void set_hook(struct fixture *f, void (*hook)(struct fixture *f))
{
    before_lock = hook;
    before_lock_in = f;
}

static void replace_it(struct fixture *f)
{
    put_text(f->fd, "other", "new");
    assert_int_equal(renameat(f->fd, "other", f->fd, "k.kv"), 0);
}

static void remove_it(struct fixture *f)
{
    assert_int_equal(unlinkat(f->fd, "k.kv", 0), 0);
}

/* A lock on an inode that lost its name protects nothing: what was read there
 * is no value of the key any more. */
static void a_value_replaced_before_the_lock_is_read_anew(void **state)
{
    struct fixture *f = *state;
    struct buf value = BUF_NULL;
    struct reading l;
    struct stat st;

    put_text(f->fd, "k.kv", "old");
    set_hook(f, replace_it);
    assert_int_equal(look(f, "k", &value, &l), READ_VALUE);
    assert_null(before_lock);
    assert_int_equal(value.len, 3);
    assert_memory_equal(value.data, "new", 3);
    assert_int_equal(fstatat(f->fd, "k.kv", &st, 0), 0);
    assert_int_equal(l.stat.ino, st.st_ino);
    set_hook(f, remove_it);
    assert_int_equal(look(f, "k", &value, &l), READ_GONE);
    buf_deinit(&value);
}

static void a_large_value_replaced_before_the_lock_is_opened_anew(void **state)
{
    struct fixture *f = *state;
    struct large *large;
    struct reading l;
    struct stat st;

    put_text(f->fd, "k.kv", "old");
    set_hook(f, replace_it);
    assert_int_equal(large_open(f->fd, "k", 1, 1000, &large, &l, &f->err),
                     READ_VALUE);
    assert_null(before_lock);
    assert_int_equal(fstatat(f->fd, "k.kv", &st, 0), 0);
    assert_int_equal(l.stat.ino, st.st_ino);
    large_close(large);
    set_hook(f, remove_it);
    assert_int_equal(large_open(f->fd, "k", 1, 1000, &large, &l, &f->err),
                     READ_GONE);
}

static void a_value_comes_with_stat_and_digest(void **state)
{
    struct fixture *f = *state;
    struct buf value = BUF_NULL;
    struct reading l;
    struct stat st;

    put_text(f->fd, "k.kv", "hello");
    assert_int_equal(look(f, "k", &value, &l), READ_VALUE);
    assert_int_equal(value.len, 5);
    assert_memory_equal(value.data, "hello", 5);
    assert_true(digest_equal(l.digest, digest_of("hello", 5)));
    assert_int_equal(fstatat(f->fd, "k.kv", &st, 0), 0);
    assert_true(vstat_equal(l.stat, vstat_of(&st)));
    assert_int_equal(l.dev, st.st_dev);
    assert_int_equal(l.mtime_ns, clock_of_timespec(st.st_mtim));
    buf_deinit(&value);
}

/* A first read after a change would be a write to the inode (relatime). */
static void a_look_leaves_the_access_time_alone(void **state)
{
    const struct timespec old[2] = {{1000, 0}, {2000, 0}};
    struct fixture *f = *state;
    struct buf value = BUF_NULL;
    struct reading l;
    struct stat st;

    put_text(f->fd, "k.kv", "hello");
    assert_int_equal(utimensat(f->fd, "k.kv", old, 0), 0);
    assert_int_equal(look(f, "k", &value, &l), READ_VALUE);
    assert_int_equal(fstatat(f->fd, "k.kv", &st, 0), 0);
    assert_int_equal(st.st_atim.tv_sec, 1000);
    buf_deinit(&value);
}

/* Of several names of a file, those in a directory of its owner's are believed.
 */
static void a_link_to_somebody_elses_file_is_not_read(void **state)
{
    struct fixture *f = *state;
    struct buf value = BUF_NULL;
    struct large *large = NULL;
    struct reading l;

    put_text(f->fd, "k.kv", "hello");
    assert_int_equal(linkat(f->fd, "k.kv", f->fd, "other", 0), 0);
    assert_int_equal(look(f, "k", &value, &l), READ_VALUE);
    if (geteuid() != 0) {
        print_message("SKIP: only root may give files away\n");
        buf_deinit(&value);
        return;
    }
    assert_int_equal(fchownat(f->fd, "k.kv", 65534, 65534, 0), 0);
    assert_int_equal(look(f, "k", &value, &l), ERR_PERM);
    assert_int_equal(value.len, 0);
    assert_non_null(strstr(f->err.msg, "k.kv is one of 2 names"));
    assert_int_equal(large_open(f->fd, "k", 1, 1000, &large, &l, &f->err),
                     ERR_PERM);
    /* One that is committed by a link has two names for an instant. */
    assert_int_equal(unlinkat(f->fd, "other", 0), 0);
    assert_int_equal(look(f, "k", &value, &l), READ_VALUE);
    buf_deinit(&value);
}

static void an_empty_value_is_a_value(void **state)
{
    struct fixture *f = *state;
    struct buf value = BUF_NULL;
    struct reading l;

    buf_put(&value, "rest", 4);
    put_text(f->fd, ".kv", "");
    assert_int_equal(look(f, "", &value, &l), READ_VALUE);
    assert_int_equal(value.len, 0);
    assert_true(digest_equal(l.digest, digest_of("", 0)));
    assert_false(digest_equal(l.digest, (struct digest){0, 0}));
    buf_deinit(&value);
}

static void a_missing_key_is_gone_and_stays_missing(void **state)
{
    struct fixture *f = *state;
    struct buf value = BUF_NULL;
    struct reading l;

    assert_int_equal(look(f, "k", &value, &l), READ_GONE);
    assert_false(exists(f->fd, "k.kv"));
    buf_deinit(&value);
}

static void an_exclusive_lock_is_busy_and_a_share_lock_is_not(void **state)
{
    struct fixture *f = *state;
    struct buf value = BUF_NULL;
    struct reading l;
    struct stat st;

    put_text(f->fd, "k.kv", "v");
    assert_int_equal(fstatat(f->fd, "k.kv", &st, 0), 0);
    int held = hold_lock(f->fd, "k.kv", LOCK_SH);
    assert_int_equal(look(f, "k", &value, &l), READ_VALUE);
    (void)close(held);
    held = hold_lock(f->fd, "k.kv", LOCK_EX);
    assert_int_equal(look(f, "k", &value, &l), READ_BUSY);
    assert_int_equal(l.stat.ino, st.st_ino);
    assert_int_equal(l.dev, st.st_dev);
    (void)close(held);
    buf_deinit(&value);
}

static void no_lock_is_left_behind(void **state)
{
    struct fixture *f = *state;
    struct buf value = BUF_NULL;
    struct reading l;

    put_text(f->fd, "k.kv", "v");
    assert_int_equal(look(f, "k", &value, &l), READ_VALUE);
    int fd = openat(f->fd, "k.kv", O_RDONLY | O_CLOEXEC);
    assert_int_equal(flock(fd, LOCK_EX | LOCK_NB), 0);
    (void)close(fd);
    buf_deinit(&value);
}

static void more_than_inline_max_is_large(void **state)
{
    struct fixture *f = *state;
    struct buf value = BUF_NULL;
    char data[1001] = {0};
    struct reading l;

    put_file(f->fd, "k.kv", data, 1000);
    assert_int_equal(look(f, "k", &value, &l), READ_VALUE);
    put_file(f->fd, "k.kv", data, 1001);
    assert_int_equal(look(f, "k", &value, &l), READ_LARGE);
    assert_int_equal(l.stat.size, 1001);
    assert_int_equal(value.len, 0);
    buf_deinit(&value);
}

static void what_is_no_file_is_not_a_key(void **state)
{
    struct fixture *f = *state;
    static const char *const keys[] = {"dir", "fifo", "link"};
    struct buf value = BUF_NULL;
    struct large *large = NULL;
    struct reading l;

    put_text(f->fd, "k.kv", "v");
    assert_int_equal(mkdirat(f->fd, "dir.kv", 0755), 0);
    assert_int_equal(mkfifoat(f->fd, "fifo.kv", 0600), 0);
    assert_int_equal(symlinkat("k.kv", f->fd, "link.kv"), 0);
    for (size_t i = 0; i < 3; i++) {
        /* A directory is evidence that there is no such key. */
        int want = i == 0 ? READ_GONE : READ_NOT_A_KEY;
        assert_int_equal(look(f, keys[i], &value, &l), want);
        assert_int_equal(large_open(f->fd, keys[i], strlen(keys[i]), 100,
                                    &large, &l, &f->err),
                         want);
    }
    buf_deinit(&value);
}

static void an_unreadable_key_is_an_error_with_its_name(void **state)
{
    struct fixture *f = *state;
    struct buf value = BUF_NULL;
    struct reading l;

    if (geteuid() == 0) {
        print_message("skipped: root may read everything\n");
        skip();
    }
    put_text(f->fd, "secret.kv", "v");
    assert_int_equal(fchmodat(f->fd, "secret.kv", 0, 0), 0);
    assert_int_equal(look(f, "secret", &value, &l), ERR_PERM);
    assert_non_null(strstr(f->err.msg, "secret.kv"));
    buf_deinit(&value);
}

static void streamed_digest_equals_digest_at_once(void **state)
{
    struct digest_stream *s = digest_stream_new();
    uint8_t data[5000];

    (void)state;
    for (size_t i = 0; i < sizeof data; i++) {
        data[i] = (uint8_t)(i * 7);
    }
    assert_non_null(s);
    for (size_t step = 1; step < 600; step += 37) {
        digest_stream_reset(s);
        for (size_t i = 0; i < sizeof data; i += step) {
            size_t n = sizeof data - i < step ? sizeof data - i : step;
            digest_stream_update(s, data + i, n);
        }
        assert_true(
            digest_equal(digest_stream_final(s), digest_of(data, sizeof data)));
    }
    digest_stream_free(s);
    digest_stream_free(NULL);
}

static struct large *open_large(struct fixture *f, int64_t hold_ms)
{
    struct large *l = NULL;
    struct reading out;

    assert_int_equal(large_open(f->fd, "k", 1, hold_ms, &l, &out, &f->err),
                     READ_VALUE);
    assert_non_null(l);
    return l;
}

/* Wait until the file's times are old, so that equal times count as proof. */
static void wait_until_old(int dir_fd)
{
    struct stat st;

    assert_int_equal(fstatat(dir_fd, "k.kv", &st, 0), 0);
    while (clock_real_ns() - clock_of_timespec(st.st_ctim) < 2100 * NS_PER_MS) {
        clock_sleep_ns(50 * NS_PER_MS);
    }
}

static void a_large_value_is_read_in_pieces(void **state)
{
    struct fixture *f = *state;
    char data[10000];
    char got[10000];
    struct reading out;
    size_t n = 0;

    memset(data, 'x', sizeof data);
    put_file(f->fd, "k.kv", data, sizeof data);
    struct large *l = open_large(f, 10000);
    for (int64_t rc; (rc = large_read(l, got + n, 777, &f->err)) != 0;) {
        assert_true(rc > 0);
        n += (size_t)rc;
    }
    assert_int_equal(n, sizeof data);
    assert_memory_equal(got, data, sizeof data);
    assert_int_equal(large_finish(l, &out, &f->err), READ_VALUE);
    assert_true(digest_equal(out.digest, digest_of(data, sizeof data)));
    large_close(l);
    large_close(NULL);
}

static void a_large_read_gives_its_lock_back(void **state)
{
    struct fixture *f = *state;
    struct reading out;
    char got[16];

    put_text(f->fd, "k.kv", "0123456789");
    struct large *l = open_large(f, 0);
    assert_int_equal(large_read(l, got, 5, &f->err), 5);
    int fd = openat(f->fd, "k.kv", O_RDONLY | O_CLOEXEC);
    assert_int_equal(flock(fd, LOCK_EX | LOCK_NB), 0);
    assert_int_equal(large_read(l, got, 16, &f->err), 5);
    assert_int_equal(large_read(l, got, 16, &f->err), 0);
    /* A writer is in there: nothing is proven. */
    assert_int_equal(large_finish(l, &out, &f->err), READ_CHANGING);
    (void)close(fd);
    assert_int_equal(large_finish(l, &out, &f->err), READ_VALUE);
    assert_true(digest_equal(out.digest, digest_of("0123456789", 10)));
    large_close(l);

    l = open_large(f, 10000);
    large_release(l);
    fd = openat(f->fd, "k.kv", O_RDONLY | O_CLOEXEC);
    assert_int_equal(flock(fd, LOCK_EX | LOCK_NB), 0);
    (void)close(fd);
    large_close(l);
}

/* What was committed under the name is a value also when the name has gone on:
 * else a key that is replaced faster than it is read would never be read. */
static void a_replaced_or_removed_large_value_is_the_old_one(void **state)
{
    struct fixture *f = *state;
    struct reading out;
    struct stat st;
    char got[16];

    put_text(f->fd, "k.kv", "0123456789");
    put_text(f->fd, "new", "abcdefghij");
    assert_int_equal(fstatat(f->fd, "k.kv", &st, 0), 0);
    struct large *l = open_large(f, 0);
    assert_int_equal(large_read(l, got, 10, &f->err), 10);
    assert_int_equal(renameat(f->fd, "new", f->fd, "k.kv"), 0);
    assert_int_equal(large_finish(l, &out, &f->err), READ_VALUE);
    assert_true(out.replaced);
    assert_true(digest_equal(out.digest, digest_of("0123456789", 10)));
    assert_true(vstat_equal(out.stat, vstat_of(&st)));
    large_close(l);

    l = open_large(f, 0);
    assert_int_equal(large_read(l, got, 10, &f->err), 10);
    assert_int_equal(unlinkat(f->fd, "k.kv", 0), 0);
    assert_int_equal(large_finish(l, &out, &f->err), READ_VALUE);
    assert_true(out.replaced);
    assert_true(digest_equal(out.digest, digest_of("abcdefghij", 10)));
    large_close(l);
}

/* Written in place by somebody who sets the mtime back, and then replaced: the
 * ctime would have told, but the rename set it, too. */
static void a_mix_is_found_behind_a_rename(void **state)
{
    struct fixture *f = *state;
    struct reading out;
    char got[16];

    put_text(f->fd, "k.kv", "aaaaaaaaaa");
    wait_until_old(f->fd);
    struct stat st;
    assert_int_equal(fstatat(f->fd, "k.kv", &st, 0), 0);
    struct timespec times[2] = {st.st_atim, st.st_mtim};
    struct large *l = open_large(f, 0);
    assert_int_equal(large_read(l, got, 5, &f->err), 5);
    put_text(f->fd, "k.kv", "bbbbbbbbbb");
    assert_int_equal(utimensat(f->fd, "k.kv", times, 0), 0);
    assert_int_equal(large_read(l, got + 5, 5, &f->err), 5);
    put_text(f->fd, "new", "cccccccccc");
    assert_int_equal(renameat(f->fd, "new", f->fd, "k.kv"), 0);
    assert_int_equal(large_finish(l, &out, &f->err), READ_CHANGING);
    large_close(l);
}

static struct copy_room some_room(const struct fixture *f, size_t memory)
{
    return (struct copy_room){
        .each_bytes = memory, .memory_bytes = memory, .dir_fd = f->fd};
}

static void read_copy(struct fixture *f, struct copy_room *room, char fill)
{
    enum { BYTES = 300000 };
    CLEANUP(freep) char *data = malloc(BYTES);
    CLEANUP(freep) char *got = malloc(BYTES);
    struct reading out;
    size_t n = 0;

    memset(data, fill, BYTES);
    put_file(f->fd, "k.kv", data, BYTES);
    struct large *l = open_large(f, 0);
    assert_int_equal(large_copy(l, room, &out, &f->err), READ_VALUE);
    assert_int_equal(out.stat.size, BYTES);
    put_text(f->fd, "k.kv", "in place, and shorter");
    for (int64_t rc; (rc = large_read(l, got + n, 7000, &f->err)) != 0;) {
        assert_true(rc > 0);
        n += (size_t)rc;
    }
    assert_int_equal(n, BYTES);
    assert_memory_equal(got, data, BYTES);
    assert_int_equal(large_finish(l, &out, &f->err), READ_VALUE);
    assert_true(digest_equal(out.digest, digest_of(data, BYTES)));
    large_close(l);
    assert_int_equal(room->used_bytes, 0);
}

static void a_copy_is_read_whatever_becomes_of_the_file(void **state)
{
    struct fixture *f = *state;
    struct copy_room memory = some_room(f, 10 << 20);
    struct copy_room file = some_room(f, 0);

    read_copy(f, &memory, 'm');
    read_copy(f, &file, 'f');
    struct stat st;
    assert_int_equal(fstat(f->fd, &st), 0);
    assert_int_equal(st.st_nlink, 2); /* and no name was left */
}

static void without_room_for_a_copy_the_file_is_read(void **state)
{
    struct fixture *f = *state;
    struct copy_room none = {.dir_fd = -1};
    struct reading out;
    char got[16];

    put_text(f->fd, "k.kv", "0123456789");
    struct large *l = open_large(f, 10000);
    assert_int_equal(large_copy(l, &none, &out, &f->err), 0);
    assert_int_equal(large_read(l, got, 16, &f->err), 10);
    assert_int_equal(large_finish(l, &out, &f->err), READ_VALUE);
    assert_true(digest_equal(out.digest, digest_of("0123456789", 10)));
    large_close(l);
}

/* A writer that locks has it for as long as it takes: no copy is made of the
 * middle of its work, and the lock is not left behind. */
static void nothing_is_copied_under_a_writers_lock(void **state)
{
    struct fixture *f = *state;
    struct copy_room room = some_room(f, 10 << 20);
    struct reading out;

    put_text(f->fd, "k.kv", "0123456789");
    struct large *l = open_large(f, 0);
    large_release(l);
    int fd = hold_lock(f->fd, "k.kv", LOCK_EX);
    assert_int_equal(large_copy(l, &room, &out, &f->err), READ_CHANGING);
    (void)close(fd);
    assert_int_equal(large_copy(l, &room, &out, &f->err), READ_VALUE);
    fd = hold_lock(f->fd, "k.kv", LOCK_EX | LOCK_NB);
    (void)close(fd);
    large_close(l);
}

static void a_shorter_large_value_is_changed(void **state)
{
    struct fixture *f = *state;
    char got[16];

    put_text(f->fd, "k.kv", "0123456789");
    struct large *l = open_large(f, 0);
    put_text(f->fd, "k.kv", "0123");
    assert_int_equal(large_read(l, got, 10, &f->err), LARGE_CHANGED);
    large_close(l);
}

/* Rewritten in place between the pieces, perhaps within one clock tick: what
 * was read never was a value. */
static void a_mix_of_two_young_versions_is_found(void **state)
{
    struct fixture *f = *state;
    struct reading out;
    char got[16];

    for (int i = 0; i < 50; i++) {
        put_text(f->fd, "k.kv", "aaaaaaaaaa");
        struct large *l = open_large(f, 0);
        assert_int_equal(large_read(l, got, 5, &f->err), 5);
        put_text(f->fd, "k.kv", "bbbbbbbbbb");
        assert_int_equal(large_read(l, got, 5, &f->err), 5);
        assert_int_equal(large_finish(l, &out, &f->err), READ_CHANGING);
        large_close(l);
    }
}

/* After two seconds equal times prove something and a shorter way is taken;
 * it must see the same as the long one. */
static void an_old_value_is_seen_as_a_young_one_is(void **state)
{
    struct fixture *f = *state;
    struct buf value = BUF_NULL;
    char data[READ_QUICK_BYTES + 1];
    struct reading l;

    memset(data, 'x', sizeof data);
    put_file(f->fd, "full.kv", data, READ_QUICK_BYTES);
    put_file(f->fd, "over.kv", data, READ_QUICK_BYTES + 1);
    put_text(f->fd, "empty.kv", "");
    put_text(f->fd, "moved.kv", "m");
    put_text(f->fd, "gone.kv", "g");
    put_text(f->fd, "new", "n");
    put_text(f->fd, "k.kv", "old");
    wait_until_old(f->fd);

    assert_int_equal(look(f, "k", &value, &l), READ_VALUE);
    assert_memory_equal(value.data, "old", 3);
    assert_true(digest_equal(l.digest, digest_of("old", 3)));
    assert_int_equal(l.stat.size, 3);
    assert_int_equal(value_read(f->fd, "k", 1, 2, &value, &l, &f->err),
                     READ_LARGE);
    assert_int_equal(value.len, 0);
    assert_int_equal(look(f, "empty", &value, &l), READ_VALUE);
    assert_int_equal(value.len, 0);
    for (size_t n = 0; n < 2; n++) {
        const char *key = n == 0 ? "full" : "over";
        assert_int_equal(
            value_read(f->fd, key, 4, sizeof data, &value, &l, &f->err),
            READ_VALUE);
        assert_int_equal(value.len, READ_QUICK_BYTES + n);
        assert_memory_equal(value.data, data, value.len);
    }
    assert_int_equal(renameat(f->fd, "moved.kv", f->fd, "elsewhere"), 0);
    assert_int_equal(look(f, "moved", &value, &l), READ_GONE);
    assert_int_equal(unlinkat(f->fd, "gone.kv", 0), 0);
    assert_int_equal(look(f, "gone", &value, &l), READ_GONE);
    int held = hold_lock(f->fd, "k.kv", LOCK_EX);
    assert_int_equal(look(f, "k", &value, &l), READ_BUSY);
    (void)close(held);
    put_text(f->fd, "k.kv", "newer");
    assert_int_equal(look(f, "k", &value, &l), READ_VALUE);
    assert_memory_equal(value.data, "newer", 5);
    buf_deinit(&value);
}

static void a_change_of_an_old_large_value_is_found_by_its_times(void **state)
{
    struct fixture *f = *state;
    struct reading out;
    char got[16];

    put_text(f->fd, "k.kv", "aaaaaaaaaa");
    wait_until_old(f->fd);
    struct large *l = open_large(f, 0);
    assert_int_equal(large_read(l, got, 10, &f->err), 10);
    assert_int_equal(large_finish(l, &out, &f->err), READ_VALUE);
    large_close(l);
    l = open_large(f, 0);
    assert_int_equal(large_read(l, got, 10, &f->err), 10);
    put_text(f->fd, "k.kv", "aaaaaaaaaa");
    assert_int_equal(large_finish(l, &out, &f->err), READ_CHANGING);
    large_close(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(a_value_comes_with_stat_and_digest),
        FIXTURE_TEST(a_value_replaced_before_the_lock_is_read_anew),
        FIXTURE_TEST(a_large_value_replaced_before_the_lock_is_opened_anew),
        FIXTURE_TEST(a_look_leaves_the_access_time_alone),
        FIXTURE_TEST(a_link_to_somebody_elses_file_is_not_read),
        FIXTURE_TEST(an_empty_value_is_a_value),
        FIXTURE_TEST(a_missing_key_is_gone_and_stays_missing),
        FIXTURE_TEST(an_exclusive_lock_is_busy_and_a_share_lock_is_not),
        FIXTURE_TEST(no_lock_is_left_behind),
        FIXTURE_TEST(more_than_inline_max_is_large),
        FIXTURE_TEST(what_is_no_file_is_not_a_key),
        FIXTURE_TEST(an_unreadable_key_is_an_error_with_its_name),
        cmocka_unit_test(streamed_digest_equals_digest_at_once),
        FIXTURE_TEST(a_large_value_is_read_in_pieces),
        FIXTURE_TEST(a_large_read_gives_its_lock_back),
        FIXTURE_TEST(a_replaced_or_removed_large_value_is_the_old_one),
        FIXTURE_TEST(a_mix_is_found_behind_a_rename),
        FIXTURE_TEST(a_copy_is_read_whatever_becomes_of_the_file),
        FIXTURE_TEST(without_room_for_a_copy_the_file_is_read),
        FIXTURE_TEST(nothing_is_copied_under_a_writers_lock),
        FIXTURE_TEST(a_shorter_large_value_is_changed),
        FIXTURE_TEST(a_mix_of_two_young_versions_is_found),
        FIXTURE_TEST(an_old_value_is_seen_as_a_young_one_is),
        FIXTURE_TEST(a_change_of_an_old_large_value_is_found_by_its_times),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
