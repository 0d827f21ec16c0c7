/* SPDX-License-Identifier: MIT
 *
 * power: what was acknowledged survives a power cut.
 *
 * All sequences of up to N changes (a new key, over a key, delete, table made,
 * dropped, moved, a large value), each change acknowledged; then the file
 * system stops as if the power were cut, without (and with) its log written, is
 * mounted again and must hold exactly what was acknowledged.  The next session
 * must know that, and leave nothing behind.  The replica's freshness file is
 * whole, and its time is one that the agent gave, of what is there.
 *
 *     power ext4|xfs replica PROGRAM SHIM [options]   the real receiver
 *     power ext4|xfs relaxed PROGRAM SHIM             its freshness alone
 *     power ext4|xfs library [options]                libdrover itself
 *     power ext4|xfs kv PROGRAM [options]             drover-kv
 * --depth N     changes in a sequence (default 1)
 * --cuts        cut the power at every call that changes something, instead
 * --swallow N   let fsync() of files (1), of directories (2), syncfs() (4) do
 *               nothing: the test must find it (exit status 0 when it does)
 *
 * Root only.
 */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "crash_agent.h"
#include "crash_fs.h"
#include "crash_lab.h"
#include "crash_script.h"
#include "store/base/clock.h"
#include "store/lib/drover.h"

enum { OPS = 7, PARTS_MAX = 3, DEPTH_MAX = 3, PATH_MAX_BYTES = 2 * LAB_PATH };

/* One change as an application would see it: up to three steps. */
struct op {
    const char *name;
    struct step steps[PARTS_MAX];
    size_t n;
};

static const struct op ops[OPS] = {
    {"new", {{STEP_SET, "t", "new", "a new value"}}, 1},
    {"over", {{STEP_SET, "t", "over", "another value"}}, 1},
    {"delete", {{STEP_DELETE, "t", "gone", NULL}}, 1},
    {"make", {{STEP_TABLE, "x/y", NULL, NULL}}, 1},
    {"drop", {{STEP_DROP, "d", NULL, NULL}}, 1},
    {"move",
     {{STEP_TABLE, "mv/new", NULL, NULL},
      {STEP_SET, "mv/new", "k", "moves"},
      {STEP_DROP, "mv/old", NULL, NULL}},
     3},
    {"large", {{STEP_LARGE, "t", "large", "300000"}}, 1},
};

static const struct step base_steps[] = {
    {STEP_SET, "", "root", "stays"},
    {STEP_SET, "t", "over", "old"},
    {STEP_SET, "t", "gone", "still there"},
    {STEP_LARGE, "t", "large", "200000"},
    {STEP_SET, "d", "1", "one"},
    {STEP_SET, "d", "2", "two"},
    {STEP_SET, "mv/old", "k", "moves"},
    {STEP_DELETE, "t", "new", NULL},
    {STEP_DROP, "x/y", NULL, NULL},
    {STEP_DROP, "mv/new", NULL, NULL},
};
enum { BASE_STEPS = sizeof base_steps / sizeof base_steps[0] };

static enum { WHAT_REPLICA, WHAT_RELAXED, WHAT_LIBRARY, WHAT_KV } what;
static const char *program, *shim;
static char base[LAB_PATH], db[PATH_MAX_BYTES], shadow[PATH_MAX_BYTES],
    page_path[LAB_PATH];
static struct crash_page *page;
static struct fs fs;
static uint32_t swallow;
static uint64_t cuts;
static char now_text[160];

static void bad(const char *text, const char *more)
{
    lab_now("");
    lab_bad("%s: %s\n  %s: %s", text, more, fs.kind, now_text);
}

/* --- the three ways to make a change ------------------------------------- */

static struct drover_bytes key_of(const struct step *s)
{
    return drover_text(s->key != NULL ? s->key : "");
}

static struct drover_bytes value_of(const struct step *s)
{
    size_t len;

    if (s->kind != STEP_LARGE) {
        return drover_text(s->value);
    }
    const uint8_t *p = step_large(s, &len);
    return drover_bytes(p, len);
}

