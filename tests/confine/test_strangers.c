/* SPDX-License-Identifier: MIT
 *
 * strangers: the programs, run as root in a database that somebody else owns,
 * follow no link of his and change no file outside, whatever he puts in the
 * place of a name meanwhile.
 *
 * Each round lays out a database for a command, starts a racer under the
 * owner's id, and runs the command.  The racer exchanges the names that the
 * command works on (the database itself, .drover, files and directories in it,
 * tables, keys) with links to a tree outside (absolute and relative, to
 * directories and to files), hard links to its files, FIFOs and directories of
 * his own.  Afterwards the tree outside must be as it was: names, types, modes,
 * owners, contents, modification times.
 *
 * As a plain user the racer is the same user, who has no secrets from himself:
 * fewer rounds, and only links below the database are tried.
 *
 * Environment: STRANGERS_SEED, STRANGERS_ROUNDS; PROGRAMS_DIR takes programs of
 * another build (DIR/agent/drover ...). */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <grp.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "store/layout/name.h"
#include "sync/replica/trash/trash_log.h"

enum { OWNER = 54321, ROUNDS_ROOT = 40, ROUNDS_USER = 8, SNAP_MAX = 64 };

#define ID "01010101010101010101010101010101"

static char base[64], home[80], db[96], outside[96];
static const char *programs = PROGRAMS;
static bool as_root;
static unsigned rounds;
static uint64_t seed;
static uint64_t *swaps; /* shared with the racers */

static uint64_t draw(uint64_t *s)
{
    *s ^= *s << 13;
    *s ^= *s >> 7;
    *s ^= *s << 17;
    return *s;
}

/* --- files --------------------------------------------------------------- */

static const char *in(const char *dir, const char *name)
{
    static char paths[8][400];
    static unsigned next;
    char *path = paths[next++ % 8];

    (void)snprintf(path, sizeof paths[0], "%s/%s", dir, name);
    return path;
}

