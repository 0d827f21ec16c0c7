/* SPDX-License-Identifier: MIT
 *
 * filesystem: see filesystem.h. */
#include "store/files/filesystem.h"

#include <linux/magic.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/vfs.h>

/* Numbers without a name in the headers of Debian 12 stand as they are. */
static const struct kind {
    unsigned long magic;
    const char *name;
    bool poor;
} KINDS[] = {
    {NFS_SUPER_MAGIC, "NFS", true},
    {SMB_SUPER_MAGIC, "SMB", true},
    {0xff534d42UL, "CIFS", true},
    {0xfe534d42UL, "SMB", true},
    {FUSE_SUPER_MAGIC, "FUSE", true},
    {OVERLAYFS_SUPER_MAGIC, "overlayfs", true},
    {V9FS_MAGIC, "9p", true},
    {CEPH_SUPER_MAGIC, "Ceph", true},
    {AFS_SUPER_MAGIC, "AFS", true},
    {EXT4_SUPER_MAGIC, "ext4", false},
    {XFS_SUPER_MAGIC, "xfs", false},
    {BTRFS_SUPER_MAGIC, "btrfs", false},
    {TMPFS_MAGIC, "tmpfs", false},
    {F2FS_SUPER_MAGIC, "f2fs", false},
    {0x2fc12fc1UL, "zfs", false},
    {0xca451a4eUL, "bcachefs", false},
};

const char *filesystem_name(int fd, char out[FILESYSTEM_BYTES], bool *poor_out)
{
    struct statfs fs;

    *poor_out = false;
    if (fstatfs(fd, &fs) != 0) {
        (void)snprintf(out, FILESYSTEM_BYTES, "unknown");
        return out;
    }
    /* The kernel's numbers have 32 bits, a long has its sign. */
    unsigned long magic = (unsigned long)fs.f_type & 0xffffffffUL;
    (void)snprintf(out, FILESYSTEM_BYTES, "kind %#lx", magic);
    for (size_t i = 0; i < sizeof KINDS / sizeof KINDS[0]; i++) {
        if (KINDS[i].magic == magic) {
            (void)snprintf(out, FILESYSTEM_BYTES, "%s", KINDS[i].name);
            *poor_out = KINDS[i].poor;
        }
    }
    return out;
}
