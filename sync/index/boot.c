/* SPDX-License-Identifier: MIT
 *
 * boot: see boot.h.
 */
#include "sync/index/boot.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "store/base/cleanup.h"
#include "store/base/clock.h"
#include "store/base/hex.h"
#include "store/base/sys.h"

enum {
    TEXT_BYTES = 64,
    /* What Linux begins with. */
    EXPIRE_CS = 3000,
    INTERVAL_CS = 500,
    /* The file system's own log (5 s on ext4, 30 s on xfs and btrfs). */
    LOG_S = 30,
};

#define NS_PER_CS (NS_PER_S / 100)

/* The first line of a small file; empty when it cannot be read. */
static void read_line(const char *path, char out[TEXT_BYTES])
{
    CLEANUP(fd_closep) int fd = sys_open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? sys_read(fd, out, TEXT_BYTES - 1) : 0;

    out[n > 0 ? n : 0] = '\0';
    out[strcspn(out, "\n")] = '\0';
}

static int64_t read_number(const char *path)
{
    char text[TEXT_BYTES];
    char *end;

    read_line(path, text);
    long long n = strtoll(text, &end, 10);
    return end != text && *end == '\0' ? n : -1;
}

/* A page is written back when it is older than `expire`, by a round that comes
 * each `interval`; a busy disk takes longer, so twice that.  Without rounds
 * age makes nothing durable. */
int64_t boot_writeback_ns(int64_t expire_cs, int64_t interval_cs)
{
    if (interval_cs == 0 || expire_cs > INT64_MAX / NS_PER_CS / 8 ||
        interval_cs > INT64_MAX / NS_PER_CS / 8) {
        return INT64_MAX;
    }
    if (expire_cs < EXPIRE_CS) {
        expire_cs = EXPIRE_CS;
    }
    if (interval_cs < INTERVAL_CS) {
        interval_cs = INTERVAL_CS;
    }
    return 2 * (expire_cs + interval_cs) * NS_PER_CS + LOG_S * NS_PER_S;
}

static void read_id(uint8_t out[BOOT_ID_BYTES])
{
    char text[TEXT_BYTES], digits[TEXT_BYTES];
    size_t n = 0;

    read_line("/proc/sys/kernel/random/boot_id", text);
    for (const char *p = text; *p != '\0'; p++) {
        if (*p != '-') {
            digits[n++] = *p;
        }
    }
    digits[n] = '\0';
    if (!hex_decode(out, BOOT_ID_BYTES, digits, n)) {
        memset(out, 0, BOOT_ID_BYTES);
    }
}

/* ext4 and xfs make a directory in sysfs at each mount, and no two of these
 * have the same inode number within a boot. */
static uint64_t mount_of(int fd)
{
    static const char *const kinds[] = {"ext4", "xfs"};
    char link[TEXT_BYTES], target[1024], dir[1280];
    struct stat st;

    if (fstat(fd, &st) != 0) {
        return 0;
    }
    (void)snprintf(link, sizeof link, "/sys/dev/block/%u:%u", major(st.st_dev),
                   minor(st.st_dev));
    ssize_t n = readlink(link, target, sizeof target - 1);
    if (n <= 0) {
        return 0;
    }
    target[n] = '\0';
    const char *slash = strrchr(target, '/');
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        (void)snprintf(dir, sizeof dir, "/sys/fs/%s/%s", kinds[i],
                       slash != NULL ? slash + 1 : target);
        if (stat(dir, &st) == 0) {
            return (uint64_t)st.st_ino;
        }
    }
    return 0;
}

void boot_now(int fd, struct boot *out)
{
    read_id(out->id);
    out->mount = mount_of(fd);
    out->writeback_ns = boot_writeback_ns(
        read_number("/proc/sys/vm/dirty_expire_centisecs"),
        read_number("/proc/sys/vm/dirty_writeback_centisecs"));
}

bool boot_same(const struct boot *a, const struct boot *b)
{
    static const uint8_t none[BOOT_ID_BYTES];

    return memcmp(a->id, none, sizeof none) != 0 &&
           memcmp(a->id, b->id, sizeof a->id) == 0 &&
           (a->mount == 0 || b->mount == 0 || a->mount == b->mount);
}
