/* SPDX-License-Identifier: MIT
 *
 * chaos_writer: one of the writers of a chaos run.
 *
 *     chaos_writer JOURNAL DB OUTSIDE INDEX OF SEED RATE BIG_BYTES SILENT
 *
 * Changes its share of the tables in every way that a program may that respects
 * the locks, RATE times a second, until the journal says stop; writes each
 * change into the journal before and after.  A lock that is busy for longer
 * than flockd's programs wait makes a change fail, as it would there.  OUTSIDE
 * is a directory on the same file system for what is moved in and out.
 *
 * Exit status 0; 1 when changes failed that may not.
 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "tests/chaos/chaos_writer.h"
#include "tests/support/e2e_calls.h"
#include "tests/support/e2e_value.h"

enum { LOCK_TRIES = 100, IN_PLACE_MAX = 4 << 20, LINE_SOME = 1 << 16 };

uint64_t writer_random(struct writer *w, uint64_t below)
{
    return e2e_random(&w->random) % below;
}

const char *writer_value(struct writer *w, uint32_t size, uint64_t version)
{
    static char *buffer;
    static uint32_t room;

    (void)w;
    if (size > room || buffer == NULL) {
        free(buffer);
        room = size > LINE_SOME ? size : LINE_SOME;
        buffer = malloc(room);
        if (buffer == NULL) {
            perror("chaos_writer");
            exit(2);
        }
    }
    if (size > 0) {
        e2e_value_make(buffer, size, 0, version);
    }
    return buffer;
}

/* Most values are small, some are empty, few reach a megabyte. */
uint32_t writer_size(struct writer *w)
{
    uint64_t r = writer_random(w, 1000);
    uint32_t most = r < 900   ? 2000
                    : r < 985 ? 40000
                    : r < 998 ? 300000
                              : 1200000;

    if (r < 30) {
        return 0;
    }
    return E2E_HEAD_BYTES + (uint32_t)writer_random(w, most - E2E_HEAD_BYTES);
}

void writer_became(struct writer *w, unsigned slot, uint64_t version,
                   uint32_t size)
{
    w->version[slot] = version;
    w->size[slot] = size;
    w->changes++;
    w->bytes += size;
}

/* --- system calls -----------------------------------------------------------
 */

static int done(int fd, int rc)
{
    int sys = errno;

    if (fd >= 0) {
        (void)close(fd);
    }
    errno = sys;
    return rc;
}

/* The key's file, exclusively locked and still the one with the name. */
static int open_locked(int dir, const char *file, int flags, int *fd_out)
{
    struct timespec pause = {.tv_nsec = 1000 * 1000};

    for (int i = 0; i < LOCK_TRIES; i++) {
        struct stat a, b;
        int fd = openat(dir, file, O_RDWR | O_CLOEXEC | flags, 0600);
        if (fd < 0) {
            return -1;
        }
        if (flock(fd, LOCK_EX | LOCK_NB) == 0 && fstat(fd, &a) == 0 &&
            fstatat(dir, file, &b, 0) == 0 && a.st_ino == b.st_ino) {
            *fd_out = fd;
            return 0;
        }
        (void)close(fd);
        (void)nanosleep(&pause, NULL);
    }
    return E2E_BUSY;
}

static int write_locked(int fd, const char *p, size_t len)
{
    size_t half = len / 2;

    if (pwrite(fd, p, half, 0) != (ssize_t)half ||
        pwrite(fd, p + half, len - half, (off_t)half) !=
            (ssize_t)(len - half) ||
        ftruncate(fd, (off_t)len) < 0) {
        return -1;
    }
    return 0;
}

static int in_place(int dir, const char *file, const void *value, size_t len)
{
    int fd = -1;
    int rc = open_locked(dir, file, O_CREAT, &fd);

    return done(fd, rc != 0 ? rc : write_locked(fd, value, len));
}

static int emptied_in_place(int dir, const char *file, const void *value,
                            size_t len)
{
    int fd = -1;
    int rc = open_locked(dir, file, 0, &fd);

    if (rc == 0 && ftruncate(fd, 0) < 0) {
        rc = -1;
    }
    return done(fd, rc != 0 ? rc : write_locked(fd, value, len));
}

/* Stored through a mapping, under the lock. */
static int mapped(int dir, const char *file, const void *value, size_t len)
{
    int fd = -1;
    int rc = open_locked(dir, file, 0, &fd);

    if (rc != 0 || len == 0) {
        return done(fd, rc != 0 ? rc : write_locked(fd, value, len));
    }
    void *map = MAP_FAILED;
    if (ftruncate(fd, (off_t)len) == 0) {
        map = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    }
    if (map == MAP_FAILED) {
        return done(fd, -1);
    }
    memcpy(map, value, len);
    (void)munmap(map, len);
    return done(fd, 0);
}

static int delete (int dir, const char *file, const void *value, size_t len)
{
    (void)value;
    (void)len;
    return e2e_flockd_delete(dir, file);
}

static int unlinked(int dir, const char *file, const void *value, size_t len)
{
    (void)value;
    (void)len;
    return unlinkat(dir, file, 0);
}

