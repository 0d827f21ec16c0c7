/* SPDX-License-Identifier: MIT
 *
 * sweep_replica: every call of a whole session of `drover-replica receive`
 * (start, values new, over others, large and in groups, deletes, tables made,
 * dropped and moved, freshness, the saved index, the end) fails once in each
 * way it can fail, and the receiver dies there once.
 *
 * After each: what was acknowledged is on its disk, every key has its old or
 * its new value, nothing else changed, and what failed was said in words.  The
 * next session finds a digest that is true, acknowledges all of it again, and
 * leaves nothing behind.  A signal or a short transfer shows nowhere.
 *
 *     sweep_replica PROGRAM SHIM [--jobs N] [--each K] [--only FAULT]
 * --each K: of a place that is passed often only the first K calls and the
 * last (default: all).
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "crash_agent.h"
#include "crash_lab.h"
#include "crash_script.h"
#include "store/base/clock.h"

enum { GROUP = 12 };

static const struct step base_steps[] = {
    {STEP_SET, "", "root", "old root"},
    {STEP_SET, "t", "over", "old"},
    {STEP_SET, "t", "gone", "still there"},
    {STEP_SET, "t", "stays", "stays"},
    {STEP_LARGE, "t", "large", "700000"},
    {STEP_SET, "d", "1", "one"},
    {STEP_SET, "d", "2", "two"},
    {STEP_SET, "mv/old", "k", "moves"},
    {STEP_SET, "g", "k0", "before"},
    /* what the script made is taken back */
    {STEP_DELETE, "t", "fresh", NULL},
    {STEP_DROP, "x/y", NULL, NULL},
    {STEP_DROP, "void", NULL, NULL},
    {STEP_DROP, "mv/new", NULL, NULL},
};
static const struct step first_steps[] = {
    {STEP_SET, "", "root", "new root"}, {STEP_SET, "t", "over", "new"},
    {STEP_SET, "t", "fresh", "fresh"},  {STEP_SET, "x/y", "k", ""},
    {STEP_DELETE, "t", "gone", NULL},
};
static const struct step second_steps[] = {
    {STEP_TABLE, "void", NULL, NULL},   {STEP_LARGE, "t", "large", "1300000"},
    {STEP_DROP, "d", NULL, NULL},       {STEP_TABLE, "mv/new", NULL, NULL},
    {STEP_SET, "mv/new", "k", "moves"}, {STEP_DROP, "mv/old", NULL, NULL},
};
/* Once more what is so already. */
static const struct step third_steps[] = {
    {STEP_SET, "t", "stays", "stays"},
    {STEP_DELETE, "t", "gone", NULL},
    {STEP_TABLE, "void", NULL, NULL},
    {STEP_DROP, "d", NULL, NULL},
};

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
enum {
    STEPS =
        COUNT(first_steps) + GROUP + COUNT(second_steps) + COUNT(third_steps),
    PHASES = 4
};

static struct step steps[STEPS];
static size_t phase_end[PHASES];
static char group_keys[GROUP][8];

static const char *program, *shim;
static char base[LAB_PATH], dir[LAB_PATH + 8], page_path[LAB_PATH];
static struct crash_page *page;
static struct tree before, after;
static struct lab_files idle;
static uint64_t met, missed;

/* --- the script ---------------------------------------------------------- */

static size_t add(size_t n, const struct step *from, size_t count)
{
    memcpy(&steps[n], from, count * sizeof *from);
    return n + count;
}

static void make_script(void)
{
    size_t n = add(0, first_steps, COUNT(first_steps));

    phase_end[0] = n;
    for (size_t i = 0; i < GROUP; i++) {
        (void)snprintf(group_keys[i], sizeof group_keys[i], "k%zu", i);
        steps[n++] = (struct step){STEP_SET, "g", group_keys[i], "group"};
    }
    phase_end[1] = n;
    phase_end[2] = n = add(n, second_steps, COUNT(second_steps));
    phase_end[3] = add(n, third_steps, COUNT(third_steps));
}

struct result {
    bool acked[STEPS];
    uint64_t naks;
    bool whole; /* the session went to its end */
    struct lab_files open;
    int status;
    char said[3400];
};

static void send_phase(struct agent *a, size_t from, size_t to,
                       uint64_t seqs[STEPS], struct result *r)
{
    for (size_t i = from; i < to; i++) {
        if (!r->acked[i]) {
            seqs[i] = step_send(a, &steps[i]);
        }
    }
    r->whole = agent_settle(a);
    for (size_t i = from; i < to; i++) {
        r->acked[i] = a->answers[seqs[i]] == ANSWER_ACK;
    }
}

