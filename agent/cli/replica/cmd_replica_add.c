/* SPDX-License-Identifier: MIT
 *
 * cmd_replica_add: `drover replica add`: what was typed into a plan, its steps
 * carried out (agent/enroll), the first copy waited for, and the replica's line
 * of status at the end.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/base/object.h"
#include "agent/cli/render/render.h"
#include "agent/cli/render/render_field.h"
#include "agent/cli/replica/cmd_replica.h"
#include "agent/cli/replica/cmd_replica_check.h"
#include "agent/cli/replica/cmd_replica_copy.h"
#include "agent/cli/replica/cmd_replica_steps.h"
#include "agent/enroll/enroll.h"
#include "agent/enroll/pinned.h"
#include "agent/enroll/script.h"
#include "store/base/cleanup.h"
#include "sync/errors/state.h"

struct add {
    struct replica_steps steps; /* first: its address is what they are given */
    struct cli *cli;
    struct enroll_plan plan;
    struct buf retype;            /* a hint for the end; empty: none */
    char *identity, *known_hosts; /* made whole; NULL: they were */
    int *lock; /* of the configuration, until all is set up */
};

/* --- the question -------------------------------------------------------- */

static void put_option(struct buf *b, const char *name, const char *value)
{
    if (value != NULL) {
        buf_printf(b, " %s ", name);
        enroll_quote(b, value);
    }
}

/* What was typed, with the fingerprint. */
static void put_command(struct buf *b, const struct enroll_plan *plan,
                        const char *fingerprint)
{
    const struct enroll_request *q = plan->request;

    buf_printf(b, "drover --config ");
    enroll_quote(b, plan->config->file);
    buf_printf(b, " replica add ");
    enroll_quote(b, q->name);
    buf_u8(b, ' ');
    enroll_quote(b, q->target);
    put_option(b, "--via", q->via);
    put_option(b, "--group", q->group);
    put_option(b, "--dir-mode", q->dir_mode);
    put_option(b, "--file-mode", q->file_mode);
    put_option(b, "--identity", q->identity);
    put_option(b, "--known-hosts", q->known_hosts);
    put_option(b, "--authorized-keys", q->authorized_keys);
    put_option(b, "--receiver", q->receiver);
    put_option(b, "--fingerprint", fingerprint);
}

static int nobody_to_ask(struct add *a, const char *host, const char *type,
                         const char *fingerprint, struct err *err)
{
    struct buf *b = &a->retype;

    buf_printf(b, "compare it on the host's console (ssh-keygen -lf "
                  "/etc/ssh/ssh_host_ed25519_key.pub); if it is that one: ");
    put_command(b, &a->plan, fingerprint);
    buf_u8(b, '\0');
    return err_set(err, ERR_INVALID, 0,
                   "%s shows the host key %s (%s), which is not pinned, and "
                   "there is no terminal to ask at",
                   host, fingerprint, type);
}

static int confirm(void *arg, const char *host, const struct pinned_key *key,
                   const char *fingerprint, struct err *err)
{
    struct add *a = arg;
    CLEANUP(freep) char *answer = NULL;
    FILE *out = a->cli->line.err;
    size_t room = 0;

    if (!isatty(STDIN_FILENO) || !isatty(fileno(out))) {
        return nobody_to_ask(a, host, key->type, fingerprint, err);
    }
    (void)fprintf(out,
                  "%s shows this host key:\n  %s (%s)\n"
                  "Compare it on the host's console: ssh-keygen -lf "
                  "/etc/ssh/ssh_host_ed25519_key.pub\n"
                  "Is it the same? [y/N] ",
                  host, fingerprint, key->type);
    (void)fflush(out);
    if (getline(&answer, &room, stdin) > 0 &&
        (strcasecmp(answer, "y\n") == 0 || strcasecmp(answer, "yes\n") == 0)) {
        return 0;
    }
    return err_set(err, ERR_REFUSED, 0,
                   "the host key of %s is not pinned: it was not said to be "
                   "the right one",
                   host);
}

/* --- the end ------------------------------------------------------------- */

/* The table of status, with this replica alone. */
static void show_replica(struct cli *cli, const json_t *status,
                         const char *name)
{
    json_t *only = json_copy((json_t *)(uintptr_t)status);
    json_t *r = (json_t *)(uintptr_t)replica_in_status(status, name);

    (void)json_object_set_new(only, "replicas", json_pack("[O?]", r));
    render_status_table(cli->line.out, only, cli->color);
    json_decref(only);
}

