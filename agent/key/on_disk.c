/* SPDX-License-Identifier: MIT
 *
 * on_disk: see on_disk.h.
 */
#include "agent/key/on_disk.h"

#include <errno.h>
#include <fcntl.h>

#include "store/base/cleanup.h"
#include "store/base/quote.h"
#include "store/layout/db.h"
#include "store/layout/lock.h"

/* In the table's open directory. */
static int find_in(int dir_fd, struct bytes key, struct on_disk *out,
                   struct err *err)
{
    char file[KEY_FILE_BYTES];

    key_file(key.p, key.len, file);
    if (fstatat(dir_fd, file, &out->st, AT_SYMLINK_NOFOLLOW) != 0) {
        out->state = ON_DISK_ABSENT;
        return errno == ENOENT
                   ? 0
                   : err_sys(err, errno, "stat %s", QUOTED_STR(file));
    }
    out->state = S_ISREG(out->st.st_mode) ? ON_DISK_FILE : ON_DISK_OTHER;
    if (out->state == ON_DISK_FILE) {
        out->pid = lock_holder(&out->st, 0, out->comm);
    }
    return 0;
}

int on_disk_find(const char *root, struct bytes table, struct bytes key,
                 struct on_disk *out, struct err *err)
{
    CLEANUP(db_close) struct db db = {.root_fd = -1};

    *out = (struct on_disk){.state = ON_DISK_NO_TABLE};
    int rc = db_open(&db, root, false, err);
    if (rc < 0) {
        return rc;
    }
    CLEANUP(fd_closep)
    int fd = table_open(&db, table.p, table.len, NULL, NULL, err);
    if (fd == ERR_NOTFOUND) {
        return 0;
    }
    return fd < 0 ? fd : find_in(fd, key, out, err);
}
