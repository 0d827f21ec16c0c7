/* SPDX-License-Identifier: MIT
 *
 * startemp: which keys' temporaries have the name of a key, and which files may
 * be one. */
#include "tests/support/store_fixture.h"

#include <sys/inotify.h>

#include "store/base/clock.h"
#include "store/layout/name.h"
#include "store/layout/startemp.h"
#include "store/lib/drover.h"

/* Is `star` among the keys that `key` may be a temporary of? */
static bool may_be_of(const char *key, const char *star)
{
    struct startemp s = {.key = key, .len = strlen(key)};
    char out[KEY_MAX_BYTES];
    size_t len;

    while (startemp_next(&s, out, &len)) {
        assert_true(len <= KEY_MAX_BYTES);
        assert_non_null(memchr(out, '*', len));
        if (len == strlen(star) && memcmp(out, star, len) == 0) {
            return true;
        }
    }
    return false;
}

static unsigned answers(const char *key, size_t len)
{
    struct startemp s = {.key = key, .len = len};
    char out[KEY_MAX_BYTES];
    unsigned n = 0;

    while (startemp_next(&s, out, &len)) {
        n++;
    }
    return n;
}

static void digits_stand_where_the_last_star_is(void **state)
{
    (void)state;
    assert_true(may_be_of("a1234567b", "a*b"));
    assert_true(may_be_of("1234567b", "*b"));
    assert_true(may_be_of("a1234567", "a*"));
    assert_true(may_be_of("1234567", "*"));
    assert_true(may_be_of("a*b7c", "a*b*c"));
    assert_true(may_be_of("**4294967295", "***"));
    assert_true(may_be_of("\xff\n12\xfe", "\xff\n*\xfe"));
    /* The first of two is never replaced. */
    assert_false(may_be_of("a7b*c", "a*b*c"));
    assert_false(may_be_of("a7*", "a**"));
    assert_true(may_be_of("a*7", "a**"));
    /* Digits of the key's own, on either side. */
    assert_true(may_be_of("user12345", "user1*5"));
    assert_true(may_be_of("2026-11-295-1", "2026-11-29*-1"));
}

static void only_digits_that_go_would_draw_count(void **state)
{
    (void)state;
    assert_true(may_be_of("a0b", "a*b"));
    assert_true(may_be_of("a4294967295b", "a*b"));
    assert_false(may_be_of("a4294967296b", "a*b"));
    assert_false(may_be_of("a12345678901b", "a*b"));
    assert_false(may_be_of("a01b", "a*b"));
    assert_false(may_be_of("a0123456789b", "a*b"));
    assert_true(may_be_of("a012345678b", "a*b")); /* Go 1.11: nine */
    assert_true(may_be_of("a000000000b", "a*b"));
    assert_false(may_be_of("a00000000b", "a*b"));
    assert_false(may_be_of("ab", "a*b"));
    assert_false(may_be_of("a-1b", "a*b"));
    assert_false(may_be_of("a1 2b", "a*b"));
    assert_int_equal(answers("", 0), 0);
    assert_int_equal(answers("abc*", 4), 0);
    assert_int_equal(answers("12", 2), 3); /* "*", "*2", "1*" */
}

/* Whoever draws any number for any key is recognized, short of names of more
 * than two dozen digits; and what is found leads back to the name. */
static void every_temporary_is_recognized(void **state)
{
    unsigned seed = (unsigned)clock_real_ns();
    static const char letters[] = "ab*.-7\xff";

    (void)state;
    print_message("seed %u\n", seed);
    for (int i = 0; i < 20000; i++) {
        char star[24] = "", temp[48];
        size_t n = 1 + (size_t)rand_r(&seed) % 12;
        for (size_t k = 0; k < n; k++) {
            star[k] = letters[(size_t)rand_r(&seed) % (sizeof letters - 1)];
        }
        star[(size_t)rand_r(&seed) % n] = '*';
        uint32_t drawn =
            ((uint32_t)rand_r(&seed) << 16 ^ (uint32_t)rand_r(&seed)) >>
            (rand_r(&seed) % 32);
        const char *last = strrchr(star, '*');
        (void)snprintf(temp, sizeof temp, "%.*s%u%s", (int)(last - star), star,
                       (unsigned)drawn, last + 1);
        if (!may_be_of(temp, star)) {
            fail_msg("%s is not taken for a temporary of %s", temp, star);
        }
    }
}

