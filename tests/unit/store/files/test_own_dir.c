/* SPDX-License-Identifier: MIT
 *
 * own_dir: paths and directories that others have a hand in.  What an attacker
 * does meanwhile is tried by tests/confine/test_strangers.c. */
#include "tests/support/store_fixture.h"

#include "store/files/own_dir.h"

enum { OTHER = 54321, THIRD = 54322 };

struct bench {
    struct fixture f;
    struct err err;
    mode_t umask;
};

static int setup(void **state)
{
    struct bench *b = calloc(1, sizeof *b);

    assert_non_null(b);
    fixture_begin(&b->f);
    b->umask = umask(077);
    *state = b;
    return 0;
}

static int teardown(void **state)
{
    struct bench *b = *state;

    (void)umask(b->umask);
    fixture_end(&b->f);
    free(b);
    return 0;
}

static int open_path(struct bench *b, const char *rest, bool create)
{
    char path[400];

    (void)snprintf(path, sizeof path, "%s/%s", b->f.path, rest);
    int fd = own_dir_open_path(path, create, &b->err);
    if (fd >= 0) {
        (void)close(fd);
        return 0;
    }
    return fd;
}

static mode_t mode_of(struct bench *b, const char *name)
{
    struct stat st;

    assert_int_equal(fstatat(b->f.fd, name, &st, AT_SYMLINK_NOFOLLOW), 0);
    return st.st_mode & 07777;
}

static void links_lead_to_a_database(void **state)
{
    struct bench *b = *state;
    char absolute[400], proc[64];

    assert_int_equal(mkdirat(b->f.fd, "d", 0755), 0);
    assert_int_equal(mkdirat(b->f.fd, "d/e", 0755), 0);
    put_text(b->f.fd, "file", "x");
    (void)snprintf(absolute, sizeof absolute, "%s/d//e/", b->f.path);
    assert_int_equal(symlinkat(absolute, b->f.fd, "abs"), 0);
    assert_int_equal(symlinkat("../d/./e", b->f.fd, "d/rel"), 0);
    assert_int_equal(symlinkat("loop", b->f.fd, "loop"), 0);
    assert_int_equal(symlinkat("nowhere", b->f.fd, "hanging"), 0);
    assert_int_equal(open_path(b, "abs", false), 0);
    assert_int_equal(open_path(b, "d/rel/", false), 0);
    assert_int_equal(open_path(b, "d/rel/../rel/.", false), 0);
    assert_int_equal(open_path(b, "loop", false), ERR_NOTTABLE);
    assert_int_equal(open_path(b, "file", false), ERR_NOTTABLE);
    assert_int_equal(open_path(b, "file/x", false), ERR_NOTTABLE);
    assert_int_equal(open_path(b, "hanging", false), ERR_NOTFOUND);
    assert_int_equal(open_path(b, "none", false), ERR_NOTFOUND);
    assert_int_equal(own_dir_open_path("", false, &b->err), ERR_NOTFOUND);
    /* The kernel's own links are no text. */
    (void)snprintf(proc, sizeof proc, "/proc/self/fd/%d", b->f.fd);
    int fd = own_dir_open_path(proc, false, &b->err);
    assert_true(fd >= 0);
    (void)close(fd);
}

static void a_path_is_made_on_request(void **state)
{
    struct bench *b = *state;

    assert_int_equal(open_path(b, "a/b/c", true), 0);
    assert_int_equal(open_path(b, "a/b/c", true), 0);
    assert_int_equal(mode_of(b, "a/b/c"), 0700);
    assert_int_equal(symlinkat("a/b", b->f.fd, "link"), 0);
    assert_int_equal(open_path(b, "link/d", true), 0);
    assert_int_equal(mode_of(b, "a/b/d"), 0700);
}

static void a_configured_path_is_made_like_mkdir_p(void **state)
{
    struct bench *b = *state;
    char path[400];

    assert_int_equal(mkdirat(b->f.fd, "there", 0755), 0);
    assert_int_equal(fchmodat(b->f.fd, "there", 0711, 0), 0);
    assert_int_equal(symlinkat("there", b->f.fd, "link"), 0);
    if (geteuid() == 0) { /* followed all the same */
        assert_int_equal(
            fchownat(b->f.fd, "link", OTHER, OTHER, AT_SYMLINK_NOFOLLOW), 0);
    }
    (void)snprintf(path, sizeof path, "%s/link/x//y/", b->f.path);
    assert_int_equal(own_dir_make_path(path, 0700, &b->err), 0);
    assert_int_equal(own_dir_make_path(path, 0750, &b->err), 0);
    assert_int_equal(mode_of(b, "there"), 0711);
    assert_int_equal(mode_of(b, "there/x"), 0700);
    assert_int_equal(mode_of(b, "there/x/y"), 0700);
    put_text(b->f.fd, "file", "x");
    (void)snprintf(path, sizeof path, "%s/file/x", b->f.path);
    assert_int_equal(own_dir_make_path(path, 0700, &b->err), ERR_NOTTABLE);
    assert_non_null(strstr(b->err.msg, "mkdir "));
}

