/* SPDX-License-Identifier: MIT
 *
 * command: command lines, exit codes, and finding the agent.  The agent is a
 * thread that answers each request with a given line. */
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/cli/command.h"
#include "agent/daemon/daemon.h"
#include "store/cmdline/version.h"

/* What `drover agent` would have run. */
static char ran[256];

int daemon_run(struct config *config, const struct daemon_doors *doors)
{
    assert_non_null(doors->listen);
    assert_non_null(doors->close);
    (void)snprintf(ran, sizeof ran, "%s %zu", config->name,
                   config->replicas_count);
    config_free(config);
    return 0;
}

struct fix {
    char dir[80];
    char *out, *err;
    size_t out_len, err_len;
    /* the agent */
    char path[CONTROL_PATH_MAX + 1];
    const char *answer;
    char asked[4096];
    int fd;
    pthread_t thread;
};

static int setup(void **state)
{
    struct fix *f = calloc(1, sizeof *f);
    const char *tmp = getenv("TMPDIR");

    assert_non_null(f);
    (void)snprintf(f->dir, sizeof f->dir, "%s/drover-cmd-XXXXXX",
                   tmp != NULL && strlen(tmp) < 40 ? tmp : "/tmp");
    assert_non_null(mkdtemp(f->dir));
    (void)setenv("XDG_RUNTIME_DIR", f->dir, 1);
    (void)setenv("XDG_STATE_HOME", f->dir, 1);
    (void)unsetenv("DROVER_SOCKET");
    f->fd = -1;
    *state = f;
    return 0;
}

static void stop_agent(struct fix *f)
{
    if (f->fd >= 0) {
        (void)shutdown(f->fd, SHUT_RDWR);
        (void)pthread_join(f->thread, NULL);
        (void)close(f->fd);
        f->fd = -1;
    }
}

static int teardown(void **state)
{
    struct fix *f = *state;
    char command[200];

    stop_agent(f);
    free(f->out);
    free(f->err);
    (void)snprintf(command, sizeof command, "rm -rf '%s'", f->dir);
    assert_int_equal(system(command), 0);
    free(f);
    return 0;
}

/* Of `answer` and `asked`: the test writes one and reads the other. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void set_answer(struct fix *f, const char *answer)
{
    (void)pthread_mutex_lock(&lock);
    f->answer = answer;
    (void)pthread_mutex_unlock(&lock);
}

static void *serve(void *arg)
{
    struct fix *f = arg;
    int fd;

    while ((fd = accept(f->fd, NULL, NULL)) >= 0) {
        char line[4096];
        size_t len = 0;

        while (len < sizeof line - 1 && read(fd, line + len, 1) == 1 &&
               line[len] != '\n') {
            len++;
        }
        line[len] = '\0';
        if (len > 0) { /* not just someone who looks whether we live */
            (void)pthread_mutex_lock(&lock);
            memcpy(f->asked, line, len + 1);
            const char *answer = f->answer;
            (void)pthread_mutex_unlock(&lock);
            if (send(fd, answer, strlen(answer), MSG_NOSIGNAL) < 0) {
                abort(); /* cmocka's asserts belong to the test's thread */
            }
        }
        (void)close(fd);
    }
    return NULL;
}

/* An agent at DIR/run/NAME/control.sock. */
static void start_agent(struct fix *f, const char *name, const char *answer)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    char dir[100];

    (void)snprintf(dir, sizeof dir, "%s/run", f->dir);
    (void)mkdir(dir, 0700);
    (void)snprintf(dir, sizeof dir, "%s/run/%.8s", f->dir, name);
    assert_int_equal(mkdir(dir, 0700), 0);
    int n = snprintf(f->path, sizeof f->path, "%s/run/%.8s/control.sock",
                     f->dir, name);
    assert_true(n > 0 && (size_t)n < sizeof f->path);
    memcpy(addr.sun_path, f->path, strlen(f->path) + 1);
    f->fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(f->fd, (struct sockaddr *)&addr, sizeof addr), 0);
    assert_int_equal(listen(f->fd, 8), 0);
    set_answer(f, answer);
    assert_int_equal(pthread_create(&f->thread, NULL, serve, f), 0);
}

/* Run `drover WORDS...`; what it printed is in f->out and f->err. */
static int run(struct fix *f, ...)
{
    char *argv[20] = {(char *)(uintptr_t) "drover"};
    char run_dir[100];
    char etc_dir[100];
    char var_dir[100];
    int argc = 1;
    va_list args;
    const char *word;

    va_start(args, f);
    while ((word = va_arg(args, const char *)) != NULL) {
        argv[argc++] = (char *)(uintptr_t)word;
    }
    va_end(args);
    free(f->out);
    free(f->err);
    f->out = f->err = NULL;
    (void)snprintf(run_dir, sizeof run_dir, "%s/run", f->dir);
    (void)snprintf(etc_dir, sizeof etc_dir, "%s/etc", f->dir);
    (void)snprintf(var_dir, sizeof var_dir, "%s/var", f->dir);
    struct cli cli = {
        .line = {.out = open_memstream(&f->out, &f->out_len),
                 .err = open_memstream(&f->err, &f->err_len)},
        .run_dir = run_dir,
        .etc_dir = etc_dir,
        .var_dir = var_dir,
    };
    assert_non_null(cli.line.out);
    assert_non_null(cli.line.err);
    int rc = command_main(&cli, argc, argv);
    (void)fclose(cli.line.out);
    (void)fclose(cli.line.err);
    return rc;
}