static int renamed_away(int dir, const char *file, const void *value,
                        size_t len)
{
    char to[40];

    (void)value;
    (void)len;
    (void)snprintf(to, sizeof to, ".away.%d", (int)getpid());
    return renameat(dir, file, dir, to) < 0 ? -1 : unlinkat(dir, to, 0);
}

typedef int change_fn(int dir, const char *file, const void *value, size_t len);

static change_fn *const THERE[] = {
    e2e_flockd_set,   e2e_flockd_set, e2e_flockd_update, in_place,
    emptied_in_place, mapped,         e2e_rename,
};
static change_fn *const MISSING[] = {
    e2e_flockd_set, e2e_flockd_create, e2e_flockd_create, e2e_link,
    e2e_tmpfile,    e2e_rename,        in_place,
};
static change_fn *const REMOVE[] = {delete, unlinked, renamed_away};

/* --- one change of a key ------------------------------------------------- */

/* What failed may still have left an empty file: from now on that is the value.
 */
static void note_ghost(struct writer *w, int dir, const char *file,
                       unsigned slot)
{
    struct stat st;

    if (w->version[slot] == 0 && fstatat(dir, file, &st, 0) == 0) {
        uint64_t version = journal_version(&w->j);
        uint32_t r = journal_begin(&w->j, slot, version, 0, true);
        journal_settle(&w->j, r, true);
        writer_became(w, slot, version, 0);
    }
}

static void count(struct writer *w, int rc, const char *what, const char *file)
{
    if (rc == E2E_BUSY) {
        w->busy++;
    } else if (rc != 0) {
        w->failed++;
        (void)fprintf(stderr, "chaos_writer: %s %s: %d %s\n", what, file, rc,
                      strerror(errno));
    }
}

static void set_key(struct writer *w, int dir, unsigned table, unsigned key)
{
    unsigned slot = table * NAMES_KEYS + key;
    const char *file = names_file(key);
    uint32_t size = writer_size(w);
    change_fn *run = w->version[slot] != 0 ? THERE[writer_random(w, 7)]
                                           : MISSING[writer_random(w, 7)];

    if (names_may_be_big(table, key) && w->big_bytes > 0 &&
        writer_random(w, 4) == 0) {
        size = 1000000 + (uint32_t)writer_random(w, w->big_bytes);
        size = writer_random(w, 3) != 0 ? size / 8 : size;
    }
    if (names_is_long(key) || size > IN_PLACE_MAX) {
        run = e2e_rename;
    }
    uint64_t version = journal_version(&w->j);
    const char *value = writer_value(w, size, version);
    uint32_t r = journal_begin(&w->j, slot, version, size, false);
    int rc = run(dir, file, value, size);
    journal_settle(&w->j, r, rc == 0);
    if (rc == 0) {
        writer_became(w, slot, version, size);
    } else {
        count(w, rc, "set", file);
        note_ghost(w, dir, file, slot);
    }
}

static void remove_key(struct writer *w, int dir, unsigned table, unsigned key)
{
    unsigned slot = table * NAMES_KEYS + key;
    uint32_t r = journal_begin(&w->j, slot, 0, 0, false);
    int rc = REMOVE[writer_random(w, 3)](dir, names_file(key), NULL, 0);

    journal_settle(&w->j, r, rc == 0);
    if (rc == 0) {
        writer_became(w, slot, 0, 0);
    }
    count(w, rc, "remove", names_file(key));
}

/* Two keys change places. */
static void exchange(struct writer *w, int dir, unsigned table, unsigned key)
{
    unsigned a = table * NAMES_KEYS + key, b = a + 1;
    char file[64];

    (void)snprintf(file, sizeof file, "%s", names_file(key));
    uint64_t va = w->version[a], vb = w->version[b];
    uint32_t sa = w->size[a], sb = w->size[b];
    uint32_t ra = journal_begin(&w->j, a, vb, sb, false);
    uint32_t rb = journal_begin(&w->j, b, va, sa, false);
    int rc = renameat2(dir, file, dir, names_file(key + 1), RENAME_EXCHANGE);
    journal_settle(&w->j, ra, rc == 0);
    journal_settle(&w->j, rb, rc == 0);
    if (rc == 0) {
        writer_became(w, a, vb, sb);
        writer_became(w, b, va, sa);
    }
    count(w, rc, "exchange", file);
}

/* In place by another name of the file, which raises no event here. */
static void write_silently(struct writer *w, int dir, unsigned table,
                           unsigned key)
{
    unsigned slot = table * NAMES_KEYS + key;
    uint32_t size = writer_size(w);
    uint64_t version = journal_version(&w->j);
    char link[32];

    (void)snprintf(link, sizeof link, "link.%u", w->index);
    const char *value = writer_value(w, size, version);
    uint32_t r = journal_begin(&w->j, slot, version, size, true);
    int rc = linkat(dir, names_file(key), w->out_fd, link, 0);
    if (rc == 0) {
        rc = emptied_in_place(w->out_fd, link, value, size);
        (void)unlinkat(w->out_fd, link, 0);
    }
    journal_settle(&w->j, r, rc == 0);
    if (rc == 0) {
        writer_became(w, slot, version, size);
    }
    count(w, rc, "silent", names_file(key));
}