static int wait_for_copy(struct add *a, json_t **more, struct err *err)
{
    const char *name = a->plan.replica.name;
    struct enroll_step step = {.state = ENROLL_DONE, .text = "streaming"};
    json_t *status = NULL;

    int rc = replica_wait_copy(a->cli, a->plan.config, name, &status, err);
    if (rc < 0) {
        step.state = ENROLL_FAILED;
        (void)snprintf(step.text, sizeof step.text, "%s", err->msg);
    }
    replica_steps_told(&a->steps, ENROLL_COPY, &step);
    const json_t *r = replica_in_status(status, name);
    if (rc == 0 && !a->cli->line.json && !a->cli->quiet) {
        show_replica(a->cli, status, name);
    }
    *more = r != NULL ? json_pack("{s:O}", "status", r) : NULL;
    json_decref(status);
    return rc;
}

/* What proves that it works, after all was set up. */
static int prove(struct add *a, json_t **more, struct err *err)
{
    struct enroll_step step = {.state = ENROLL_FAILED};
    json_t *found = NULL;

    if (wait_for_copy(a, more, err) < 0) {
        return err->code;
    }
    int rc = replica_check(a->cli, a->plan.config, a->plan.replica.name, &step,
                           &found, err);
    replica_steps_told(&a->steps, ENROLL_CHECK, &step);
    if (found != NULL && *more != NULL) {
        (void)json_object_set(*more, "check", found);
    }
    json_decref(found);
    return rc;
}

static int skip_copy(struct add *a, const struct enroll *e, struct err *err)
{
    struct enroll_step step = {.state = ENROLL_SKIPPED, .text = "--no-wait"};
    const char *db = a->plan.config->name;

    if (e->dry_run) {
        CLEANUP(freep) char *goal = enroll_step_goal(&a->plan, ENROLL_COPY);
        step.state = ENROLL_WOULD;
        CLEANUP(freep) char *check = enroll_step_goal(&a->plan, ENROLL_CHECK);
        (void)snprintf(step.text, sizeof step.text, "%s; then %s",
                       goal != NULL ? goal : "", check != NULL ? check : "");
    } else if (e->steps[ENROLL_RELOAD].state == ENROLL_SKIPPED) {
        (void)snprintf(step.text, sizeof step.text,
                       "it begins with the agent: systemctl enable --now "
                       "drover@%s",
                       db);
        if (!a->cli->no_wait) {
            (void)err_set(err, ERR_CLOSED, 0,
                          "%s is set up, and no agent runs to copy to it",
                          a->plan.replica.name);
            err->id = DR_NO_AGENT;
        }
    }
    replica_steps_told(&a->steps, ENROLL_COPY, &step);
    return err->code;
}

/* Nobody has done there what is needed, it seems. */
static void hint_script(struct add *a)
{
    struct buf *b = &a->retype;

    buf_printf(b,
               "run on %s, as root, what this prints: ", a->plan.replica.host);
    put_command(b, &a->plan, NULL);
    buf_printf(b, " --print; then: drover retry %s", a->plan.replica.name);
    buf_u8(b, '\0');
}

static int finish(struct add *a, const struct enroll *e, json_t **more,
                  struct err *err)
{
    bool no_agent = e->steps[ENROLL_RELOAD].state == ENROLL_SKIPPED;

    if (e->dry_run || a->cli->no_wait || no_agent) {
        return skip_copy(a, e, err);
    }
    int rc = prove(a, more, err);
    if (rc < 0 && err->id == DR_AUTH && a->plan.request->via == NULL) {
        hint_script(a);
    }
    return rc;
}

/* --- the command --------------------------------------------------------- */

/* The file of host keys may be that of several databases. */
static int set_up(struct add *a, struct enroll *e, struct err *err)
{
    CLEANUP(fd_closep) int lock = -1;

    if (replica_lock(a->cli, a->plan.replica.known_hosts, &lock, err) < 0) {
        return err->code;
    }
    replica_steps_catch_interrupt();
    int rc = enroll_run(e, err);
    cli_on_interrupt(NULL);
    fd_closep(a->lock); /* the first copy may take hours */
    return rc;
}