static int by_library(const char *path, const struct step *s)
{
    struct drover_error e;
    struct drover_bytes t = drover_text(s->table);
    struct drover *d;
    int rc = drover_open(path, 0, &d, &e);

    if (rc < 0) {
        lab_broken("open %s: %s", path, e.message);
    }
    switch (s->kind) {
    case STEP_SET:
    case STEP_LARGE:
        rc = drover_set(d, t, key_of(s), value_of(s), 1000, &e);
        break;
    case STEP_DELETE:
        rc = drover_delete(d, t, key_of(s), 1000, &e);
        break;
    case STEP_TABLE:
        rc = drover_table_create(d, t, &e);
        break;
    case STEP_DROP:
        rc = drover_table_drop(d, t, 1000, &e);
        break;
    }
    drover_close(d);
    if (rc < 0) {
        bad("a change fails", e.message);
    }
    return rc < 0 ? -1 : 0;
}

/* The value goes by standard input: it may be too long for an argument. */
static int by_kv(const char *path, const struct step *s)
{
    static const char *const words[] = {"set", "set", "delete", "mktable",
                                        "drop"};
    const char *of_key[] = {program,  path, words[s->kind], "-t",
                            s->table, "--", s->key,         NULL};
    const char *of_table[] = {program, path, words[s->kind], s->table, NULL};
    bool table = s->kind == STEP_TABLE || s->kind == STEP_DROP;

    union {
        const char **in;
        char **out;
    } args = {.in = table ? of_table : of_key};
    int pipes[2], status;
    if (pipe(pipes) != 0) {
        lab_broken("pipe");
    }
    pid_t pid = fork();
    if (pid == 0) {
        (void)dup2(pipes[0], 0);
        (void)close(pipes[1]);
        (void)execv(program, args.out);
        _exit(127);
    }
    (void)close(pipes[0]);
    if (s->kind == STEP_SET || s->kind == STEP_LARGE) {
        struct drover_bytes v = value_of(s);
        const char *p = v.data;
        while (v.len > 0) {
            ssize_t n = write(pipes[1], p, v.len);
            if (n <= 0) {
                break;
            }
            p += n;
            v.len -= (size_t)n;
        }
    }
    (void)close(pipes[1]);
    (void)waitpid(pid, &status, 0);
    if (status != 0) {
        bad("drover-kv fails", step_text(s));
        return -1;
    }
    return 0;
}

static void begin_session(struct agent *a, bool watched)
{
    char preload[LAB_PATH + 16], where[LAB_PATH + 16];
    const char *env[] = {preload, where, NULL};

    (void)snprintf(preload, sizeof preload, "LD_PRELOAD=%s", shim);
    (void)snprintf(where, sizeof where, "CRASH_PAGE=%s", page_path);
    agent_begin(a, program, db, watched ? env : NULL,
                what == WHAT_RELAXED ? WIRE_RELAXED : WIRE_DURABLE);
}

/* --- the shadow: what must be there -------------------------------------- */

static void expect(const struct step *list, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        (void)by_library(shadow, &list[i]);
    }
}

static void compare(const char *when)
{
    struct tree want, have;

    tree_read(&want, shadow);
    tree_read(&have, db);
    if (!tree_equal(&want, &have)) {
        if (swallow == 0) {
            tree_print(&want, "acknowledged");
            tree_print(&have, "on disk");
        }
        bad("acknowledged, and not so after the power cut", when);
    }
    tree_free(&want);
    tree_free(&have);
}

/* --- sequences ----------------------------------------------------------- */

static void kill_session(struct agent *a)
{
    (void)kill(a->pid, SIGKILL);
    agent_end(a);
}

static bool settle(struct agent *a)
{
    bool good = agent_settle(a) && a->naked == 0;

    if (!good) {
        bad("a change was refused", agent_said(a));
    }
    return good;
}

/* The time in the freshness file, in seconds, and its sequence; -1: it is not
 * there, or not whole. */
