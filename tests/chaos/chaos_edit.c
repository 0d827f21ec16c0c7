/* SPDX-License-Identifier: MIT
 *
 * chaos_edit: somebody who changes a replica's files by hand.
 *
 *     chaos_edit JOURNAL DIR REPLICA_NUMBER SEED WHAT COUNT
 *
 * WHAT is one of
 *     fault   COUNT random edits of all kinds; readers are told of each
 *     plant   the same, but only edits that `verify` has to report
 *     torn, old, missing, foreign   COUNT edits that readers are not told of:
 *             a reader that misses them is broken
 *     fresh   COUNT seconds into the future claims the freshness file
 *
 * Prints one line for each edit: KIND TABLE KEY, names in hexadecimal ("-" for
 * an empty one), where KIND is what verify calls it: missing, extra, different,
 * extra-table, missing-table.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "tests/chaos/chaos_journal.h"
#include "tests/chaos/chaos_names.h"
#include "tests/support/e2e_value.h"

enum { OLD_MAX = 1 << 20 };

enum edit { CUT, FLIP, REMOVE, OLD, EMPTY, FOREIGN, LONGER, EDITS };

static struct journal journal;
static unsigned replica;
static int db_fd;
static uint64_t seed;
static bool edited[NAMES_SLOTS];

static void print_hex(const char *name, size_t len)
{
    (void)printf(len == 0 ? " -" : " ");
    for (size_t i = 0; i < len; i++) {
        (void)printf("%02x", (unsigned)(unsigned char)name[i]);
    }
}

/* "./KEY.kv" or "NAME.tbl/KEY.kv". */
static void report(const char *kind, const char *dir, const char *file)
{
    (void)printf("%s", kind);
    print_hex(dir, strcmp(dir, ".") == 0 ? 0 : strlen(dir) - 4);
    print_hex(file, strlen(file) < 3 ? 0 : strlen(file) - 3);
    (void)printf("\n");
}

static const char *path_of(unsigned slot)
{
    static char path[1400];

    (void)snprintf(path, sizeof path, "%s/%s",
                   names_table(slot / NAMES_KEYS)->dir,
                   names_file(slot % NAMES_KEYS));
    return path;
}

/* Readers leave a key alone while this is odd, and until it is repaired. */
static void announce(unsigned slot)
{
    atomic_fetch_add(&journal.head->slot[slot].edits[replica], 1);
}

/* --- edits of one key ---------------------------------------------------- */

/* A version that the primary had before, for a key that keeps its versions. */
static const struct record *old_version(unsigned slot)
{
    const struct record *last = journal_latest(&journal, slot), *old = NULL;
    const struct names_table *t = names_table(slot / NAMES_KEYS);
    unsigned key = slot % NAMES_KEYS;

    if (t->life == NAMES_HERE || t->life == NAMES_THERE || key == 9 ||
        key == 10) {
        return NULL;
    }
    for (const struct record *r = journal_first(&journal, slot); r != last;
         r = journal_next(&journal, r)) {
        if (r->version != 0 && r->size != 0 && r->size < OLD_MAX &&
            journal_state(r) == JOURNAL_DONE && r->version != last->version) {
            old = r;
        }
    }
    return old;
}

static int overwrite(unsigned slot, const void *value, size_t len)
{
    char temp[1500];

    (void)snprintf(temp, sizeof temp, "%s/hand-edited",
                   names_table(slot / NAMES_KEYS)->dir);
    int fd =
        openat(db_fd, temp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);
    if (fd < 0) {
        return -1;
    }
    int rc = write(fd, value, len) == (ssize_t)len ? 0 : -1;
    (void)close(fd);
    if (rc == 0) {
        rc = renameat(db_fd, temp, db_fd, path_of(slot));
    } else {
        (void)unlinkat(db_fd, temp, 0);
    }
    return rc;
}

