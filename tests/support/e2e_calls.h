/* SPDX-License-Identifier: MIT
 *
 * e2e_calls: every way in which a program may change a key, system call by
 * system call, as inotify and flock see them.  Each function works on FILE (the
 * key's file name, KEY.kv) in the directory dir_fd, and returns 0, or -1 with
 * errno; E2E_BUSY when a lock was not granted in time.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { E2E_BUSY = 1, E2E_EXISTS = 2, E2E_MISSING = 3 };

/* What the Go library flockd does.  Locks are opened with O_CREAT (so a missing
 * key shows as an empty file for an instant), nothing is verified after
 * locking, directories are not synced; create and update close a writable
 * descriptor of a replaced file late.  create: E2E_EXISTS; update:
 * E2E_MISSING. */
int e2e_flockd_set(int dir_fd, const char *file, const void *value, size_t len);
int e2e_flockd_create(int dir_fd, const char *file, const void *value,
                      size_t len);
int e2e_flockd_update(int dir_fd, const char *file, const void *value,
                      size_t len);
int e2e_flockd_delete(int dir_fd, const char *file);
/* The name of its temporary for FILE with these digits. */
void e2e_flockd_temp_name(const char *file, uint32_t digits, char temp[300]);
/* Its bounds, for all calls: how long a lock is tried (10 ms at first), and
 * whether values are synced (yes at first). */
void e2e_flockd_settings(int lock_ms, bool sync);

/* In place, under an exclusive lock, piece by piece. */
int e2e_in_place(int dir_fd, const char *file, const void *value, size_t len);
/* As a shell's `>`: emptied, then written, no lock. */
int e2e_truncate_and_write(int dir_fd, const char *file, const void *value,
                           size_t len);
/* A temporary, renamed over the key. */
int e2e_rename(int dir_fd, const char *file, const void *value, size_t len);
/* A temporary, linked to the key's name, unlinked; the key must be missing. */
int e2e_link(int dir_fd, const char *file, const void *value, size_t len);
/* A file without a name, linked to the key's; the key must be missing. */
int e2e_tmpfile(int dir_fd, const char *file, const void *value, size_t len);
/* Stored through a mapping; the descriptor is closed before the store. */
int e2e_mmap(int dir_fd, const char *file, const void *value, size_t len);
