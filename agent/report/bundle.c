/* SPDX-License-Identifier: MIT
 *
 * bundle: see bundle.h.
 *
 * tar reads files, so they are written to a directory of their own first, which
 * nobody else may enter, and which is gone at the end.
 */
#include "agent/report/bundle.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/report/part.h"
#include "store/base/cleanup.h"
#include "store/base/quote.h"
#include "store/base/sys.h"

enum { TAR_MS = 60000 };

struct buf *bundle_add(struct bundle *b, const char *name)
{
    assert(b->count < BUNDLE_FILES_MAX);
    b->files[b->count] = (struct bundle_file){.name = name, .data = BUF_NULL};
    return &b->files[b->count++].data;
}

void bundle_deinit(struct bundle *b)
{
    for (size_t i = 0; i < b->count; i++) {
        buf_deinit(&b->files[i].data);
    }
    b->count = 0;
}

int bundle_may_write(const char *path, struct err *err)
{
    struct stat st;

    if (lstat(path, &st) == 0) {
        return err_set(err, ERR_EXISTS, EEXIST,
                       "%s is there already, and stays as it is",
                       QUOTED_STR(path));
    }
    return errno == ENOENT ? 0
                           : err_sys(err, errno, "write %s", QUOTED_STR(path));
}

/* --- the directory for tar ----------------------------------------------- */

struct scratch {
    char *top; /* made by mkdtemp */
    int fd;    /* of the archive's directory in it */
};

static int make_file(int dir_fd, const struct bundle_file *f)
{
    CLEANUP(fd_closep)
    int fd =
        openat(dir_fd, f->name, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);

    return fd < 0 ? -1 : sys_write_all(fd, f->data.data, f->data.len);
}

static int make_scratch(struct scratch *s, const struct bundle *b,
                        struct err *err)
{
    const char *tmp = getenv("TMPDIR");

    if (asprintf(&s->top, "%s/drover-report-XXXXXX",
                 tmp != NULL && tmp[0] != '\0' ? tmp : "/tmp") < 0) {
        s->top = NULL;
        return err_set(err, ERR_NOMEM, 0, "out of memory");
    }
    if (mkdtemp(s->top) == NULL) {
        return err_sys(err, errno, "make %s", QUOTED_STR(s->top));
    }
    CLEANUP(fd_closep)
    int top = open(s->top, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (top >= 0 && mkdirat(top, b->root, 0700) == 0) {
        s->fd = sys_open_dir(top, b->root);
    }
    for (size_t i = 0; s->fd >= 0 && i < b->count; i++) {
        if (make_file(s->fd, &b->files[i]) != 0) {
            return err_sys(err, errno, "write %s in %s", b->files[i].name,
                           QUOTED_STR(s->top));
        }
    }
    return s->fd >= 0 ? 0
                      : err_sys(err, errno, "write to %s", QUOTED_STR(s->top));
}

static void remove_scratch(struct scratch *s, const struct bundle *b)
{
    for (size_t i = 0; s->fd >= 0 && i < b->count; i++) {
        (void)unlinkat(s->fd, b->files[i].name, 0);
    }
    fd_closep(&s->fd);
    if (s->top != NULL) {
        CLEANUP(fd_closep)
        int top = open(s->top, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
        if (top >= 0) {
            (void)unlinkat(top, b->root, AT_REMOVEDIR);
        }
        (void)rmdir(s->top);
    }
    free(s->top);
}

/* --- the archive --------------------------------------------------------- */

static int run_tar(const struct scratch *s, const struct bundle *b, int fd,
                   struct err *err)
{
    const char *argv[] = {"tar",         "-C",        s->top,
                          "--owner=0",   "--group=0", "--numeric-owner",
                          "--sort=name", "-czf",      "-",
                          b->root,       NULL};
    const struct part p = {.argv = argv, .timeout_ms = TAR_MS, .to_fd = fd};
    struct part_end end = PART_END_NULL;

    part_run(&p, &end);
    part_end_deinit(&end);
    return end.why[0] == '\0' ? 0 : err_set(err, ERR_IO, 0, "%s", end.why);
}

int bundle_write(const struct bundle *b, const char *path, struct err *err)
{
    struct scratch s = {.fd = -1};
    CLEANUP(fd_closep)
    int fd =
        open(path, O_CREAT | O_EXCL | O_WRONLY | O_NOFOLLOW | O_CLOEXEC, 0600);

    if (fd < 0) {
        return err_sys(err, errno, "write %s", QUOTED_STR(path));
    }
    int rc = make_scratch(&s, b, err);
    if (rc == 0) {
        rc = run_tar(&s, b, fd, err);
    }
    remove_scratch(&s, b);
    if (rc < 0) {
        (void)unlink(path);
    }
    return rc;
}