static void put(const char *dir, const char *name, const char *text,
                mode_t mode)
{
    int fd =
        open(in(dir, name), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    assert_int_equal(fchmod(fd, mode), 0);
    (void)close(fd);
}

static void make(const char *dir, const char *name, mode_t mode)
{
    assert_int_equal(mkdir(in(dir, name), 0700), 0);
    assert_int_equal(chmod(in(dir, name), mode), 0);
}

static int remove_one(const char *path, const struct stat *st, int type,
                      struct FTW *f)
{
    (void)st, (void)type, (void)f;
    (void)remove(path);
    return 0;
}

static void remove_all(const char *path)
{
    (void)nftw(path, remove_one, 8, FTW_PHYS | FTW_DEPTH);
}

static int give_one(const char *path, const struct stat *st, int type,
                    struct FTW *f)
{
    (void)type, (void)f;
    return st->st_nlink > 1 && !S_ISDIR(st->st_mode)
               ? 0
               : lchown(path, OWNER, OWNER);
}

/* --- the tree outside ---------------------------------------------------- */

struct snap {
    char path[200];
    mode_t mode;
    uid_t uid;
    gid_t gid;
    off_t size;
    struct timespec mtime;
    char text[64];
};

static struct snap snaps[2][SNAP_MAX];
static size_t snap_count[2];
static int snap_now;

static int snap_one(const char *path, const struct stat *st, int type,
                    struct FTW *f)
{
    struct snap *s = &snaps[snap_now][snap_count[snap_now]++];

    (void)type, (void)f;
    assert_true(snap_count[snap_now] <= SNAP_MAX);
    *s = (struct snap){.mode = st->st_mode,
                       .uid = st->st_uid,
                       .gid = st->st_gid,
                       .size = st->st_size,
                       .mtime = st->st_mtim};
    (void)snprintf(s->path, sizeof s->path, "%s", path);
    int fd = S_ISREG(st->st_mode) ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (fd >= 0) {
        assert_true(read(fd, s->text, sizeof s->text - 1) >= 0);
        (void)close(fd);
    }
    return 0;
}

static int by_path(const void *a, const void *b)
{
    return strcmp(((const struct snap *)a)->path,
                  ((const struct snap *)b)->path);
}

static void take_snap(int which)
{
    snap_now = which;
    snap_count[which] = 0;
    assert_int_equal(nftw(outside, snap_one, 8, FTW_PHYS), 0);
    qsort(snaps[which], snap_count[which], sizeof snaps[0][0], by_path);
}

/* What changed there, NULL: nothing. */
static const char *difference(void)
{
    static char text[300];

    take_snap(1);
    for (size_t i = 0; i < snap_count[0] || i < snap_count[1]; i++) {
        const struct snap *a = &snaps[0][i], *b = &snaps[1][i];
        if (i >= snap_count[0] || i >= snap_count[1] ||
            strcmp(a->path, b->path) != 0) {
            (void)snprintf(text, sizeof text, "made or removed: %s",
                           i < snap_count[1] ? b->path : a->path);
            return text;
        }
        if (a->mode != b->mode || a->uid != b->uid || a->gid != b->gid ||
            a->size != b->size || strcmp(a->text, b->text) != 0 ||
            memcmp(&a->mtime, &b->mtime, sizeof a->mtime) != 0) {
            (void)snprintf(text, sizeof text,
                           "%s: mode %o, now %o; uid %u, now %u; size %ld, now "
                           "%ld",
                           a->path, a->mode, b->mode, a->uid, b->uid,
                           (long)a->size, (long)b->size);
            return text;
        }
    }
    return NULL;
}

/* The same for every round, made like what a stranger would want to change. */
static void make_outside(void)
{
    remove_all(outside);
    assert_int_equal(mkdir(outside, 0755), 0);
    put(outside, "shadow", "root:secret", 0600);
    put(outside, "k.kv", "outside", 0600);
    put(outside, "id", ID "\n", 0600);
    put(outside, "lock", "pid=1 since=1 replica=x\n", 0640);
    make(outside, "secret", 0700);
    put(outside, "secret/file", "secret", 0600);
    make(outside, "empty", 0700);
    make(outside, "t.tbl", 0700);
    put(outside, "t.tbl/k.kv", "outside", 0600);
    make(outside, "meta", 0700);
    put(outside, "meta/replica",
        "drover-replica 1\ndatabase " ID "\nepoch 4\nwatermark 7\n", 0600);
    make(outside, "meta/kept-1", 0700);
    put(outside, "meta/kept-1/k.kv", "kept", 0600);
    make(outside, "meta/trash", 0700);
    put(outside, "meta/trash/0000000000000001", "trash", 0600);
    make(outside, "meta/stage", 0700);
    put(outside, "meta/stage/s1-1", "staged", 0600);
}

/* --- the racer ----------------------------------------------------------- */

/* Forms that take a name's place, in the directory of that name: whoever is not
 * root moves no directory of root's to another parent. */
static const char *const forms[] = {".x-abs",  ".x-rel",  ".x-meta",
                                    ".x-file", ".x-hard", ".x-lock",
                                    ".x-fifo", ".x-dir",  ".x-gone"};
enum { FORMS = sizeof forms / sizeof forms[0] };

static void put_forms(const char *where)
{
    char relative[128], dir[160];

    (void)snprintf(dir, sizeof dir, "%s", where);
    bool in_db = strcmp(dir, home) != 0;
    (void)snprintf(relative, sizeof relative, "../%s%s/outside/secret",
                   in_db ? "../" : "", strstr(dir, ".drover") ? "../" : "");
    const struct {
        const char *to, *form;
    } links[] = {{in(outside, "secret"), ".x-abs"},
                 {relative, ".x-rel"},
                 {in(outside, "meta"), ".x-meta"},
                 {in(outside, "shadow"), ".x-file"}};
    for (size_t i = 0; i < sizeof links / sizeof links[0]; i++) {
        assert_int_equal(symlink(links[i].to, in(dir, links[i].form)), 0);
    }
    assert_int_equal(link(in(outside, "shadow"), in(dir, ".x-hard")), 0);
    assert_int_equal(link(in(outside, "lock"), in(dir, ".x-lock")), 0);
    assert_int_equal(mkfifo(in(dir, ".x-fifo"), 0600), 0);
    make(dir, ".x-dir", 0755);
}

/* The directory that `path` is in. */
static void above(const char *path, char out[300])
{
    (void)snprintf(out, 300, "%s", path);
    *strrchr(out, '/') = '\0';
}

static void swap_once(const char *path, const char *form, unsigned spins)
{
    char dir[300], other[310];

    above(path, dir);
    (void)snprintf(other, sizeof other, "%s/%s", dir, form);
    bool exchanged =
        renameat2(AT_FDCWD, other, AT_FDCWD, path, RENAME_EXCHANGE) == 0;
    bool placed = !exchanged && renameat2(AT_FDCWD, other, AT_FDCWD, path,
                                          RENAME_NOREPLACE) == 0;
    for (volatile unsigned i = 0; i < spins; i++) {
    }
    if (exchanged) {
        (void)renameat2(AT_FDCWD, other, AT_FDCWD, path, RENAME_EXCHANGE);
    } else if (placed) {
        (void)renameat2(AT_FDCWD, path, AT_FDCWD, other, RENAME_NOREPLACE);
    }
    if (exchanged || placed) {
        (void)__atomic_add_fetch(swaps, 1, __ATOMIC_RELAXED);
    }
}

/* To a plain user his own links to the database, and his own files under a
 * second name, are his. */
static bool is_for(const char *name)
{
    return as_root ||
           (strcmp(name, "db") != 0 && strcmp(name, "out") != 0 &&
            strcmp(name, ".x-hard") != 0 && strcmp(name, ".x-lock") != 0);
}

static pid_t start_racer(const char *const *names, uint64_t s)
{
    size_t count = 0;

    while (names[count] != NULL) {
        count++;
    }
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid > 0) {
        return pid;
    }
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (as_root &&
        (setgroups(0, NULL) != 0 || setgid(OWNER) != 0 || setuid(OWNER) != 0)) {
        _exit(1);
    }
    for (;;) {
        const char *path = names[draw(&s) % count];
        const char *form = forms[draw(&s) % FORMS];
        unsigned spins = (unsigned)(draw(&s) % 20000);
        if (is_for(form)) {
            swap_once(path, form, spins);
        }
    }
}

