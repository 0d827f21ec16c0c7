/* SPDX-License-Identifier: MIT
 *
 * e2e_reader: a local application on a replica: reads what `e2e_writer churn`
 * writes, over and over, until SIGTERM.
 *
 *     e2e_reader DIR
 *
 * Each read opens the key, takes the share lock, reads, and gives it back, as
 * flockd's rules ask, without Drover's code.  Every value must be whole, of
 * this key, and never older than one read before; a key stay-* that was seen
 * once must be there ever after.  Prints how much it read; exit status 1 when
 * a rule was broken, with the first cases on stderr. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "tests/support/e2e_value.h"

enum { SLOTS = 1 << 14, VALUE_MAX = 1 << 16, SHOWN = 10 };

struct seen {
    uint64_t name, version; /* name 0: free */
    uint64_t round;         /* when last seen; for stay-* only */
    char path[320];         /* below the database; of stay-* */
};

static struct seen seen[SLOTS];
static uint64_t reads, broken, rounds;
static volatile sig_atomic_t stopped;

static void on_signal(int sig)
{
    (void)sig;
    stopped = 1;
}

static void complain(const char *table, const char *key, const char *what)
{
    if (broken++ < SHOWN) {
        (void)fprintf(stderr, "e2e_reader: round %" PRIu64 ": %s/%s: %s\n",
                      rounds, table, key, what);
    }
}

static struct seen *find(uint64_t name)
{
    size_t at = name % SLOTS;

    while (seen[at].name != 0 && seen[at].name != name) {
        at = (at + 1) % SLOTS;
    }
    return &seen[at];
}

static void check(const char *path, const char *table, const char *key,
                  const char *value, size_t len)
{
    uint64_t name = e2e_name(table, key), version = 0;
    const char *wrong = e2e_value_check(value, len, name, &version);
    struct seen *s = find(name);
    char text[100];

    reads++;
    if (wrong != NULL) {
        complain(table, key, wrong);
        return;
    }
    if (s->name == name && version < s->version) {
        (void)snprintf(text, sizeof text,
                       "version %" PRIu64 " after version %" PRIu64, version,
                       s->version);
        complain(table, key, text);
        return;
    }
    s->name = name;
    s->version = version;
    if (strncmp(key, "stay-", 5) == 0) {
        s->round = rounds;
        (void)snprintf(s->path, sizeof s->path, "%.50s%s%.250s.kv", path,
                       *path != '\0' ? "/" : "", key);
    }
}

static void read_key(int dir_fd, const char *path, const char *table,
                     const char *file)
{
    static char value[VALUE_MAX];
    char key[260];
    size_t len = 0;
    ssize_t n = 1;
    int fd = openat(dir_fd, file, O_RDONLY | O_CLOEXEC);

    if (fd < 0) {
        return; /* deleted since it was listed; stay-* are counted below */
    }
    (void)flock(fd, LOCK_SH);
    while (n > 0 && len < sizeof value) {
        n = read(fd, value + len, sizeof value - len);
        len += n > 0 ? (size_t)n : 0;
    }
    (void)close(fd);
    (void)snprintf(key, sizeof key, "%.*s", (int)strlen(file) - 3, file);
    check(path, table, key, value, len);
}

static bool ends_with(const char *name, const char *end)
{
    size_t n = strlen(name), m = strlen(end);

    return n >= m && strcmp(name + n - m, end) == 0;
}

/* `table` is the name so far: "a.tbl/b" for a.tbl/b.tbl. */
static void read_dir(int fd, const char *path, const char *table, bool is_table)
{
    DIR *dir = fdopendir(fd);
    struct dirent *de;

    while (dir != NULL && (de = readdir(dir)) != NULL) {
        const char *name = de->d_name;
        if (is_table && ends_with(name, ".kv") &&
            (strncmp(name, "key-", 4) == 0 || strncmp(name, "stay-", 5) == 0)) {
            read_key(dirfd(dir), path, table, name);
        } else if (name[0] != '.' && de->d_type == DT_DIR) {
            char below[1200], called[1200];
            bool is = ends_with(name, ".tbl");
            int sub =
                openat(dirfd(dir), name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
            (void)snprintf(below, sizeof below, "%s%s%s", path,
                           *path != '\0' ? "/" : "", name);
            (void)snprintf(called, sizeof called, "%.*s",
                           (int)(strlen(below) - (is ? 4 : 0)), below);
            if (sub >= 0) {
                read_dir(sub, below, called, is);
            }
        }
    }
    if (dir != NULL) {
        (void)closedir(dir);
    } else {
        (void)close(fd);
    }
}

/* A listing may miss a name while others change, so the name decides. */
static void check_stayed(int db_fd)
{
    for (size_t i = 0; i < SLOTS; i++) {
        if (seen[i].name != 0 && seen[i].round != 0 &&
            seen[i].round != rounds &&
            faccessat(db_fd, seen[i].path, F_OK, 0) < 0) {
            complain("", seen[i].path, "gone, though the primary has it");
            seen[i].round = 0;
        }
    }
}

int main(int argc, char **argv)
{
    struct timespec pause = {.tv_nsec = 2 * 1000 * 1000};

    if (argc != 2) {
        return 64;
    }
    (void)signal(SIGTERM, on_signal);
    while (!stopped) {
        int fd = open(argv[1], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        rounds++;
        if (fd >= 0) {
            read_dir(dup(fd), "", "", true);
            check_stayed(fd);
            (void)close(fd);
        }
        (void)nanosleep(&pause, NULL);
    }
    (void)printf("%" PRIu64 " reads in %" PRIu64 " rounds, %" PRIu64
                 " broken rules\n",
                 reads, rounds, broken);
    return broken > 0;
}
