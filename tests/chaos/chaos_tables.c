/* SPDX-License-Identifier: MIT
 *
 * chaos_tables: the writer's changes of whole tables: made and dropped key by
 * key or at once (moved in from outside, moved out), moved to another place
 * with all that is nested in them. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/chaos/chaos_writer.h"
#include "tests/support/e2e_calls.h"

unsigned tables_group(unsigned table)
{
    while (names_table(table)->life == NAMES_THERE ||
           names_table(table)->nested) {
        table--;
    }
    return table;
}

/* Where a table that is HERE goes to, or the other way round. */
static unsigned partner(unsigned table)
{
    unsigned group = tables_group(table);
    unsigned step = names_table(group + 1)->nested ? 2 : 1;

    return names_table(table)->life == NAMES_HERE ? table + step : table - step;
}

static void complain(struct writer *w, const char *what, unsigned table)
{
    w->failed++;
    (void)fprintf(stderr, "chaos_writer: %s %s: %s\n", what,
                  names_table(table)->dir, strerror(errno));
}

static void make_above(struct writer *w, unsigned table)
{
    char path[200];
    const char *above = names_table(table)->above;

    for (size_t i = 1; above != NULL && i <= strlen(above); i++) {
        if (above[i] == '/' || above[i] == '\0') {
            (void)snprintf(path, sizeof path, "%.*s", (int)i, above);
            (void)mkdirat(w->db_fd, path, 0755);
        }
    }
}

void tables_make(struct writer *w, unsigned table)
{
    make_above(w, table);
    if (mkdirat(w->db_fd, names_table(table)->dir, 0755) < 0 &&
        errno != EEXIST) {
        complain(w, "make", table);
        return;
    }
    w->there[table] = true;
    w->tables++;
}

/* --- many slots at once -------------------------------------------------- */

struct batch {
    uint32_t records[4 * NAMES_KEYS];
    unsigned n;
};

static void begin(struct writer *w, struct batch *b, unsigned slot,
                  uint64_t version, uint32_t size)
{
    b->records[b->n++] = journal_begin(&w->j, slot, version, size, false);
}

static void settle(struct writer *w, const struct batch *b, bool done)
{
    for (unsigned i = 0; i < b->n; i++) {
        journal_settle(&w->j, b->records[i], done);
    }
}

static void begin_gone(struct writer *w, struct batch *b, unsigned table)
{
    for (unsigned k = 0; k < NAMES_KEYS; k++) {
        if (w->version[table * NAMES_KEYS + k] != 0) {
            begin(w, b, table * NAMES_KEYS + k, 0, 0);
        }
    }
}

static void became_gone(struct writer *w, unsigned table)
{
    for (unsigned k = 0; k < NAMES_KEYS; k++) {
        if (w->version[table * NAMES_KEYS + k] != 0) {
            writer_became(w, table * NAMES_KEYS + k, 0, 0);
        }
    }
    w->there[table] = false;

    w->tables++;
}

/* --- gone ---------------------------------------------------------------- */

