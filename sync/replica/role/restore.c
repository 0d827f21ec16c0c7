/* SPDX-License-Identifier: MIT
 *
 * restore: see restore.h. */
#include "sync/replica/role/restore.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "store/base/cleanup.h"
#include "store/base/quote.h"
#include "store/base/sys.h"
#include "store/files/newfile.h"
#include "store/files/own_dir.h"

enum { COPY_BYTES = 64 * 1024 };

int restore_open(struct db *out, const char *path, struct err *err)
{
    struct own_dir how = {.mode = 0700, .group = (gid_t)-1, .fresh = true};
    CLEANUP(fd_closep) int fd = own_dir_open_at(path, &how, err);

    if (fd == ERR_EXISTS) {
        how.fresh = false;
        fd = own_dir_open_at(path, &how, err);
        if (fd >= 0 && (!own_dir_is_blank(fd) || fchmod(fd, how.mode) != 0)) {
            return err_set(err, ERR_EXISTS, 0,
                           "%s must be a new directory, or an empty one of "
                           "yours",
                           QUOTED_STR(path));
        }
    }
    if (fd < 0) {
        return err_wrap(err, "%s must be a new or an empty directory",
                        QUOTED_STR(path));
    }
    return db_open_fd(out, TAKE_FD(fd), path, err);
}

static int copy(int from, int to, struct err *err)
{
    CLEANUP(freep) char *piece = malloc(COPY_BYTES);

    if (piece == NULL) {
        return err_set(err, ERR_NOMEM, 0, "out of memory");
    }
    for (;;) {
        ssize_t n = sys_read(from, piece, COPY_BYTES);
        if (n == 0) {
            return sys_fsync(to) == 0 ? 0 : err_sys(err, errno, "sync");
        }
        if (n < 0) {
            return err_sys(err, errno, "read");
        }
        if (sys_write_all(to, piece, (size_t)n) != 0) {
            return err_sys(err, errno, "write");
        }
    }
}

static int copy_to(int dir, const char *file, int from, struct err *err)
{
    static const char tmp[] = TEMP_PREFIX "0000000000000000";
    struct stat st;

    if (fstat(from, &st) != 0 || !S_ISREG(st.st_mode)) {
        return err_set(err, ERR_NOTTABLE, 0, "no regular file");
    }
    (void)unlinkat(dir, tmp, 0);
    struct newfile to;
    if (newfile_open(&to, dir, tmp, 0600) != 0) {
        return err_sys(err, errno, "create a value");
    }
    int rc = copy(from, to.fd, err);
    if (rc == 0 && newfile_place_over(&to, dir, tmp, file) != 0) {
        rc = err_sys(err, errno, "rename");
    }
    newfile_drop(&to, dir, tmp);
    return rc;
}

int restore_value(const struct db *out, struct bytes table, struct bytes key,
                  int from, struct err *err)
{
    struct table_make make = {.create = true, .group = (gid_t)-1};
    char file[KEY_FILE_BYTES];

    int rc = key_check(key.p, key.len, err);
    if (rc < 0) {
        return rc;
    }
    CLEANUP(fd_closep)
    int dir = table_open(out, table.p, table.len, &make, NULL, err);
    if (dir < 0) {
        return dir;
    }
    key_file(key.p, key.len, file);
    rc = copy_to(dir, file, from, err);
    return rc < 0 ? err_wrap(err, "table %s, key %s",
                             QUOTED_TABLE(table.p, table.len),
                             QUOTED(key.p, key.len))
                  : 0;
}