static int64_t freshness(uint64_t *seq_out)
{
    char path[PATH_MAX_BYTES + 32];
    struct buf b = BUF_NULL;
    struct stat st;
    int64_t s = -1;

    (void)snprintf(path, sizeof path, "%s/.drover/freshness", db);
    if (lab_read(path, &b) && stat(path, &st) == 0) {
        buf_u8(&b, 0);
        int n = sscanf(
            (const char *)b.data,
            "db=%*32[0-9a-f] epoch=1 seq=%" SCNu64 " state=streaming", seq_out);
        s = n == 1 ? (int64_t)st.st_mtim.tv_sec : -1;
    }
    buf_deinit(&b);
    return s;
}

/* Every second of this clock a heartbeat, so each comes with a time of its
 * own. */
static int64_t fresh_s;

static void check_freshness(void)
{
    uint64_t seq = 0;
    int64_t s = freshness(&seq);
    char text[80];

    if (s < 0 || s > fresh_s) {
        (void)snprintf(text, sizeof text, "its time is %lld, at most %lld",
                       (long long)s, (long long)fresh_s);
        bad("the freshness file is not whole or not true", text);
    }
}

static void play_replica(const int *sequence, size_t n, bool log_too)
{
    struct agent a;

    page_off(page);
    page->swallow = swallow;
    begin_session(&a, swallow != 0);
    bool good = settle(&a);
    for (size_t i = 0; i < n && good; i++) {
        const struct op *op = &ops[sequence[i]];
        for (size_t k = 0; k < op->n && good; k++) {
            (void)step_send(&a, &op->steps[k]);
            good = settle(&a) && agent_ping(&a, ++fresh_s * NS_PER_S);
        }
    }
    (void)kill(a.pid, SIGSTOP); /* nothing more is written */
    fs_power_cut_begin(&fs, log_too);
    (void)kill(a.pid, SIGCONT);
    kill_session(&a);
    fs_power_cut_end(&fs);
}

static void play_other(const int *sequence, size_t n, bool log_too)
{
    page->swallow = swallow;
    crash_shim_use(page);
    for (size_t i = 0; i < n; i++) {
        const struct op *op = &ops[sequence[i]];
        for (size_t k = 0; k < op->n; k++) {
            (void)(what == WHAT_KV ? by_kv(db, &op->steps[k])
                                   : by_library(db, &op->steps[k]));
        }
    }
    crash_shim_use(NULL);
    fs_power_cut_begin(&fs, log_too);
    fs_power_cut_end(&fs);
}

/* The next session knows what is there, and brings it back to the base. */
static void go_back(void)
{
    char left[300];
    struct agent a;

    if (what != WHAT_REPLICA) {
        for (size_t i = 0; i < BASE_STEPS; i++) {
            (void)by_library(db, &base_steps[i]);
        }
        fs_sync(&fs);
        return;
    }
    begin_session(&a, false);
    if (settle(&a) && !digest_equal(a.ready_frame.root, script_root(db))) {
        bad("the digest is not true", "after the power cut");
    }
    for (size_t i = 0; i < BASE_STEPS && !a.eof; i++) {
        (void)step_send(&a, &base_steps[i]);
    }
    (void)settle(&a);
    agent_end(&a);
    if (!script_is_swept(db, left, sizeof left)) {
        bad("left behind", left);
    }
    fs_sync(&fs);
}

static void play(const int *sequence, size_t n, bool log_too)
{
    now_text[0] = '\0';
    for (size_t i = 0; i < n; i++) {
        size_t used = strlen(now_text);
        (void)snprintf(now_text + used, sizeof now_text - used, "%s%s",
                       i > 0 ? ", " : "", ops[sequence[i]].name);
    }
    (void)strncat(now_text, log_too ? ", cut after the log" : ", cut",
                  sizeof now_text - strlen(now_text) - 1);
    if (what == WHAT_REPLICA) {
        play_replica(sequence, n, log_too);
    } else {
        play_other(sequence, n, log_too);
    }
    cuts++;
    for (size_t i = 0; i < n; i++) {
        expect(ops[sequence[i]].steps, ops[sequence[i]].n);
    }
    compare("the next mount");
    if (what == WHAT_REPLICA) {
        check_freshness();
    }
    go_back();
    expect(base_steps, BASE_STEPS);
    compare("the way back");
}

