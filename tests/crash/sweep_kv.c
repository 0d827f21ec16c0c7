/* SPDX-License-Identifier: MIT
 *
 * sweep_kv: every call of the program drover-kv fails once in each way it can
 * fail, and it dies there once, for each of its commands that change something.
 *
 * Exit status 0 means done, anything else that nothing changed (or that it
 * says what is uncertain), with a reason on stderr.
 *
 * And a cross-check of the lab itself: strace must see the calls that the shim
 * counted, and no others.
 *
 *     sweep_kv PROGRAM SHIM [COMMAND [FAULT]]
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "crash_lab.h"

enum { ARGS = 8 };

static const char *program, *shim;
static char base[LAB_PATH], db[LAB_PATH + 8], page_path[LAB_PATH],
    errors[LAB_PATH + 8], trace[LAB_PATH + 8];
static struct crash_page *page;
static struct buf said;

static const struct command {
    const char *name;
    const char *args[ARGS];
    bool partial;
} commands[] = {
    {"set", {"set", "-t", "t", "a", "new a"}, false},
    {"set_new", {"set", "-t", "x/y", "k", "v"}, true},
    {"create", {"create", "-t", "t", "c", "made"}, false},
    {"update", {"update", "-t", "t", "b", "new b"}, false},
    {"delete", {"delete", "-t", "t", "a", "b"}, true},
    {"mktable", {"mktable", "x/y"}, true},
    {"drop", {"drop", "d"}, true},
    {"import", {"import", "-t", "t", "a", "/proc/self/status"}, false},
};

static void put(const char *path, const char *text)
{
    char full[LAB_PATH * 2];

    (void)snprintf(full, sizeof full, "%s/%s", db, path);
    lab_write(full, text, strlen(text));
}

static void populate(void)
{
    char full[LAB_PATH * 2];

    lab_remove(db);
    lab_make_dir(db);
    (void)snprintf(full, sizeof full, "%s/t.tbl", db);
    lab_make_dir(full);
    (void)snprintf(full, sizeof full, "%s/d.tbl", db);
    lab_make_dir(full);
    put("stays.kv", "stays");
    put("t.tbl/a.kv", "old a");
    put("t.tbl/b.kv", "old b");
    put("d.tbl/1.kv", "one");
    put("d.tbl/2.kv", "two");
}

/* The command's exit status; what it said is in `said`.  With `tracer` words
 * in front. */