#define RUN(...) run(f, __VA_ARGS__, (const char *)NULL)

static void assert_has(const char *text, const char *part)
{
    if (strstr(text, part) == NULL) {
        fail_msg("no \"%s\" in: %s", part, text);
    }
}

/* What the agent was asked last. */
static void assert_asked(struct fix *f, const char *part)
{
    char asked[sizeof f->asked];

    (void)pthread_mutex_lock(&lock);
    memcpy(asked, f->asked, sizeof asked);
    (void)pthread_mutex_unlock(&lock);
    assert_has(asked, part);
}

static void write_file(struct fix *f, const char *name, const char *text)
{
    char path[200];

    (void)snprintf(path, sizeof path, "%s/etc", f->dir);
    (void)mkdir(path, 0700);
    (void)snprintf(path, sizeof path, "%s/etc/%s", f->dir, name);
    FILE *out = fopen(path, "w");
    assert_non_null(out);
    (void)fputs(text, out);
    assert_int_equal(fclose(out), 0);
}

/* --- command lines ------------------------------------------------------- */

static void help_names_every_command_examples_first(void **state)
{
    struct fix *f = *state;

    assert_int_equal(RUN("help"), 0);
    for (const struct cmdline_command *c = COMMANDS; c->name != NULL; c++) {
        assert_has(f->out, c->name);
        assert_has(f->out, c->summary);
    }
    for (const struct cmdline_command *c = COMMANDS; c->name != NULL; c++) {
        char first[40];
        size_t n = strcspn(c->name, " ");
        assert_true(n < sizeof first);
        (void)snprintf(first, sizeof first, "%.*s", (int)n, c->name);
        const char *second = c->name[n] != '\0' ? c->name + n + 1 : NULL;
        assert_int_equal(RUN("help", first, second), 0);
        char *examples = strstr(f->out, "Examples:\n");
        char *usage = strstr(f->out, "Usage:");
        assert_non_null(examples);
        assert_true(usage > examples);
        assert_int_equal(second != NULL ? RUN(first, second, "--help")
                                        : RUN(first, "--help"),
                         0);
        assert_string_equal(f->err, "");
    }
}

static void mistyped_words_get_a_suggestion_and_code_64(void **state)
{
    struct fix *f = *state;

    assert_int_equal(RUN("resinc"), EX_USAGE);
    assert_has(f->err, "did you mean resync?");
    assert_int_equal(RUN("frobnicate"), EX_USAGE);
    assert_has(f->err, "drover help");
    assert_int_equal(RUN("status", "--wach"), EX_USAGE);
    assert_has(f->err, "did you mean --watch?");
    assert_int_equal(RUN("verify", "--dry-run"), EX_USAGE);
    assert_int_equal(RUN("-z", "status"), EX_USAGE);
    assert_has(f->err, "-z");
    assert_int_equal(RUN("status", "--config"), EX_USAGE);
    assert_has(f->err, "--config needs an argument");
    assert_int_equal(RUN("--json=yes", "status"), EX_USAGE);
    assert_has(f->err, "--json takes no argument");
    assert_int_equal(RUN("status", "extra"), EX_USAGE);
    assert_has(f->err, "status takes no arguments: extra");
    assert_int_equal(RUN("status", "--watch", "2"), EX_USAGE);
    assert_has(f->err, "write --watch=2");
    assert_int_equal(RUN("init", "a", "b"), EX_USAGE);
    assert_has(f->err, "init takes fewer arguments: b");
    assert_int_equal(RUN("approve"), EX_USAGE);
    assert_string_equal(f->err,
                        "drover: approve needs REPLICA\n"
                        "      HINT: usage: drover approve REPLICA [TOKEN]\n");
    assert_int_equal(RUN("status", "--color", "blue"), EX_USAGE);
    assert_int_equal(RUN("wait", "--timeout", "30"), EX_USAGE);
    assert_has(f->err, "needs a unit");
    assert_int_equal(RUN("status", "--db", "a", "--config", "b"), EX_USAGE);
    assert_int_equal(RUN("agent", "/tmp"), EX_USAGE);
    assert_int_equal(RUN("agent", "--log-level", "loud", "/tmp", "h:/x"),
                     EX_USAGE);
}

