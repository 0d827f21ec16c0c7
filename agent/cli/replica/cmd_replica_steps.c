/* SPDX-License-Identifier: MIT
 *
 * cmd_replica_steps: see cmd_replica_steps.h. */
#include "agent/cli/replica/cmd_replica_steps.h"

#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "agent/base/object.h"
#include "agent/cli/render/render_field.h"
#include "agent/cli/replica/cmd_replica.h"
#include "agent/config/hint_names.h"
#include "store/base/cleanup.h"
#include "sync/errors/state.h"

enum { RELOAD_TIMEOUT_MS = 30000 };

/* --- Ctrl-C -------------------------------------------------------------- */

static volatile sig_atomic_t interrupted;

static void on_interrupt(int sig)
{
    interrupted = sig;
}

/* Without SA_RESTART: a question that waits for its answer ends. */
void replica_steps_catch_interrupt(void)
{
    struct sigaction action = {.sa_handler = on_interrupt};

    interrupted = 0;
    (void)sigaction(SIGINT, &action, NULL);
    (void)sigaction(SIGTERM, &action, NULL);
    (void)sigaction(SIGHUP, &action, NULL);
}

bool replica_steps_interrupted(void *arg)
{
    (void)arg;
    return interrupted != 0;
}

/* --- steps --------------------------------------------------------------- */

void replica_steps_begin(struct replica_steps *s, struct cli *cli,
                         const struct config *config)
{
    *s = (struct replica_steps){
        .cli = cli, .config = config, .list = json_array()};
}

void replica_steps_deinit(struct replica_steps *s)
{
    json_decref(s->list);
    s->list = NULL;
}

static void note(struct replica_steps *s, const char *name, const char *state,
                 const char *text)
{
    json_t *o = json_pack("{s:s, s:s, s:o}", "step", name, "state", state,
                          "text", object_text(text));
    size_t i;
    const json_t *one;

    json_array_foreach(s->list, i, one) {
        if (strcmp(field_text(one, "step", ""), name) == 0) {
            (void)json_array_set_new(s->list, i, o);
            return;
        }
    }
    (void)json_array_append_new(s->list, o);
}

void replica_steps_told(void *arg, enum enroll_step_id id,
                        const struct enroll_step *step)
{
    struct replica_steps *s = arg;
    const struct cli *cli = s->cli;
    const char *name = enroll_step_name(id);
    const char *state = enroll_state_word(step->state);

    note(s, name, state, step->text);
    /* The error itself comes at the end. */
    if (cli->line.json || cli->quiet || step->state == ENROLL_FAILED) {
        return;
    }
    (void)fprintf(cli->line.out, "%-11s %s: ", name, state);
    render_clean(cli->line.out, step->text);
    (void)fputc('\n', cli->line.out);
    (void)fflush(cli->line.out);
}

/* --- reload -------------------------------------------------------------- */

static void say_changes(const json_t *result, char *text, size_t room)
{
    const json_t *changes = json_object_get(result, "changes");
    const json_t *one;
    size_t i, used = 0;

    (void)snprintf(text, room, "nothing changed");
    json_array_foreach(changes, i, one) {
        const char *line = json_string_value(one);
        int n = snprintf(text + used, room - used, "%s%s", i > 0 ? "; " : "",
                         line != NULL ? line : "?");
        if (n < 0 || (size_t)n >= room - used) {
            return;
        }
        used += (size_t)n;
    }
}

/* The agent's own words, with its number. */
static int refused(const json_t *error, struct err *err)
{
    uint64_t id = 0;

    (void)field_count(error, "id", &id);
    (void)err_set(err, ERR_INVALID, 0, "the agent refuses to read it: %.500s",
                  field_text(error, "text", "?"));
    err->id = (int)id;
    return err->code;
}

int replica_steps_reload(void *arg, char *text, size_t room, struct err *err)
{
    const struct replica_steps *s = arg;
    json_t *request = json_pack("{s:s}", "cmd", "reload");
    json_t *answer = NULL;

    int rc = control_call(s->config->socket, request, RELOAD_TIMEOUT_MS, NULL,
                          NULL, &answer, err);
    json_decref(request);
    if (rc < 0) {
        return err->id == DR_NO_AGENT ? 1 : rc;
    }
    const json_t *error = json_object_get(answer, "error");
    rc = 0;
    if (json_is_object(error)) {
        rc = refused(error, err);
    } else {
        say_changes(json_object_get(answer, "result"), text, room);
    }
    json_decref(answer);
    return rc;
}

/* --- the end ------------------------------------------------------------- */

static int exit_code(const struct err *err)
{
    return replica_steps_interrupted(NULL) ? EXIT_INTERRUPTED
           : err->code == 0                ? EXIT_GOOD
                                           : dr_exit(err, EXIT_BAD);
}

static void print_steps(struct replica_steps *s, const char *replica,
                        json_t *more, const struct err *err, const char *hint,
                        int code)
{
    json_t *o = json_pack("{s:s, s:O}", "replica", replica, "steps", s->list);

    (void)json_object_update(o, more);
    if (err->code != 0) {
        json_t *error = object_error(err);
        if (hint[0] != '\0') {
            (void)json_object_set_new(error, "hint", object_text(hint));
        }
        (void)json_object_set_new(error, "exit", json_integer(code));
        (void)json_object_set_new(o, "error", error);
    }
    cli_print_json(s->cli, o);
    json_decref(o);
}

char *replica_steps_remedy(const struct replica_steps *s,
                           const struct config_replica *r,
                           const struct err *err)
{
    json_t *error = hint_names_error(err, s->config, r);
    char *hint = strdup(field_text(error, "hint", ""));

    json_decref(error);
    return hint;
}

int replica_steps_end(struct replica_steps *s, const struct config_replica *r,
                      json_t *more, const struct err *err, const char *hint)
{
    CLEANUP(freep)
    char *own = hint == NULL ? replica_steps_remedy(s, r, err) : NULL;
    struct cmdline *line = &s->cli->line;
    int code = exit_code(err);
    bool json = line->json;

    hint = hint != NULL ? hint : own != NULL ? own : "";
    if (json) {
        print_steps(s, r->name, more, err, hint, code);
    }
    if (err->code != 0) {
        line->json = false; /* it is part of what was printed */
        (void)cmdline_fail_err(line, code, err, hint);
        line->json = json;
    }
    json_decref(more);
    return code;
}
