/* SPDX-License-Identifier: MIT
 *
 * sweep_store: every call of every operation that this program can do itself
 * (libdrover, install, the saved index, the agent's identity, the replica's
 * small files) fails once in each way it can fail, and dies there once.
 *
 * After each: the value is the old one or the new one, whole; what was
 * acknowledged is there; nothing else changed; a failure says what it is about;
 * no temporary and no descriptor is left; the same again, without a fault,
 * succeeds.  A signal or a short write is nobody's business: it succeeds.
 *
 *     sweep_store [OPERATION [FAULT]]     FAULT as a finding shows it
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/identity/identity.h"
#include "crash_lab.h"
#include "store/base/cleanup.h"
#include "store/files/small_file.h"
#include "store/layout/install.h"
#include "store/lib/drover.h"
#include "sync/index/index.h"
#include "sync/replica/meta/meta.h"

enum { LARGE = 300 * 1000, ENTRIES = 50 };

static char base[LAB_PATH], db_path[LAB_PATH + 8];
static struct crash_page *page;
static uint8_t large[LARGE];

/* --- a database to work on ----------------------------------------------- */

static void put(const char *path, const char *text)
{
    char full[LAB_PATH * 2];

    (void)snprintf(full, sizeof full, "%s/%s", db_path, path);
    lab_write(full, text, strlen(text));
}

static void dir(const char *path)
{
    char full[LAB_PATH * 2];

    (void)snprintf(full, sizeof full, "%s/%s", db_path, path);
    lab_make_dir(full);
}

static void populate(void)
{
    lab_remove(db_path);
    lab_make_dir(db_path);
    put("stays.kv", "the root's");
    dir("t.tbl");
    put("t.tbl/a.kv", "old a");
    put("t.tbl/b.kv", "old b");
    dir("d.tbl");
    put("d.tbl/1.kv", "one");
    put("d.tbl/2.kv", "two");
    put("d.tbl/3.kv", "");
    dir("n");
    dir("n/p.tbl");
    put("n/p.tbl/k.kv", "nested");
    dir(".drover");
    dir("state");
    put("source", "to be imported");
}

/* --- operations of libdrover --------------------------------------------- */

/* What an operation says on failure; its result is negative then. */
static char said[700];

static int tell(int rc, const struct drover_error *e)
{
    if (rc < 0) {
        (void)snprintf(said, sizeof said, "%s", e->message);
    }
    return rc;
}

static int tell_err(int rc, const struct err *e)
{
    if (rc < 0) {
        (void)snprintf(said, sizeof said, "%s", e->msg);
    }
    return rc;
}

static int with_db(int (*fn)(struct drover *db, struct drover_error *e))
{
    struct drover_error e = {0};
    struct drover *db;
    int rc = drover_open(db_path, 0, &db, &e);

    if (rc == 0) {
        rc = fn(db, &e);
        drover_close(db);
    }
    return tell(rc, &e);
}