/* What is open at the end, and was not without a fault.  The receiver keeps the
 * directories of some tables open, and which depends on the order of things. */
static const char *left_open(const struct result *r)
{
    return idle.n > 0 ? lab_more_open(&idle, &r->open, ".tbl") : NULL;
}

/* The whole script; a refused change is sent once more. */
static void run_script(struct agent *a, struct result *r)
{
    uint64_t seqs[STEPS] = {0};
    size_t from = 0;

    for (size_t p = 0; p < PHASES && (p == 0 || r->whole); p++) {
        send_phase(a, from, phase_end[p], seqs, r);
        if (r->whole && a->naked > r->naks) {
            r->naks = a->naked;
            send_phase(a, from, phase_end[p], seqs, r);
        }
        from = phase_end[p];
    }
    r->naks = a->naked;

    r->whole = r->whole && agent_ping(a, 1000000000);
    lab_open_files(a->pid, &r->open);
    for (int i = 0; i < 200 && r->whole && left_open(r) != NULL; i++) {
        clock_sleep_ns(NS_PER_MS); /* a file of another thread, for a moment */
        lab_open_files(a->pid, &r->open);
    }
}

static void faulted_session(struct result *r)
{
    char preload[LAB_PATH + 16], where[LAB_PATH + 16];
    const char *env[] = {preload, where, NULL};
    struct agent a;

    *r = (struct result){.whole = false};
    (void)snprintf(preload, sizeof preload, "LD_PRELOAD=%s", shim);
    (void)snprintf(where, sizeof where, "CRASH_PAGE=%s", page_path);
    agent_begin(&a, program, dir, env, WIRE_DURABLE);
    run_script(&a, r);
    agent_end(&a);
    r->status = a.status;
    (void)snprintf(r->said, sizeof r->said, "%s", agent_said(&a));
}

/* --- judging ------------------------------------------------------------- */

static void bad(const char *what, const char *more)
{
    lab_bad("%s: %s", what, more);
}

static void check_disk(const struct result *r)
{
    struct tree now;

    tree_read(&now, dir);
    if (!tree_between(&now, &before, &after)) {
        tree_print(&now, "now");
        bad("neither old nor new", r->said);
    }
    tree_free(&now);
    for (size_t i = 0; i < STEPS; i++) {
        if (r->acked[i] && !step_is_done(dir, &steps[i])) {
            bad("acknowledged, and not there", step_text(&steps[i]));
        }
    }
}

static void check_words(const struct result *r, enum crash_fault fault)
{
    bool failed = !r->whole || r->naks > 0 || r->status != 0;

    if (fault == FAULT_KILL) {
        return;
    }
    if (failed && (fault == FAULT_EINTR || fault == FAULT_SHORT)) {
        bad("a signal or a short transfer shows", r->said);
    }
    if (failed && strcmp(r->said, "stderr: ; ERROR: ; NAK: ") == 0) {
        bad("it failed and said nothing", "");
    }
    if (WIFSIGNALED(r->status) && strstr(r->said, "memory") == NULL) {
        bad("it died of a signal", r->said);
    }
    if (r->whole && left_open(r) != NULL) {
        bad("a descriptor is left open", left_open(r));
    }
}

static void send_all(struct agent *a, const struct step *list, size_t n,
                     const char *what)
{
    for (size_t i = 0; i < n; i++) {
        (void)step_send(a, &list[i]);
    }
    if (!agent_settle(a) || a->naked > 0) {
        bad(what, agent_said(a));
    }
}

static void check_root(struct agent *a, struct digest root, const char *when)
{
    struct digest want = script_root(dir);

    if (!a->eof && !digest_equal(root, want)) {
        bad("the digest is not true", when);
    }
}

