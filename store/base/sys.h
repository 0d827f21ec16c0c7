/* SPDX-License-Identifier: MIT
 *
 * sys: system calls that a signal may interrupt, called again until they are
 * done, and reads and writes that go on until all has come or gone.
 *
 * Signals are rare here (the programs block them or handle them with
 * SA_RESTART), but a library runs in whatever program its user writes, and file
 * systems in user space or over a network do end an open() or an fsync() with
 * EINTR.  An fsync() that was interrupted has told nothing about the data, so
 * it may be repeated, unlike one that failed.
 *
 * All return -1 with errno set, as the calls do.
 */
#pragma once

#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

int sys_open(const char *path, int flags);
/* `mode` is used with O_CREAT only. */
int sys_openat(int dir_fd, const char *path, int flags, mode_t mode);
/* Open what should be a regular file, for reading, whatever has its name by
 * now: a link is not followed (ELOOP), a FIFO does not stop us. */
enum { SYS_FILE_FLAGS = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC };
int sys_open_file(int dir_fd, const char *name);
/* A directory, to look inside and to sync; a link is not followed. */
enum { SYS_DIR_FLAGS = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC };
int sys_open_dir(int dir_fd, const char *name);
int sys_fsync(int fd);
int sys_syncfs(int fd);
int sys_ftruncate(int fd, off_t size);
/* flock() without waiting: EWOULDBLOCK when another holds it. */
int sys_flock(int fd, int kind);

/* The access time stays. */
int sys_set_mtime(int fd, int64_t ns);
/* Are they of one file? */
bool sys_same_file(const struct stat *a, const struct stat *b);

/* Some bytes; 0 at the end. */
ssize_t sys_read(int fd, void *out, size_t room);
/* Until `n` bytes or the end came; returns how many. */
ssize_t sys_read_full(int fd, void *out, size_t n);
ssize_t sys_pread_full(int fd, void *out, size_t n, off_t at);
/* All of it.  0 = done. */
int sys_write_all(int fd, const void *p, size_t n);
int sys_pwrite_all(int fd, const void *p, size_t n, off_t at);