/* Remove what is in a directory that nobody else knows, and itself. */
static void remove_outside(struct writer *w, const char *name)
{
    int fd = openat(w->out_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    struct dirent *de;

    while (dir != NULL && (de = readdir(dir)) != NULL) {
        (void)unlinkat(fd, de->d_name, 0);
    }
    if (dir != NULL) {
        (void)closedir(dir);
    }
    (void)unlinkat(w->out_fd, name, AT_REMOVEDIR);
}

static void move_out(struct writer *w, unsigned table)
{
    struct batch b = {.n = 0};
    char name[32];

    (void)snprintf(name, sizeof name, "out.%u", w->index);
    begin_gone(w, &b, table);
    int rc = renameat(w->db_fd, names_table(table)->dir, w->out_fd, name);
    settle(w, &b, rc == 0);
    if (rc < 0) {
        complain(w, "move out", table);
        return;
    }
    became_gone(w, table);
    remove_outside(w, name);
}

static int drop_key(struct writer *w, int dir, unsigned slot, bool politely)
{
    const char *file = names_file(slot % NAMES_KEYS);
    uint32_t r = journal_begin(&w->j, slot, 0, 0, false);
    int rc = politely ? e2e_flockd_delete(dir, file) : unlinkat(dir, file, 0);

    journal_settle(&w->j, r, rc == 0);
    if (rc == 0) {
        writer_became(w, slot, 0, 0);
    }
    return rc;
}

static void drop(struct writer *w, unsigned table)
{
    const char *name = names_table(table)->dir;
    bool politely = writer_random(w, 2) == 0;
    int dir = openat(w->db_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int rc = dir < 0 ? -1 : 0;

    for (unsigned k = 0; k < NAMES_KEYS && rc == 0; k++) {
        if (w->version[table * NAMES_KEYS + k] != 0) {
            rc = drop_key(w, dir, table * NAMES_KEYS + k, politely);
        }
    }
    if (dir >= 0) {
        (void)close(dir);
    }
    if (rc == E2E_BUSY) {
        w->busy++; /* half empty; it stays */
    } else if (rc < 0 || unlinkat(w->db_fd, name, AT_REMOVEDIR) < 0) {
        complain(w, "drop", table);
    } else {
        w->there[table] = false;
        w->tables++;
    }
}

/* --- made and moved ------------------------------------------------------ */

/* Comes with some keys in it. */
static void move_in(struct writer *w, unsigned table)
{
    struct batch b = {.n = 0};
    uint64_t versions[NAMES_KEYS] = {0};
    uint32_t sizes[NAMES_KEYS] = {0};
    char name[32];

    (void)snprintf(name, sizeof name, "in.%u", w->index);
    (void)mkdirat(w->out_fd, name, 0755);
    int dir = openat(w->out_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    for (unsigned k = 0; k < NAMES_KEYS && dir >= 0; k += 3) {
        sizes[k] = writer_size(w);
        versions[k] = journal_version(&w->j);
        if (e2e_rename(dir, names_file(k),
                       writer_value(w, sizes[k], versions[k]), sizes[k]) < 0) {
            complain(w, "prepare", table);
        }
        begin(w, &b, table * NAMES_KEYS + k, versions[k], sizes[k]);
    }
    if (dir >= 0) {
        (void)close(dir);
    }
    make_above(w, table);
    int rc = renameat(w->out_fd, name, w->db_fd, names_table(table)->dir);
    settle(w, &b, rc == 0);
    if (rc < 0) {
        complain(w, "move in", table);
        remove_outside(w, name);
        return;
    }
    for (unsigned k = 0; k < NAMES_KEYS; k += 3) {
        writer_became(w, table * NAMES_KEYS + k, versions[k], sizes[k]);
    }
    w->there[table] = true;
    w->tables++;
}

/* The keys of one table are those of another, from now on. */
static void begin_moved(struct writer *w, struct batch *b, unsigned from,
                        unsigned to)
{
    begin_gone(w, b, from);
    for (unsigned k = 0; k < NAMES_KEYS; k++) {
        unsigned slot = from * NAMES_KEYS + k;
        if (w->version[slot] != 0) {
            begin(w, b, to * NAMES_KEYS + k, w->version[slot], w->size[slot]);
        }
    }
}

static void became_moved(struct writer *w, unsigned from, unsigned to)
{
    for (unsigned k = 0; k < NAMES_KEYS; k++) {
        unsigned slot = from * NAMES_KEYS + k;
        if (w->version[slot] != 0) {
            writer_became(w, to * NAMES_KEYS + k, w->version[slot],
                          w->size[slot]);
        }
    }
    w->there[to] = true;

    became_gone(w, from);
}

static void move(struct writer *w, unsigned table)
{
    struct batch b = {.n = 0};
    unsigned from = w->there[table] ? table : partner(table);
    unsigned to = partner(from);
    bool nested = from + 1 < NAMES_TABLES && names_table(from + 1)->nested;

    make_above(w, to);
    begin_moved(w, &b, from, to);
    if (nested) {
        begin_moved(w, &b, from + 1, to + 1);
    }
    int rc = renameat(w->db_fd, names_table(from)->dir, w->db_fd,
                      names_table(to)->dir);
    settle(w, &b, rc == 0);
    if (rc < 0) {
        complain(w, "move", from);
        return;
    }
    became_moved(w, from, to);
    if (nested) {
        became_moved(w, from + 1, to + 1);
    }
}

void tables_change(struct writer *w, unsigned table)
{
    bool whole = writer_random(w, 2) == 0;

    if (names_table(table)->life != NAMES_COMES) {
        move(w, names_table(table)->nested ? table - 1 : table);
    } else if (w->there[table] && whole) {
        move_out(w, table);
    } else if (w->there[table]) {
        drop(w, table);
    } else if (whole) {
        move_in(w, table);
    } else {
        tables_make(w, table);
    }
}