static int put_old(unsigned slot)
{
    const struct record *r = old_version(slot);
    static char value[OLD_MAX];

    if (r == NULL) {
        return -1;
    }
    e2e_value_make(value, r->size, 0, r->version);
    return overwrite(slot, value, r->size);
}

static int put_foreign(unsigned slot)
{
    static char value[200];

    e2e_value_make(value, sizeof value, 0, 1); /* the first key's first value */
    return journal_latest(&journal, slot)->version == 1
               ? -1
               : overwrite(slot, value, sizeof value);
}

/* In place, size and times of modification kept. */
static int flip(int fd, const struct stat *st)
{
    struct timespec times[2] = {st->st_atim, st->st_mtim};
    char b = 0;
    off_t at = st->st_size / 2;

    if (pread(fd, &b, 1, at) != 1) {
        return -1;
    }
    b = (char)(b ^ 0x20);
    return pwrite(fd, &b, 1, at) == 1 && futimens(fd, times) == 0 ? 0 : -1;
}

static int edit_in_place(unsigned slot, enum edit edit)
{
    struct stat st;
    int rc = -1;
    int fd = openat(db_fd, path_of(slot), O_RDWR | O_CLOEXEC);

    if (fd >= 0 && fstat(fd, &st) == 0 && st.st_size > 0) {
        if (edit == FLIP) {
            rc = flip(fd, &st);
        } else if (edit == LONGER) {
            rc = pwrite(fd, "more", 4, st.st_size) == 4 ? 0 : -1;
        } else {
            rc = ftruncate(fd, edit == CUT ? st.st_size * 2 / 3 : 0);
        }
    }
    if (fd >= 0) {
        (void)close(fd);
    }
    return rc;
}

/* 0 when it was made. */
static int edit_key(unsigned slot, enum edit edit)
{
    struct stat st;

    if (fstatat(db_fd, path_of(slot), &st, 0) < 0) {
        return -1;
    }
    switch (edit) {
    case REMOVE:
        return unlinkat(db_fd, path_of(slot), 0);
    case OLD:
        return put_old(slot);
    case FOREIGN:
        return put_foreign(slot);
    case CUT:
    case FLIP:
    case EMPTY:
    case LONGER:
    case EDITS:
        return edit_in_place(slot, edit);
    }
    return -1;
}

static bool try_key(unsigned slot, enum edit edit, bool tell)
{
    const struct record *r = journal_latest(&journal, slot);

    /* Empty ones change too little; a key that is edited once is enough. */
    if (edited[slot] || r->version == 0 || (r->size == 0 && edit != REMOVE)) {
        return false;
    }
    if (tell) {
        announce(slot);
    }
    bool ok = edit_key(slot, edit) == 0;
    if (tell) {
        announce(slot);
    }
    if (ok) {
        edited[slot] = true;
        report(edit == REMOVE ? "missing" : "different",
               names_table(slot / NAMES_KEYS)->dir,
               names_file(slot % NAMES_KEYS));
    }
    return ok;
}

/* --- what does not belong there, and whole tables ------------------------ */

static bool add_key(unsigned number)
{
    unsigned table = (unsigned)(e2e_random(&seed) % NAMES_TABLES);
    char path[1400], file[40];
    const char *dir = names_table(table)->dir;

    (void)snprintf(file, sizeof file, "planted-%u.kv", number);
    (void)snprintf(path, sizeof path, "%s/%s", dir, file);
    int fd = openat(db_fd, path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0640);
    if (fd < 0 || write(fd, "planted", 7) != 7) {
        return false;
    }
    (void)close(fd);
    report("extra", dir, file);
    return true;
}

static bool add_table(unsigned number)
{
    char dir[64], path[128];

    (void)snprintf(dir, sizeof dir, "planted-%u.tbl", number);
    if (mkdirat(db_fd, dir, 0750) < 0) {
        return false;
    }
    report("extra-table", dir, "");
    (void)snprintf(path, sizeof path, "%s/inside.kv", dir);
    int fd = openat(db_fd, path, O_WRONLY | O_CREAT | O_CLOEXEC, 0640);
    if (fd >= 0) {
        (void)close(fd);
        report("extra", dir, "inside.kv");
    }
    return true;
}