static void own_link(struct bench *b, const char *to, const char *name,
                     uid_t uid)
{
    assert_int_equal(symlinkat(to, b->f.fd, name), 0);
    assert_int_equal(fchownat(b->f.fd, name, uid, uid, AT_SYMLINK_NOFOLLOW), 0);
}

/* Whoever owns a link must own what it leads to. */
static void root_follows_no_link_to_what_is_somebody_elses(void **state)
{
    struct bench *b = *state;

    if (geteuid() != 0) {
        print_message("SKIP: only root follows with care\n");
        skip();
    }
    assert_int_equal(mkdirat(b->f.fd, "roots", 0755), 0);
    assert_int_equal(mkdirat(b->f.fd, "others", 0755), 0);
    assert_int_equal(mkdirat(b->f.fd, "roots/others", 0755), 0);
    assert_int_equal(fchownat(b->f.fd, "others", OTHER, OTHER, 0), 0);
    assert_int_equal(fchownat(b->f.fd, "roots/others", OTHER, OTHER, 0), 0);
    own_link(b, "roots", "bad", OTHER);
    own_link(b, "others", "good", OTHER);
    own_link(b, "roots/others", "through", OTHER);
    own_link(b, "others", "thirds", THIRD);
    own_link(b, "good", "second", THIRD);
    own_link(b, "bad", "by-root", 0);
    assert_int_equal(open_path(b, "bad", false), ERR_REFUSED);
    assert_non_null(strstr(b->err.msg, "54321"));
    assert_int_equal(open_path(b, "thirds", false), ERR_REFUSED);
    assert_int_equal(open_path(b, "second", false), ERR_REFUSED);
    assert_int_equal(open_path(b, "by-root", false), ERR_REFUSED);
    assert_int_equal(open_path(b, "good", false), 0);
    assert_int_equal(open_path(b, "through", false), 0);
    /* Nor is anything made behind it. */
    assert_int_equal(open_path(b, "bad/new", true), ERR_REFUSED);
    assert_false(exists(b->f.fd, "roots/new"));
    assert_int_equal(open_path(b, "good/new", true), ERR_REFUSED);
}

static int open_one(struct bench *b, const char *name,
                    const struct own_dir *how, bool *made)
{
    int fd = own_dir_open(b->f.fd, name, how, made, &b->err);

    if (fd >= 0) {
        (void)close(fd);
        return 0;
    }
    return fd;
}

static void a_directory_gets_its_mode_whatever_the_umask(void **state)
{
    struct bench *b = *state;
    struct own_dir how = {.mode = 0755, .group = (gid_t)-1};
    bool made;

    assert_int_equal(open_one(b, "d", &how, &made), 0);
    assert_true(made);
    assert_int_equal(mode_of(b, "d"), 0755);
    how.mode = 02750;
    assert_int_equal(open_one(b, "d", &how, &made), 0);
    assert_false(made);
    assert_int_equal(mode_of(b, "d"), 0755);
    how.renew = true;
    assert_int_equal(open_one(b, "d", &how, NULL), 0);
    assert_int_equal(mode_of(b, "d"), 02750);
    how.fresh = true;
    assert_int_equal(open_one(b, "d", &how, NULL), ERR_EXISTS);
    assert_int_equal(symlinkat("d", b->f.fd, "link"), 0);
    how.fresh = false;
    assert_int_equal(open_one(b, "link", &how, NULL), ERR_NOTTABLE);
    put_text(b->f.fd, "file", "x");
    assert_int_equal(open_one(b, "file", &how, NULL), ERR_NOTTABLE);
}

static void at_the_end_of_a_path(void **state)
{
    struct bench *b = *state;
    struct own_dir how = {.mode = 0700, .group = (gid_t)-1};
    char path[400];

    (void)snprintf(path, sizeof path, "%s/one//", b->f.path);
    int fd = own_dir_open_at(path, &how, &b->err);
    assert_true(fd >= 0);
    assert_true(own_dir_is_blank(fd));
    (void)close(fd);
    put_text(b->f.fd, "one/x", "x");
    fd = own_dir_open_at(path, &how, &b->err);
    assert_true(fd >= 0);
    assert_false(own_dir_is_blank(fd));
    (void)close(fd);
    (void)snprintf(path, sizeof path, "%s/no/two", b->f.path);
    assert_int_equal(own_dir_open_at(path, &how, &b->err), ERR_NOTFOUND);
    assert_true(own_dir_open_at("/", &how, &b->err) < 0);
    assert_true(own_dir_open_at("", &how, &b->err) < 0);
}

