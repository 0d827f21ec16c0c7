/* SPDX-License-Identifier: MIT
 *
 * boot: what a power loss takes back.
 *
 * A value that was written without fsync() is in memory first.  A file system
 * writes the file's new times within seconds (its log), the bytes later, so
 * that after a power loss a file can have the stat of the new value and the
 * bytes of the old one.  Whoever noted "the file with this stat had this
 * digest" may believe it in the same life of the file system, and after a
 * power loss only for files that were old enough to have been written back.
 *
 * One life of a file system: from a mount to its end within one boot of the
 * host.  The boot has an id; of the mount the kernel tells only for ext4 and
 * xfs (a file system that was lost with its device and mounted anew in one
 * boot is not noticed on others).
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum { BOOT_ID_BYTES = 16 };

struct boot {
    uint8_t id[BOOT_ID_BYTES]; /* zero: cannot be told, never the same */
    uint64_t mount;            /* zero: not known */
    /* What was written longer ago than this is on the disk without anybody's
     * fsync(); INT64_MAX: nothing is for certain. */
    int64_t writeback_ns;
};

/* This boot, and the life of the file system that `fd` is on.  Reads small
 * files below /proc and /sys. */
void boot_now(int fd, struct boot *out);
/* The same life: what was in memory then has not been lost since. */
bool boot_same(const struct boot *a, const struct boot *b);

/* How long the kernel may keep changed bytes in memory, from its settings (in
 * hundredths of a second; below 0: not known).  For tests beside boot_now(). */
int64_t boot_writeback_ns(int64_t expire_cs, int64_t interval_cs);