static void no_agent_is_code_69_with_number_and_hint(void **state)
{
    struct fix *f = *state;

    assert_int_equal(RUN("status"), EX_UNAVAILABLE);
    assert_has(f->err, "DR-502 no agent answers");
    assert_has(f->err, "HINT: ");
    assert_int_equal(RUN("--socket", "/nonexistent/s", "verify"),
                     EX_UNAVAILABLE);
    assert_has(f->err, "/nonexistent/s");
    assert_int_equal(RUN("status", "--json"), EX_UNAVAILABLE);
    assert_has(f->out, "{\"schema\":1,\"error\":{\"id\":502");
    assert_has(f->out, "\"exit\":69}}\n");
    /* A script must not take help for an answer. */
    assert_int_equal(RUN("--json"), EX_UNAVAILABLE);
    assert_has(f->out, "{\"schema\":1,\"error\":{\"id\":502");
    assert_null(strstr(f->out, "Commands:"));
    assert_int_equal(RUN("stats", "--json"), EX_USAGE);
    assert_string_equal(f->out,
                        "{\"schema\":1,\"error\":{\"id\":0,\"text\":"
                        "\"unknown command stats\",\"hint\":\"did you mean "
                        "status?\",\"exit\":64}}\n");
    assert_int_equal(run(f, (const char *)NULL), 0);
    assert_has(f->out, "Commands:");
}

/* --- with an agent ------------------------------------------------------- */

static void the_only_agent_is_found_and_shown_without_a_command(void **state)
{
    struct fix *f = *state;

    start_agent(f, "orders",
                "{\"exit\":1,\"result\":{\"database\":{\"name\":"
                "\"orders\"}}}\n");
    assert_int_equal(run(f, (const char *)NULL), 1);
    assert_has(f->out, "orders");
    assert_int_equal(RUN("--db", "orders", "status", "--json"), 1);
    assert_string_equal(f->out,
                        "{\"schema\":1,\"database\":{\"name\":\"orders\"}}\n");
    assert_int_equal(RUN("status", "-q", "--socket", f->path), 1);
    assert_string_equal(f->out, "");
    assert_int_equal(setenv("DROVER_SOCKET", f->path, 1), 0);
    assert_int_equal(RUN("status"), 1);
}

static void of_several_agents_one_must_be_named(void **state)
{
    struct fix *f = *state;
    struct fix other = *f;

    start_agent(f, "orders", "{\"exit\":0,\"result\":{}}\n");
    start_agent(&other, "users", "{\"exit\":0,\"result\":{}}\n");
    assert_int_equal(RUN("status"), EX_USAGE);
    assert_has(f->err, "several agents run");
    assert_has(f->err, f->path);
    assert_has(f->err, other.path);
    assert_int_equal(RUN("status", "--db", "users"), 0);
    stop_agent(&other);
    /* A dead agent's socket is no agent. */
    assert_int_equal(RUN("status"), 0);
}

static void requests_carry_what_was_typed(void **state)
{
    struct fix *f = *state;

    start_agent(f, "o", "{\"exit\":0,\"result\":{}}\n");
    assert_int_equal(RUN("resync", "eu", "us", "--dry-run", "--content"), 0);
    assert_asked(f, "\"cmd\":\"resync\"");
    assert_asked(f, "\"replicas\":[\"eu\",\"us\"]");
    assert_asked(f, "\"dry_run\":true");
    assert_asked(f, "\"content\":true");
    assert_int_equal(RUN("resync", "-n"), 0);
    assert_asked(f, "\"dry_run\":true");
    assert_int_equal(RUN("verify"), 0);
    assert_asked(f, "\"content\":false");
    assert_int_equal(RUN("wait", "--timeout", "1.5s"), 0);
    assert_asked(f, "\"timeout_ms\":1500");
    assert_int_equal(RUN("wait"), 0);
    assert_asked(f, "\"timeout_ms\":-1");
    assert_int_equal(RUN("approve", "eu"), 0);
    assert_asked(f, "\"replica\":\"eu\"");
    assert_int_equal(RUN("approve", "eu", "5d41402abc4b"), 0);
    assert_asked(f, "\"token\":\"5d41402abc4b\"");
    assert_asked(f, "\"dry_run\":false");
    assert_int_equal(RUN("approve", "eu", "--dry-run"), 0);
    assert_asked(f, "\"dry_run\":true");
    assert_int_equal(RUN("pause", "eu"), 0);
    assert_asked(f, "\"cmd\":\"pause\"");
    assert_int_equal(RUN("retry", "eu", "us"), 0);
    assert_asked(f, "\"cmd\":\"retry\"");
    assert_asked(f, "\"replicas\":[\"eu\",\"us\"]");
}

#define DID(word)                                                              \
    "{\"exit\":0,\"result\":{\"replicas\":[],\"done\":[{\"name\":\"eu\","      \
    "\"did\":\"" word "\"}]}}\n"

