/* SPDX-License-Identifier: MIT
 *
 * primary_power: a power cut on the primary takes back bytes whose new times it
 * keeps.
 *
 * Values are written in place, under their locks and without fsync (FORMAT.md
 * allows it), replicated, and the agent saves its index.  Then the primary's
 * file system stops with its log written and its data not, and is mounted
 * again.  After the agent's next start both ends must be equal, byte for byte,
 * whatever the stat of the files says.
 *
 *     primary_power ext4|xfs DROVER DROVER-REPLICA
 *
 * Root only.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "crash_fs.h"
#include "crash_lab.h"
#include "store/base/clock.h"
#include "sync/index/index.h"

enum { KEYS = 8, VALUE = 4096, LONG = LAB_PATH * 3 };

static const char *drover;
static char base[LAB_PATH], db[LAB_PATH * 2], copy[LAB_PATH * 2],
    config[LAB_PATH * 2], socket_path[LAB_PATH * 2];
static struct fs fs;

static void path_of(char *out, size_t room, int key)
{
    (void)snprintf(out, room, "%s/t.tbl/k%d.kv", db, key);
}

static void value_of(char out[VALUE], char with)
{
    for (size_t i = 0; i < VALUE; i++) {
        out[i] = with;
    }
}

static void write_new(int key)
{
    char path[LONG], value[VALUE];

    path_of(path, sizeof path, key);
    value_of(value, 'A');
    lab_write(path, value, sizeof value);
}

static void write_in_place(int key)
{
    char path[LONG], value[VALUE];

    path_of(path, sizeof path, key);
    value_of(value, 'B');
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0 || flock(fd, LOCK_EX) != 0 ||
        pwrite(fd, value, sizeof value, 0) != VALUE || close(fd) != 0) {
        lab_broken("write %s: %s", path, strerror(errno));
    }
}

static void write_config(const char *replica)
{
    char text[LONG * 4];
    int n = snprintf(text, sizeof text,
                     "[database]\nname = lab\npath = %s\nstate-dir = %s/state\n"
                     "socket = %s\nheartbeat = 200ms\nrescan = 0\n"
                     "[replica r]\ncommand = %s receive %s\n",
                     db, base, socket_path, replica, copy);

    lab_write(config, text, (size_t)n);
}

static pid_t run(const char *const *argv, const char *log)
{
    union {
        const char *const *in;
        char *const *out;
    } args = {.in = argv};
    pid_t pid = fork();
    if (pid == 0) {
        int out = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
        (void)dup2(out, 1);
        (void)dup2(out, 2);
        (void)execv(argv[0], args.out);
        _exit(127);
    }
    if (pid < 0) {
        lab_broken("fork");
    }
    return pid;
}

static int status_of(pid_t pid)
{
    int status;

    if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status)) {
        return 126;
    }
    return WEXITSTATUS(status);
}

static pid_t start_agent(void)
{
    char log[LONG];
    const char *argv[] = {drover, "agent", "--config", config, NULL};

    (void)snprintf(log, sizeof log, "%s/agent.log", base);
    return run(argv, log);
}

/* Until the replica has everything, as the agent says. */
static void wait_for_replica(void)
{
    char log[LONG];
    const char *argv[] = {drover,      "--socket", socket_path, "wait",
                          "--timeout", "60s",      NULL};
    int code = 69;

    (void)snprintf(log, sizeof log, "%s/wait.log", base);
    for (int i = 0; i < 600 && code == 69; i++) { /* until it listens */
        code = status_of(run(argv, log));
        if (code == 69) {
            clock_sleep_ns(50 * NS_PER_MS);
        }
    }
    if (code != 0) {
        lab_broken("drover wait ends with %d, see %s", code, log);
    }
}

static void stop_agent(pid_t pid)
{
    (void)kill(pid, SIGTERM);
    if (status_of(pid) != 0) {
        lab_broken("the agent does not end well, see %s/agent.log", base);
    }
}

static void compare(const char *when)
{
    struct tree here, there;

    tree_read(&here, db);
    tree_read(&there, copy);
    if (!tree_equal(&here, &there)) {
        tree_print(&here, "primary");
        tree_print(&there, "replica");
        lab_bad("%s: the ends differ, and say that they do not: %s", fs.kind,
                when);
    }
    tree_free(&here);
    tree_free(&there);
}

/* A file as young as the clock's step is not believed anyway. */
static void grow_old(void)
{
    clock_sleep_ns(UNPROVEN_NS + 500 * NS_PER_MS);
}

/* How many values went back to what they were. */
static int taken_back(void)
{
    int n = 0;

    for (int i = 0; i < KEYS; i++) {
        char path[LONG];
        struct buf b = BUF_NULL;
        path_of(path, sizeof path, i);
        if (lab_read(path, &b) && b.len > 0) {
            n += b.data[0] != 'B';
        }
        buf_deinit(&b);
    }
    return n;
}

int main(int argc, char **argv)
{
    char table[LONG];

    if (argc != 4) {
        lab_broken("usage: primary_power ext4|xfs DROVER DROVER-REPLICA");
    }
    drover = argv[2];
    lab_begin(base);
    fs_begin(&fs, argv[1], base, base);
    (void)snprintf(db, sizeof db, "%s/db", fs.at);
    (void)snprintf(copy, sizeof copy, "%s/copy", base);
    (void)snprintf(config, sizeof config, "%s/lab.conf", base);
    (void)snprintf(socket_path, sizeof socket_path, "%s/lab.sock", base);
    (void)snprintf(table, sizeof table, "%s/t.tbl", db);
    lab_make_dir(db);
    lab_make_dir(table);
    write_config(argv[3]);
    for (int i = 0; i < KEYS; i++) {
        write_new(i);
    }
    fs_sync(&fs);
    pid_t agent = start_agent();
    wait_for_replica();
    fs_sync(&fs); /* the identity that the agent made */
    for (int i = 0; i < KEYS; i++) {
        write_in_place(i);
    }
    grow_old();
    wait_for_replica();
    compare("before the cut");
    stop_agent(agent);
    fs_power_cut_begin(&fs, true);
    fs_power_cut_end(&fs);
    int back = taken_back();
    agent = start_agent();
    wait_for_replica();
    compare("after the cut");
    stop_agent(agent);
    (void)printf("%s: %d of %d values went back, %zu findings\n", fs.kind, back,
                 KEYS, lab_findings());
    fs_end(&fs);
    lab_end(base);
    if (back == 0) {
        lab_broken("the power cut took nothing back");
    }
    return lab_findings() > 0;
}
