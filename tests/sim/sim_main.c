/* SPDX-License-Identifier: MIT
 *
 * sim_main: runs seeds, each in a process of its own, so that an assertion in
 * the core is a finding like any other.
 *
 *     sim [--seed N] [--seeds COUNT] [--steps N] [--list FILE]
 *         [--break NAME] [--handovers] [--verbose]
 *
 * Without --seed: DROVER_SIM_SEED, or a random one; it is printed first.
 * --list runs the lines "SEED STEPS" of a file.  --break disables a rule and
 * succeeds when the promise that rests on it is reported broken. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/sim/sim.h"

enum { EXIT_PROMISE = 20, STEPS = 4000, LIST_MAX = 200 };

/* Which promise each break must break. */
static const struct {
    const char *name;
    int promise[2];
} breaks[BREAK_COUNT] = {
    [BREAK_NOTHING] = {"nothing", {-1, -1}},
    [BREAK_SYNC] = {"sync", {4, 4}},
    [BREAK_READ_OLD] = {"look-old", {2, 2}},
    [BREAK_PLACEHOLDER] = {"placeholder", {1, 1}},
    [BREAK_EVENT] = {"event", {9, 3}},
    [BREAK_DRAIN] = {"drain", {9, 9}},
    [BREAK_ROOT] = {"root", {5, 5}},
    [BREAK_ACK] = {"ack", {4, 4}},
    [BREAK_TEAR] = {"tear", {1, 4}},
    [BREAK_VERIFY] = {"verify", {3, 3}},
    [BREAK_ALONE] = {"alone", {6, 6}},
    [BREAK_HEALTH] = {"health", {9, 9}},
    [BREAK_TERM] = {"term", {10, 10}},
};

/* --- for the rest of the simulator --------------------------------------- */

void sim_note(struct sim *s, const char *fmt, ...)
{
    char *line = s->notes[s->notes_count++ % NOTES];
    va_list ap;
    int n = snprintf(line, sizeof s->notes[0], "%7" PRIu64 " %9.3fs ", s->step,
                     (double)s->now_us / 1e6);

    va_start(ap, fmt);
    (void)vsnprintf(line + n, sizeof s->notes[0] - (size_t)n, fmt, ap);
    va_end(ap);
    if (s->verbose) {
        (void)fprintf(stderr, "%s\n", line);
    }
}

void sim_fail(struct sim *s, int promise, const char *fmt, ...)
{
    size_t first = s->notes_count > NOTES ? s->notes_count - NOTES : 0;
    va_list ap;

    for (size_t i = first; i < s->notes_count && !s->verbose; i++) {
        (void)fprintf(stderr, "%s\n", s->notes[i % NOTES]);
    }
    (void)fprintf(stderr,
                  "seed %" PRIu64 " steps %" PRIu64 ": at step %" PRIu64
                  ", P%d is broken: ",
                  s->seed, s->steps, s->step, promise);
    va_start(ap, fmt);
    (void)vfprintf(stderr, fmt, ap);
    va_end(ap);
    (void)fprintf(stderr, "\n");
    _exit(EXIT_PROMISE + promise);
}

uint64_t sim_below(struct sim *s, uint64_t limit)
{
    return prng_below(&s->rnd, limit);
}

bool sim_chance(struct sim *s, unsigned permille)
{
    return sim_below(s, 1000) < permille;
}

int64_t sim_now_ms(const struct sim *s)
{
    return 1000000 + s->now_us / 1000;
}

int64_t sim_wall(struct sim *s)
{
    int64_t now_ns = WALL_0_NS + s->now_us * 1000;

    s->wall_ns = now_ns > s->wall_ns ? now_ns : s->wall_ns + 1;
    return s->wall_ns;
}

/* --- running seeds ------------------------------------------------------- */

struct options {
    uint64_t seed, seeds, steps;
    const char *list;
    enum sim_break broken;
    bool handovers; /* in every run, not in every fifth */
    bool verbose;
};

static _Noreturn void child(const struct options *o, uint64_t seed,
                            uint64_t steps)
{
    struct sim *s = calloc(1, sizeof *s);

    if (s == NULL) {
        abort();
    }
    if (o->broken != BREAK_NOTHING && !o->verbose &&
        freopen("/dev/null", "w", stderr) == NULL) {
        abort();
    }
    s->seed = seed;
    s->steps = steps;
    s->rnd = prng_of(seed);
    s->broken = o->broken;
    s->handovers = o->handovers || o->broken == BREAK_TERM;
    s->verbose = o->verbose;
    sim_run(s);
    free(s);
    exit(0); /* not _exit: a leak must be found */
}

