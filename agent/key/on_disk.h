/* SPDX-License-Identifier: MIT
 *
 * on_disk: one key's file as it is at this moment, seen from outside: its
 * stat, and who holds its lock.
 *
 * Nothing is locked for it and nothing changed, so no writer is disturbed.
 * Blocking, for commands.
 */
#pragma once

#include <sys/stat.h>
#include <sys/types.h>

#include "store/base/bytes.h"
#include "store/base/err.h"

enum on_disk_state {
    ON_DISK_FILE = 1,
    ON_DISK_ABSENT,   /* the table is there, the key is not */
    ON_DISK_NO_TABLE, /* nor is the table */
    ON_DISK_OTHER,    /* something that is no file has its name */
};

struct on_disk {
    enum on_disk_state state;
    struct stat st; /* unless it is absent */
    pid_t pid;      /* who holds a lock; 0: nobody that /proc/locks shows */
    char comm[16];
};

/* The key of the database at `root`; names were checked.  0 or ERR_*. */
int on_disk_find(const char *root, struct bytes table, struct bytes key,
                 struct on_disk *out, struct err *err) MUSTCHECK;