static void what_was_done_to_each_replica_is_said(void **state)
{
    struct fix *f = *state;

    start_agent(f, "o", DID("paused"));
    assert_int_equal(RUN("pause", "eu"), 0);
    assert_string_equal(f->out, "eu: paused\n");
    assert_int_equal(RUN("retry"), 0);
    assert_string_equal(f->out, "eu: paused; to go on: drover resume eu\n");
    assert_int_equal(RUN("retry", "-q"), 0);
    assert_string_equal(f->out, "");
    assert_int_equal(RUN("retry", "--json"), 0);
    assert_has(f->out, "\"did\":\"paused\"");
    set_answer(f, DID("resumed"));
    assert_int_equal(RUN("resume"), 0);
    assert_string_equal(f->out, "eu: resumed\n");
    set_answer(f, DID("trying"));
    assert_int_equal(RUN("retry"), 0);
    assert_string_equal(f->out, "eu: trying now\n");
    assert_int_equal(RUN("resume"), 0);
    assert_string_equal(f->out, "eu: was not paused; trying now\n");
    set_answer(f, DID("connected"));
    assert_int_equal(RUN("retry"), 0);
    assert_string_equal(f->out, "eu: connected\n");
    set_answer(f, DID("waiting"));
    assert_int_equal(RUN("retry"), 0);
    assert_has(f->out, "when the agent has seen the database");
}

static void the_agents_exit_code_and_error_are_passed_on(void **state)
{
    struct fix *f = *state;

    start_agent(f, "o",
                "{\"progress\":{\"replicas\":[{\"name\":\"eu\","
                "\"phase\":\"scanning\"}]}}\n{\"exit\":75,\"error\":"
                "{\"id\":505,\"text\":\"too slow\",\"hint\":\"later\"}"
                "}\n");
    assert_int_equal(RUN("wait"), EX_TEMPFAIL);
    assert_has(f->err, "eu scanning\n");
    assert_has(f->err, "drover: DR-505 too slow\n      HINT: later\n");
    assert_int_equal(RUN("wait", "-q"), EX_TEMPFAIL);
    assert_null(strstr(f->err, "scanning"));
    set_answer(f, "{\"exit\":1,\"result\":{\"mode\":\"verify\","
                  "\"replicas\":[{\"name\":\"eu\",\"done\":true,"
                  "\"missing\":1}]}}\n");
    assert_int_equal(RUN("verify"), 1);
    assert_has(f->out, "eu: 1 difference");
    set_answer(f, "hello\n");
    assert_int_equal(RUN("verify"), EX_PROTOCOL);
    set_answer(f, "");
    assert_int_equal(RUN("verify"), EX_UNAVAILABLE);
    assert_has(f->err, "closed the connection");
}

/* One that hangs holds up nobody's answer, and none is told twice. */
static void a_replica_is_told_when_it_is_done(void **state)
{
    struct fix *f = *state;

    start_agent(
        f, "o",
        "{\"progress\":{\"mode\":\"verify\",\"replicas\":["
        "{\"name\":\"eu\",\"done\":true,\"compared\":7,\"names\":[]},"
        "{\"name\":\"us\",\"done\":false}]}}\n"
        "{\"exit\":75,\"error\":{\"id\":505,\"text\":\"x\",\"hint\":\"y\"}"
        "}\n");
    assert_int_equal(RUN("verify"), EX_TEMPFAIL);
    assert_string_equal(f->out, "eu: equal, 7 keys and tables compared\n");
    assert_int_equal(RUN("verify", "--json"), EX_TEMPFAIL);
    assert_null(strstr(f->out, "equal"));
    set_answer(f, "{\"progress\":{\"mode\":\"verify\",\"replicas\":["
                  "{\"name\":\"eu\",\"done\":true,\"compared\":7,"
                  "\"names\":[]}]}}\n"
                  "{\"exit\":1,\"result\":{\"mode\":\"verify\",\"replicas\":["
                  "{\"name\":\"eu\",\"done\":true,\"compared\":7},"
                  "{\"name\":\"us\",\"done\":true,\"failed\":true}]}}\n");
    assert_int_equal(RUN("verify"), 1);
    assert_string_equal(f->out, "eu: equal, 7 keys and tables compared\n"
                                "us: failed\n");
}

static void reload_and_version_show_what_the_agent_says(void **state)
{
    struct fix *f = *state;

    char expected[100];

    (void)snprintf(expected, sizeof expected, "drover %s\n", version_text());
    assert_int_equal(RUN("version"), 0);
    assert_string_equal(f->out, expected);
    assert_int_equal(RUN("--version"), 0);
    assert_string_equal(f->out, expected);
    assert_int_equal(RUN("status", "-V"), 0);
    assert_string_equal(f->out, expected);
    start_agent(f, "o",
                "{\"exit\":0,\"result\":{\"changes\":[\"+us-2\"],"
                "\"version\":\"9.9\",\"database\":\"o\",\"pid\":7}}\n");
    assert_int_equal(RUN("reload"), 0);
    assert_string_equal(f->out, "+us-2\n");
    assert_int_equal(RUN("version"), 0);
    assert_has(f->out, "agent 9.9 of o, pid 7");
}

