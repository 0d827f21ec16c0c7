/* SPDX-License-Identifier: MIT
 *
 * report: see report.h.
 *
 * The agent's status comes first, for it names the process, the file and the
 * database; whether that came or not, all the rest is tried.  An agent that did
 * not answer once is not asked again.
 */
#include "agent/report/report.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/report/host.h"
#include "agent/report/part.h"
#include "agent/report/redact.h"
#include "store/base/cleanup.h"

enum {
    PART_MS = 10000,
    CHECK_MS = 60000, /* it asks each replica, and has times of its own */
    WORDS_MAX = 16,
};

static const char README[] =
    "A report made by `drover bugreport`.  MISSING says what could not be "
    "had,\n"
    "and why.  It holds no value and no private key.  Look at it before you\n"
    "send it: names of hosts, users, replicas and paths are in it.\n";
static const char HASHED[] =
    "In the place of each name of a table or key is a short hash of it, the\n"
    "same in all reports of this host; sentences that may hold a name are\n"
    "replaced by what their number means (drover-errors(7)).\n";

/* --- parts --------------------------------------------------------------- */

enum how {
    AS_IT_IS = 0,
    SAYS = 1,    /* what it says on standard error belongs to it */
    OBJECTS = 2, /* JSON, a line each, whose names are hashed */
    ANSWERS = 4, /* 1 is an answer, too */
};

static void miss(struct report *r, const char *name, const char *why)
{
    buf_printf(&r->missing, "%s: %s\n", name, why);
}

/* Takes the output.  Nothing of it is kept that might hold names. */
static void keep(struct report *r, const char *name, unsigned how,
                 struct part_end *end)
{
    struct redact redact;
    struct buf *to;

    if (end->out.len == 0) {
        return;
    }
    to = bundle_add(&r->files, name);
    if ((how & OBJECTS) == 0 || r->names) {
        *to = end->out;
        end->out = (struct buf)BUF_NULL;
        return;
    }
    redact_begin(&redact);
    if (!redact_lines(&redact, bytes_of(end->out.data, end->out.len), to)) {
        buf_clear(to);
        miss(r, name, "out of memory");
    }
}

/* False: it has no answer. */
static bool run(struct report *r, const char *name, unsigned how,
                const struct part *p, struct buf *copy)
{
    struct part_end end = PART_END_NULL;

    if (r->begins != NULL) {
        r->begins(r->arg, name);
    }
    part_run(p, &end);
    bool good = end.why[0] == '\0' ||
                ((how & ANSWERS) != 0 && end.status == 1 && end.out.len > 0);
    if (!good) {
        miss(r, name, end.why);
    } else if (end.out.len == 0) {
        miss(r, name, "it is empty");
    }
    if (copy != NULL) {
        buf_put(copy, end.out.data, end.out.len);
    }
    keep(r, name, how, &end);
    part_end_deinit(&end);
    return good;
}

static bool run_program(struct report *r, const char *name, unsigned how,
                        const char *const *argv)
{
    const struct part p = {
        .argv = argv, .timeout_ms = PART_MS, .with_stderr = (how & SAYS) != 0};

    return run(r, name, how, &p, NULL);
}

static void run_print(struct report *r, const char *name,
                      int (*print)(FILE *out, const void *arg), const void *arg)
{
    const struct part p = {.print = print, .arg = arg, .timeout_ms = PART_MS};

    (void)run(r, name, AS_IT_IS, &p, NULL);
}

/* A command of drover, for this agent (by its socket) or configuration. */
static bool run_drover(struct report *r, const char *name, unsigned how,
                       bool by_socket, int64_t timeout_ms,
                       const char *const *words, struct buf *copy)
{
    const char *argv[WORDS_MAX] = {r->program};
    size_t n = 1;

    if (by_socket && r->socket != NULL) {
        argv[n++] = "--socket";
        argv[n++] = r->socket;
    } else if (r->file != NULL) {
        argv[n++] = "--config";
        argv[n++] = r->file;
    }
    for (size_t i = 0; words[i] != NULL; i++) {
        argv[n++] = words[i];
    }
    const struct part p = {.argv = argv,
                           .timeout_ms = timeout_ms,
                           .with_stderr = (how & SAYS) != 0};

    return run(r, name, how, &p, copy);
}

#define WORDS(...) ((const char *const[]){__VA_ARGS__, NULL})

/* --- what the agent says ------------------------------------------------- */

static char *copy_text(const json_t *o, const char *name)
{
    const char *text = json_string_value(json_object_get(o, name));

    return text != NULL ? strdup(text) : NULL;
}

