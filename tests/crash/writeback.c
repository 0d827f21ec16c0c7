/* SPDX-License-Identifier: MIT
 *
 * writeback: a disk that loses writes.  A file system on a sparse image whose
 * own file system is full: writes succeed, and fail when they go to the disk.
 *
 * No lost write may ever be acknowledged: each value sent while the disk is
 * full is refused, or the session ends, or it is there after the page cache is
 * gone.  When there is room again it is asked for again, and succeeds.
 *
 *     writeback ext4|xfs PROGRAM [--rounds N]
 *
 * Root only.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include "crash_agent.h"
#include "crash_fs.h"
#include "crash_lab.h"
#include "crash_script.h"

enum { VALUES = 24, NAME = 16 };

static const char *program;
static char base[LAB_PATH], small[LAB_PATH + 16], filler[LAB_PATH + 32],
    db[LAB_PATH * 2];
static struct fs fs;
static char keys[VALUES][NAME], sizes[VALUES][NAME];
static struct step steps[VALUES];
static uint64_t refused, kept, ended;

/* Values of several sizes: alone, in groups, large ones. */
static void make_steps(unsigned round)
{
    for (unsigned i = 0; i < VALUES; i++) {
        (void)snprintf(keys[i], NAME, "k%u", i);
        (void)snprintf(sizes[i], NAME, "%u",
                       (i % 4 == 0 ? 700000u : 30000u) + i + round * 64);
        steps[i] = (struct step){STEP_LARGE, i % 3 == 0 ? "a" : "b", keys[i],
                                 sizes[i]};
    }
}

static void fill_up(void)
{
    static char block[65536];
    int fd = open(filler, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

    if (fd < 0) {
        lab_broken("open %s", filler);
    }
    for (size_t i = 0; i < sizeof block; i++) {
        block[i] = 'x';
    }
    for (size_t n = sizeof block; n > 0; n /= 2) {
        while (write(fd, block, n) == (ssize_t)n) {
        }
    }
    (void)close(fd);
}

/* Everything the kernel knows but the disk does not is gone. */
static void forget_cache(void)
{
    fs_unmount(&fs);
    fs_mount(&fs);
}

/* full: the disk becomes full when the session has begun. */
static void send(bool acked[VALUES], bool full, bool one_by_one)
{
    struct agent a;
    uint64_t seqs[VALUES] = {0};

    agent_begin(&a, program, db, NULL, WIRE_DURABLE);
    (void)agent_settle(&a);
    if (full) {
        fill_up();
    }
    for (size_t i = 0; i < VALUES && !a.eof; i++) {
        seqs[i] = step_send(&a, &steps[i]);
        if (one_by_one) {
            (void)agent_settle(&a);
        }
    }
    (void)agent_settle(&a);
    refused += a.naked;
    ended += a.eof;
    agent_end(&a);
    if (getenv("CRASH_VERBOSE") != NULL) {
        (void)fprintf(stderr, "%s\n", agent_said(&a));
    }
    for (size_t i = 0; i < VALUES; i++) {
        acked[i] = seqs[i] != 0 && a.answers[seqs[i]] == ANSWER_ACK;
    }
}

/* What is there instead, for the finding. */
static const char *what_is_there(const struct step *s)
{
    static char text[200];
    char path[LAB_PATH * 3];
    struct buf b = BUF_NULL;
    size_t len, at = 0;
    const uint8_t *want = step_large(s, &len);

    (void)snprintf(path, sizeof path, "%s/%s.tbl/%s.kv", db, s->table, s->key);
    if (!lab_read(path, &b)) {
        return "it cannot be read";
    }
    while (at < len && at < b.len && b.data[at] == want[at]) {
        at++;
    }
    (void)snprintf(text, sizeof text,
                   "%zu bytes of %zu, equal up to %zu, then %02x for %02x",
                   b.len, len, at, at < b.len ? 0u + b.data[at] : 0,
                   at < len ? 0u + want[at] : 0);
    buf_deinit(&b);
    return text;
}

static void round_of(unsigned number)
{
    bool acked[VALUES];

    make_steps(number);
    send(acked, true, number % 2 == 0);
    /* Pages whose write failed are given up: they are not written now. */
    if (unlink(filler) != 0) {
        lab_broken("unlink %s", filler);
    }
    forget_cache();
    for (size_t i = 0; i < VALUES; i++) {
        if (!acked[i]) {
            continue;
        }
        kept++;
        if (!step_is_done(db, &steps[i])) {
            lab_bad("%s, round %u: acknowledged by a full disk, and not there: "
                    "%s: %s",
                    fs.kind, number, step_text(&steps[i]),
                    what_is_there(&steps[i]));
        }
    }
    send(acked, false, false);
    forget_cache();
    for (size_t i = 0; i < VALUES; i++) {
        if (!acked[i] || !step_is_done(db, &steps[i])) {
            lab_bad("%s: there is room again, and it does not succeed: %s",
                    fs.kind, step_text(&steps[i]));
        }
    }
}

int main(int argc, char **argv)
{
    unsigned rounds = 4;

    if (argc < 3) {
        lab_broken("usage: writeback ext4|xfs PROGRAM [--rounds N]");
    }
    program = argv[2];
    if (argc > 4 && strcmp(argv[3], "--rounds") == 0) {
        rounds = (unsigned)strtoul(argv[4], NULL, 10);
    }
    lab_begin(base);
    (void)snprintf(small, sizeof small, "%s/small", base);
    (void)snprintf(filler, sizeof filler, "%s/filler", small);
    lab_make_dir(small);
    fs_private();
    if (mount("none", small, "tmpfs", 0, "size=90m") != 0) {
        lab_skip("no tmpfs can be mounted (%s)", strerror(errno));
    }
    fs_begin(&fs, argv[1], small, base);
    (void)snprintf(db, sizeof db, "%s/db", fs.at);
    lab_make_dir(db);
    fs_sync(&fs);
    fs_small_writes(&fs);
    for (unsigned i = 0; i < rounds; i++) {
        round_of(i);
    }
    (void)printf("%s: %u rounds of %d values on a full disk: %llu refused, "
                 "%llu acknowledged and there, %llu sessions ended; %zu "
                 "findings\n",
                 fs.kind, rounds, VALUES, (unsigned long long)refused,
                 (unsigned long long)kept, (unsigned long long)ended,
                 lab_findings());
    fs_end(&fs);
    (void)umount2(small, MNT_DETACH);
    lab_end(base);
    if (refused + ended == 0) {
        lab_broken("no write was lost");
    }
    return lab_findings() > 0;
}