static void replicas_and_databases_are_completed(void **state)
{
    struct fix *f = *state;

    assert_int_equal(RUN("__complete", "resync", ""), 0);
    assert_string_equal(f->out, "");
    start_agent(f, "o",
                "{\"exit\":1,\"result\":{\"replicas\":[{\"name\":\"eu-1\","
                "\"state\":\"streaming\"},{\"name\":\"us-1\"}]}}\n");
    assert_int_equal(RUN("__complete", "resync", ""), 0);
    assert_string_equal(f->out, "eu-1\tstreaming\nus-1\t\n");
    assert_int_equal(RUN("__complete", "resync", "-n", "us-1", "e"), 0);
    assert_string_equal(f->out, "eu-1\tstreaming\n");
    set_answer(f, "hello\n");
    assert_int_equal(RUN("__complete", "resync", ""), 0);
    assert_string_equal(f->out, "");
    write_file(f, "orders.conf", "");
    write_file(f, "users.conf", "");
    assert_int_equal(RUN("__complete", "--db", ""), 0);
    assert_string_equal(f->out, "orders\t\nusers\t\n");
    assert_int_equal(RUN("__complete", "--db=u"), 0);
    assert_string_equal(f->out, "--db=users\t\n");
}

/* --- without an agent ---------------------------------------------------- */

static void check_config_tells_all_mistakes_with_code_78(void **state)
{
    struct fix *f = *state;

    write_file(f, "good.conf", "[database]\npath = /nonexistent\n");
    write_file(f, "bad.conf", "[database]\npth = /x\nsettle = 1\n");
    assert_int_equal(RUN("check-config", "--db", "good"), 0);
    assert_has(f->out, "is good: database good, 0 replicas");
    assert_has(f->err, "note: ");
    assert_has(f->err, "good.conf:2: path = /nonexistent: No such file");
    assert_has(f->out, "checked as user ");
    assert_int_equal(RUN("--db", "bad", "check-config"), EX_CONFIG);
    assert_has(f->err, "DR-501");
    assert_has(f->err, "bad.conf:2: unknown setting pth; did you mean path?");
    assert_has(f->err, "bad.conf:3: settle");
    assert_int_equal(RUN("check-config", "/nonexistent.conf"), EX_CONFIG);
    assert_int_equal(RUN("--db", "bad", "check-config", "--json"), EX_CONFIG);
    assert_has(f->out, "\"good\":false");
    assert_has(f->out, "\"line\":2,\"setting\":null");
    assert_has(f->out, "\"line\":3,\"setting\":\"settle\"");
    assert_int_equal(RUN("--db", "good", "check-config", "--json"), 0);
    assert_has(f->out, "\"good\":true");
    assert_has(f->out, "\"mistakes\":[]");
    /* The agent starts, and a replica of it will not: neither good nor 78. */
    write_file(f, "half.conf",
               "[database]\npath = /tmp\n[replica a]\n"
               "command = /nonexistent/drover-replica receive /x\n");
    assert_int_equal(RUN("--db", "half", "check-config"), EXIT_BAD);
    assert_has(f->err, "half.conf:4: [replica a] command: /nonexistent/dro");
    assert_has(f->out, "half.conf: 0 mistakes, 1 warning (");
    assert_int_equal(RUN("check-config"), EX_USAGE);
    assert_int_equal(RUN("check-config", "--list-settings"), 0);
    assert_has(f->out, "database\tlock-timeout\t5s\t");
    assert_int_equal(RUN("check-config", "--list-settings", "--json"), 0);
    assert_has(f->out, "{\"schema\":1,\"settings\":[{\"section\":\"");
    assert_has(f->out, "\"setting\":\"lock-timeout\",\"default\":\"5s\"");
    assert_int_equal(RUN("status", "--db", "bad", "--json"), EX_CONFIG);
    assert_has(f->out, "{\"schema\":1,\"error\":{\"id\":501,");
    assert_has(f->out, "\"exit\":78}}\n");
    assert_int_equal(RUN("status", "--db", "bad"), EX_CONFIG);
    assert_int_equal(RUN("status", "--db", "../bad"), EX_CONFIG);
}

/* The same lines, but for comments and (with defaults) what the file's own name
 * decides, which is a default in one and written in the other. */
static void assert_same_settings(const char *a, const char *b, bool all)
{
    while (*a != '\0' || *b != '\0') {
        size_t n = strcspn(a, "\n"), m = strcspn(b, "\n");
        assert_true(a[n] == '\n' && b[m] == '\n');
        if (*a == '#') {
            assert_true(*b == '#' &&
                        (!all || strstr(b, "whole.conf:") != NULL));
        } else {
            assert_int_equal(n, m);
            assert_memory_equal(a, b, n);
        }
        a += n + 1;
        b += m + 1;
    }
}

