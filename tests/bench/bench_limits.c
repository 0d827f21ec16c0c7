/* SPDX-License-Identifier: MIT
 *
 * bench_limits: what the bare system calls can do on this machine, so that a
 * figure can be read as a part of that. */
#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/bench/bench_verbs.h"

enum { VALUE_BYTES = 2048, ROUNDS = 20000, FEW = 1000 };

int verb_scan(int argc, char **argv, struct data *d)
{
    uint64_t keys = 0, bytes = 0;
    int64_t began_ns = data_now_ns();

    (void)argc;
    (void)argv;
    for (unsigned t = 0; t < d->tables; t++) {
        DIR *dir = fdopendir(dup(d->table_fds[t]));
        const struct dirent *e;
        struct stat st;
        if (dir == NULL) {
            data_fail("read a table");
        }
        while ((e = readdir(dir)) != NULL) {
            if (e->d_name[0] != '.' && fstatat(d->table_fds[t], e->d_name, &st,
                                               AT_SYMLINK_NOFOLLOW) == 0) {
                keys++;
                bytes += (uint64_t)st.st_size;
            }
        }
        (void)closedir(dir);
    }
    printf("keys=%" PRIu64 " bytes=%" PRIu64 " seconds=%.3f\n", keys, bytes,
           (double)(data_now_ns() - began_ns) / 1e9);
    return 0;
}

static void put(int dir, int n, bool sync)
{
    static const char value[VALUE_BYTES] = {1};
    char temp[32], name[32];

    (void)snprintf(temp, sizeof temp, "tmp%d", n);
    (void)snprintf(name, sizeof name, "key%d.kv", n % FEW);
    int fd = openat(dir, temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0 || write(fd, value, sizeof value) != sizeof value ||
        (sync && fsync(fd) != 0) || renameat(dir, temp, dir, name) != 0) {
        data_fail(temp);
    }
    (void)close(fd);
}

static double writes_per_s(int dir, int rounds, bool sync_each, int syncfs_per)
{
    int64_t began_ns = data_now_ns();

    for (int i = 0; i < rounds; i++) {
        put(dir, i, sync_each);
        if (syncfs_per > 0 && (i + 1) % syncfs_per == 0 && syncfs(dir) != 0) {
            data_fail("syncfs");
        }
    }
    return rounds * 1e9 / (double)(data_now_ns() - began_ns);
}

static double reads_per_s(int dir)
{
    char buf[VALUE_BYTES];
    int64_t began_ns = data_now_ns();

    for (int i = 0; i < ROUNDS * 5; i++) {
        char name[32];
        (void)snprintf(name, sizeof name, "key%d.kv", i % FEW);
        int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
        if (fd < 0 || flock(fd, LOCK_SH) != 0 ||
            read(fd, buf, sizeof buf) < 0) {
            data_fail(name);
        }
        (void)close(fd);
    }
    return ROUNDS * 5 * 1e9 / (double)(data_now_ns() - began_ns);
}

int verb_limits(int argc, char **argv, struct data *d)
{
    int dir = open(argv[0], O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    (void)argc;
    (void)d;
    if (dir < 0) {
        data_fail(argv[0]);
    }
    printf("create_rename_per_s=%.0f\n", writes_per_s(dir, ROUNDS, false, 0));
    printf("create_rename_syncfs1000_per_s=%.0f\n",
           writes_per_s(dir, ROUNDS, false, 1000));
    printf("create_fsync_rename_per_s=%.0f\n",
           writes_per_s(dir, ROUNDS / 20, true, 0));
    printf("open_flock_read_close_per_s=%.0f\n", reads_per_s(dir));
    return 0;
}
