/* SPDX-License-Identifier: MIT
 *
 * temps: see temps.h. */
#include "store/layout/temps.h"

#include <unistd.h>

#include "store/base/cleanup.h"
#include "store/base/dir.h"
#include "store/base/sys.h"
#include "store/layout/lock.h"
#include "store/layout/name.h"
#include "store/layout/walk.h"

/* Only with its lock, for its writer may live; and the name might be a new
 * writer's by now. */
static int sweep_one(int dir_fd, const char *name, int64_t before_ns)
{
    CLEANUP(fd_closep) int fd = sys_open_file(dir_fd, name);
    struct err ignored;
    struct stat st;

    return fd >= 0 &&
           lock_try(dir_fd, name, fd, LOCK_EXCLUSIVE, &st, &ignored) ==
               LOCK_GRANTED &&
           clock_of_timespec(st.st_mtim) < before_ns &&
           unlinkat(dir_fd, name, 0) == 0;
}

int temps_sweep_table(int dir_fd, int64_t before_ns, struct err *err)
{
    CLEANUP(dir_end) struct dir dir = dir_list(dir_fd, ".");
    int removed = 0;

    for (const struct dirent *e; (e = dir_next(&dir)) != NULL;) {
        if (name_is_temp(e->d_name)) {
            removed += sweep_one(dir_fd, e->d_name, before_ns);
        }
    }
    return dir.sys != 0 ? err_sys(err, dir.sys, "look for temporaries")
                        : removed;
}

struct sweep {
    int64_t before_ns;
    uint64_t removed;
    struct err first; /* code 0: none */
};

static int on_table(void *arg, const char *table, size_t len, int dir_fd)
{
    struct sweep *s = arg;
    struct err err;
    int n = temps_sweep_table(dir_fd, s->before_ns, &err);

    (void)table, (void)len;
    if (n > 0) {
        s->removed += (uint64_t)n;
    } else if (n < 0 && s->first.code == 0) {
        s->first = err;
    }
    return 0;
}

int temps_sweep(const struct db *db, int64_t before_ns, uint64_t *removed_out,
                struct err *err)
{
    static const struct walk_ops ops = {.table_begin = on_table};
    struct sweep s = {.before_ns = before_ns};

    int rc = walk_db(db, &ops, &s, NULL, err);
    *removed_out = s.removed;
    if (rc == 0 && s.first.code != 0) {
        *err = s.first;
        rc = err->code;
    }
    return rc;
}