/* The exit status of a run: 0, EXIT_PROMISE + n, or something worse. */
static int run(const struct options *o, uint64_t seed, uint64_t steps)
{
    int status = 0;

    (void)fflush(NULL);
    pid_t pid = fork();

    if (pid == 0) {
        child(o, seed, steps);
    }
    if (pid < 0 || waitpid(pid, &status, 0) != pid) {
        perror("sim");
        exit(1);
    }
    if (WIFEXITED(status)) {
        return WEXITSTATUS(status);
    }
    (void)printf("seed %" PRIu64 " steps %" PRIu64 ": signal %d\n", seed, steps,
                 WTERMSIG(status));
    return 1;
}

static int run_seeds(const struct options *o)
{
    int failed = 0;

    for (uint64_t i = 0; i < o->seeds; i++) {
        int rc = run(o, o->seed + i, o->steps);
        if (rc != 0) {
            (void)printf("FAILED: --seed %" PRIu64 " --steps %" PRIu64
                         " (status %d)\n",
                         o->seed + i, o->steps, rc);
            failed++;
        }
    }
    (void)printf("%" PRIu64 " seeds of %" PRIu64 " steps, %d failed\n",
                 o->seeds, o->steps, failed);
    return failed > 0 ? 1 : 0;
}

/* The file is read before the first run: a child's exit would move the offset
 * that it shares with us. */
static int run_list(const struct options *o)
{
    struct {
        uint64_t seed, steps;
    } runs[LIST_MAX];
    FILE *f = fopen(o->list, "r");
    char line[256];
    int failed = 0, count = 0;

    if (f == NULL) {
        perror(o->list);
        return 1;
    }
    while (count < LIST_MAX && fgets(line, sizeof line, f) != NULL) {
        if (line[0] != '#' &&
            sscanf(line, "%" SCNu64 " %" SCNu64, &runs[count].seed,
                   &runs[count].steps) == 2) {
            count++;
        }
    }
    (void)fclose(f);
    for (int i = 0; i < count; i++) {
        if (run(o, runs[i].seed, runs[i].steps) != 0) {
            (void)printf("FAILED: --seed %" PRIu64 " --steps %" PRIu64 "\n",
                         runs[i].seed, runs[i].steps);
            failed++;
        }
    }
    (void)printf("%d seeds, %d failed\n", count, failed);
    return failed > 0 || count == 0 ? 1 : 0;
}

/* Some seed must report exactly the promise that was broken; no run may end in
 * another way than that, or well. */
static int run_broken(const struct options *o)
{
    const int *want = breaks[o->broken].promise;
    uint64_t hits = 0, other = 0;

    for (uint64_t i = 0; i < o->seeds; i++) {
        int rc = run(o, o->seed + i, o->steps);
        if (rc == EXIT_PROMISE + want[0] || rc == EXIT_PROMISE + want[1]) {
            hits++;
        } else if (rc != 0) {
            (void)printf("seed %" PRIu64 ": status %d\n", o->seed + i, rc);
            other++;
        }
    }
    (void)printf("break %s: P%d reported by %" PRIu64 " of %" PRIu64
                 " seeds, something else by %" PRIu64 "\n",
                 breaks[o->broken].name, want[0], hits, o->seeds, other);
    return hits > 0 ? 0 : 1;
}

static enum sim_break break_of(const char *name)
{
    for (int b = 0; b < BREAK_COUNT; b++) {
        if (strcmp(breaks[b].name, name) == 0) {
            return (enum sim_break)b;
        }
    }
    (void)fprintf(stderr, "sim: no break is named %s\n", name);

    exit(2);
}

int main(int argc, char **argv)
{
    const char *given = getenv("DROVER_SIM_SEED");
    struct options o = {
        .seed = given != NULL ? strtoull(given, NULL, 10) : rand_seed() >> 24,
        .seeds = 1,
        .steps = STEPS,
    };

    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : "";
        if (strcmp(argv[i], "--verbose") == 0) {
            o.verbose = true;
            continue;
        }
        if (strcmp(argv[i], "--handovers") == 0) {
            o.handovers = true;
            continue;
        }
        i++;
        if (strcmp(argv[i - 1], "--seed") == 0) {
            o.seed = strtoull(value, NULL, 10);
        } else if (strcmp(argv[i - 1], "--seeds") == 0) {
            o.seeds = strtoull(value, NULL, 10);
        } else if (strcmp(argv[i - 1], "--steps") == 0) {
            o.steps = strtoull(value, NULL, 10);
        } else if (strcmp(argv[i - 1], "--list") == 0) {
            o.list = value;
        } else if (strcmp(argv[i - 1], "--break") == 0) {
            o.broken = break_of(value);
        } else {
            (void)fprintf(stderr, "sim: unknown option %s\n", argv[i - 1]);
            return 2;
        }
    }
    (void)printf("DROVER_SIM_SEED=%" PRIu64 "\n", o.seed);
    if (o.list != NULL) {
        return run_list(&o);
    }
    return o.broken != BREAK_NOTHING ? run_broken(&o) : run_seeds(&o);
}