/* What root finds in somebody else's directory. */
static void root_changes_nothing_that_may_have_been_put_there(void **state)
{
    struct bench *b = *state;
    struct own_dir how = {
        .mode = 0755, .group = (gid_t)-1, .renew = true, .give = true};
    struct stat st;

    if (geteuid() != 0) {
        print_message("SKIP: only root is careful\n");
        skip();
    }
    assert_int_equal(fchown(b->f.fd, OTHER, OTHER), 0);
    assert_int_equal(mkdirat(b->f.fd, "secret", 0700), 0);
    put_text(b->f.fd, "secret/x", "x");
    assert_int_equal(open_one(b, "secret", &how, NULL), 0);
    assert_int_equal(mode_of(b, "secret"), 0700);
    int fd = openat(b->f.fd, "secret", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_false(own_dir_is_made(b->f.fd, fd));
    (void)close(fd);
    /* His own he could change himself; what is made is given to him. */
    assert_int_equal(mkdirat(b->f.fd, "his", 0700), 0);
    assert_int_equal(fchownat(b->f.fd, "his", OTHER, OTHER, 0), 0);
    assert_int_equal(open_one(b, "his", &how, NULL), 0);
    assert_int_equal(mode_of(b, "his"), 0755);
    assert_int_equal(open_one(b, "new", &how, NULL), 0);
    assert_int_equal(mode_of(b, "new"), 0755);
    assert_int_equal(fstatat(b->f.fd, "new", &st, 0), 0);
    assert_int_equal(st.st_uid, OTHER);
}

static int open_file(struct bench *b, const char *name)
{
    int fd = own_file_open(b->f.fd, name, O_RDWR, &b->err);

    if (fd >= 0) {
        (void)close(fd);
        return 0;
    }
    return fd;
}

static void a_file_of_ours_is_private(void **state)
{
    struct bench *b = *state;

    assert_int_equal(open_file(b, "f"), 0);
    assert_int_equal(mode_of(b, "f"), 0600);
    assert_int_equal(fchmodat(b->f.fd, "f", 0644, 0), 0);
    assert_int_equal(open_file(b, "f"), 0);
    assert_int_equal(mode_of(b, "f"), 0600);
    assert_int_equal(symlinkat("f", b->f.fd, "link"), 0);
    assert_true(open_file(b, "link") < 0);
    assert_int_equal(mkfifoat(b->f.fd, "fifo", 0600), 0);
    assert_int_equal(open_file(b, "fifo"), ERR_REFUSED);
}

static void a_file_with_another_name_or_owner_is_not_ours(void **state)
{
    struct bench *b = *state;
    struct stat st;

    if (geteuid() != 0) {
        print_message("SKIP: only root is careful\n");
        skip();
    }
    assert_int_equal(fchown(b->f.fd, OTHER, OTHER), 0);
    assert_int_equal(open_file(b, "made"), 0);
    assert_int_equal(fstatat(b->f.fd, "made", &st, 0), 0);
    assert_int_equal(st.st_uid, OTHER);
    put_text(b->f.fd, "roots", "x");
    assert_int_equal(fchmodat(b->f.fd, "roots", 0644, 0), 0);
    assert_int_equal(open_file(b, "roots"), 0);
    assert_int_equal(mode_of(b, "roots"), 0644);
    assert_int_equal(linkat(b->f.fd, "roots", b->f.fd, "hard", 0), 0);
    assert_int_equal(open_file(b, "hard"), ERR_REFUSED);
    put_text(b->f.fd, "thirds", "x");
    assert_int_equal(fchownat(b->f.fd, "thirds", THIRD, THIRD, 0), 0);
    assert_int_equal(open_file(b, "thirds"), ERR_REFUSED);
    assert_int_equal(mode_of(b, "thirds"), 0600);
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(links_lead_to_a_database),
        T(a_path_is_made_on_request),
        T(a_configured_path_is_made_like_mkdir_p),
        T(root_follows_no_link_to_what_is_somebody_elses),
        T(a_directory_gets_its_mode_whatever_the_umask),
        T(at_the_end_of_a_path),
        T(root_changes_nothing_that_may_have_been_put_there),
        T(a_file_of_ours_is_private),
        T(a_file_with_another_name_or_owner_is_not_ours),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
