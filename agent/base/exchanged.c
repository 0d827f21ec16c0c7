/* SPDX-License-Identifier: MIT
 *
 * exchanged: see exchanged.h. */
#include "agent/base/exchanged.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "store/base/cleanup.h"
#include "store/base/sys.h"
#include "store/layout/name.h"

static bool is_dir(int dir_fd, const struct dirent *e)
{
    struct stat st;

    if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0) {
        return false;
    }
    if (e->d_type != DT_UNKNOWN) {
        return e->d_type == DT_DIR;
    }
    return fstatat(dir_fd, e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
           S_ISDIR(st.st_mode);
}

bool exchanged_for_key(int dir_fd, const char *file)
{
    CLEANUP(fd_closep)
    int fd = sys_openat(dir_fd, file,
                        O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC, 0);
    bool found = false;

    if (fd < 0) {
        return errno == EACCES;
    }
    DIR *dir = fdopendir(fd);
    if (dir == NULL) {
        return true;
    }
    int own = TAKE_FD(fd);
    for (struct dirent *e; !found && (e = readdir(dir)) != NULL;) {
        found = is_dir(own, e);
    }
    (void)closedir(dir);
    return !found;
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
