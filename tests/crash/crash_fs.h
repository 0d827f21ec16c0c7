/* SPDX-License-Identifier: MIT
 *
 * crash_fs: a small file system of its own on a loop device, which can lose
 * its power.  Root only; says SKIP where it cannot be had. */
#pragma once

#include <stdbool.h>

#include "crash_lab.h"

struct fs {
    char kind[8]; /* ext4, xfs */
    char image[LAB_PATH + 16];
    char device[32];        /* the loop device */
    int loop;               /* open on it; 0: not attached */
    char at[LAB_PATH + 16]; /* mounted here */
    const char *options;    /* of mount(2) */
    bool mounted;
    bool small_writes;
};

/* A mount namespace of our own: no other process that copies its mounts keeps
 * a file system alive, and the kernel tidies up after us.  fs_begin() does it
 * too. */
void fs_private(void);
/* Make `image_dir`/image, a file system on it and mount it at base/fs. */
void fs_begin(struct fs *f, const char *kind, const char *image_dir,
              const char *base);
/* Let the device write page by page.  The loop driver of some kernels takes a
 * write of which its file took only a part for done (seen with 6.18); a single
 * page is taken or not. */
void fs_small_writes(struct fs *f);
/* Unmount and detach; accepts what was not begun. */
void fs_end(struct fs *f);
void fs_mount(struct fs *f);
void fs_unmount(struct fs *f);
/* From now on nothing is written any more.  log_too: the log was written
 * before, the data was not. */
void fs_power_cut_begin(struct fs *f, bool log_too);
/* Mount what is there; nobody may have files open. */
void fs_power_cut_end(struct fs *f);
/* All of it is on disk. */
void fs_sync(const struct fs *f);
