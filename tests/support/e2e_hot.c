/* SPDX-License-Identifier: MIT
 *
 * e2e_hot: a large key that never holds still, and a link that is slow.
 *
 *     e2e_hot replace TABLE_DIR KEY BYTES EVERY_MS   by a rename, as flockd
 * does e2e_hot append TABLE_DIR KEY BYTES EVERY_MS    64 bytes more, in place
 *     e2e_hot shift TABLE_DIR KEY BYTES EVERY_MS     one byte changes, in place
 *     e2e_hot check FILE          one committed value of `replace` or `append`?
 *                                 prints its version
 *     e2e_hot slow BYTES_PER_S    stdin to stdout, no faster than that
 *
 * The first three go on until SIGTERM.  A value of `replace` repeats its
 * version, the words of `append` count up.  Exit status 0, 1 with a message, 64
 * usage.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { WORDS = 8192, LINE_WORDS = 8, CHUNK = 32768 };
#define COUNTS (UINT64_C(1) << 63) /* marks the words of `append` */

static volatile sig_atomic_t stopped;

static void on_signal(int sig)
{
    (void)sig;
    stopped = 1;
}

static int fail(const char *what)
{
    (void)fprintf(stderr, "e2e_hot: %s: %s\n", what, strerror(errno));
    return 1;
}

static void pause_ns(int64_t ns)
{
    struct timespec t = {ns / 1000000000, ns % 1000000000};

    (void)nanosleep(&t, NULL);
}

static bool write_all(int fd, const void *p, size_t n)
{
    while (n > 0) {
        ssize_t rc = write(fd, p, n);
        if (rc < 0) {
            return false;
        }
        p = (const char *)p + rc;
        n -= (size_t)rc;
    }
    return true;
}

/* Words first, first + step, ... */
static bool write_words(int fd, uint64_t first, uint64_t step, uint64_t count)
{
    static uint64_t words[WORDS];

    while (count > 0) {
        uint64_t n = count < WORDS ? count : WORDS;
        for (uint64_t i = 0; i < n; i++) {
            words[i] = first + i * step;
        }
        if (!write_all(fd, words, n * sizeof *words)) {
            return false;
        }
        first += n * step;
        count -= n;
    }
    return true;
}

static int replace(const char *key, uint64_t bytes, int64_t every_ns)
{
    for (uint64_t v = 1; !stopped; v++) {
        int fd =
            open(".hot-temp", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
        if (fd < 0 || !write_words(fd, v, 0, bytes / 8) || close(fd) != 0 ||
            rename(".hot-temp", key) != 0) {
            return fail("replace");
        }
        pause_ns(every_ns);
    }
    return 0;
}

static int append(const char *key, uint64_t bytes, int64_t every_ns)
{
    uint64_t next = bytes / 8 / LINE_WORDS * LINE_WORDS;
    int fd = open(key, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

    if (fd < 0 || !write_words(fd, COUNTS, 1, next) || close(fd) != 0) {
        return fail("append");
    }
    while (!stopped) { /* closed each time: else no event tells of it */
        fd = open(key, O_WRONLY | O_APPEND | O_CLOEXEC);
        if (fd < 0 || !write_words(fd, COUNTS + next, 1, LINE_WORDS) ||
            close(fd) != 0) {
            return fail("append");
        }
        next += LINE_WORDS;
        pause_ns(every_ns);
    }
    return 0;
}

static int shift(const char *key, uint64_t bytes, int64_t every_ns)
{
    int fd = open(key, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

    if (fd < 0 || !write_words(fd, 1, 1, bytes / 8) || close(fd) != 0) {
        return fail("shift");
    }
    for (uint64_t v = 0; !stopped; v++) {
        fd = open(key, O_WRONLY | O_CLOEXEC);
        if (fd < 0 || pwrite(fd, &v, 1, (off_t)(v * 4096 % bytes)) != 1 ||
            close(fd) != 0) {
            return fail("shift");
        }
        pause_ns(every_ns);
    }
    return 0;
}

/* All words are equal, or count up from COUNTS in whole lines. */
static int check(const char *file)
{
    static uint64_t words[WORDS];
    uint64_t first = 0, at = 0;
    FILE *f = fopen(file, "r");
    size_t n;

    if (f == NULL) {
        return fail(file);
    }
    while ((n = fread(words, sizeof *words, WORDS, f)) > 0) {
        first = at == 0 ? words[0] : first;
        for (size_t i = 0; i < n; i++, at++) {
            if (words[i] != (first == COUNTS ? COUNTS + at : first)) {
                (void)fprintf(stderr, "e2e_hot: word %" PRIu64 " is mixed\n",
                              at);
                return 1;
            }
        }
    }
    (void)fclose(f);
    (void)printf("%" PRIu64 "\n", first == COUNTS ? at / LINE_WORDS : first);
    return at == 0 || (first == COUNTS && at % LINE_WORDS != 0);
}

static int slow(uint64_t bytes_per_s)
{
    static char chunk[CHUNK];
    ssize_t n;

    while ((n = read(0, chunk, sizeof chunk)) > 0) {
        if (!write_all(1, chunk, (size_t)n)) {
            return 1;
        }
        pause_ns((int64_t)((uint64_t)n * 1000000000 / bytes_per_s));
    }
    return n < 0;
}

int main(int argc, char **argv)
{
    char key[300];

    if (argc == 3 && strcmp(argv[1], "check") == 0) {
        return check(argv[2]);
    }
    if (argc == 3 && strcmp(argv[1], "slow") == 0) {
        return slow(strtoull(argv[2], NULL, 10));
    }
    if (argc != 6 || chdir(argv[2]) != 0) {
        return 64;
    }
    (void)signal(SIGTERM, on_signal);
    (void)snprintf(key, sizeof key, "%s.kv", argv[3]);
    uint64_t bytes = strtoull(argv[4], NULL, 10);
    int64_t every_ns = (int64_t)strtoull(argv[5], NULL, 10) * 1000000;
    if (strcmp(argv[1], "replace") == 0) {
        return replace(key, bytes, every_ns);
    }
    if (strcmp(argv[1], "append") == 0) {
        return append(key, bytes, every_ns);
    }
    return strcmp(argv[1], "shift") == 0 ? shift(key, bytes, every_ns) : 64;
}