static void announce_table(unsigned table)
{
    for (unsigned k = 0; k < NAMES_KEYS; k++) {
        announce(table * NAMES_KEYS + k);
    }
}

/* With all its keys.  Tables that others are nested in are left alone. */
static bool remove_table(void)
{
    unsigned table = 5 + (unsigned)(e2e_random(&seed) % (NAMES_TABLES - 5));
    const struct names_table *t = names_table(table);
    struct dirent *de;

    if (table == 17 || table == 19) {
        return false;
    }
    int fd = openat(db_fd, t->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (dir == NULL) {
        return false;
    }
    announce_table(table);
    while ((de = readdir(dir)) != NULL) {
        if (unlinkat(fd, de->d_name, 0) == 0) {
            report("missing", t->dir, de->d_name);
        }
    }
    (void)closedir(dir);
    if (unlinkat(db_fd, t->dir, AT_REMOVEDIR) == 0) {
        report("missing-table", t->dir, "");
    }
    announce_table(table);
    for (unsigned k = 0; k < NAMES_KEYS; k++) {
        edited[table * NAMES_KEYS + k] = true;
    }
    return true;
}

/* --- command line -------------------------------------------------------- */

static unsigned random_slot(void)
{
    return (unsigned)(e2e_random(&seed) % NAMES_SLOTS);
}

static void edit_much(unsigned count, bool plant)
{
    /* Numbers are not used again, or an extra key would be no news. */
    unsigned number = (unsigned)(e2e_random(&seed) % 1000000000);

    if (!plant && e2e_random(&seed) % 4 == 0) {
        (void)remove_table();
    }
    for (unsigned tries = 0, done = 0; done < count && tries < 5000; tries++) {
        uint64_t r = e2e_random(&seed) % 12;
        bool ok = r == 0 ? add_table(number++)
                  : r == 1
                      ? add_key(number++)
                      : try_key(random_slot(),
                                (enum edit)(e2e_random(&seed) % EDITS), true);
        done += ok;
    }
}

static void edit_silently(unsigned count, enum edit edit)
{
    for (unsigned tries = 0, done = 0; done < count && tries < 20000; tries++) {
        done += try_key(random_slot(), edit, false);
    }
}

static int claim_freshness(unsigned seconds)
{
    struct timespec times[2];

    (void)clock_gettime(CLOCK_REALTIME, &times[0]);
    times[0].tv_sec += (time_t)seconds;
    times[1] = times[0];
    return utimensat(db_fd, ".drover/freshness", times, 0) < 0;
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        enum edit edit;
    } SILENT[] = {{"torn", FLIP},
                  {"old", OLD},
                  {"missing", REMOVE},
                  {"foreign", FOREIGN}};

    if (argc != 7) {
        return 64;
    }
    journal_open(&journal, argv[1]);
    db_fd = open(argv[2], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    replica = (unsigned)strtoul(argv[3], NULL, 10);
    seed = strtoull(argv[4], NULL, 10);
    unsigned count = (unsigned)strtoul(argv[6], NULL, 10);
    if (db_fd < 0) {
        perror(argv[2]);
        return 1;
    }
    if (strcmp(argv[5], "fault") == 0 || strcmp(argv[5], "plant") == 0) {
        edit_much(count, strcmp(argv[5], "plant") == 0);
        return 0;
    }
    if (strcmp(argv[5], "fresh") == 0) {
        return claim_freshness(count);
    }
    for (size_t i = 0; i < sizeof SILENT / sizeof *SILENT; i++) {
        if (strcmp(argv[5], SILENT[i].name) == 0) {
            edit_silently(count, SILENT[i].edit);
            return 0;
        }
    }
    return 64;
}
