/* SPDX-License-Identifier: MIT
 *
 * role: a replica becomes a primary and a primary a replica, and what a cut in
 * the middle leaves. */
#include "tests/support/store_fixture.h"

#include <ftw.h>
#include <grp.h>
#include <sys/wait.h>

#include "sync/errors/state.h"
#include "sync/replica/role/kept.h"
#include "sync/replica/role/role.h"

#define ID "01010101010101010101010101010101"
#define REPLICA_TEXT(epoch)                                                    \
    "drover-replica 1\ndatabase " ID "\nepoch " epoch "\nwatermark 7\n"
#define FRESH_TEXT(epoch) "db=" ID " epoch=" epoch " seq=88 state=streaming\n"

struct bench {
    struct fixture f;
    int meta_fd;
    struct meta m;
    struct role_promoted promoted;
    struct role_demoted demoted;
    struct err err;
};

static int setup(void **state)
{
    struct bench *b = calloc(1, sizeof *b);

    assert_non_null(b);
    fixture_begin(&b->f);
    assert_int_equal(mkdirat(b->f.fd, ".drover", 0755), 0);
    b->meta_fd = openat(b->f.fd, ".drover", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(b->meta_fd >= 0);
    assert_int_equal(role_open(&b->m, b->f.path, &b->err), 0);
    *state = b;
    return 0;
}

static int teardown(void **state)
{
    struct bench *b = *state;

    meta_close(&b->m);
    (void)close(b->meta_fd);
    fixture_end(&b->f);
    free(b);
    return 0;
}

static void put_replica(struct bench *b)
{
    put_text(b->meta_fd, "replica", REPLICA_TEXT("4"));
    put_text(b->meta_fd, "freshness", FRESH_TEXT("4"));
}

static void put_primary(struct bench *b)
{
    put_text(b->meta_fd, "id", ID "\n");
    put_text(b->meta_fd, "epoch", "4\n");
}

static void text_is(int fd, const char *name, const char *want)
{
    char text[META_TEXT_MAX];
    struct err err;

    assert_int_equal(meta_read(fd, name, text, sizeof text, NULL, &err), 0);
    assert_string_equal(text, want);
}

static enum role role_now(struct bench *b)
{
    struct role_facts f;

    assert_int_equal(role_inspect(b->meta_fd, &f, &b->err), 0);
    return f.role;
}

static int promote(struct bench *b, bool force, uint64_t epoch)
{
    struct role_promote o = {.force = force, .epoch = epoch};

    return role_promote(&b->m, &o, &b->promoted, &b->err);
}

static int demote(struct bench *b)
{
    return role_demote(&b->m, false, &b->demoted, &b->err);
}

/* --- promote ------------------------------------------------------------- */

static void a_replica_becomes_a_primary_with_the_next_epoch(void **state)
{
    struct bench *b = *state;
    struct stat st;

    put_replica(b);
    put_text(b->meta_fd, "index", "x");
    put_text(b->meta_fd, "applied", "x");
    assert_int_equal(mkdirat(b->meta_fd, "stage", 0750), 0);
    put_text(b->meta_fd, "stage/s1-1", "half");
    assert_int_equal(promote(b, false, 0), 0);
    assert_int_equal(role_now(b), ROLE_PRIMARY);
    text_is(b->meta_fd, "id", ID "\n");
    text_is(b->meta_fd, "epoch", "5\n");
    assert_int_equal(fstatat(b->meta_fd, "id", &st, 0), 0);
    assert_int_equal(st.st_mode & 07777, 0644);
    static const char *const over[] = {"replica", "freshness", "index",
                                       "applied", "stage",     "takeover"};
    for (size_t i = 0; i < sizeof over / sizeof over[0]; i++) {
        assert_false(exists(b->meta_fd, over[i]));
    }
    assert_int_equal(b->promoted.was, 4);
    assert_int_equal(b->promoted.epoch, 5);
    assert_true(b->promoted.fresh_known);
    assert_int_equal(b->promoted.fresh.seq, 88);
}

static void promoted_twice_is_promoted_once(void **state)
{
    struct bench *b = *state;

    put_replica(b);
    assert_int_equal(promote(b, false, 0), 0);
    assert_int_equal(promote(b, false, 0), ROLE_THERE);
    text_is(b->meta_fd, "epoch", "5\n");
    /* It still tells how the copy was. */
    assert_int_equal(b->promoted.was, 4);
    assert_int_equal(b->promoted.fresh.seq, 88);
    assert_int_equal(promote(b, false, 5), ROLE_THERE);
    text_is(b->meta_fd, "epoch", "5\n");
}

static void a_promotion_that_was_cut_off_is_finished(void **state)
{
    struct bench *b = *state;

    /* Before the step that counts it is a replica still. */
    put_replica(b);
    put_text(b->meta_fd, "epoch", "5\n");
    put_text(b->meta_fd, "id", ID "\n");
    put_text(b->meta_fd, "epoch.new", "tor");
    assert_int_equal(role_now(b), ROLE_REPLICA);
    assert_int_equal(promote(b, false, 0), 0);
    text_is(b->meta_fd, "epoch", "5\n");
    assert_int_equal(role_now(b), ROLE_PRIMARY);
    /* After it a primary that is not clean. */
    put_text(b->meta_fd, "freshness", FRESH_TEXT("4"));
    assert_int_equal(promote(b, false, 0), ROLE_THERE);
    assert_false(exists(b->meta_fd, "freshness"));
}

/* The receiver went on after the cut, with a newer primary. */
static void an_old_cut_off_promotion_does_not_decide_the_epoch(void **state)
{
    struct bench *b = *state;

    put_text(b->meta_fd, "epoch", "5\n");
    put_text(b->meta_fd, "id", ID "\n");
    put_text(b->meta_fd, "replica", REPLICA_TEXT("9"));
    put_text(b->meta_fd, "freshness", FRESH_TEXT("9"));
    assert_int_equal(promote(b, false, 0), 0);
    text_is(b->meta_fd, "epoch", "10\n");
}

static void a_copy_that_never_was_whole_is_promoted_by_force_alone(void **state)
{
    struct bench *b = *state;

    put_text(b->meta_fd, "replica",
             "drover-replica 1\ndatabase " ID "\nepoch 4\nwatermark 0\n");
    assert_int_equal(promote(b, false, 0), ERR_REFUSED);
    assert_non_null(strstr(b->err.msg, "promote another replica"));
    assert_non_null(strstr(b->err.msg, "--force"));
    /* Nor is what was fresh of an older primary. */
    put_text(b->meta_fd, "freshness", FRESH_TEXT("3"));
    assert_int_equal(promote(b, false, 0), ERR_REFUSED);
    assert_int_equal(role_now(b), ROLE_REPLICA);
    assert_false(exists(b->meta_fd, "id"));
    assert_int_equal(promote(b, true, 0), 0);
    assert_false(b->promoted.fresh_known);
    text_is(b->meta_fd, "epoch", "5\n");
}

/* What a power loss left of the freshness file does not unmake a whole copy:
 * the message leads on. */
static void a_copy_that_was_whole_is_not_told_to_go_elsewhere(void **state)
{
    struct bench *b = *state;

    put_text(b->meta_fd, "replica", REPLICA_TEXT("4"));
    for (int i = 0; i < 2; i++) {
        assert_int_equal(promote(b, false, 0), ERR_REFUSED);
        assert_non_null(strstr(b->err.msg, "whole copy at sequence 7"));
        assert_non_null(strstr(b->err.msg, "drover-replica status DIR"));
        assert_non_null(strstr(b->err.msg, "promote --force /"));
        assert_null(strstr(b->err.msg, "never was"));
        put_text(b->meta_fd, "freshness", "");
    }
    assert_int_equal(role_now(b), ROLE_REPLICA);
    assert_int_equal(promote(b, true, 0), 0);
}

static void a_copy_that_never_met_its_primary_needs_an_epoch(void **state)
{
    struct bench *b = *state;

    put_text(b->meta_fd, "replica", REPLICA_TEXT("0"));
    assert_int_equal(promote(b, true, 0), ERR_REFUSED);
    assert_non_null(strstr(b->err.msg, "--epoch"));
    assert_int_equal(promote(b, true, TERM_FIRST_MAX + 1), ERR_REFUSED);
    assert_int_equal(promote(b, true, 8), 0);
    text_is(b->meta_fd, "epoch", "8\n");
}

static void an_epoch_never_goes_back(void **state)
{
    struct bench *b = *state;

    put_replica(b);
    assert_int_equal(promote(b, true, 4), ERR_REFUSED);
    assert_int_equal(promote(b, true, 3), ERR_REFUSED);
    assert_int_equal(promote(b, false, 7), 0);
    assert_int_equal(promote(b, false, 6), ERR_REFUSED);
    text_is(b->meta_fd, "epoch", "7\n");
    assert_int_equal(promote(b, false, 9), ROLE_THERE);
    text_is(b->meta_fd, "epoch", "9\n");
    put_text(b->meta_fd, "epoch", "18446744073709551615\n");
    assert_int_equal(demote(b), 0);
    assert_int_equal(promote(b, true, 0), ERR_REFUSED);
}

static void an_epoch_that_replicas_would_refuse_is_not_begun(void **state)
{
    struct bench *b = *state;

    put_replica(b); /* epoch 4 */
    assert_int_equal(promote(b, true, UINT64_MAX), ERR_REFUSED);
    assert_int_equal(b->err.id, DR_EPOCH_JUMP);
    assert_int_equal(promote(b, true, 4 + TERM_JUMP_MAX + 1), ERR_REFUSED);
    assert_non_null(strstr(b->err.msg, "1000004"));
    assert_int_equal(promote(b, false, 4 + TERM_JUMP_MAX), 0);
    assert_int_equal(promote(b, false, UINT64_MAX), ERR_REFUSED);
    assert_int_equal(promote(b, false, 4 + 2 * TERM_JUMP_MAX + 1), ERR_REFUSED);
    assert_int_equal(promote(b, false, 4 + 2 * TERM_JUMP_MAX), ROLE_THERE);
    text_is(b->meta_fd, "epoch", "2000004\n");
}

static void a_replica_with_a_live_receiver_is_not_promoted(void **state)
{
    struct bench *b = *state;
    struct wire_hello h = {.epoch = 4, .replica = bytes_of("eu-1", 4)};
    struct session live;

    put_replica(b);
    session_init(&live, b->meta_fd);
    assert_int_equal(session_lock(&live, &h, 0, &b->err), 0);
    assert_int_equal(promote(b, false, 0), ERR_REFUSED);
    assert_int_equal(b->err.id, DR_RECEIVER_BUSY);
    assert_non_null(strstr(b->err.msg, "eu-1"));
    assert_non_null(strstr(b->err.msg, "--force"));
    assert_int_equal(role_now(b), ROLE_REPLICA);
    assert_false(exists(b->meta_fd, "takeover"));
    session_deinit(&live);
    assert_int_equal(promote(b, false, 0), 0);
}

static void what_is_neither_is_refused(void **state)
{
    struct bench *b = *state;

    assert_int_equal(promote(b, true, 2), ERR_REFUSED);
    assert_int_equal(demote(b), ERR_REFUSED);
    put_text(b->meta_fd, "replica", "?");
    assert_int_equal(promote(b, true, 2), ERR_CORRUPT);
    assert_int_equal(demote(b), ERR_CORRUPT);
}

/* --- demote -------------------------------------------------------------- */

static void a_primary_becomes_a_replica_for_higher_epochs(void **state)
{
    struct bench *b = *state;
    struct role_facts facts;
    struct meta_ident ident;
    struct wire_hello h = {.epoch = 4, .instance = {1}};

    put_primary(b);
    put_text(b->meta_fd, "promoted", "x");
    assert_int_equal(demote(b), 0);
    assert_int_equal(b->demoted.epoch, 4);
    assert_int_equal(role_inspect(b->meta_fd, &facts, &b->err), 0);
    assert_int_equal(facts.role, ROLE_REPLICA);
    assert_int_equal(facts.epoch, 4);
    assert_false(exists(b->meta_fd, "id") || exists(b->meta_fd, "epoch") ||
                 exists(b->meta_fd, "promoted"));
    memset(h.db_id, 1, sizeof h.db_id);
    assert_int_equal(session_check(&b->m, &h, &ident, &b->err), ERR_REFUSED);
    assert_int_equal(b->err.id, DR_TWO_PRIMARIES);
    h.epoch = 3;
    assert_int_equal(session_check(&b->m, &h, &ident, &b->err), ERR_REFUSED);
    h.epoch = 5;
    assert_int_equal(session_check(&b->m, &h, &ident, &b->err), 0);
    /* And back: nothing here is a copy of anything yet. */
    assert_int_equal(promote(b, false, 0), ERR_REFUSED);
    assert_int_equal(promote(b, true, 0), 0);
    text_is(b->meta_fd, "epoch", "5\n");
}

static void demoted_twice_is_demoted_once(void **state)
{
    struct bench *b = *state;

    put_primary(b);
    assert_int_equal(demote(b), 0);
    assert_int_equal(demote(b), ROLE_THERE);
    /* A demotion that was cut off after the step that counts. */
    put_primary(b);
    assert_int_equal(role_now(b), ROLE_REPLICA);
    assert_int_equal(demote(b), ROLE_THERE);
    assert_false(exists(b->meta_fd, "id") || exists(b->meta_fd, "epoch"));
}

static void a_primary_with_an_agent_stays_one(void **state)
{
    struct bench *b = *state;

    put_primary(b);
    int agent = openat(b->meta_fd, "id", O_RDONLY | O_CLOEXEC);
    assert_true(agent >= 0);
    assert_int_equal(flock(agent, LOCK_SH), 0);
    assert_int_equal(demote(b), ERR_TIMEOUT);
    assert_non_null(strstr(b->err.msg, "agent"));
    assert_int_equal(promote(b, false, 9), ERR_TIMEOUT);
    text_is(b->meta_fd, "epoch", "4\n");
    assert_int_equal(role_now(b), ROLE_PRIMARY);
    (void)close(agent);
    /* The private lock of an agent, whoever it is. */
    put_text(b->meta_fd, "agent", "");
    agent = openat(b->meta_fd, "agent", O_RDONLY | O_CLOEXEC);
    assert_int_equal(flock(agent, LOCK_SH), 0);
    assert_int_equal(demote(b), ERR_TIMEOUT);
    assert_int_equal(promote(b, false, 9), ERR_TIMEOUT);
    (void)close(agent);
    assert_int_equal(promote(b, false, 9), ROLE_THERE);
    assert_int_equal(demote(b), 0);
    assert_false(exists(b->meta_fd, "agent"));
}

/* Another user, with whatever lock he can get, until `go` is closed. */
static pid_t start_stranger(struct bench *b, int *go_out)
{
    int go[2], ready[2];
    char c;

    assert_int_equal(pipe(go), 0);
    assert_int_equal(pipe(ready), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        (void)close(go[1]);
        if (setgroups(0, NULL) != 0 || setgid(54321) != 0 ||
            setuid(54321) != 0) {
            _exit(1);
        }
        int agent = openat(b->meta_fd, "agent", O_RDONLY | O_CLOEXEC);
        int id = openat(b->meta_fd, "id", O_RDONLY | O_CLOEXEC);
        if (agent >= 0 || id < 0 || flock(id, LOCK_SH) != 0 ||
            write(ready[1], "r", 1) != 1) {
            _exit(2);
        }
        _exit(read(go[0], &c, 1) != 0);
    }
    (void)close(ready[1]);
    (void)close(go[0]);
    assert_int_equal(read(ready[0], &c, 1), 1);
    (void)close(ready[0]);
    *go_out = go[1];
    return pid;
}

static void a_strangers_lock_keeps_no_operator_out(void **state)
{
    struct bench *b = *state;
    int go, status;

    if (geteuid() != 0) {
        print_message("SKIP: only root can become another user\n");
        skip();
    }
    put_primary(b);
    put_text(b->meta_fd, "agent", "");
    assert_int_equal(fchmodat(b->meta_fd, "id", 0644, 0), 0);
    pid_t pid = start_stranger(b, &go);
    assert_int_equal(promote(b, false, 9), ROLE_THERE);
    text_is(b->meta_fd, "epoch", "9\n");
    assert_int_equal(demote(b), 0);
    assert_int_equal(role_now(b), ROLE_REPLICA);
    (void)close(go);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

/* --- kept values --------------------------------------------------------- */

struct told {
    size_t count;
    char text[10][64];
};

static int tell(void *arg, struct bytes table, struct bytes key, bool gone,
                int fd, struct err *err)
{
    struct told *t = arg;
    char c;

    (void)err;
    assert_true(pread(fd, &c, 1, 0) >= 0);
    assert_true(t->count < 10);
    (void)snprintf(t->text[t->count++], sizeof t->text[0], "%s %.*s|%.*s",
                   gone ? "gone" : "different", (int)table.len,
                   (const char *)table.p, (int)key.len, (const char *)key.p);
    return 0;
}

/* What was kept of a key, as text. */
struct sought {
    const char *table, *key;
    char text[64];
};

static int seek(void *arg, struct bytes table, struct bytes key, int fd)
{
    struct sought *s = arg;

    if (table.len == strlen(s->table) && key.len == strlen(s->key) &&
        memcmp(table.p, s->table, table.len) == 0 &&
        memcmp(key.p, s->key, key.len) == 0) {
        ssize_t n = pread(fd, s->text, sizeof s->text - 1, 0);
        assert_true(n >= 0);
        s->text[n] = '\0';
    }
    return 0;
}

static void kept_is(struct bench *b, const char *name, const char *table,
                    const char *key, const char *want)
{
    struct sought s = {table, key, "?"};
    struct kept k;

    assert_int_equal(kept_open(&k, b->meta_fd, name, &b->err), 0);
    assert_int_equal(kept_each(&k, seek, &s, &b->err), 0);
    assert_string_equal(s.text, want);
    assert_int_equal(kept_has(&k, bytes_of(table, strlen(table)),
                              bytes_of(key, strlen(key)), &b->err),
                     1);
    assert_int_equal(kept_has(&k, bytes_of(table, strlen(table)),
                              bytes_of("no", 2), &b->err),
                     0);
    assert_int_equal(
        kept_has(&k, bytes_of("no", 2), bytes_of("no", 2), &b->err), 0);
    kept_close(&k);
}

static int found_names;

static int is_no_key_or_table(const char *path, const struct stat *st, int type,
                              struct FTW *ftw)
{
    size_t n = strlen(path);

    (void)st, (void)type, (void)ftw;
    found_names++;
    assert_false(n >= 3 && strcmp(path + n - 3, ".kv") == 0);
    assert_false(n >= 4 && strcmp(path + n - 4, ".tbl") == 0);
    return 0;
}

static bool was_told(const struct told *t, const char *text)
{
    for (size_t i = 0; i < t->count; i++) {
        if (strcmp(t->text[i], text) == 0) {
            return true;
        }
    }
    return false;
}

static void replace(struct bench *b, const char *name, const char *text)
{
    put_text(b->f.fd, "temp", text);
    assert_int_equal(renameat(b->f.fd, "temp", b->f.fd, name), 0);
}

static void what_a_primary_had_alone_is_kept_and_found(void **state)
{
    struct bench *b = *state;
    struct told t = {0};
    struct role_kept k;
    uint64_t epoch;

    put_primary(b);
    assert_int_equal(mkdirat(b->f.fd, "t.tbl", 0750), 0);
    assert_int_equal(mkdirat(b->f.fd, "d", 0755), 0);
    assert_int_equal(mkdirat(b->f.fd, "d/v.tbl", 0755), 0);
    put_text(b->f.fd, ".kv", "the empty key");
    put_text(b->f.fd, "same.kv", "same");
    put_text(b->f.fd, "t.tbl/again.kv", "again");
    put_text(b->f.fd, "t.tbl/changed.kv", "lost value");
    put_text(b->f.fd, "t.tbl/length.kv", "long");
    put_text(b->f.fd, "d/v.tbl/gone.kv", "lost key");
    put_text(b->f.fd, "no-key", "not kept");
    /* What an interrupted one left does not stay. */
    assert_int_equal(mkdirat(b->meta_fd, "kept-4.new", 0755), 0);
    put_text(b->meta_fd, "kept-4.new/stale.kv", "x");
    assert_int_equal(mkdirat(b->meta_fd, "kept-4", 0755), 0);
    put_text(b->meta_fd, "kept-4/stale.kv", "x");
    assert_int_equal(demote(b), 0);
    assert_int_equal(b->demoted.kept, 6);
    assert_false(exists(b->meta_fd, "kept-4.new"));
    assert_false(exists(b->meta_fd, "kept-4/stale.kv"));
    assert_false(exists(b->meta_fd, "kept-4/no-key"));

    replace(b, "t.tbl/again.kv", "again");
    replace(b, "t.tbl/changed.kv", "other text");
    replace(b, "t.tbl/length.kv", "longer");
    assert_int_equal(unlinkat(b->f.fd, "d/v.tbl/gone.kv", 0), 0);
    assert_int_equal(unlinkat(b->f.fd, "d/v.tbl", AT_REMOVEDIR), 0);
    put_text(b->f.fd, "new.kv", "of the new primary");
    kept_is(b, "kept-4", "t", "changed", "lost value");
    kept_is(b, "kept-4", "", "", "the empty key");
    kept_is(b, "kept-4", "d/v", "gone", "lost key");
    assert_int_equal(role_kept_next(b->meta_fd, 0, &epoch, &b->err), 0);
    assert_int_equal(epoch, 4);
    assert_int_equal(role_kept_compare(&b->m, 4, tell, &t, &k, &b->err), 0);
    assert_int_equal(t.count, 3);
    assert_true(was_told(&t, "different t|changed"));
    assert_true(was_told(&t, "different t|length"));
    assert_true(was_told(&t, "gone d/v|gone"));
    assert_true(k.values == 6 && k.gone == 1 && k.different == 2 &&
                k.added == 1);

    assert_int_equal(role_kept_remove(&b->m, 4, &b->err), 0);
    assert_false(exists(b->meta_fd, "kept-4"));
    assert_int_equal(role_kept_next(b->meta_fd, 0, &epoch, &b->err),
                     ERR_NOTFOUND);
    text_is(b->f.fd, "same.kv", "same");
}

/* Whoever walks all directories for tables and keys finds none of a term that
 * is over. */
static void kept_values_look_like_no_tables_or_keys(void **state)
{
    struct bench *b = *state;
    char path[300];

    put_primary(b);
    assert_int_equal(mkdirat(b->f.fd, "t.tbl", 0750), 0);
    assert_int_equal(mkdirat(b->f.fd, "t.tbl/u.tbl", 0750), 0);
    assert_int_equal(mkdirat(b->f.fd, "a.tbl", 0755), 0);
    assert_int_equal(mkdirat(b->f.fd, "a.tbl/b.tbl", 0755), 0);
    put_text(b->f.fd, ".kv", "1");
    put_text(b->f.fd, "k.kv.kv", "2");
    put_text(b->f.fd, "t.tbl/u.tbl/table.kv", "3");
    put_text(b->f.fd, "a.tbl/b.tbl/.v.kv", "4");
    assert_int_equal(demote(b), 0);
    assert_int_equal(b->demoted.kept, 4);
    (void)snprintf(path, sizeof path, "%s/.drover/kept-4", b->f.path);
    found_names = 0;
    assert_int_equal(nftw(path, is_no_key_or_table, 8, FTW_PHYS), 0);
    assert_true(found_names > 4);
    kept_is(b, "kept-4", "", "k.kv", "2");
    kept_is(b, "kept-4", "t.tbl/u", "table", "3");
    kept_is(b, "kept-4", "a.tbl/b", ".v", "4");
}

/* By the version before: as a database. */
static void values_kept_as_a_database_are_read(void **state)
{
    struct bench *b = *state;
    struct told t = {0};
    struct role_kept k;

    put_replica(b);
    assert_int_equal(mkdirat(b->meta_fd, "kept-3", 0755), 0);
    assert_int_equal(mkdirat(b->meta_fd, "kept-3/t.tbl", 0755), 0);
    put_text(b->meta_fd, "kept-3/k.kv", "same");
    put_text(b->meta_fd, "kept-3/t.tbl/x.kv", "lost");
    put_text(b->f.fd, "k.kv", "same");
    put_text(b->f.fd, "new.kv", "new");
    kept_is(b, "kept-3", "t", "x", "lost");
    assert_int_equal(role_kept_compare(&b->m, 3, tell, &t, &k, &b->err), 0);
    assert_true(k.values == 2 && k.gone == 1 && k.different == 0 &&
                k.added == 1);
    assert_true(was_told(&t, "gone t|x"));
    assert_int_equal(role_kept_remove(&b->m, 3, &b->err), 0);
    assert_false(exists(b->meta_fd, "kept-3"));
}

/* Names from a disk are checked like names from the wire. */
static void a_kept_table_with_an_impossible_name_is_refused(void **state)
{
    static const char *const names[] = {"..",   "../../etc", "/etc",
                                        "a//b", ".drover/x", "a/../b"};
    struct bench *b = *state;
    struct kept k;

    assert_int_equal(mkdirat(b->meta_fd, "kept-3", 0755), 0);
    assert_int_equal(mkdirat(b->meta_fd, "kept-3/0", 0755), 0);
    put_text(b->meta_fd, "kept-3/layout", "drover-kept 2\n");
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        put_text(b->meta_fd, "kept-3/0/table", names[i]);
        assert_int_equal(kept_open(&k, b->meta_fd, "kept-3", &b->err),
                         ERR_CORRUPT);
    }
    put_text(b->meta_fd, "kept-3/0/table", "ok");
    assert_int_equal(kept_open(&k, b->meta_fd, "kept-3", &b->err), 0);
    kept_close(&k);
    /* Nothing but a regular file is a value, and a FIFO stops nobody. */
    assert_int_equal(mkfifoat(b->meta_fd, "kept-3/0/f.v", 0600), 0);
    assert_int_equal(kept_open(&k, b->meta_fd, "kept-3", &b->err), 0);
    assert_int_equal(kept_each(&k, seek, &(struct sought){"", "", ""}, &b->err),
                     ERR_NOTTABLE);
    kept_close(&k);
}

static void several_terms_are_found_in_order(void **state)
{
    struct bench *b = *state;
    uint64_t epoch;

    assert_int_equal(mkdirat(b->meta_fd, "kept-10", 0755), 0);
    assert_int_equal(mkdirat(b->meta_fd, "kept-9", 0755), 0);
    assert_int_equal(mkdirat(b->meta_fd, "kept-8.new", 0755), 0);
    assert_int_equal(role_kept_next(b->meta_fd, 0, &epoch, &b->err), 0);
    assert_int_equal(epoch, 9);
    assert_int_equal(role_kept_next(b->meta_fd, 9, &epoch, &b->err), 0);
    assert_int_equal(epoch, 10);
    assert_int_equal(role_kept_next(b->meta_fd, 10, &epoch, &b->err),
                     ERR_NOTFOUND);
}

static void nothing_is_kept_or_removed_through_a_link(void **state)
{
    struct bench *b = *state;

    put_primary(b);
    put_text(b->f.fd, "k.kv", "v");
    assert_int_equal(mkdirat(b->f.fd, "outside", 0755), 0);
    put_text(b->f.fd, "outside/file", "x");
    assert_int_equal(symlinkat("../outside", b->meta_fd, "kept-4.new"), 0);
    assert_int_equal(symlinkat("../outside", b->meta_fd, "kept-4"), 0);
    assert_int_equal(demote(b), 0);
    assert_true(exists(b->f.fd, "outside/file"));
    assert_false(exists(b->f.fd, "outside/k.kv"));
    text_is(b->meta_fd, "kept-4/0/k.v", "v");
}

static void without_keeping_nothing_is_kept(void **state)
{
    struct bench *b = *state;

    put_primary(b);
    put_text(b->f.fd, "k.kv", "v");
    assert_int_equal(role_demote(&b->m, true, &b->demoted, &b->err), 0);
    assert_false(exists(b->meta_fd, "kept-4"));
    assert_int_equal(role_now(b), ROLE_REPLICA);
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_replica_becomes_a_primary_with_the_next_epoch),
        T(promoted_twice_is_promoted_once),
        T(a_promotion_that_was_cut_off_is_finished),
        T(an_old_cut_off_promotion_does_not_decide_the_epoch),
        T(a_copy_that_never_was_whole_is_promoted_by_force_alone),
        T(a_copy_that_was_whole_is_not_told_to_go_elsewhere),
        T(a_copy_that_never_met_its_primary_needs_an_epoch),
        T(an_epoch_never_goes_back),
        T(an_epoch_that_replicas_would_refuse_is_not_begun),
        T(a_replica_with_a_live_receiver_is_not_promoted),
        T(what_is_neither_is_refused),
        T(a_primary_becomes_a_replica_for_higher_epochs),
        T(demoted_twice_is_demoted_once),
        T(a_primary_with_an_agent_stays_one),
        T(a_strangers_lock_keeps_no_operator_out),
        T(what_a_primary_had_alone_is_kept_and_found),
        T(kept_values_look_like_no_tables_or_keys),
        T(values_kept_as_a_database_are_read),
        T(a_kept_table_with_an_impossible_name_is_refused),
        T(several_terms_are_found_in_order),
        T(nothing_is_kept_or_removed_through_a_link),
        T(without_keeping_nothing_is_kept),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