/* The next session: all is told truly, done again, and taken back. */
static void clean_session(void)
{
    struct agent a;
    struct tree now;
    char what[300];

    agent_begin(&a, program, dir, NULL, WIRE_DURABLE);
    if (!agent_settle(&a)) {
        bad("the next session does not begin", agent_said(&a));
    } else {
        check_root(&a, a.ready_frame.root, "READY");
    }
    send_all(&a, steps, STEPS, "a later try does not succeed");
    if (agent_ping(&a, 1000000000)) {
        check_root(&a, a.pong.root, "PONG");
    }
    tree_read(&now, dir);
    if (!tree_equal(&now, &after)) {
        tree_print(&now, "now");
        bad("the next session did not make it equal", agent_said(&a));
    }
    tree_free(&now);
    send_all(&a, base_steps, COUNT(base_steps), "the way back fails");
    for (size_t i = 1; i < GROUP; i++) {
        (void)agent_change(&a, WIRE_DELETE, "g", group_keys[i]);
    }
    (void)agent_settle(&a);
    agent_end(&a);
    if (a.status != 0) {
        bad("the next session does not end well", agent_said(&a));
    }
    if (!script_is_swept(dir, what, sizeof what)) {
        bad("left behind", what);
    }
}

static void try_one(const struct crash_site *site, uint32_t nth,
                    enum crash_fault fault)
{
    struct result r;

    lab_now(plan_text(site, nth, fault));
    page_arm(page, site, nth, fault);
    faulted_session(&r);
    bool fired = page->fired;
    page_off(page);
    met += fired;
    missed += !fired;
    check_disk(&r);
    check_words(&r, fired ? fault : FAULT_EINTR);
    clean_session();
    struct tree now;
    tree_read(&now, dir);
    if (!tree_equal(&now, &before)) {
        lab_broken("the replica is not what it was at first");
    }
    tree_free(&now);
}

/* --- the sweep ----------------------------------------------------------- */

static void begin(void)
{
    struct agent a;
    struct result r;

    lab_begin(base);
    (void)snprintf(dir, sizeof dir, "%s/db", base);
    lab_make_dir(dir);
    page = page_new(base, page_path);
    agent_begin(&a, program, dir, NULL, WIRE_DURABLE);
    send_all(&a, base_steps, COUNT(base_steps), "the first session");
    agent_end(&a);
    if (lab_findings() > 0) {
        lab_broken("the first session: %s", agent_said(&a));
    }
    tree_read(&before, dir);
    page_arm(page, NULL, 0, FAULT_NONE);
    faulted_session(&r);
    page_off(page);
    if (!r.whole || r.naks > 0 || r.status != 0 || page->n == 0) {
        lab_broken("it fails without a fault: %s", r.said);
    }
    idle = r.open;
    tree_read(&after, dir);
}

static int sweep(uint32_t part, uint32_t parts, uint32_t each, const char *only)
{
    struct plan plan;
    struct crash_site site;
    uint32_t nth;
    enum crash_fault fault;

    begin();
    plan_of(&plan, page, ~0u);
    uint32_t calls = page->calls;
    clean_session();
    plan.part = part;
    plan.parts = parts;
    plan.nth_max = each;
    if (only != NULL) {
        if (!plan_parse(only, &site, &nth, &fault)) {
            lab_broken("--only %s", only);
        }
        try_one(&site, nth, fault);
    } else {
        while (plan_next(&plan, &site, &nth, &fault)) {
            try_one(&site, nth, fault);
        }
    }
    (void)printf("part %u of %u: %u calls at %u places; %llu tries met their "
                 "call, %llu did not; %zu findings\n",
                 part + 1, parts, calls, plan.n, (unsigned long long)met,
                 (unsigned long long)missed, lab_findings());
    plan_free(&plan);
    tree_free(&before);
    tree_free(&after);
    lab_end(base);
    /* Threads change the order, the more so on a busy machine; most calls must
     * be met all the same. */
    return lab_findings() > 0 || met < missed * 4;
}

int main(int argc, char **argv)
{
    uint32_t jobs = 1, each = 0;
    const char *only = NULL;
    int worst = 0, status;

    if (argc < 3) {
        lab_broken("usage: sweep_replica PROGRAM SHIM [options]");
    }
    program = argv[1];
    shim = argv[2];
    for (int i = 3; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--jobs") == 0) {
            jobs = (uint32_t)strtoul(argv[i + 1], NULL, 10);
        } else if (strcmp(argv[i], "--each") == 0) {
            each = (uint32_t)strtoul(argv[i + 1], NULL, 10);
        } else if (strcmp(argv[i], "--only") == 0) {
            only = argv[i + 1];
            jobs = 1;
        }
    }
    make_script();
    for (uint32_t part = 0; part < jobs; part++) {
        (void)fflush(stdout);
        if (fork() == 0) {
            exit(sweep(part, jobs, each, only));
        }
    }
    while (wait(&status) > 0) {
        int code = WIFEXITED(status) ? WEXITSTATUS(status) : 98;
        worst = code > worst ? code : worst;
    }
    return worst;
}
