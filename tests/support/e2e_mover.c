/* SPDX-License-Identifier: MIT
 *
 * e2e_mover: moves the tables of a database.
 *
 *     e2e_mover KIND DB OUT TABLE KEYS PAUSE_US  swap a table of so many keys
 * for a new one, again and again until SIGTERM; half of its keys and all values
 * are new each time e2e_mover random DB OUT SEED OPS           tables, nested
 * ones too, are made, filled, moved to other names, out and in, exchanged, and
 * removed
 *
 * OUT is a folder outside of DB on the same file system.  KIND: `rename` builds
 * the new table in the database, renames the old one away and the new one to
 * its name and removes the old one; `exchange` swaps them with RENAME_EXCHANGE;
 * `outside` builds in OUT and moves the old one there.  SIGTERM ends it between
 * two swaps.  Each swap is a line on stdout.
 */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <inttypes.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static volatile sig_atomic_t stopped;

static void on_signal(int sig)
{
    (void)sig;
    stopped = 1;
}

static void die(const char *what, const char *path)
{
    (void)fprintf(stderr, "e2e_mover: %s %s: %s\n", what, path,
                  strerror(errno));
    exit(1);
}

static int remove_one(const char *path, const struct stat *st, int type,
                      struct FTW *at)
{
    (void)st;
    (void)type;
    (void)at;
    return remove(path);
}

static void remove_tree(const char *path)
{
    if (nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS) != 0) {
        die("remove", path);
    }
}

static void move(const char *from, const char *to)
{
    if (rename(from, to) != 0) {
        die("move", from);
    }
}

/* A temporary, renamed to the key. */
static void put(const char *table, unsigned key, uint64_t value)
{
    char temp[700], path[700];

    (void)snprintf(temp, sizeof temp, "%s/k-%u.kv1", table, key);
    (void)snprintf(path, sizeof path, "%s/k-%u.kv", table, key);
    FILE *f = fopen(temp, "we");
    if (f == NULL || fprintf(f, "value %" PRIu64 " of %u\n", value, key) < 0 ||
        fclose(f) != 0) {
        die("write", temp);
    }
    move(temp, path);
}

/* --- swaps --------------------------------------------------------------- */

static void build(const char *table, unsigned keys, uint64_t round)
{
    if (mkdir(table, 0755) != 0) {
        die("make", table);
    }
    for (unsigned i = 0; i < keys; i++) {
        if ((i + round) % 2 == 0) {
            put(table, i, round);
        }
    }
}

static void swap(const char *kind, const char *now, const char *fresh,
                 const char *old)
{
    if (strcmp(kind, "exchange") == 0) {
        if (renameat2(AT_FDCWD, now, AT_FDCWD, fresh, RENAME_EXCHANGE) != 0) {
            die("exchange", now);
        }
        remove_tree(fresh);
        return;
    }
    move(now, old);

    move(fresh, now);
    remove_tree(old);
}

static int swaps(char **arg)
{
    char now[500], fresh[500], old[500];
    const char *build_in = strcmp(arg[1], "outside") == 0 ? arg[3] : arg[2];
    unsigned keys = (unsigned)strtoul(arg[5], NULL, 10);
    long pause_us = strtol(arg[6], NULL, 10);
    struct timespec pause = {.tv_sec = pause_us / 1000000,
                             .tv_nsec = pause_us % 1000000 * 1000};

    (void)snprintf(now, sizeof now, "%s/%s.tbl", arg[2], arg[4]);
    (void)snprintf(fresh, sizeof fresh, "%s/%s.new.tbl", build_in, arg[4]);
    (void)snprintf(old, sizeof old, "%s/%s.old.tbl", build_in, arg[4]);
    if (access(now, F_OK) != 0) {
        build(now, keys, 0);
    }
    for (uint64_t round = 1; !stopped; round++) {
        build(fresh, keys, round);
        swap(arg[1], now, fresh, old);
        (void)printf("%" PRIu64 "\n", round);
        (void)fflush(stdout);
        (void)nanosleep(&pause, NULL);
    }
    return 0;
}

/* --- at random ----------------------------------------------------------- */

static uint64_t seed_state;

static unsigned below(unsigned limit)
{
    seed_state += UINT64_C(0x9e3779b97f4a7c15);
    uint64_t z = seed_state;
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return (unsigned)((z ^ (z >> 31)) % limit);
}

enum { PLACES = 24, KEYS = 12 };

/* Places in the database and outside, plain and tables, one in the other. */
static const char *const places[PLACES] = {"a.tbl",
                                           "b.tbl",
                                           "c.tbl",
                                           "d.tbl",
                                           "a.tbl/n.tbl",
                                           "b.tbl/n.tbl",
                                           "c.tbl/m.tbl",
                                           "a.tbl/n.tbl/o.tbl",
                                           "p",
                                           "q",
                                           "p/t.tbl",
                                           "q/t.tbl",
                                           "p/r",
                                           "p/r/t.tbl",
                                           "q/r",
                                           "d.tbl/p",
                                           "d.tbl/p/t.tbl",
                                           "e.bak",
                                           "a.tbl/k-1.kv",
                                           "a.tbl/k-1.kv/x.tbl",
                                           "!out/1.tbl",
                                           "!out/2.tbl",
                                           "!out/3",
                                           "!out/3/t.tbl"};

static const char *path_of(char out[600], const char *db, const char *outside,
                           unsigned place)
{
    const char *p = places[place];

    if (p[0] == '!') {
        (void)snprintf(out, 600, "%s/%s", outside, p + 5);
    } else {
        (void)snprintf(out, 600, "%s/%s", db, p);
    }
    return out;
}

/* Moves may fail: nothing there, something in the way, into itself. */
static void one(const char *db, const char *outside, uint64_t n)
{
    char a[600], b[700];
    struct stat st;
    unsigned what = below(100);

    (void)path_of(a, db, outside, below(PLACES));
    (void)path_of(b, db, outside, below(PLACES));
    bool there = stat(a, &st) == 0 && S_ISDIR(st.st_mode);
    if (what < 15) {
        (void)mkdir(a, 0755);
    } else if (what < 20 && there) {
        remove_tree(a);
    } else if (what < 45) {
        (void)rename(a, b);
    } else if (what < 60) {
        (void)renameat2(AT_FDCWD, a, AT_FDCWD, b, RENAME_EXCHANGE);
    } else if (there && what < 95) {
        for (unsigned i = below(4) + 1; i > 0; i--) {
            put(a, 2 + below(KEYS), n);
        }
    } else if (there) {
        (void)snprintf(b, sizeof b, "%s/k-%u.kv", a, 2 + below(KEYS));
        (void)unlink(b);
    }
}

static int at_random(char **arg)
{
    seed_state = strtoull(arg[4], NULL, 10);
    uint64_t ops = strtoull(arg[5], NULL, 10);
    for (uint64_t n = 1; n <= ops && !stopped; n++) {
        one(arg[2], arg[3], n);
    }
    return 0;
}

int main(int argc, char **argv)
{
    struct sigaction term = {.sa_handler = on_signal};

    (void)sigaction(SIGTERM, &term, NULL);
    if (argc == 6 && strcmp(argv[1], "random") == 0) {
        return at_random(argv);
    }
    if (argc == 7) {
        return swaps(argv);
    }
    (void)fprintf(stderr, "usage: e2e_mover KIND DB OUT TABLE KEYS PAUSE_US\n"
                          "       e2e_mover random DB OUT SEED OPS\n");
    return 64;
}