static void all_sequences(size_t depth)
{
    for (size_t n = 1; n <= depth; n++) {
        int sequence[DEPTH_MAX] = {0};
        size_t at = 0;
        while (at < n) {
            for (int log_too = 0; log_too <= 1; log_too++) {
                play(sequence, n, log_too);
            }
            for (at = 0; at < n && ++sequence[at] == OPS; at++) {
                sequence[at] = 0;
            }
        }
    }
}

/* --- a power cut at every call ------------------------------------------- */

static struct step script[OPS * PARTS_MAX];

static size_t script_n;

/* Run the script until it dies; what was acknowledged. */
static void run_cut(bool acked[OPS * PARTS_MAX])
{
    struct agent a;
    uint64_t seqs[OPS * PARTS_MAX] = {0};

    begin_session(&a, true);
    (void)agent_settle(&a);
    for (size_t i = 0; i < script_n && !a.eof; i++) {
        seqs[i] = step_send(&a, &script[i]);
        (void)agent_settle(&a);
    }
    if (!a.eof) {
        (void)kill(a.pid, SIGKILL);
    }
    agent_end(&a);
    for (size_t i = 0; i < script_n; i++) {
        acked[i] = seqs[i] > 0 && a.answers[seqs[i]] == ANSWER_ACK;
    }
}

static void check_cut(const bool acked[OPS * PARTS_MAX],
                      const struct tree *before, const struct tree *after)
{
    struct tree now;

    tree_read(&now, db);
    if (!tree_between(&now, before, after)) {
        tree_print(&now, "now");
        bad("neither old nor new", "after the power cut");
    }
    tree_free(&now);
    for (size_t i = 0; i < script_n; i++) {
        if (acked[i] && !step_is_done(db, &script[i])) {
            bad("acknowledged, and not there", step_text(&script[i]));
        }
    }
}

static void all_cuts(uint32_t each)
{
    struct tree before, after;
    struct plan plan;
    struct crash_site site;
    uint32_t nth;
    enum crash_fault fault;
    bool acked[OPS * PARTS_MAX];

    for (size_t i = 0; i < OPS; i++) {
        for (size_t k = 0; k < ops[i].n; k++) {
            script[script_n++] = ops[i].steps[k];
        }
    }
    tree_read(&before, db);

    page_arm(page, NULL, 0, FAULT_NONE);
    run_cut(acked);
    page_off(page);
    tree_read(&after, db);
    plan_of(&plan, page, 1u << FAULT_KILL);
    plan.nth_max = each;
    go_back();
    while (plan_next(&plan, &site, &nth, &fault)) {
        if (!crash_functions[site.fn].changes) {
            continue;
        }
        bool log_too = (cuts & 1) != 0;
        (void)snprintf(now_text, sizeof now_text, "%s, cut%s",
                       plan_text(&site, nth, fault),
                       log_too ? " after the log" : "");
        page_arm(page, &site, nth, fault);
        run_cut(acked);
        page_off(page);
        fs_power_cut_begin(&fs, log_too);
        fs_power_cut_end(&fs);
        cuts++;
        check_cut(acked, &before, &after);
        go_back();
    }
    plan_free(&plan);
    tree_free(&before);
    tree_free(&after);
}

/* --- relaxed ------------------------------------------------------------- */