/* What was printed is a configuration: it prints the same settings again, with
 * other origins. */
static void show_config_prints_one_file_with_origins(void **state)
{
    struct fix *f = *state;
    char text[600];

    write_file(f, "orders.conf",
               "[database]\npath = data\n# why\nsettle=90s\ncache: 1M\n"
               "[replica here]\ncommand = drover-replica receive \"/a b\"\n");
    (void)snprintf(text, sizeof text, "%s/etc/orders.d", f->dir);
    assert_int_equal(mkdir(text, 0700), 0);
    write_file(f, "orders.d/eu-1.conf",
               "[database]\ncache = 2M\n\n[replica eu-1]\nhost = ::1\n"
               "identity = agent\nknown-hosts = keys/hosts\n");
    assert_int_equal(RUN("--db", "orders", "show-config"), 0);
    const char *d = f->dir;
    (void)snprintf(text, sizeof text,
                   "[database]\n# %s/etc/orders.conf:2\npath = %s/etc/data\n"
                   "# %s/etc/orders.conf:4\nsettle = 90s\n"
                   "# %s/etc/orders.d/eu-1.conf:2\ncache = 2M\n\n"
                   "[replica here]\n# %s/etc/orders.conf:7\n"
                   "command = drover-replica receive \"/a b\"\n\n",
                   d, d, d, d, d);
    assert_int_equal(strncmp(f->out, text, strlen(text)), 0);
    (void)snprintf(text, sizeof text,
                   "[replica eu-1]\n# %s/etc/orders.d/eu-1.conf:5\nhost = ::1\n"
                   "# %s/etc/orders.d/eu-1.conf:6\nidentity = agent\n"
                   "# %s/etc/orders.d/eu-1.conf:7\n"
                   "known-hosts = %s/etc/keys/hosts\n",
                   d, d, d, d);
    assert_has(f->out, text);

    for (unsigned all = 0; all < 2; all++) {
        const char *option = all != 0 ? "--all" : "--quiet";
        assert_int_equal(RUN("--db", "orders", "show-config", option), 0);
        char *first = strdup(f->out);
        assert_non_null(first);
        write_file(f, "whole.conf", first);
        assert_int_equal(RUN("--db", "whole", "show-config", option), 0);
        assert_same_settings(first, f->out, all != 0);
        free(first);
    }
}

/* A throwaway public key's fingerprint, as ssh-keygen -l shows it. */
#define HOST_KEY                                                               \
    "ssh-ed25519 "                                                             \
    "AAAAC3NzaC1lZDI1NTE5AAAAIEp1Eo2nDdMIo4o/pbk89ubPp4NkgLxclCkPYwdBttHG"
#define HOST_PRINT "SHA256:Dv0O8CBNL85kQCXHvQ6NTYSogkdd66HCcNOIz4Y+PqU"

static void replica_list_names_targets_places_and_pins(void **state)
{
    struct fix *f = *state;
    char text[600];

    assert_int_equal(RUN("replica", "list"), EX_CONFIG);
    assert_has(f->err, "there is no configuration in ");
    write_file(f, "orders.conf",
               "[database]\npath = /srv/orders\n"
               "[replica here]\ncommand = drover-replica receive /copy\n");
    (void)snprintf(text, sizeof text, "%s/etc/orders.d", f->dir);
    assert_int_equal(mkdir(text, 0700), 0);
    write_file(f, "orders.d/eu-1.conf",
               "[replica eu-1]\nhost = ::1\nport = 2222\nuser = u\n"
               "path = /p\nidentity = k\nknown-hosts = hosts\n");
    write_file(f, "hosts", "# one\n[::1]:2222 " HOST_KEY "\n");
    assert_int_equal(RUN("replica", "list", "--json"), 0);
    (void)snprintf(text, sizeof text,
                   "{\"name\":\"eu-1\",\"target\":\"u@[::1]:2222:/p\","
                   "\"file\":\"%s/etc/orders.d/eu-1.conf\",\"line\":1,"
                   "\"state\":null,\"identity\":\"%s/etc/k\"",
                   f->dir, f->dir);
    assert_has(f->out, text);
    assert_has(f->out, "\"agent\":false");
    assert_has(f->out, "\"fingerprint\":\"" HOST_PRINT "\",\"pinned_line\":2}");
    assert_has(f->out, "\"target\":\"exec:drover-replica receive /copy\"");
    assert_int_equal(RUN("--db", "orders", "replica", "list"), 0);
    assert_has(f->out, "no agent");
    assert_has(f->out, HOST_PRINT);
    write_file(f, "hosts", "other " HOST_KEY "\n");
    assert_int_equal(RUN("replica", "list"), 0);
    assert_has(f->out, "not pinned");
    write_file(f, "users.conf", "[database]\npath = /srv/users\n");
    assert_int_equal(RUN("replica", "list"), EX_USAGE);
    assert_has(f->err, "--db users");
    assert_int_equal(RUN("--db", "users", "replica", "list"), 0);
    assert_has(f->out, "users.conf has no replicas");
    assert_int_equal(RUN("replica", "lits"), EX_USAGE);
}