/* A hostile name costs no more than others. */
static void long_names_are_bounded(void **state)
{
    char key[KEY_MAX_BYTES], out[KEY_MAX_BYTES];
    struct startemp s = {.key = key, .len = sizeof key};
    size_t len;

    (void)state;
    memset(key, '1', sizeof key);
    assert_int_equal(answers(key, sizeof key), STARTEMP_TRIES);
    assert_true(startemp_next(&s, out, &len)); /* the likeliest first */
    assert_int_equal(s.digits, 10);
    assert_int_equal(len, sizeof key - 9);
    /* A key at the limit has no temporary of flockd's; of what is one shorter
     * the longest name is still found. */
    memset(key, 'x', sizeof key);
    key[251] = '7';
    assert_int_equal(answers(key, sizeof key), 1);
    s = (struct startemp){.key = key, .len = sizeof key};
    assert_true(startemp_next(&s, out, &len));
    assert_int_equal(len, sizeof key);
    assert_int_equal(out[251], '*');
}

static bool file_may_be(struct fixture *f, const char *name)
{
    struct stat st;

    assert_int_equal(fstatat(f->fd, name, &st, AT_SYMLINK_NOFOLLOW), 0);
    return startemp_file(&st);
}

static void a_file_that_was_more_than_written_is_none(void **state)
{
    struct fixture *f = *state;
    struct timespec t[2] = {{.tv_sec = 1}, {.tv_sec = 1}};

    int fd = openat(f->fd, "a1b.kv", O_RDWR | O_CREAT | O_EXCL, 0600);
    assert_true(fd >= 0);
    assert_true(file_may_be(f, "a1b.kv")); /* not yet written */
    assert_int_equal(write(fd, "val", 3), 3);
    assert_int_equal(fsync(fd), 0);
    assert_true(file_may_be(f, "a1b.kv"));
    assert_int_equal(write(fd, "ue", 2), 2);
    (void)close(fd);
    assert_true(file_may_be(f, "a1b.kv"));
    assert_int_equal(fchmodat(f->fd, "a1b.kv", 0640, 0), 0);
    assert_false(file_may_be(f, "a1b.kv"));
    assert_int_equal(fchmodat(f->fd, "a1b.kv", 0600, 0), 0);
    assert_int_equal(utimensat(f->fd, "a1b.kv", t, 0), 0);
    assert_false(file_may_be(f, "a1b.kv"));
    fd = openat(f->fd, "a2b.kv", O_RDWR | O_CREAT | O_EXCL, 0600);
    (void)close(fd);
    assert_true(file_may_be(f, "a2b.kv"));
    assert_int_equal(linkat(f->fd, "a2b.kv", f->fd, "other", 0), 0);
    assert_false(file_may_be(f, "a2b.kv"));
    assert_int_equal(mkdirat(f->fd, "a3b.kv", 0700), 0);
    assert_false(file_may_be(f, "a3b.kv"));
}

/* No name that libdrover makes beside a key with stars is that of another key.
 */
static void what_libdrover_makes_beside_it_is_never_a_key(void **state)
{
    static const char *const keys[] = {"a*b", "*", "a*", "*b", "a*b*c", ".*"};
    struct fixture *f = *state;
    struct drover *db;
    struct drover_error e;
    char events[8192] __attribute__((aligned(8)));

    int in = inotify_init1(IN_NONBLOCK);
    assert_true(inotify_add_watch(in, f->path, IN_CREATE | IN_MOVE) >= 0);
    assert_int_equal(drover_open(f->path, 0, &db, &e), 0);
    for (int i = 0; i < 200; i++) {
        struct drover_bytes key = drover_text(keys[i % 6]);
        assert_true(drover_set(db, drover_text(""), key, drover_text("value"),
                               0, &e) >= 0);
        ssize_t n = read(in, events, sizeof events);
        for (ssize_t at = 0; at < n;) {
            const struct inotify_event *ev = (const void *)(events + at);
            size_t len;
            if (name_is_key(ev->name, &len)) {
                assert_int_equal(len, key.len);
                assert_memory_equal(ev->name, key.data, len);
            }
            at += (ssize_t)(sizeof *ev + ev->len);
        }
    }
    drover_close(db);
    (void)close(in);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(digits_stand_where_the_last_star_is),
        cmocka_unit_test(only_digits_that_go_would_draw_count),
        cmocka_unit_test(every_temporary_is_recognized),
        cmocka_unit_test(long_names_are_bounded),
        FIXTURE_TEST(a_file_that_was_more_than_written_is_none),
        FIXTURE_TEST(what_libdrover_makes_beside_it_is_never_a_key),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
