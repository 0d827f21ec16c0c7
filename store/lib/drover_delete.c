/* SPDX-License-Identifier: MIT
 *
 * drover_delete: delete a key under its exclusive lock; see drover.h. */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "store/layout/lock.h"
#include "store/lib/drover_impl.h"

int drover_delete_at(int dir_fd, struct drover_bytes key, int64_t timeout_ms,
                     struct err *err)
{
    char file[KEY_FILE_BYTES];

    if (timeout_ms < DROVER_FOREVER) {
        return err_set(err, ERR_INVALID, 0, "a timeout cannot be negative");
    }
    key_file(key.data, key.len, file);
    CLEANUP(fd_closep)
    int lock_fd =
        lock_open(dir_fd, file, LOCK_EXCLUSIVE, timeout_ms, NULL, err);
    if (lock_fd < 0) {
        return lock_fd == ERR_NOTFOUND ? 0 : lock_fd;
    }
    if (unlinkat(dir_fd, file, 0) < 0) {
        return errno == ENOENT ? 0 : err_sys(err, errno, "remove");
    }
    return 1;
}

static int delete_impl(struct drover *db, struct drover_bytes table,
                       struct drover_bytes key, int64_t timeout_ms,
                       struct err *err)
{
    int rc = drover_check(table, key, err);

    if (rc == 0) {
        rc = drover_check_writable(db, err);
    }
    if (rc < 0) {
        return rc;
    }
    CLEANUP(fd_closep)
    int dir_fd = table_open(&db->db, table.data, table.len, NULL, NULL, err);
    if (dir_fd == ERR_NOTFOUND) {
        return 0;
    }
    rc = dir_fd < 0 ? dir_fd : drover_delete_at(dir_fd, key, timeout_ms, err);

    if (rc >= 0) {
        /* Also when there was no key: whoever deleted it may have died, or
         * been told of a failure, before it was durable. */
        int synced = drover_sync(dir_fd, "the table's directory", err);
        rc = synced < 0 ? synced : rc;
    }
    return rc < 0 ? drover_wrap(err, "delete", table, key) : rc;
}

int drover_delete(struct drover *db, struct drover_bytes table,
                  struct drover_bytes key, int64_t timeout_ms,
                  struct drover_error *err)
{
    struct err e;

    return drover_report(delete_impl(db, table, key, timeout_ms, &e), &e, err);
}
