/* SPDX-License-Identifier: MIT
 *
 * config_files: see config_files.h. */
#include "agent/config/config_files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "store/base/cleanup.h"
#include "store/base/dir.h"
#include "store/base/sys.h"

static const char SUFFIX[] = ".conf";
enum { SUFFIX_BYTES = sizeof SUFFIX - 1 };

/* Whoever says it has the file's name in front. */
static int refuse_sys(struct err *err, int code)
{
    return err_set(err, ERR_IO, 0, "%s", strerror(code));
}

static int refuse_file(const char *file, struct err *err, int code)
{
    struct stat st;

    return code == ENOENT && lstat(file, &st) == 0
               ? err_set(err, ERR_NOTFOUND, 0,
                         "is a symbolic link to a file that is not there")
               : refuse_sys(err, code);
}

/* --- one file ------------------------------------------------------------ */

/* What a file is that is none; NULL: it is one. */
static const char *what_else(mode_t mode)
{
    switch (mode & S_IFMT) {
    case S_IFREG:
        return NULL;
    case S_IFDIR:
        return "a directory";
    case S_IFIFO:
        return "a FIFO";
    default:
        return "a device";
    }
}

/* A FIFO, a device or a file without end would hold up the agent for good. */
ssize_t config_file_read(const char *file, char **out, struct err *err)
{
    CLEANUP(fd_closep)
    int fd = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    struct stat st;

    *out = NULL;
    if (fd < 0 || fstat(fd, &st) != 0) {
        return refuse_file(file, err, errno);
    }
    const char *what = what_else(st.st_mode);
    if (what != NULL) {
        return err_set(err, ERR_INVALID, 0, "is %s, not a file", what);
    }
    ssize_t len = -1;
    *out = malloc(CONFIG_FILE_BYTES + 1);
    if (*out != NULL && st.st_size <= CONFIG_FILE_BYTES) {
        len = sys_read_full(fd, *out, CONFIG_FILE_BYTES + 1);
    }
    if (st.st_size > CONFIG_FILE_BYTES || len > CONFIG_FILE_BYTES) {
        return err_set(err, ERR_INVALID, 0, "is longer than 1 MiB");
    }
    return len < 0 ? refuse_sys(err, errno) : len;
}

char *config_file_whole(const char *file)
{
    const char *slash = strrchr(file, '/');
    const char *base = slash != NULL ? slash + 1 : file;
    CLEANUP(freep)
    char *above =
        slash != NULL ? strndup(file, (size_t)(base - file)) : strdup(".");
    CLEANUP(freep) char *dir = above != NULL ? realpath(above, NULL) : NULL;
    char *whole = NULL;

    if (dir == NULL) {
        return NULL;
    }
    return asprintf(&whole, "%s/%s", strcmp(dir, "/") == 0 ? "" : dir, base) < 0
               ? NULL
               : whole;
}

/* --- drop-ins ------------------------------------------------------------ */

static bool is_conf(const char *name)
{
    size_t len = strlen(name);

    return len > SUFFIX_BYTES && strcmp(name + len - SUFFIX_BYTES, SUFFIX) == 0;
}

char *config_dropins_dir(const char *file)
{
    const char *slash = strrchr(file, '/');
    char *dir = NULL;

    if (!is_conf(slash != NULL ? slash + 1 : file)) {
        return NULL;
    }
    return asprintf(&dir, "%.*s.d", (int)(strlen(file) - SUFFIX_BYTES), file) <
                   0
               ? NULL
               : dir;
}

/* Takes `path`, which may be NULL. */
static int add_path(struct config_dropins *d, char *path, struct err *err)
{
    CLEANUP(freep) char *owned = path;

    if (d->count == CONFIG_DROPINS_MAX) {
        return err_set(err, ERR_INVALID, 0,
                       "has more than %d files *.conf; put several "
                       "[replica NAME] into one",
                       CONFIG_DROPINS_MAX);
    }
    if (d->paths == NULL) {
        d->paths = calloc(CONFIG_DROPINS_MAX, sizeof *d->paths);
    }
    if (d->paths == NULL || owned == NULL) {
        return err_set(err, ERR_NOMEM, 0, "out of memory");
    }
    d->paths[d->count++] = TAKE_PTR(owned);
    return 0;
}

static char *path_in(const char *dir, const char *name)
{
    char *path = NULL;

    return asprintf(&path, "%s/%s", dir, name) < 0 ? NULL : path;
}

/* All are in one directory: the names decide. */
static int by_bytes(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void sort(struct config_dropins *d)
{
    if (d->count > 1) {
        qsort(d->paths, d->count, sizeof *d->paths, by_bytes);
    }
}

int config_dropins_list(const char *dir, struct config_dropins *out,
                        struct err *err)
{
    CLEANUP(dir_end)
    struct dir d = dir_take(open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC));

    *out = (struct config_dropins){0};
    if (d.sys == ENOENT) {
        return 0;
    }
    for (const struct dirent *e; (e = dir_next(&d)) != NULL;) {
        if (e->d_name[0] != '.' && is_conf(e->d_name) &&
            add_path(out, path_in(dir, e->d_name), err) < 0) {
            return err->code;
        }
    }
    if (d.sys != 0) {
        return refuse_sys(err, d.sys);
    }
    sort(out);
    return 1;
}

int config_dropins_add(struct config_dropins *d, const char *path,
                       struct err *err)
{
    for (size_t i = 0; i < d->count; i++) {
        if (strcmp(d->paths[i], path) == 0) {
            return 0;
        }
    }
    if (add_path(d, strdup(path), err) < 0) {
        return err->code;
    }
    sort(d);
    return 0;
}

void config_dropins_deinit(struct config_dropins *d)
{
    for (size_t i = 0; i < d->count; i++) {
        free(d->paths[i]);
    }
    free(d->paths);
    *d = (struct config_dropins){0};
}
