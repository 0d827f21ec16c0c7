/* SPDX-License-Identifier: MIT
 *
 * host: see host.h. */
#include "sync/check/host.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <sys/timex.h>

#include "store/base/cleanup.h"
#include "store/base/quote.h"
#include "store/base/sys.h"
#include "store/base/units.h"

enum { LOW_PERCENT = 5, PERCENT = 100 };

/* --- space ---------------------------------------------------------------- */

static void hint_of_space(struct buf *b, const char *dir, const char *option)
{
    buf_printf(b, "what takes it? df -h%s ", option);
    quote_shell_buf(b, dir, strlen(dir));
    buf_u8(b, '\0');
}

static void judge_space(struct findings *f, const struct statvfs *fs,
                        const char *dir, uint64_t need, int id)
{
    CLEANUP(buf_deinit) struct buf hint = BUF_NULL;
    uint64_t left = (uint64_t)fs->f_bavail * fs->f_frsize;
    uint64_t all = (uint64_t)fs->f_blocks * fs->f_frsize;
    /* Some file systems do not know how large they are. */
    bool low = all > 0 && left < all / PERCENT * LOW_PERCENT;

    hint_of_space(&hint, dir, "");
    const char *text = hint.bad ? "" : (const char *)hint.data;
    if (all > 0 && left == 0) {
        finding_fail(f, "space", id, text, "nothing is free of %s",
                     BYTES_TEXT(all));
    } else if (low || left < need) {
        finding_warn(f, "space", 0, text, "%s free of %s; %s", BYTES_TEXT(left),
                     BYTES_TEXT(all),
                     left < need ? "the largest value does not fit a second "
                                   "time"
                                 : "less than 5 %");
    } else {
        finding_ok(f, "space", "%s free of %s", BYTES_TEXT(left),
                   BYTES_TEXT(all));
    }
}

/* btrfs and others make inodes as they need them, and tell none. */
static void judge_inodes(struct findings *f, const struct statvfs *fs,
                         const char *dir, int id)
{
    CLEANUP(buf_deinit) struct buf hint = BUF_NULL;

    if (fs->f_files == 0) {
        return;
    }
    hint_of_space(&hint, dir, " -i");
    const char *text = hint.bad ? "" : (const char *)hint.data;
    if (fs->f_favail == 0) {
        finding_fail(f, "inodes", id, text, "none is free of %s",
                     COUNT_TEXT(fs->f_files));
    } else if (fs->f_favail < fs->f_files / PERCENT * LOW_PERCENT) {
        finding_warn(f, "inodes", 0, text, "%s free of %s; less than 5 %%",
                     COUNT_TEXT(fs->f_favail), COUNT_TEXT(fs->f_files));
    } else {
        finding_ok(f, "inodes", "%s free of %s", COUNT_TEXT(fs->f_favail),
                   COUNT_TEXT(fs->f_files));
    }
}

void host_space(struct findings *f, int fd, const char *dir, uint64_t need,
                int id)
{
    struct statvfs fs;

    if (fstatvfs(fd, &fs) != 0) {
        finding_warn(f, "space", 0, "", "not known: %s", strerror(errno));
        return;
    }
    judge_space(f, &fs, dir, need, id);
    judge_inodes(f, &fs, dir, id);
}

/* --- clock ---------------------------------------------------------------- */

void host_clock(struct findings *f, const char *why)
{
    static const char HINT[] = "timedatectl; chronyc tracking";
    struct timex t = {.modes = 0};

    if (adjtimex(&t) < 0) {
        finding_warn(f, "clock", 0, HINT, "its state is not told: %s",
                     strerror(errno));
    } else if ((t.status & STA_UNSYNC) != 0) {
        finding_warn(f, "clock", 0, HINT, "nobody keeps it right; %s", why);
    } else {
        finding_ok(f, "clock", "synchronized, within %s",
                   DURATION_TEXT((int64_t)t.maxerror * 1000));
    }
}

/* --- bounds --------------------------------------------------------------- */

int64_t host_sysctl(const char *name)
{
    char path[128], text[32], *end;

    (void)snprintf(path, sizeof path, "/proc/sys/%s", name);
    CLEANUP(fd_closep) int fd = sys_open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? sys_read(fd, text, sizeof text - 1) : -1;
    if (n <= 0) {
        return -1;
    }
    text[n] = '\0';
    intmax_t value = strtoimax(text, &end, 10);
    return end == text || value < 0 ? -1 : (int64_t)value;
}

static int64_t lesser(const char *one, const char *other)
{
    int64_t a = host_sysctl(one), b = host_sysctl(other);

    return a < 0 || (b >= 0 && b < a) ? b : a;
}

int64_t host_inotify_watches(void)
{
    return lesser("fs/inotify/max_user_watches", "user/max_inotify_watches");
}

int64_t host_inotify_instances(void)
{
    return lesser("fs/inotify/max_user_instances",
                  "user/max_inotify_instances");
}