#define T drover_text
#define OP(name, call)                                                         \
    static int name##_in(struct drover *db, struct drover_error *e)            \
    {                                                                          \
        return call;                                                           \
    }                                                                          \
    static int name(void)                                                      \
    {                                                                          \
        return with_db(name##_in);                                             \
    }

OP(set_over, drover_set(db, T("t"), T("a"), T("new a"), 1000, e))
OP(set_new, drover_set(db, T("t"), T("c"), T("new c"), 1000, e))
OP(set_new_table, drover_set(db, T("x/y"), T("k"), T("v"), 1000, e))
OP(set_root, drover_set(db, T(""), T("r"), T(""), 1000, e))
OP(create, drover_create(db, T("t"), T("c"), T("made"), e))
OP(update, drover_update(db, T("t"), T("b"), T("new b"), 1000, e))
OP(delete, drover_delete(db, T("t"), T("a"), 1000, e))
OP(table_create, drover_table_create(db, T("x/y.tbl/z"), e))
OP(table_drop, drover_table_drop(db, T("d"), 1000, e))
OP(table_drop_nested, drover_table_drop(db, T("n/p"), 1000, e))

static int open_create(void)
{
    struct drover_error e = {0};
    struct drover *db;
    char path[LAB_PATH * 2];

    (void)snprintf(path, sizeof path, "%s/deep/er", db_path);
    int rc = drover_open(path, DROVER_OPEN_CREATE, &db, &e);
    if (rc == 0) {
        drover_close(db);
    }
    return tell(rc, &e);
}

static int import_in(struct drover *db, struct drover_error *e)
{
    char path[LAB_PATH * 2];

    (void)snprintf(path, sizeof path, "%s/source", db_path);
    return drover_import(db, T("t"), T("a"), path, 1000, e);
}

static int import(void)
{
    return with_db(import_in);
}

static int set_large_in(struct drover *db, struct drover_error *e)
{
    struct drover_writer *w;
    int rc = drover_write_begin(db, T("t"), T("a"), DROVER_WRITE_SET, &w, e);

    if (rc < 0) {
        return rc;
    }
    for (size_t i = 0; i < LARGE && rc == 0; i += LARGE / 3) {
        rc = drover_write(w, drover_bytes(large + i, LARGE / 3), e);
    }
    if (rc == 0) {
        rc = drover_write_commit(w, 1000, e);
        if (rc == 0) {
            return 0;
        }
    }
    drover_write_abort(w);
    return rc;
}

static int set_large(void)
{
    return with_db(set_large_in);
}

/* A value that was read is the value. */
static int get_in(struct drover *db, struct drover_error *e)
{
    void *value;
    size_t len;
    int rc = drover_get(db, T("t"), T("a"), 1000, &value, &len, e);

    if (rc == 0) {
        if (len != 5 || memcmp(value, "old a", 5) != 0) {
            lab_bad("get: %zu bytes of something else", len);
        }
        drover_free(value);
    }
    return rc;
}

static int get(void)
{
    return with_db(get_in);
}

static int count(void *arg, struct drover_bytes name)
{
    (void)name;
    ++*(int *)arg;
    return 0;
}

static int count_pair(void *arg, struct drover_bytes key,
                      struct drover_bytes value)
{
    (void)value;
    return count(arg, key);
}

static int list_in(struct drover *db, struct drover_error *e)
{
    int n = 0,
        rc = drover_keys(db, T("d"), T(""), DROVER_LIST_SORTED, count, &n, e);

    if (rc == 0 && n != 3) {
        lab_bad("keys: %d of 3, and no error", n);
    }
    n = 0;
    if (rc == 0) {
        rc = drover_each(db, T("d"), T(""), 0, 1000, count_pair, &n, e);
    }
    if (rc == 0 && n != 3) {
        lab_bad("each: %d of 3, and no error", n);
    }
    n = 0;
    if (rc == 0) {
        rc = drover_tables(db, DROVER_LIST_SORTED, count, &n, e);
    }
    if (rc == 0 && n != 4) {
        lab_bad("tables: %d of 4, and no error", n);
    }
    return rc;
}

static int list(void)
{
    return with_db(list_in);
}

static int read_pieces_in(struct drover *db, struct drover_error *e)
{
    struct drover_reader *r;
    char out[3];
    int64_t n;
    size_t got = 0;
    int rc = drover_read_open(db, T("t"), T("a"), 1000, &r, NULL, e);

    if (rc < 0) {
        return rc;
    }
    while ((n = drover_read(r, out, sizeof out, e)) > 0) {
        if (memcmp(out, &"old a"[got], (size_t)n) != 0) {
            lab_bad("read: wrong bytes");
        }
        got += (size_t)n;
    }
    drover_read_close(r);
    if (n == 0 && got != 5) {
        lab_bad("read: %zu of 5 bytes, and no error", got);
    }
    return (int)n;
}

static int read_pieces(void)
{
    return with_db(read_pieces_in);
}

/* What a killed writer left, once it is old. */
static int sweep_in(struct drover *db, struct drover_error *e)
{
    return (int)drover_sweep(db, e);
}

/* --- install, index, identity, small files ------------------------------- */

static int open_below(const char *path)
{
    char full[LAB_PATH * 2];

    (void)snprintf(full, sizeof full, "%s/%s", db_path, path);
    uint32_t on = page->on;
    page->on = 0;
    int fd = open(full, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    page->on = on;
    return fd;
}

static int install_as(const char *key)
{
    CLEANUP(fd_closep) int table = open_below("t.tbl");
    struct err e = {0};
    struct stat st;
    uint32_t on = page->on;

    page->on = 0;
    struct newfile staged;
    static unsigned tries_of_it; /* one that died left its name */
    char temp[64];
    (void)snprintf(temp, sizeof temp, TEMP_PREFIX "%08x%08x",
                   (unsigned)getpid(), ++tries_of_it);
    if (newfile_open(&staged, table, temp, 0640) != 0 ||
        write(staged.fd, "installed", 9) != 9) {
        lab_broken("stage");
    }
    page->on = on;
    int rc = install_value(&staged, temp, table, key, strlen(key), 0, &st, &e);
    page->on = 0;
    newfile_drop(&staged, table, temp);
    return tell_err(rc, &e);
}

static int install_over(void)
{
    return install_as("a");
}

static int install_new(void)
{
    return install_as("c");
}

static int install_gone(void)
{
    CLEANUP(fd_closep) int table = open_below("t.tbl");
    struct err e = {0};
    struct stat st;

    return tell_err(install_remove(table, "a", 1, false, &st, &e), &e);
}

static struct index *an_index(void)
{
    struct index *ix = index_new();
    struct err e;

    for (uint64_t i = 0; ix != NULL && i < ENTRIES; i++) {
        struct index_entry entry = {.name = digest_of(&i, sizeof i),
                                    .digest = {i + 1, i},
                                    .stat = {i, (int64_t)i, i}};
        if (index_put(ix, &entry, &e) != 0) {
            lab_broken("index_put");
        }
    }
    return ix;
}

static const struct index_ident index_id = {.root_dev = 1, .root_ino = 2};

static int save_index(void)
{
    uint32_t on = page->on;

    page->on = 0;
    struct index *ix = an_index();
    page->on = on;
    CLEANUP(fd_closep) int state = open_below("state");
    struct err e = {0};
    int rc = index_save(ix, state, "index", &index_id, 12345, &e);
    page->on = 0;
    index_free(ix);
    return tell_err(rc, &e);
}

/* A load that fails leaves the index empty; one that does not, whole. */
static int load_index(void)
{
    CLEANUP(fd_closep) int state = open_below("state");
    struct err e = {0};
    uint32_t on = page->on;

    page->on = 0;
    struct index *want = an_index(), *ix = index_new();
    if (index_save(want, state, "index", &index_id, 12345, &e) != 0) {
        lab_broken("index_save");
    }
    page->on = on;
    int rc = index_load(ix, state, "index", &index_id, &e);
    page->on = 0;
    if (rc == 0 ? !digest_equal(index_root(ix), index_root(want))
                : index_count(ix) != 0) {
        lab_bad("index_load: %d, and %d of %d entries", rc,
                (int)index_count(ix), ENTRIES);
    }
    index_free(ix);
    index_free(want);
    return tell_err(rc, &e);
}

static int with_raw_db(int (*fn)(const struct db *db, struct err *e))
{
    struct err e = {0};
    struct db db;
    int rc = db_open(&db, db_path, false, &e);

    if (rc == 0) {
        rc = fn(&db, &e);
        db_close(&db);
    }
    return tell_err(rc, &e);
}

/* An id that is told is the one on disk: checked with watching switched off. */
static int make_id_in(const struct db *db, struct err *e)
{
    uint8_t id[IDENTITY_BYTES], there[IDENTITY_BYTES];
    int rc = identity_make(db, id, e);
    uint32_t on = page->on;

    page->on = 0;
    struct err other;
    if (rc >= 0 && (identity_read(db, there, &other) != 0 ||
                    memcmp(id, there, sizeof id) != 0)) {
        lab_bad("identity_make: another id is on disk");
    }
    int state = identity_read(db, there, &other);
    if (state != 0 && state != ERR_NOTFOUND) {
        lab_bad("identity_make left a broken id: %s", other.msg);
    }
    page->on = on;
    return rc;
}

static int make_id(void)
{
    return with_raw_db(make_id_in);
}

static int record_id(void)
{
    CLEANUP(fd_closep) int state = open_below("state");
    uint8_t id[IDENTITY_BYTES] = {1, 2, 3}, back[IDENTITY_BYTES];
    struct err e = {0}, other;
    int rc = identity_record(state, "/srv/orders", id, &e);

    page->on = 0;
    int there = identity_recall(state, "/srv/orders", back, &other);
    if (rc == 0 ? there != 0 || memcmp(id, back, sizeof id) != 0
                : there != 0 && there != ERR_NOTFOUND) {
        lab_bad("identity_record: %d, then recall: %s", rc, other.msg);
    }
    return tell_err(rc, &e);
}

static const struct meta_modes modes = {
    .dir_mode = 02750, .file_mode = 0640, .group = (gid_t)-1};

static int open_meta(void)
{
    struct err e = {0};
    struct meta m;
    char path[LAB_PATH * 2];

    (void)snprintf(path, sizeof path, "%s/fresh", db_path);
    int rc = meta_open(&m, path, &modes, &e);
    if (rc == 0) {
        meta_close(&m);
    }
    return tell_err(rc, &e);
}

static int write_ident(void)
{
    CLEANUP(fd_closep) int state = open_below("state");
    struct meta_ident id = {.epoch = 7, .watermark = 99}, back;
    struct err e = {0}, other;
    int rc = meta_ident_write(state, &id, &modes, &e);

    page->on = 0;
    int there = meta_ident_read(state, &back, &other);
    if (rc == 0 ? there != 0 || back.epoch != 7
                : there != 0 && there != ERR_NOTFOUND) {
        lab_bad("meta_ident_write: %d, then read: %d", rc, there);
    }
    return tell_err(rc, &e);
}

static int write_freshness(void)
{
    CLEANUP(fd_closep) int state = open_below("state");
    struct small_how how = {
        .mode = 0640, .group = (gid_t)-1, .set_mtime = true, .mtime_ns = 5};
    struct err e = {0};

    return tell_err(meta_replace(state, "freshness", "text\n", 5, &how, &e),
                    &e);
}

/* --- the sweep ----------------------------------------------------------- */

struct op {
    const char *name;
    int (*run)(void);
    const char *names; /* a failure's message says this */
    bool partial;      /* a failure may leave part of the way (tables) */
    bool random;       /* what it leaves differs from run to run */
    bool lenient;      /* it may leave a plain directory, once */
};

static const struct op ops[] = {
    {"set_over", set_over, "set key a", false, false, false},
    {"set_new", set_new, "set key c", false, false, false},
    {"set_new_table", set_new_table, "set key k", true, false, false},
    {"set_root", set_root, "set key r", false, false, false},
    {"set_large", set_large, "set key a", false, false, false},
    {"create", create, "create key c", false, false, false},
    {"update", update, "update key b", false, false, false},
    {"delete", delete, "delete key a", false, false, false},
    {"import", import, "", false, false, false},
    {"table_create", table_create, "x/y.tbl/z", true, false, false},
    {"table_drop", table_drop, "table d", true, false, false},
    {"table_drop_nested", table_drop_nested, "table n/p", true, false, true},
    {"open_create", open_create, "database", true, false, false},
    {"get", get, "", false, false, false},
    {"read", read_pieces, "", false, false, false},
    {"list", list, "", false, false, false},
    {"install_over", install_over, "a.kv", false, false, false},
    {"install_new", install_new, "c.kv", false, false, false},
    {"install_remove", install_gone, "a.kv", false, false, false},
    {"index_save", save_index, "index", false, false, false},
    {"index_load", load_index, "index", true, true, false},
    {"identity_make", make_id, "id", false, true, false},
    {"identity_record", record_id, "state directory", false, false, false},
    {"meta_open", open_meta, "fresh", true, false, false},
    {"meta_ident", write_ident, "replica", false, false, false},
    {"freshness", write_freshness, "freshness", false, false, false},
};

static struct tree before, after;
static uint64_t tries;

static void bad(const struct op *op, const struct crash_site *site,
                uint32_t nth, enum crash_fault fault, const char *what)
{
    lab_bad("%s\n  sweep_store %s %s   said: %s", what, op->name,
            plan_text(site, nth, fault), said);
}

/* The state is one that may be. */
static bool is_allowed(const struct op *op, const struct tree *now, int rc,
                       bool certain)
{
    if (op->random) {
        return true;
    }
    if (op->lenient) {
        return tree_between(now, &before, &after);
    }
    if (certain && rc >= 0) {
        return tree_equal(now, &after);
    }
    if (op->partial) {
        return tree_between(now, &before, &after);
    }
    if (tree_equal(now, &before)) {
        return true;
    }
    /* In place, but perhaps not durable: it says so. */
    return tree_equal(now, &after) &&
           (!certain || strstr(said, "sync") != NULL);
}

static bool is_other_op(const struct op *op)
{
    return strncmp(op->name, "index", 5) == 0 ||
           strncmp(op->name, "identity", 8) == 0 ||
           strncmp(op->name, "meta", 4) == 0 ||
           strcmp(op->name, "freshness") == 0;
}

static void check_message(const struct op *op, const struct crash_site *site,
                          uint32_t nth, enum crash_fault fault)
{
    if (said[0] == '\0' ||
        (strstr(said, op->names) == NULL && strstr(said, db_path) == NULL &&
         strstr(said, "out of memory") == NULL && !is_other_op(op))) {
        bad(op, site, nth, fault, "the message does not say what it is about");
    }
}

static void check_retry(const struct op *op, const struct crash_site *site,
                        uint32_t nth, enum crash_fault fault)
{
    struct tree now;

    page_off(page);
    int rc = op->run();
    tree_read(&now, db_path);
    if (now.temps > 0) {
        tree_free(&now);
        (void)with_db(sweep_in);
        tree_read(&now, db_path);
    }
    if (now.temps > 0) {
        bad(op, site, nth, fault, "a temporary is left for ever");
    }
    bool made = rc >= 0 || strstr(said, "exists already") != NULL;
    if (!made || (!op->random && !tree_equal(&now, &after))) {
        tree_print(&now, "now");
        bad(op, site, nth, fault, "a later try does not succeed");
    }
    tree_free(&now);
}

static void try_failing(const struct op *op, const struct crash_site *site,
                        uint32_t nth, enum crash_fault fault)
{
    struct tree now;
    size_t fds = lab_descriptors(0);

    said[0] = '\0';
    page_arm(page, site, nth, fault);
    int rc = op->run();
    page_off(page);
    bool fired = page->fired;
    size_t fds_now = lab_descriptors(0);
    tree_read(&now, db_path);
    if (fds_now != fds) {
        bad(op, site, nth, fault, "a descriptor is left open");
    }
    if (now.temps > 0) {
        bad(op, site, nth, fault, "a temporary is left");
    }
    if (!is_allowed(op, &now, rc, true)) {
        tree_print(&now, "now");
        bad(op, site, nth, fault,
            rc < 0 ? "it failed, and changed something"
                   : "it succeeded, and the state is another");
    }
    if (rc < 0) {
        check_message(op, site, nth, fault);
        if (fault == FAULT_EINTR || fault == FAULT_SHORT) {
            bad(op, site, nth, fault, "a signal or a short transfer shows");
        }
    }
    if (!fired) {
        bad(op, site, nth, fault, "the call was not met");
    }
    tree_free(&now);
}

static void try_killed(const struct op *op, const struct crash_site *site,
                       uint32_t nth)
{
    struct tree now;
    int status;

    said[0] = '\0';
    page_arm(page, site, nth, FAULT_KILL);
    pid_t pid = fork();
    if (pid == 0) {
        (void)op->run();
        _exit(0);
    }
    (void)waitpid(pid, &status, 0);
    page_off(page);
    tree_read(&now, db_path);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
        bad(op, site, nth, FAULT_KILL, "the call was not met");
    }
    if (!is_allowed(op, &now, -1, false)) {
        tree_print(&now, "now");
        bad(op, site, nth, FAULT_KILL, "the state is neither old nor new");
    }
    if (now.temps > 1) {
        bad(op, site, nth, FAULT_KILL, "more than one temporary is left");
    }
    tree_free(&now);
}

static void sweep_op(const struct op *op, const char *only)
{
    struct plan plan;
    struct crash_site site;
    uint32_t nth;
    enum crash_fault fault;
    uint64_t first = tries;

    populate();
    tree_read(&before, db_path);
    page_arm(page, NULL, 0, FAULT_NONE);
    int rc = op->run();
    page_off(page);
    if (rc < 0) {
        lab_broken("%s fails without a fault: %s", op->name, said);
    }
    tree_read(&after, db_path);
    plan_of(&plan, page, ~0u);
    while (plan_next(&plan, &site, &nth, &fault)) {
        if (only != NULL && strcmp(plan_text(&site, nth, fault), only) != 0) {
            continue;
        }
        tries++;
        populate();
        if (fault == FAULT_KILL) {
            try_killed(op, &site, nth);
        } else {
            try_failing(op, &site, nth, fault);
        }
        check_retry(op, &site, nth, fault);
    }
    (void)printf("%-18s %5llu tries at %u places\n", op->name,
                 (unsigned long long)(tries - first), plan.n);
    plan_free(&plan);
    tree_free(&before);
    tree_free(&after);
}

int main(int argc, char **argv)
{
    lab_begin(base);
    (void)snprintf(db_path, sizeof db_path, "%s/db", base);
    for (size_t i = 0; i < LARGE; i++) {
        large[i] = (uint8_t)(i * 31 >> 3);
    }
    page = page_new(base, NULL);
    crash_shim_use(page);
    for (size_t i = 0; i < sizeof ops / sizeof ops[0]; i++) {
        if (argc < 2 || strcmp(argv[1], ops[i].name) == 0) {
            sweep_op(&ops[i], argc > 2 ? argv[2] : NULL);
        }
    }
    crash_shim_use(NULL);
    lab_end(base);
    (void)printf("%llu tries, %zu findings\n", (unsigned long long)tries,
                 lab_findings());
    return lab_findings() > 0;
}