static int run(const struct command *c, const char *const *tracer, bool watched)
{
    const char *argv[ARGS + 16];
    char preload[LAB_PATH + 16], where[LAB_PATH + 16];
    const char *env[] = {preload, where, NULL};

    union {
        const char **in;
        char **out;
    } args = {.in = argv}, more = {.in = watched ? env : env + 2};
    size_t n = 0;
    int status;
    for (size_t i = 0; tracer != NULL && tracer[i] != NULL; i++) {
        argv[n++] = tracer[i];
    }
    argv[n++] = program;
    argv[n++] = db;
    for (size_t i = 0; i < ARGS && c->args[i] != NULL; i++) {
        argv[n++] = c->args[i];
    }
    argv[n] = NULL;
    (void)snprintf(preload, sizeof preload, "LD_PRELOAD=%s", shim);
    (void)snprintf(where, sizeof where, "CRASH_PAGE=%s", page_path);
    pid_t pid = fork();
    if (pid == 0) {
        int fd = open(errors, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        (void)dup2(fd, 2);
        (void)execve(argv[0], args.out, more.out);
        _exit(127);
    }
    if (waitpid(pid, &status, 0) != pid || !lab_read(errors, &said)) {
        lab_broken("run %s", argv[0]);
    }
    buf_u8(&said, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

static const char *words(void)
{
    return (const char *)said.data;
}

/* --- the sweep ----------------------------------------------------------- */

static struct tree before, after;

static void check(const struct command *c, enum crash_fault fault, int status)
{
    struct tree now;

    tree_read(&now, db);
    bool failed = status != 0, killed = status == CRASH_DIED || status == 128;
    bool old = tree_equal(&now, &before), new = tree_equal(&now, &after);
    bool part = c->partial && tree_between(&now, &before, &after);
    bool same_size = strcmp(c->name, "import") == 0; /* another process's */
    if (fault == FAULT_KILL ? !killed : killed) {
        lab_bad("status %d: %s", status, words());
    }
    if (!failed && !new && !same_size) {
        lab_bad("it succeeded, and the state is another");
    }
    if (failed && !old && !part && !same_size &&
        !(new && (killed || strstr(words(), "sync") != NULL))) {
        lab_bad("it failed, and changed something: %s", words());
    }
    if (failed && !killed && said.len < 2) {
        lab_bad("it failed and said nothing");
    }
    if (failed && (fault == FAULT_EINTR || fault == FAULT_SHORT)) {
        lab_bad("a signal or a short transfer shows: %s", words());
    }
    if (now.temps > (killed ? 1 : 0)) {
        lab_bad("%zu temporaries are left", now.temps);
    }
    tree_free(&now);
}

static uint64_t sweep_command(const struct command *c, const char *only)
{
    struct plan plan;
    struct crash_site site;
    uint32_t nth;
    enum crash_fault fault;
    uint64_t tries = 0;

    populate();
    tree_read(&before, db);
    page_arm(page, NULL, 0, FAULT_NONE);
    if (run(c, NULL, true) != 0) {
        lab_broken("%s fails without a fault: %s", c->name, words());
    }
    page_off(page);
    tree_read(&after, db);
    plan_of(&plan, page, ~0u);
    while (plan_next(&plan, &site, &nth, &fault)) {
        char text[128];
        (void)snprintf(text, sizeof text, "%s", plan_text(&site, nth, fault));
        if (only != NULL && strcmp(text, only) != 0) {
            continue;
        }
        (void)snprintf(text, sizeof text, "(%s) %s", c->name,
                       plan_text(&site, nth, fault));
        lab_now(text);
        tries++;
        populate();
        page_arm(page, &site, nth, fault);
        check(c, fault, run(c, NULL, true));
        page_off(page);
        if (run(c, NULL, false) != 0 &&
            strstr(words(), "exists already") == NULL) {
            lab_bad("a later try fails: %s", words());
        }
    }
    lab_now("");
    plan_free(&plan);
    tree_free(&before);
    tree_free(&after);
    return tries;
}

/* --- does the shim see what strace sees? --------------------------------- */

static const char *const compared[] = {
    "openat2",  "fsync",     "fdatasync", "syncfs",   "renameat", "renameat2",
    "unlinkat", "linkat",    "mkdirat",   "flock",    "fchmod",   "fchown",
    "pwrite",   "fallocate", "ftruncate", "getrandom"};
enum { COMPARED = sizeof compared / sizeof compared[0] };

static uint32_t counted(const char *name)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < page->n; i++) {
        if (strcmp(crash_functions[page->sites[i].fn].name, name) == 0) {
            n += page->sites[i].count;
        }
    }
    return n;
}

static uint32_t traced(const struct buf *b, const char *name)
{
    char call[32];
    uint32_t n = 0;

    (void)snprintf(call, sizeof call, "\n%s(", name);
    for (const char *p = (const char *)b->data; (p = strstr(p, call)) != NULL;
         p++) {
        n++;
    }
    return n;
}

/* mkdir() of the C library is mkdirat() here, pwrite() is pwrite64(). */
static void cross_check(const struct command *c)
{
    const char *tracer[] = {"/usr/bin/strace", "-qq", "-o", trace, NULL};
    struct buf b = BUF_NULL, all = BUF_NULL;

    populate();
    page_arm(page, NULL, 0, FAULT_NONE);
    (void)run(c, NULL, true);
    page_off(page);
    populate();
    if (run(c, tracer, false) != 0 || !lab_read(trace, &b)) {
        (void)printf("SKIP of the cross-check: no strace here: %s\n", words());
        return;
    }
    buf_u8(&all, '\n');
    buf_put(&all, b.data, b.len);
    buf_u8(&all, 0);
    for (size_t i = 0; i < COMPARED; i++) {
        uint32_t mine = counted(compared[i]),
                 theirs = traced(&all, compared[i]);
        /* The C library asks for a few random bytes itself. */
        if (mine != theirs && strcmp(compared[i], "getrandom") != 0) {
            lab_bad("%s: the shim counts %u of %s, strace %u", c->name, mine,
                    compared[i], theirs);
        }
    }
    buf_deinit(&b);
    buf_deinit(&all);
}

int main(int argc, char **argv)
{
    uint64_t tries = 0;

    if (argc < 3) {
        lab_broken("usage: sweep_kv PROGRAM SHIM [COMMAND [FAULT]]");
    }
    program = argv[1];
    shim = argv[2];
    lab_begin(base);
    (void)snprintf(db, sizeof db, "%s/db", base);
    (void)snprintf(errors, sizeof errors, "%s/err", base);
    (void)snprintf(trace, sizeof trace, "%s/trace", base);
    page = page_new(base, page_path);
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        if (argc < 4 || strcmp(argv[3], commands[i].name) == 0) {
            cross_check(&commands[i]);
            tries += sweep_command(&commands[i], argc > 4 ? argv[4] : NULL);
        }
    }
    buf_deinit(&said);
    lab_end(base);
    (void)printf("%llu tries, %zu findings\n", (unsigned long long)tries,
                 lab_findings());
    return lab_findings() > 0;
}