static void show_config_has_defaults_json_and_mistakes(void **state)
{
    struct fix *f = *state;
    char text[600];

    write_file(f, "orders.conf",
               "[database]\npath = /srv/orders\n"
               "[replica eu-1]\nhost = eu\n"
               "[replica here]\ncommand = x\n");
    assert_int_equal(RUN("--db", "orders", "show-config", "--all"), 0);
    assert_has(f->out, "# default\nname = orders\n");
    assert_has(f->out, "# default\nrescan = 6h\n");
    assert_has(f->out, "# default\nlog-max-bytes = 128M\n");
    assert_has(f->out, "# default\npath = /srv/orders\n");
    assert_has(f->out, "command = drover-replica receive '/srv/orders'\n");
    const char *here = strstr(f->out, "[replica here]");
    assert_non_null(here);
    assert_null(strstr(here, "port = "));         /* it has no effect there */
    assert_null(strstr(f->out, "control-group")); /* nor a default */
    assert_int_equal(RUN("--db", "orders", "show-config", "--json"), 0);
    (void)snprintf(text, sizeof text,
                   "{\"section\":\"replica\",\"replica\":\"eu-1\","
                   "\"setting\":\"host\",\"value\":\"eu\","
                   "\"file\":\"%s/etc/orders.conf\",\"line\":4}",
                   f->dir);
    assert_has(f->out, text);
    (void)snprintf(text, sizeof text, "\"files\":[\"%s/etc/orders.conf\"]",
                   f->dir);
    assert_has(f->out, text);
    assert_null(strstr(f->out, "\"line\":null"));
    assert_int_equal(RUN("--db", "orders", "show-config", "--json", "--all"),
                     0);
    assert_has(f->out, "\"setting\":\"rescan\",\"value\":\"6h\","
                       "\"file\":null,\"line\":null}");
    (void)snprintf(text, sizeof text, "%s/etc/orders.d", f->dir);
    assert_int_equal(mkdir(text, 0700), 0);
    write_file(f, "orders.d/a.conf", "[replica a]\nhots = a\n");
    assert_int_equal(RUN("--db", "orders", "show-config"), EX_CONFIG);
    assert_string_equal(f->out, "");
    assert_has(f->err, "orders.d/a.conf:2: unknown setting hots");
    assert_int_equal(RUN("--db", "orders", "check-config", "--json"),
                     EX_CONFIG);
    (void)snprintf(text, sizeof text,
                   "{\"file\":\"%s/etc/orders.d/a.conf\",\"line\":2,", f->dir);
    assert_has(f->out, text);
    assert_int_equal(RUN("show-config"), EX_USAGE);
    assert_has(f->err, "show-config needs FILE, or --db NAME");
}