/* The time that is on the disk speaks only of values that are. */
static void play_relaxed(bool log_too)
{
    enum { KEYS = 8 };
    struct step set = {STEP_SET, "t", NULL, "a relaxed value"};
    char key[32];
    uint64_t seq;
    struct agent a;
    int64_t first_s = fresh_s;
    (void)snprintf(now_text, sizeof now_text, "relaxed, cut%s",
                   log_too ? " after the log" : "");
    begin_session(&a, false);
    set.key = key;
    for (int i = 0; i < KEYS && !a.eof; i++) {
        (void)snprintf(key, sizeof key, "r%lld", (long long)++fresh_s);
        (void)step_send(&a, &set);
        (void)settle(&a);
        do {
            (void)agent_ping(&a, fresh_s * NS_PER_S);
        } while (i == 0 && !a.eof && freshness(&seq) != fresh_s);
    }
    (void)kill(a.pid, SIGSTOP);
    fs_power_cut_begin(&fs, log_too);
    (void)kill(a.pid, SIGCONT);
    kill_session(&a);
    fs_power_cut_end(&fs);
    cuts++;
    check_freshness();
    for (int64_t s = first_s + 1; s <= freshness(&seq); s++) {
        (void)snprintf(key, sizeof key, "r%lld", (long long)s);
        if (!step_is_done(db, &set)) {
            bad("the freshness file speaks of what is not there", key);
        }
    }
}

/* --- life ---------------------------------------------------------------- */

static void first_session(void)
{
    struct agent a;

    if (what == WHAT_REPLICA || what == WHAT_RELAXED) {
        begin_session(&a, false);
        for (size_t i = 0; i < BASE_STEPS; i++) {
            (void)step_send(&a, &base_steps[i]);
        }
        (void)settle(&a);
        agent_end(&a);
        fs_sync(&fs);
    } else {
        go_back();
    }
    expect(base_steps, BASE_STEPS);

    (void)snprintf(now_text, sizeof now_text, "at first");
    compare("the first session");
    if (lab_findings() > 0) {
        fs_end(&fs);
        lab_broken("the first session fails");
    }
}

static int parse_what(int argc, char **argv)
{
    if (argc > 4 &&
        (strcmp(argv[2], "replica") == 0 || strcmp(argv[2], "relaxed") == 0)) {
        what = argv[2][2] == 'p' ? WHAT_REPLICA : WHAT_RELAXED;
        program = argv[3];
        shim = argv[4];
        return 5;
    }
    if (argc > 2 && strcmp(argv[2], "library") == 0) {
        what = WHAT_LIBRARY;
        return 3;
    }
    if (argc > 3 && strcmp(argv[2], "kv") == 0) {
        what = WHAT_KV;
        program = argv[3];
        return 4;
    }
    lab_broken("usage: power ext4|xfs replica|relaxed|library|kv ...");
}

int main(int argc, char **argv)
{
    size_t depth = 1;
    uint32_t each = 0;
    bool at_calls = false;
    int i = parse_what(argc, argv);

    for (; i < argc; i++) {
        const char *more = i + 1 < argc ? argv[i + 1] : "0";
        if (strcmp(argv[i], "--depth") == 0) {
            depth = strtoul(more, NULL, 10);
        } else if (strcmp(argv[i], "--swallow") == 0) {
            swallow = (uint32_t)strtoul(more, NULL, 10);
        } else if (strcmp(argv[i], "--each") == 0) {
            each = (uint32_t)strtoul(more, NULL, 10);
        } else if (strcmp(argv[i], "--cuts") == 0) {
            at_calls = true;
        }
    }
    lab_begin(base);
    fs_begin(&fs, argv[1], base, base);
    (void)snprintf(db, sizeof db, "%s/db", fs.at);
    (void)snprintf(shadow, sizeof shadow, "%s/shadow", base);
    lab_make_dir(db);
    lab_make_dir(shadow);
    page = page_new(base, page_path);
    first_session();
    if (what == WHAT_RELAXED) {
        for (int k = 0; k < 4; k++) {
            play_relaxed((k & 1) != 0);
        }
    } else if (at_calls) {
        all_cuts(each);
    } else {
        all_sequences(depth < DEPTH_MAX ? depth : DEPTH_MAX);
    }
    (void)printf("%s: %llu power cuts, %zu findings, %u syncs swallowed\n",
                 fs.kind, (unsigned long long)cuts, lab_findings(),
                 page->swallowed);
    fs_end(&fs);
    lab_end(base);
    return swallow != 0 ? lab_findings() == 0 : lab_findings() > 0;
}