/* --- one command --------------------------------------------------------- */

static void run(char *const *argv)
{
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0) {
        int null = open("/dev/null", O_RDWR);
        if (getenv("STRANGERS_SHOW") == NULL) {
            (void)dup2(null, 1);
            (void)dup2(null, 2);
        }
        (void)dup2(null, 0);
        (void)execv(argv[0], argv);
        _exit(127);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    /* Refusing is well; dying of it is not. */
    assert_true(WIFEXITED(status));
    assert_int_not_equal(WEXITSTATUS(status), 127);
}

struct command {
    const char *name;
    const char *program;
    const char *args[8]; /* DB, OUT and FROM stand for paths */
    void (*lay)(void);
    const char *names[8]; /* below home, that the racer exchanges */
};

static void lay_nothing(void)
{
}

static void lay_primary(void)
{
    make(db, ".drover", 0755);
    put(db, ".drover/id", ID "\n", 0644);
    put(db, ".drover/epoch", "1\n", 0644);
    put(db, "k.kv", "v", 0600);
    make(db, "t.tbl", 0755);
    put(db, "t.tbl/k.kv", "v", 0600);
}

static void lay_replica(void)
{
    make(db, ".drover", 0750);
    put(db, ".drover/replica",
        "drover-replica 1\ndatabase " ID "\nepoch 4\nwatermark 7\n", 0640);
    put(db, ".drover/freshness", "db=" ID " epoch=4 seq=8 state=streaming\n",
        0640);
    put(db, ".drover/index", "x", 0600);
    put(db, ".drover/takeover", "x", 0600);
    make(db, ".drover/stage", 0750);
    put(db, ".drover/stage/s1-1", "half", 0600);
    put(db, "k.kv", "other", 0640);
    make(db, "t.tbl", 0750);
    put(db, "t.tbl/k.kv", "other", 0640);
}

