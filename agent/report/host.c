/* SPDX-License-Identifier: MIT
 *
 * host: see host.h.
 */
#include "agent/report/host.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/statvfs.h>
#include <sys/utsname.h>

#include "store/base/cleanup.h"
#include "store/base/clock.h"
#include "store/base/dir.h"
#include "store/base/quote.h"
#include "store/base/sys.h"
#include "store/base/utc.h"
#include "store/files/filesystem.h"

enum { PATH_BYTES = 64 };

/* A small file, as it is, or why not. */
static int print_file(FILE *out, const char *path)
{
    char some[4096];
    size_t n;
    FILE *f = fopen(path, "re");

    (void)fprintf(out, "--- %s\n", path);
    if (f == NULL) {
        int sys = errno;
        (void)fprintf(out, "(%s)\n", strerror(sys));
        return sys;
    }
    while ((n = fread(some, 1, sizeof some, f)) > 0) {
        (void)fwrite(some, 1, n, out);
    }
    (void)fclose(f);
    (void)fputc('\n', out);
    return 0;
}

int host_print_system(FILE *out, const void *unused)
{
    static const char *const FILES[] = {
        "/etc/os-release",
        "/sys/kernel/security/lsm",
        "/proc/sys/fs/inotify/max_user_watches",
        "/proc/sys/fs/inotify/max_user_instances",
        "/proc/sys/fs/inotify/max_queued_events",
        "/proc/sys/fs/file-max",
        "/proc/meminfo",
        "/proc/loadavg",
        "/proc/uptime",
    };
    struct utsname u;

    (void)unused;
    if (uname(&u) == 0) {
        (void)fprintf(out, "%s %s %s %s\n", u.sysname, u.release, u.version,
                      u.machine);
    }
    for (size_t i = 0; i < sizeof FILES / sizeof *FILES; i++) {
        (void)print_file(out, FILES[i]); /* some kernels lack some */
    }
    return 0;
}

/* --- a process ----------------------------------------------------------- */

static int count_descriptors(FILE *out, pid_t pid)
{
    char path[PATH_BYTES];
    size_t n = 0;

    (void)snprintf(path, sizeof path, "/proc/%d/fd", (int)pid);
    CLEANUP(dir_end) struct dir dir = dir_take(sys_open(path, SYS_DIR_FLAGS));
    while (dir_next(&dir) != NULL) {
        n++;
    }
    if (dir.sys != 0) {
        (void)fprintf(out, "descriptors: not known (%s)\n", strerror(dir.sys));
        return dir.sys;
    }
    (void)fprintf(out, "descriptors: %zu\n", n);
    return 0;
}

int host_print_process(FILE *out, const void *arg)
{
    static const char *const FILES[] = {"limits", "status", "cgroup",
                                        "oom_score_adj"};
    pid_t pid = *(const pid_t *)arg;
    char path[PATH_BYTES];
    int first = 0;

    for (size_t i = 0; i < sizeof FILES / sizeof *FILES; i++) {
        (void)snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, FILES[i]);
        int sys = print_file(out, path);
        first = first != 0 ? first : sys;
    }
    int sys = count_descriptors(out, pid);
    return first != 0 ? first : sys;
}

/* --- directories --------------------------------------------------------- */

static int print_space(FILE *out, const char *path)
{
    struct statvfs st;
    char kind[FILESYSTEM_BYTES];
    bool poor;
    CLEANUP(fd_closep)
    int fd = sys_open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    (void)fprintf(out, "%s: ", QUOTED_STR(path));
    if (fd < 0 || fstatvfs(fd, &st) != 0) {
        int sys = errno;
        (void)fprintf(out, "%s\n", strerror(sys));
        return sys;
    }
    const char *name = filesystem_name(fd, kind, &poor);
    (void)fprintf(out,
                  "%s%s, %" PRIu64 " of %" PRIu64 " bytes free, %" PRIu64
                  " of %" PRIu64 " inodes free%s\n",
                  name, poor ? " (changes are not all told of)" : "",
                  (uint64_t)st.f_bavail * st.f_frsize,
                  (uint64_t)st.f_blocks * st.f_frsize, (uint64_t)st.f_favail,
                  (uint64_t)st.f_files,
                  (st.f_flag & ST_RDONLY) != 0 ? ", read-only" : "");
    return 0;
}

int host_print_space(FILE *out, const void *paths)
{
    int first = 0;

    for (const char *const *p = paths; *p != NULL; p++) {
        int sys = print_space(out, *p);
        first = first != 0 ? first : sys;
    }
    return first;
}

int host_print_list(FILE *out, const void *path)
{
    const struct dirent *e;
    int fd = sys_open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    CLEANUP(dir_end) struct dir dir = dir_take(fd);

    while ((e = dir_next(&dir)) != NULL) {
        struct stat st;
        if (fstatat(dirfd(dir.stream), e->d_name, &st, AT_SYMLINK_NOFOLLOW) !=
            0) {
            continue; /* it is gone by now */
        }
        (void)fprintf(out, "%06o %u %u %12jd %s %s\n", (unsigned)st.st_mode,
                      (unsigned)st.st_uid, (unsigned)st.st_gid,
                      (intmax_t)st.st_size, UTC_SECOND(st.st_mtim.tv_sec),
                      QUOTED_STR(e->d_name));
    }
    return dir.sys;
}