static void agent_runs_a_file_or_a_folder_with_targets(void **state)
{
    struct fix *f = *state;
    char text[400];
    char db[120];

    (void)snprintf(db, sizeof db, "%s/db", f->dir);
    assert_int_equal(mkdir(db, 0700), 0);
    (void)snprintf(text, sizeof text,
                   "[database]\npath = %s\nstate-dir = %s/state/a\n"
                   "socket = %s/sock/s\n[replica a]\ncommand = true\n",
                   db, f->dir, f->dir);
    write_file(f, "orders.conf", text);
    assert_int_equal(RUN("agent", "--db", "orders"), 0);
    assert_string_equal(ran, "orders 1");
    struct stat st;
    (void)snprintf(text, sizeof text, "%s/state/a", f->dir);
    assert_int_equal(stat(text, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
    if (geteuid() != 0) { /* root's ad hoc places are not ours to make */
        assert_int_equal(RUN("agent", db, "h:/x", "exec:true"), 0);
        assert_string_equal(ran, "db 2");
    }
    assert_int_equal(RUN("agent", db, "h"), EX_USAGE);
    assert_has(f->err, "./h");
    assert_int_equal(RUN("agent", "--db", "none"), EX_CONFIG);
}

static void init_makes_an_id_once(void **state)
{
    struct fix *f = *state;

    assert_int_equal(RUN("init", f->dir), 0);
    assert_has(f->out, "was given database id ");
    assert_int_equal(RUN("init", f->dir), 0);
    assert_has(f->out, "has database id ");
    assert_int_not_equal(RUN("init", "/nonexistent/db"), 0);
    assert_has(f->err, "No such file");
}

#define LOST_ID "0123456789abcdef0123456789abcdef"
#define OTHER_ID "ffffffffffffffffffffffffffffffff"

/* DIR/var/orders, the state of an agent of DIR/db. */
static void make_state(struct fix *f, const char *epoch)
{
    static const char *const dirs[] = {"db", "var", "var/other", "var/orders"};
    char path[300], text[300];

    for (size_t i = 0; i < sizeof dirs / sizeof dirs[0]; i++) {
        (void)snprintf(path, sizeof path, "%s/%s", f->dir, dirs[i]);
        assert_int_equal(mkdir(path, 0700), 0);
    }
    (void)snprintf(path, sizeof path, "../var/orders/database");
    (void)snprintf(text, sizeof text, LOST_ID " %s/db", f->dir);
    write_file(f, path, text);
    write_file(f, "../var/other/database", OTHER_ID " /srv/other");
    if (epoch != NULL) {
        write_file(f, "../var/orders/epoch", epoch);
    }
}

static void a_database_that_an_agent_knows_gets_no_new_id(void **state)
{
    struct fix *f = *state;
    char db[200], key[210], command[300], text[64];

    make_state(f, "4\n");
    (void)snprintf(db, sizeof db, "%s/db", f->dir);
    (void)snprintf(key, sizeof key, "%s/db/k.kv", f->dir);
    /* Its disk may not be mounted. */
    assert_int_equal(RUN("init", db), EX_CONFIG);
    assert_has(f->err, "findmnt -T");
    assert_int_equal(close(creat(key, 0600)), 0);
    (void)snprintf(command, sizeof command, "drover init --id " LOST_ID " %s",
                   db);
    assert_int_equal(RUN("init", db), EX_CONFIG);
    assert_has(f->err, command);
    assert_int_equal(RUN("init", "--id", OTHER_ID, db), EX_CONFIG);
    assert_has(f->err, command);
    assert_int_equal(RUN("init", "--id", "12", db), EX_USAGE);
    /* Given back, with the next epoch, and where that comes from. */
    assert_int_equal(RUN("init", "--id", LOST_ID, db), 0);
    assert_has(f->out, "given back database id " LOST_ID);
    assert_has(f->out, "Epoch 5");
    assert_has(f->out, "/var/orders has 4");
    (void)snprintf(command, sizeof command, "%s/.drover/epoch", db);
    FILE *in = fopen(command, "r");
    assert_non_null(in);
    assert_non_null(fgets(text, sizeof text, in));
    (void)fclose(in);
    assert_string_equal(text, "5\n");
    assert_int_equal(RUN("init", "--id", LOST_ID, db), 0);
    assert_has(f->out, "has database id " LOST_ID);
}

static void a_new_id_made_by_mistake_is_told(void **state)
{
    struct fix *f = *state;
    char db[200], none[200];

    make_state(f, NULL);
    (void)snprintf(db, sizeof db, "%s/db", f->dir);
    (void)snprintf(none, sizeof none, "%s/none", f->dir);
    /* Made where the state could not be seen. */
    assert_int_equal(RUN("init", "--state", none, db), 0);
    assert_int_equal(RUN("init", db), EX_CONFIG);
    assert_has(f->err, "drover init --id " LOST_ID);
    assert_has(f->err, "mv ");
    assert_int_equal(RUN("init", "--id", LOST_ID, db), EX_CONFIG);
}

static void an_epoch_that_is_not_known_is_asked_for(void **state)
{
    struct fix *f = *state;
    char db[200];

    make_state(f, NULL);
    (void)snprintf(db, sizeof db, "%s/db", f->dir);
    assert_int_equal(RUN("init", "--id", LOST_ID, db), 0);
    assert_has(f->out, "drover-replica promote --epoch N ");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(help_names_every_command_examples_first),
        TEST(mistyped_words_get_a_suggestion_and_code_64),
        TEST(no_agent_is_code_69_with_number_and_hint),
        TEST(the_only_agent_is_found_and_shown_without_a_command),
        TEST(of_several_agents_one_must_be_named),
        TEST(requests_carry_what_was_typed),
        TEST(what_was_done_to_each_replica_is_said),
        TEST(the_agents_exit_code_and_error_are_passed_on),
        TEST(a_replica_is_told_when_it_is_done),
        TEST(reload_and_version_show_what_the_agent_says),
        TEST(replicas_and_databases_are_completed),
        TEST(check_config_tells_all_mistakes_with_code_78),
        TEST(show_config_prints_one_file_with_origins),
        TEST(replica_list_names_targets_places_and_pins),
        TEST(show_config_has_defaults_json_and_mistakes),
        TEST(agent_runs_a_file_or_a_folder_with_targets),
        TEST(init_makes_an_id_once),
        TEST(a_database_that_an_agent_knows_gets_no_new_id),
        TEST(a_new_id_made_by_mistake_is_told),
        TEST(an_epoch_that_is_not_known_is_asked_for),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