static void lay_kept(void)
{
    lay_replica();
    make(db, ".drover/kept-1", 0755);
    put(db, ".drover/kept-1/layout", "drover-kept 2\n", 0644);
    make(db, ".drover/kept-1/0", 0755);
    put(db, ".drover/kept-1/0/table", "", 0644);
    put(db, ".drover/kept-1/0/k.v", "lost", 0600);
    make(db, ".drover/kept-2", 0755);
    put(db, ".drover/kept-2/k.kv", "lost", 0600);
    make(db, ".drover/kept-2/t.tbl", 0755);
    put(db, ".drover/kept-2/t.tbl/k.kv", "lost", 0600);
}

static void lay_trash(void)
{
    struct err err;

    lay_replica();
    make(db, ".drover/trash", 0750);
    put(db, ".drover/trash/0000000000000001", "one", 0600);
    put(db, ".drover/trash/0000000000000002", "two", 0600);
    int dir = open(in(db, ".drover/trash"), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int log = trash_log_open(dir, &err);
    assert_true(log >= 0);
    /* What a stranger can write there himself: names that lead outside. */
    struct trash_entry e = {.id = 1,
                            .deleted_s = 1,
                            .size = 3,
                            .named = true,
                            .key = bytes_of("../../outside/k", 15)};
    assert_true(trash_log_add(log, &e));
    e.id = 2;
    e.table = bytes_of("t", 1);
    e.key = bytes_of("k", 1);
    assert_true(trash_log_add(log, &e));
    (void)close(log);
    (void)close(dir);
}

static void lay_temps(void)
{
    lay_primary();
    put(db, "k.kv123", "half", 0600);
    put(db, "t.tbl/.drover-tmp.0123456789abcdef", "half", 0600);
    struct timespec old[2] = {{.tv_sec = 1000}, {.tv_sec = 1000}};
    assert_int_equal(utimensat(AT_FDCWD, in(db, "k.kv123"), old, 0), 0);
}

static const struct command commands[] = {
    {"init",
     "agent/drover",
     {"init", "DB"},
     lay_nothing,
     {"db/.drover", "db/.drover", "db/.drover/id", "db"}},
    {"init again",
     "agent/drover",
     {"init", "DB"},
     lay_primary,
     {"db/.drover", "db/.drover/id", "db/.drover/agent", "db"}},
    {"adopt",
     "sync/replica/drover-replica",
     {"adopt", "DB", ID},
     lay_nothing,
     {"db/.drover", "db/.drover", "db/.drover/stage", "db/.drover/replica",
      "db/.drover/replica.new", "db"}},
    {"adopt again",
     "sync/replica/drover-replica",
     {"adopt", "DB", ID},
     lay_replica,
     {"db/.drover", "db/.drover/stage", "db/.drover/replica"}},
    {"promote",
     "sync/replica/drover-replica",
     {"promote", "--force", "DB"},
     lay_replica,
     {"db/.drover", "db/.drover/lock", "db/.drover/id", "db/.drover/id.new",
      "db/.drover/stage", "db/.drover/replica", "db"}},
    {"promote --epoch",
     "sync/replica/drover-replica",
     {"promote", "--epoch", "9", "DB"},
     lay_primary,
     {"db/.drover", "db/.drover/id", "db/.drover/epoch", "db/.drover/agent",
      "db/.drover/epoch.new"}},
    {"demote",
     "sync/replica/drover-replica",
     {"demote", "DB"},
     lay_primary,
     {"db/.drover", "db/.drover/kept-1.new", "db/.drover/kept-1.new",
      "db/.drover/kept-1", "db/.drover/agent", "db/t.tbl", "db/k.kv"}},
    {"kept",
     "sync/replica/drover-replica",
     {"kept", "DB"},
     lay_kept,
     {"db/.drover", "db/.drover/kept-1", "db/.drover/kept-2", "db/t.tbl"}},
    {"kept --restore",
     "sync/replica/drover-replica",
     {"kept", "--restore", "OUT", "DB"},
     lay_kept,
     {"db/.drover", "db/.drover/kept-1", "db/.drover/kept-2", "out"}},
    {"kept --remove",
     "sync/replica/drover-replica",
     {"kept", "--remove", "DB"},
     lay_kept,
     {"db/.drover", "db/.drover/kept-1", "db/.drover/kept-2", "db"}},
    {"trash list",
     "sync/replica/drover-replica",
     {"trash", "list", "DB"},
     lay_trash,
     {"db/.drover", "db/.drover/trash", "db/.drover/trash/log"}},
    {"trash restore",
     "sync/replica/drover-replica",
     {"trash", "restore", "DB", "OUT"},
     lay_trash,
     {"db/.drover", "db/.drover/trash", "db/.drover/trash/log", "out", "out"}},
    {"trash empty",
     "sync/replica/drover-replica",
     {"trash", "empty", "DB"},
     lay_trash,
     {"db/.drover", "db/.drover/trash", "db/.drover/trash/log"}},
    {"status",
     "sync/replica/drover-replica",
     {"status", "DB"},
     lay_replica,
     {"db/.drover", "db/.drover/replica", "db/.drover/freshness",
      "db/.drover/lock", "db/.drover/stage"}},
    {"fresh",
     "sync/replica/drover-replica",
     {"fresh", "DB", "--max-age", "1s"},
     lay_replica,
     {"db/.drover", "db/.drover/freshness"}},
    {"set",
     "store/drover-kv",
     {"DB", "set", "k", "value"},
     lay_primary,
     {"db/k.kv", "db/.drover", "db"}},
    {"set in a table",
     "store/drover-kv",
     {"DB", "set", "--table", "t", "k", "value"},
     lay_primary,
     {"db/t.tbl", "db/t.tbl/k.kv"}},
    {"delete",
     "store/drover-kv",
     {"DB", "delete", "--table", "t", "k"},
     lay_primary,
     {"db/t.tbl", "db/t.tbl/k.kv", "db"}},
    {"get",
     "store/drover-kv",
     {"DB", "get", "--table", "t", "k"},
     lay_primary,
     {"db/t.tbl", "db/t.tbl/k.kv"}},
    {"mktable",
     "store/drover-kv",
     {"DB", "mktable", "n"},
     lay_primary,
     {"db/n.tbl", "db/n.tbl", "db"}},
    {"drop",
     "store/drover-kv",
     {"DB", "rmtable", "t"},
     lay_primary,
     {"db/t.tbl", "db/t.tbl/k.kv"}},
    {"import",
     "store/drover-kv",
     {"DB", "import", "--table", "t", "a", "FROM"},
     lay_primary,
     {"db/t.tbl", "db/t.tbl/a.kv", "db"}},
    {"sweep",
     "store/drover-kv",
     {"DB", "sweep"},
     lay_temps,
     {"db/t.tbl", "db/k.kv123", "db/t.tbl/.drover-tmp.0123456789abcdef"}},
};

static void lay_out(const struct command *c)
{
    remove_all(home);
    assert_int_equal(mkdir(home, 0755), 0);
    assert_int_equal(mkdir(db, 0755), 0);
    c->lay();
    put_forms(home);
    put_forms(db);
    if (access(in(db, ".drover"), F_OK) == 0) {
        put_forms(in(db, ".drover"));
    }
    if (as_root) {
        assert_int_equal(nftw(home, give_one, 8, FTW_PHYS), 0);
    }
}

static const char *word(const char *arg)
{
    return strcmp(arg, "DB") == 0     ? db
           : strcmp(arg, "OUT") == 0  ? in(home, "out")
           : strcmp(arg, "FROM") == 0 ? in(base, "from/a")
                                      : arg;
}

static void one_round(const struct command *c, uint64_t s)
{
    char names[8][300], program[300];
    const char *list[9] = {NULL};
    char *argv[10] = {program};

    make_outside();
    lay_out(c);
    take_snap(0);
    for (size_t i = 0, n = 0; i < 8 && c->names[i] != NULL; i++) {
        if (is_for(c->names[i])) {
            (void)snprintf(names[n], sizeof names[n], "%s/%s", home,
                           c->names[i]);
            list[n] = names[n];
            n++;
        }
    }
    (void)snprintf(program, sizeof program, "%s/%s", programs, c->program);
    for (size_t i = 0; i < 8 && c->args[i] != NULL; i++) {
        argv[i + 1] = strdup(word(c->args[i]));
    }
    pid_t racer = start_racer(list, s);
    run(argv);
    assert_int_equal(kill(racer, SIGKILL), 0);
    assert_int_equal(waitpid(racer, NULL, 0), racer);
    for (size_t i = 1; argv[i] != NULL; i++) {
        free(argv[i]);
    }
}

/* --- tests --------------------------------------------------------------- */

static void nothing_outside_is_touched(void **state)
{
    unsigned bad = 0, n = 0;
    uint64_t s = seed;
    const char *only = getenv("STRANGERS_ONLY");

    (void)state;
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        const struct command *c = &commands[i];
        unsigned hits = 0;
        const char *first = NULL;
        static char text[300];
        if (only != NULL && strcmp(only, c->name) != 0) {
            continue;
        }
        for (unsigned r = 0; r < rounds; r++, n++) {
            one_round(c, draw(&s));
            const char *what = difference();
            if (what != NULL && hits++ == 0) {
                (void)snprintf(text, sizeof text, "%s", what);
                first = text;
            }
        }
        if (hits > 0) {
            print_message("%s: %u of %u rounds changed what is outside (%s)\n",
                          c->name, hits, rounds, first);
            bad++;
        }
    }
    print_message("%u rounds of %zu commands, %llu exchanges, seed %llu\n", n,
                  sizeof commands / sizeof commands[0],
                  (unsigned long long)*swaps, (unsigned long long)seed);
    assert_int_equal(bad, 0);
    /* The racer was there. */
    assert_true(*swaps >= n);
}

