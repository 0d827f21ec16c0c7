/* SPDX-License-Identifier: MIT
 *
 * The trash: what a delete leaves, for how long, and how much of it. */
#include "tests/support/store_fixture.h"

#include "store/base/clock.h"
#include "store/layout/install.h"
#include "sync/replica/trash/trash.h"
#include "sync/replica/trash/trash_log.h"

struct bin {
    struct trash t;
    struct fixture *f;
    int meta_fd;
};

static void open_bin(struct bin *b, struct fixture *f, int64_t keep_s,
                     uint64_t max_bytes)
{
    const struct trash_settings set = {keep_s * NS_PER_S, max_bytes};
    const struct meta_modes modes = {02750, 0640, (gid_t)-1};

    b->f = f;
    b->meta_fd = openat(f->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(b->meta_fd >= 0);
    assert_int_equal(
        trash_open(&b->t, b->meta_fd, TRASH_DIR, &set, &modes, &f->err), 0);
    assert_int_equal(trash_start(&b->t, &f->err), 0);
}

static void close_bin(struct bin *b)
{
    trash_close(&b->t);
    (void)close(b->meta_fd);
}

/* Set the key and delete it. */
static int set_and_delete(struct bin *b, const char *key, const char *value)
{
    char file[300];
    struct stat st;

    (void)snprintf(file, sizeof file, "%s.kv", key);
    put_text(b->f->fd, file, value);
    assert_int_equal(fchmodat(b->f->fd, file, 0640, 0), 0);
    int rc = trash_remove(&b->t, b->f->fd, bytes_of("t", 1),
                          bytes_of(key, strlen(key)), false, &st, &b->f->err);
    assert_false(exists(b->f->fd, file));
    return rc;
}

struct list {
    char text[2000];
    size_t count;
};

static int note(void *arg, const struct trash_entry *e)
{
    struct list *l = arg;
    size_t at = strlen(l->text);

    (void)snprintf(l->text + at, sizeof l->text - at, "%.*s/%.*s=%llu ",
                   (int)e->table.len, (const char *)e->table.p, (int)e->key.len,
                   (const char *)e->key.p, (unsigned long long)e->size);
    l->count++;
    return 0;
}

static void assert_kept(struct bin *b, const char *want)
{
    struct list l = {.count = 0};
    int fd = openat(b->f->fd, TRASH_DIR, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    assert_true(fd >= 0);
    assert_int_equal(trash_each(fd, note, &l, &b->f->err), 0);
    assert_string_equal(l.text, want);
    (void)close(fd);
}

static void nothing_is_kept_unless_asked_for(void **state)
{
    struct fixture *f = *state;
    struct bin b;

    open_bin(&b, f, 0, 1 << 20);
    assert_int_equal(set_and_delete(&b, "k", "value"), INSTALL_DONE);
    assert_false(exists(f->fd, TRASH_DIR));
    close_bin(&b);
}

static void a_deleted_value_is_kept_with_its_names(void **state)
{
    struct fixture *f = *state;
    struct bin b;
    struct stat st;

    open_bin(&b, f, 60, 1 << 20);
    assert_int_equal(set_and_delete(&b, "k", "value"), INSTALL_DONE);
    assert_int_equal(set_and_delete(&b, "", "x"), INSTALL_DONE);
    assert_int_equal(set_and_delete(&b, "k", "newer value"), INSTALL_DONE);
    assert_int_equal(trash_sync(&b.t, &f->err), 0);
    assert_kept(&b, "t/k=5 t/=1 t/k=11 ");
    assert_int_equal(fstatat(f->fd, TRASH_DIR, &st, 0), 0);
    assert_int_equal(st.st_mode & 0777, 0750); /* as all directories */
    assert_int_equal(fstatat(f->fd, TRASH_DIR "/0000000000000001", &st, 0), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(trash_remove(&b.t, f->fd, bytes_of("t", 1),
                                  bytes_of("none", 4), false, &st, &f->err),
                     INSTALL_ABSENT);
    close_bin(&b);
    open_bin(&b, f, 60, 1 << 20); /* another session */
    assert_int_equal(set_and_delete(&b, "l", "after"), INSTALL_DONE);
    assert_kept(&b, "t/k=5 t/=1 t/k=11 t/l=5 ");
    close_bin(&b);
}

static void a_locked_key_stays_and_leaves_no_trace(void **state)
{
    struct fixture *f = *state;
    struct bin b;
    struct stat st;

    open_bin(&b, f, 60, 1 << 20);
    put_text(f->fd, "k.kv", "value");
    int fd = openat(f->fd, "k.kv", O_RDONLY | O_CLOEXEC);
    assert_int_equal(flock(fd, LOCK_SH), 0);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(trash_remove(&b.t, f->fd, bytes_of("t", 1),
                                      bytes_of("k", 1), false, &st, &f->err),
                         INSTALL_BUSY);
    }
    assert_int_equal(b.t.records, 0);
    assert_kept(&b, "");
    (void)close(fd);
    close_bin(&b);
}

static void the_oldest_go_when_there_is_no_room_and_it_is_told(void **state)
{
    struct fixture *f = *state;
    struct bin b;
    char missed[500];

    open_bin(&b, f, 60, 3 * (TRASH_CHARGE_BYTES + 20));
    assert_int_equal(set_and_delete(&b, "a", "1"), INSTALL_DONE);
    assert_int_equal(set_and_delete(&b, "b", "2"), INSTALL_DONE);
    assert_int_equal(set_and_delete(&b, "c", "3"), INSTALL_DONE);
    assert_false(trash_notice(&b.t, missed, sizeof missed));
    assert_int_equal(set_and_delete(&b, "d", "4"), INSTALL_DONE);
    assert_kept(&b, "t/b=1 t/c=1 t/d=1 ");
    assert_true(trash_notice(&b.t, missed, sizeof missed));
    assert_non_null(strstr(missed, "full"));
    assert_false(trash_notice(&b.t, missed, sizeof missed));
    close_bin(&b);
    /* A smaller bound holds from the start on. */
    open_bin(&b, f, 60, TRASH_CHARGE_BYTES + 20);
    assert_kept(&b, "t/d=1 ");
    close_bin(&b);
}

static void a_value_larger_than_the_trash_is_deleted_all_the_same(void **state)
{
    struct fixture *f = *state;
    struct bin b;
    char large[300];

    memset(large, 'x', sizeof large - 1);
    large[sizeof large - 1] = '\0';
    open_bin(&b, f, 60, TRASH_CHARGE_BYTES + 100);
    assert_int_equal(set_and_delete(&b, "a", "1"), INSTALL_DONE);
    assert_int_equal(set_and_delete(&b, "b", large), INSTALL_DONE);
    assert_kept(&b, "t/a=1 ");
    assert_int_equal(b.t.unkept, 1);
    close_bin(&b);
}

static void what_is_too_old_goes(void **state)
{
    struct fixture *f = *state;
    struct bin b;

    open_bin(&b, f, 60, 1 << 20);
    assert_int_equal(set_and_delete(&b, "a", "1"), INSTALL_DONE);
    assert_int_equal(set_and_delete(&b, "b", "2"), INSTALL_DONE);
    b.t.kept[b.t.head].deleted_s -= 61;
    trash_sweep(&b.t);
    assert_kept(&b, "t/b=1 ");
    close_bin(&b);
}

static void a_damaged_log_loses_names_and_no_value(void **state)
{
    struct fixture *f = *state;
    struct bin b;
    struct stat st;

    open_bin(&b, f, 60, 1 << 20);
    assert_int_equal(set_and_delete(&b, "a", "1"), INSTALL_DONE);
    assert_int_equal(fstat(b.t.log_fd, &st), 0);
    off_t first = st.st_size;
    assert_int_equal(set_and_delete(&b, "b", "22"), INSTALL_DONE);
    assert_int_equal(fstat(b.t.log_fd, &st), 0);
    off_t all = st.st_size;
    close_bin(&b);
    for (off_t size = all - 1; size >= first; size -= 7) { /* a torn end */
        int fd = openat(f->fd, "trash/log", O_WRONLY | O_CLOEXEC);
        assert_int_equal(ftruncate(fd, size), 0);
        (void)close(fd);
        assert_kept(&b, "t/a=1 /=2 ");
    }
    open_bin(&b, f, 60, 1 << 20);
    assert_int_equal(set_and_delete(&b, "c", "333"), INSTALL_DONE);
    assert_kept(&b, "t/a=1 /=2 t/c=3 ");
    close_bin(&b);
}

static void the_log_is_written_anew_when_most_of_it_is_gone(void **state)
{
    struct fixture *f = *state;
    struct bin b;

    open_bin(&b, f, 60, 2 * (TRASH_CHARGE_BYTES + 20));
    for (int i = 0; i < 1100; i++) {
        char key[8];
        (void)snprintf(key, sizeof key, "k%d", i);
        assert_int_equal(set_and_delete(&b, key, "v"), INSTALL_DONE);
    }
    assert_int_equal(b.t.records, 1100);
    trash_sweep(&b.t);
    assert_int_equal(b.t.records, 2);
    assert_kept(&b, "t/k1098=1 t/k1099=1 ");
    assert_int_equal(set_and_delete(&b, "last", "v"), INSTALL_DONE);
    assert_kept(&b, "t/k1099=1 t/last=1 ");
    close_bin(&b);
}

static void a_disk_that_takes_no_record_does_not_stop_a_delete(void **state)
{
    struct fixture *f = *state;
    struct bin b;

    open_bin(&b, f, 60, 1 << 20);
    int keep = b.t.log_fd;
    b.t.log_fd = openat(f->fd, "trash/log", O_RDONLY | O_CLOEXEC);
    assert_int_equal(set_and_delete(&b, "a", "1"), INSTALL_DONE);
    assert_int_equal(b.t.unkept, 1);
    assert_kept(&b, "");
    (void)close(b.t.log_fd);
    b.t.log_fd = keep;
    close_bin(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(nothing_is_kept_unless_asked_for),
        FIXTURE_TEST(a_deleted_value_is_kept_with_its_names),
        FIXTURE_TEST(a_locked_key_stays_and_leaves_no_trace),
        FIXTURE_TEST(the_oldest_go_when_there_is_no_room_and_it_is_told),
        FIXTURE_TEST(a_value_larger_than_the_trash_is_deleted_all_the_same),
        FIXTURE_TEST(what_is_too_old_goes),
        FIXTURE_TEST(a_damaged_log_loses_names_and_no_value),
        FIXTURE_TEST(the_log_is_written_anew_when_most_of_it_is_gone),
        FIXTURE_TEST(a_disk_that_takes_no_record_does_not_stop_a_delete),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