static void change_key(struct writer *w, unsigned table, unsigned key)
{
    unsigned slot = table * NAMES_KEYS + key;
    uint64_t r = writer_random(w, 100);
    int dir = openat(w->db_fd, names_table(table)->dir,
                     O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (dir < 0) {
        count(w, -1, "open", names_table(table)->dir);
        return;
    }
    if (w->version[slot] != 0 && !names_stays(table, key) && r < 18) {
        remove_key(w, dir, table, key);
    } else if (key == 9 && w->version[slot] != 0 && w->version[slot + 1] != 0 &&
               r < 60) {
        exchange(w, dir, table, key);
    } else if (w->silent && w->version[slot] != 0 && r > 97) {
        write_silently(w, dir, table, key);
    } else {
        set_key(w, dir, table, key);
    }
    (void)close(dir);
}

/* --- the run ------------------------------------------------------------- */

static void open_db(struct writer *w)
{
    w->db_fd = open(w->db, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    w->out_fd = open(w->outside, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (w->db_fd < 0 || w->out_fd < 0) {
        perror(w->db);
        exit(2);
    }
}

static void pause_here(struct writer *w)
{
    struct timespec pause = {.tv_nsec = 5 * 1000 * 1000};

    (void)close(w->db_fd);
    (void)close(w->out_fd);
    atomic_store(&w->j.head->paused[w->index], 1);
    while (atomic_load(&w->j.head->pause) != 0 &&
           atomic_load(&w->j.head->stop) == 0) {
        (void)nanosleep(&pause, NULL);
    }
    if (atomic_load(&w->j.head->stop) == 0) {
        open_db(w);
    }
    atomic_store(&w->j.head->paused[w->index], 0);
}

static bool mine(const struct writer *w, unsigned table)
{
    return tables_group(table) % w->of == w->index;
}

static void step(struct writer *w)
{
    unsigned table, key = (unsigned)writer_random(w, NAMES_KEYS);

    do {
        table = (unsigned)writer_random(w, NAMES_TABLES);
    } while (!mine(w, table));
    if (names_table(table)->life != NAMES_STAYS && writer_random(w, 30) == 0) {
        tables_change(w, table);
    } else if (w->there[table]) {
        change_key(w, table, key);
        /* Some keys change much more often than others. */
        while (writer_random(w, 5) == 0 && w->there[table]) {
            change_key(w, table, key);
        }
    }
}

/* Tables that stay are made by all writers: others nest in them. */
static void first_tables(struct writer *w)
{
    for (unsigned t = 0; t < NAMES_TABLES; t++) {
        if (names_table(t)->life == NAMES_STAYS) {
            tables_make(w, t);
        }
    }
    for (unsigned t = 0; t < NAMES_TABLES; t++) {
        if (mine(w, t) && names_table(t)->life != NAMES_THERE) {
            tables_make(w, t);
            for (unsigned k = 0; k < NAMES_KEYS; k++) {
                change_key(w, t, k);
            }
        }
    }
}

static void run(struct writer *w, unsigned rate)
{
    struct timespec next;
    long gap_ns = 1000000000L / (long)rate;

    e2e_flockd_settings(10, false);
    open_db(w);
    first_tables(w);
    (void)clock_gettime(CLOCK_MONOTONIC, &next);
    while (atomic_load(&w->j.head->stop) == 0) {
        if (atomic_load(&w->j.head->pause) != 0) {
            pause_here(w);
            (void)clock_gettime(CLOCK_MONOTONIC, &next);
            continue;
        }
        step(w);
        next.tv_nsec += gap_ns;
        next.tv_sec += next.tv_nsec / 1000000000;
        next.tv_nsec %= 1000000000;
        (void)clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &next, NULL);
    }
    (void)printf("changes=%" PRIu64 " tables=%" PRIu64 " bytes=%" PRIu64
                 " busy=%" PRIu64 " failed=%" PRIu64 "\n",
                 w->changes, w->tables, w->bytes, w->busy, w->failed);
}

int main(int argc, char **argv)
{
    static struct writer w;
    uint64_t number[10] = {0};

    if (argc != 10) {
        return 64;
    }
    for (int i = 4; i < argc; i++) {
        number[i] = strtoull(argv[i], NULL, 10);
    }
    journal_open(&w.j, argv[1]);
    w.db = argv[2];
    w.outside = argv[3];
    w.index = (unsigned)number[4];
    w.of = (unsigned)number[5];
    w.random = number[6] * 1000 + w.index;
    w.big_bytes = (uint32_t)number[8];
    w.silent = number[9] != 0;
    assert(w.of > 0 && w.index < w.of && w.of <= JOURNAL_WRITERS);
    run(&w, number[7] > 0 ? (unsigned)number[7] : 1);
    return w.failed > 0;
}