static int setup(void **state)
{
    const char *text = getenv("STRANGERS_SEED");
    struct timespec now;

    (void)state;
    assert_int_equal(clock_gettime(CLOCK_REALTIME, &now), 0);
    seed = text != NULL ? strtoull(text, NULL, 10) : (uint64_t)now.tv_nsec + 1;
    as_root = geteuid() == 0;
    text = getenv("STRANGERS_ROUNDS");
    rounds = text != NULL ? (unsigned)strtoul(text, NULL, 10)
             : as_root    ? ROUNDS_ROOT
                          : ROUNDS_USER;
    if (getenv("PROGRAMS_DIR") != NULL) {
        programs = getenv("PROGRAMS_DIR");
    }
    swaps = mmap(NULL, sizeof *swaps, PROT_READ | PROT_WRITE,
                 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(swaps != MAP_FAILED);
    (void)snprintf(base, sizeof base, "/tmp/strangers.XXXXXX");
    assert_non_null(mkdtemp(base));
    assert_int_equal(chmod(base, 0755), 0);
    (void)snprintf(home, sizeof home, "%s/home", base);
    (void)snprintf(db, sizeof db, "%s/db", home);
    (void)snprintf(outside, sizeof outside, "%s/outside", base);
    make(base, "from", 0755);
    put(base, "from/a", "imported", 0644);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    remove_all(base);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_outside_is_touched),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
