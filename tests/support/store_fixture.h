/* SPDX-License-Identifier: MIT
 *
 * store_fixture: a temporary database directory for the tests of store. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/base/err.h"

struct fixture {
    char path[256];
    int fd;
    struct err err;
};

static int fixture_rm(const char *path, const struct stat *st, int flag,
                      struct FTW *ftw)
{
    (void)st;
    (void)flag;
    (void)ftw;
    return remove(path);
}

static inline void fixture_begin(struct fixture *f)
{
    const char *tmp = getenv("TMPDIR");

    memset(f, 0, sizeof *f);
    (void)snprintf(f->path, sizeof f->path, "%s/drover-unit-XXXXXX",
                   tmp != NULL && *tmp != '\0' ? tmp : "/tmp");
    assert_non_null(mkdtemp(f->path));
    f->fd = open(f->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(f->fd >= 0);
}

static inline void fixture_end(struct fixture *f)
{
    (void)close(f->fd);
    (void)nftw(f->path, fixture_rm, 16, FTW_DEPTH | FTW_PHYS);
}

/* cmocka's setup and teardown: *state is a struct fixture. */
static inline int fixture_setup(void **state)
{
    struct fixture *f = malloc(sizeof *f);

    assert_non_null(f);
    fixture_begin(f);
    *state = f;
    return 0;
}

static inline int fixture_teardown(void **state)
{
    fixture_end(*state);
    free(*state);
    return 0;
}

/* Write a file with these contents, in place. */
static inline void put_file(int dir_fd, const char *name, const void *data,
                            size_t len)
{
    int fd =
        openat(dir_fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, data, len), (ssize_t)len);
    (void)close(fd);
}

static inline void put_text(int dir_fd, const char *name, const char *text)
{
    put_file(dir_fd, name, text, strlen(text));
}

/* The file's contents are `text`. */
static inline void assert_file(int dir_fd, const char *name, const char *text)
{
    char got[4096];
    int fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC);

    assert_true(fd >= 0);
    ssize_t n = read(fd, got, sizeof got - 1);
    assert_true(n >= 0);
    got[n] = '\0';
    (void)close(fd);
    assert_string_equal(got, text);
}

static inline bool exists(int dir_fd, const char *name)
{
    return faccessat(dir_fd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

/* A descriptor of the file with this flock on it; close it to unlock. */
static inline int hold_lock(int dir_fd, const char *name, int op)
{
    int fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC);

    assert_true(fd >= 0);
    assert_int_equal(flock(fd, op), 0);
    return fd;
}

#define FIXTURE_TEST(fn)                                                       \
    cmocka_unit_test_setup_teardown(fn, fixture_setup, fixture_teardown)
