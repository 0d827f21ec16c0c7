/* SPDX-License-Identifier: MIT
 *
 * exchanged: see exchanged.h. */
#include "agent/base/exchanged.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "store/base/cleanup.h"
#include "store/base/dir.h"
#include "store/layout/name.h"

bool exchanged_for_key(int dir_fd, const char *file)
{
    CLEANUP(dir_end) struct dir dir = dir_list(dir_fd, file);

    if (dir.stream == NULL) {
        return dir.sys == EACCES || dir.sys == ENOMEM;
    }
    for (const struct dirent *e; (e = dir_next(&dir)) != NULL;) {
        if (dir_type(dirfd(dir.stream), e->d_name, e->d_type) == DT_DIR) {
            return false;
        }
    }
    return true;
}

/* Of the first part of the path that is no directory. */
static bool is_file(const struct db *db, const char *path, bool *more_out)
{
    const char *slash = strrchr(path, '/');
    size_t len;
    struct stat st = {.st_mode = 0};

    *more_out = fstatat(db->root_fd, path, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
                S_ISDIR(st.st_mode);
    return !*more_out && S_ISREG(st.st_mode) &&
           !name_is_key(slash != NULL ? slash + 1 : path, &len);
}

bool exchanged_for_table(const struct db *db, const void *table, size_t len)
{
    char path[TABLE_PATH_BYTES];
    bool is = false, more = len > 0 && len <= TABLE_MAX_BYTES;

    if (more) {
        table_path(table, len, path);
    }
    for (char *at = path; more && at != NULL;) {
        char *slash = strchr(at, '/');
        if (slash != NULL) {
            *slash = '\0';
        }
        is = is_file(db, path, &more);
        if (slash != NULL) {
            *slash = '/';
        }
        at = slash != NULL ? slash + 1 : NULL;
    }
    return is;
}