/* Nothing is set up: there is no replica yet that could be tried again. */
static void hint_again(struct add *a, const struct err *err)
{
    const struct config_replica *r = &a->plan.replica;
    CLEANUP(freep) char *hint = replica_steps_remedy(&a->steps, r, err);
    CLEANUP(freep) char *retry = NULL;

    if (asprintf(&retry, "drover retry %s", r->name) < 0) {
        retry = NULL;
        return;
    }
    const char *found = hint != NULL ? strstr(hint, retry) : NULL;
    if (found != NULL && a->retype.len == 0) {
        buf_printf(&a->retype, "%.*s", (int)(found - hint), hint);
        put_command(&a->retype, &a->plan, a->plan.request->fingerprint);
        buf_printf(&a->retype, "%s", found + strlen(retry));
        buf_u8(&a->retype, '\0');
    }
}

static int run_plan(struct add *a)
{
    const struct enroll_ops ops = {
        .arg = &a->steps,
        .told = replica_steps_told,
        .confirm = confirm,
        .reload = replica_steps_reload,
        .stopped = replica_steps_interrupted,
    };
    CLEANUP(enroll_deinit)
    struct enroll e = {
        .plan = &a->plan, .ops = &ops, .dry_run = a->cli->dry_run};
    struct err err = {0};
    json_t *more = NULL;

    if (set_up(a, &e, &err) == 0) {
        (void)finish(a, &e, &more, &err);
    } else {
        hint_again(a, &err);
    }
    return replica_steps_end(&a->steps, &a->plan.replica, more, &err,
                             a->retype.len > 0 ? (const char *)a->retype.data
                                               : NULL);
}

/* The key is made when it is missing: its public half is part of the text. */
static int print_script(struct add *a)
{
    CLEANUP(enroll_deinit)
    struct enroll e = {.plan = &a->plan, .dry_run = a->cli->dry_run};
    CLEANUP(buf_deinit) struct buf script = BUF_NULL;
    struct err err = {0};

    if (enroll_key(&e, &err) < 0 ||
        enroll_script(&a->plan, a->cli->dry_run ? SCRIPT_CHECK : SCRIPT_ADD,
                      e.public_key, &script, &err) < 0) {
        return replica_steps_end(&a->steps, &a->plan.replica, NULL, &err, NULL);
    }
    return replica_print_script(a->cli, &script);
}

/* What was typed may begin in this directory.  The word "agent" is no file. */
static char *whole_path(const char **path)
{
    char *whole = NULL;

    if (*path != NULL && (*path)[0] != '/' && (*path)[0] != '\0' &&
        strcmp(*path, "agent") != 0) {
        CLEANUP(freep) char *here = realpath(".", NULL);
        if (here != NULL && asprintf(&whole, "%s/%s", here, *path) >= 0) {
            *path = whole;
        }
    }
    return whole;
}

static int add_to(struct cli *cli, const struct config *config, int *lock)
{
    struct add a = {.cli = cli, .lock = lock};
    struct err err = {0};

    a.identity = whole_path(&cli->enroll.identity);
    a.known_hosts = whole_path(&cli->enroll.known_hosts);
    replica_steps_begin(&a.steps, cli, config);
    int rc = enroll_plan_make(&cli->enroll, config, &a.plan, &err);
    if (rc < 0) {
        rc = cmdline_fail_err(&cli->line,
                              err.code == ERR_INVALID ? EX_USAGE : EXIT_BAD,
                              &err, "");
    } else {
        rc = cli->print ? print_script(&a) : run_plan(&a);
    }
    replica_steps_deinit(&a.steps);
    enroll_plan_deinit(&a.plan);
    buf_deinit(&a.retype);
    free(a.identity);
    free(a.known_hosts);
    return rc;
}

int cmd_replica_add(struct cmdline *line)
{
    struct cli *cli = cli_of(line);
    int rc = 0;
    CLEANUP(fd_closep) int lock = -1;
    CLEANUP(config_freep)
    struct config *c = replica_load_locked(cli, &lock, &rc);

    if (c == NULL) {
        return rc;
    }
    cli->enroll.name = line->words[0];
    cli->enroll.target = line->words[1];
    return add_to(cli, c, &lock);
}