/* Takes `text`; what the agent tells stands above what a file does. */
static void replace(char **at, char *text)
{
    free(*at);
    *at = text;
}

/* Takes what the rest needs to know. */
static void learn(struct report *r, const struct buf *text)
{
    json_t *status = json_loadb((const char *)text->data, text->len, 0, NULL);
    const json_t *database = json_object_get(status, "database");

    r->pid = (pid_t)json_integer_value(json_object_get(status, "pid"));
    replace(&r->database, copy_text(database, "path"));
    replace(&r->name, copy_text(database, "name"));
    if (r->file == NULL) {
        r->file = copy_text(database, "file");
    }
    json_decref(status);
}

/* A setting of [database] in the output of show-config --json. */
static char *setting_of(const json_t *config, const char *name)
{
    const json_t *one;
    size_t i;

    json_array_foreach(json_object_get(config, "settings"), i, one) {
        const char *setting =
            json_string_value(json_object_get(one, "setting"));
        if (setting != NULL && strcmp(setting, name) == 0 &&
            json_is_null(json_object_get(one, "replica"))) {
            return copy_text(one, "value");
        }
    }
    return NULL;
}

/* What the agent has told already is of the agent that runs, and stays. */
static void learn_setting(const json_t *config, const char *name, char **at)
{
    if (*at == NULL) {
        *at = setting_of(config, name);
    }
}

static void learn_config(struct report *r, const struct buf *text)
{
    json_t *config = json_loadb((const char *)text->data, text->len, 0, NULL);

    learn_setting(config, "path", &r->database);
    learn_setting(config, "name", &r->name);
    learn_setting(config, "state-dir", &r->state_dir);
    learn_setting(config, "socket", &r->socket);
    json_decref(config);
}

static void gather_config(struct report *r)
{
    CLEANUP(buf_deinit) struct buf text = BUF_NULL;

    if (r->file == NULL) {
        miss(r, "config.json",
             "no configuration file was found; name it with --config or --db");
        miss(r, "check-config.txt", "the same");
        return;
    }
    if (run_drover(r, "config.json", SAYS, false, PART_MS,
                   WORDS("show-config", "--all", "--json"), &text)) {
        learn_config(r, &text);
    }
    (void)run_drover(r, "config.txt", SAYS, false, PART_MS,
                     WORDS("show-config", "--all"), NULL);
    (void)run_drover(r, "check-config.txt", SAYS | ANSWERS, false, PART_MS,
                     WORDS("check-config"), NULL);
}

static void ask_agent(struct report *r)
{
    CLEANUP(buf_deinit) struct buf text = BUF_NULL;
    static const char NONE[] = "no agent was found";
    bool answers = false;

    if (r->socket != NULL) {
        answers = run_drover(r, "status.json", OBJECTS | ANSWERS, true, PART_MS,
                             WORDS("status", "--json"), &text);
    } else {
        miss(r, "status.json", NONE);
    }
    if (answers) {
        learn(r, &text);
        (void)run_drover(r, "metrics.txt", AS_IT_IS, true, PART_MS,
                         WORDS("metrics"), NULL);
    } else {
        miss(r, "metrics.txt",
             r->socket == NULL ? NONE : "the agent does not answer");
    }
    if (answers || r->file != NULL) {
        (void)run_drover(r, "events.json", OBJECTS, answers, PART_MS,
                         WORDS("events", "--json"), NULL);
    } else {
        miss(r, "events.json", NONE);
    }
}

/* --- the rest ------------------------------------------------------------ */

/* A program of the project: beside this one, else in PATH; a new string. */
static char *beside(const struct report *r, const char *name)
{
    const char *slash = strrchr(r->program, '/');
    char *path = NULL;

    if (slash != NULL &&
        asprintf(&path, "%.*s%s", (int)(slash + 1 - r->program), r->program,
                 name) >= 0) {
        if (access(path, X_OK) == 0) {
            return path;
        }
        free(path);
    }
    return strdup(name);
}

static void gather_versions(struct report *r)
{
    CLEANUP(freep) char *replica = beside(r, "drover-replica");
    CLEANUP(freep) char *kv = beside(r, "drover-kv");

    (void)run_drover(r, "version.txt", SAYS, true, PART_MS, WORDS("version"),
                     NULL);
    (void)run_program(r, "version-drover-replica.txt", SAYS,
                      WORDS(replica, "version"));
    (void)run_program(r, "version-drover-kv.txt", SAYS, WORDS(kv, "version"));
    /* Not all of them need be there. */
    const struct part p = {
        .argv = WORDS("dpkg-query", "-W", "-f",
                      "${Package} ${Version} ${db:Status-Status}\n", "drover*",
                      "libdrover*", "libuv1", "libssh2-1", "libssl3",
                      "libsodium23", "libjansson4", "libinih1"),
        .timeout_ms = PART_MS};
    (void)run(r, "packages.txt", ANSWERS, &p, NULL);
}

static void gather_check(struct report *r)
{
    bool by_socket = r->file == NULL;

    if (by_socket && r->pid == 0) {
        miss(r, "check.json", "neither a configuration nor an agent was found");
        return;
    }
    (void)run_drover(r, "check.json", OBJECTS | ANSWERS, by_socket, CHECK_MS,
                     WORDS("check", "--json", "--timeout", "5s"), NULL);
}

/* Without Environment=, in which somebody may have put anything. */
static void gather_unit(struct report *r)
{
    CLEANUP(freep) char *unit = NULL;

    if (r->name == NULL || asprintf(&unit, "drover@%s", r->name) < 0) {
        unit = NULL;
        miss(r, "unit.txt", "the database's name is not known");
        return;
    }
    (void)run_program(
        r, "unit.txt", SAYS,
        WORDS("systemctl", "show", unit, "-p",
              "Id,LoadState,ActiveState,SubState,Result,NRestarts,MainPID,"
              "ExecMainStatus,ExecMainCode,FragmentPath,DropInPaths,User,Group,"
              "ActiveEnterTimestamp,InactiveEnterTimestamp,MemoryCurrent,"
              "MemoryPeak,MemoryMax,TasksCurrent,TasksMax,LimitNOFILE,"
              "LimitMEMLOCK,ProtectSystem,ProtectHome,PrivateTmp,"
              "PrivateNetwork,ReadWritePaths,ReadOnlyPaths,InaccessiblePaths,"
              "SystemCallFilter,NoNewPrivileges"));
    /* systemd's own lines: starts, ends, kills. */
    (void)run_program(r, "unit-journal.txt", SAYS,
                      WORDS("journalctl", "--no-pager", "-q", "-o", "short-iso",
                            "-n", "200", "-u", unit, "_PID=1"));
}

static void gather_directory(struct report *r, const char *path,
                             const char *what, const char *mount)
{
    if (path == NULL) {
        miss(r, mount, what);
        return;
    }
    (void)run_program(r, mount, SAYS, WORDS("findmnt", "-T", path));
}

static void gather_host(struct report *r)
{
    const char *paths[3] = {NULL};
    size_t n = 0;

    run_print(r, "system.txt", host_print_system, NULL);
    if (r->pid != 0) {
        run_print(r, "process.txt", host_print_process, &r->pid);
    } else {
        miss(r, "process.txt", "no agent answers");
    }
    gather_directory(r, r->database, "the database is not known",
                     "mount-database.txt");
    gather_directory(r, r->state_dir, "the state directory is not known",
                     "mount-state-dir.txt");
    if (r->database != NULL) {
        paths[n++] = r->database;
    }
    if (r->state_dir != NULL) {
        paths[n++] = r->state_dir;
        run_print(r, "state-dir.txt", host_print_list, r->state_dir);
    }
    if (n > 0) {
        run_print(r, "space.txt", host_print_space, paths);
    }
}

static void add_text(struct report *r, const char *name, const char *text)
{
    struct buf *b = bundle_add(&r->files, name);

    buf_put(b, text, strlen(text));
}

void report_gather(struct report *r)
{
    bool given = r->file != NULL;

    if (given) {
        gather_config(r);
    }
    ask_agent(r);
    if (!given) {
        gather_config(r);
    }
    gather_versions(r);
    gather_check(r);
    gather_unit(r);
    gather_host(r);
    add_text(r, "README", README);
    if (!r->names) {
        buf_put(&r->files.files[r->files.count - 1].data, HASHED,
                sizeof HASHED - 1);
    }
    struct buf *missing = bundle_add(&r->files, "MISSING");
    buf_put(missing, r->missing.data, r->missing.len);
    buf_u8(&r->missing, '\0'); /* ends it as a text, and does not count */
    r->missing.len -= r->missing.bad ? 0 : 1;
}

void report_deinit(struct report *r)
{
    bundle_deinit(&r->files);
    buf_deinit(&r->missing);
    free(r->socket);
    free(r->database);
    free(r->name);
    free(r->file);
    free(r->state_dir);
}
