/* SPDX-License-Identifier: MIT
 *
 * cmd_jobs: resync, verify and wait: requests that take a while.  The agent
 * works and reports; Ctrl-C closes the connection, which ends the job there.
 */
#include "agent/cli/command.h"
#include "agent/cli/render/render.h"
#include "store/base/clock.h"

enum {
    NAMES_SHOWN = 50,
    NAMES_VERBOSE = 10000,
    GRACE_MS = 10000, /* the agent's own timeout comes first */
};

/* -1: none was given. */
static int64_t timeout_ms(const struct cli *cli)
{
    return cli->timeout_ns == CLI_NO_TIMEOUT ? -1 : cli->timeout_ns / NS_PER_MS;
}

static size_t names_shown(const struct cli *cli)
{
    return cli->verbose > 0 ? NAMES_VERBOSE : NAMES_SHOWN;
}

/* What is known of one replica is told before the last one is done.  The agent
 * says its names once, when it is. */
static bool print_compared(struct cli *cli, const json_t *object,
                           const char *clear)
{
    const json_t *mode = json_object_get(object, "mode");
    const json_t *replicas = json_object_get(object, "replicas");
    const json_t *r;
    bool printed = false;
    size_t i;

    json_array_foreach(replicas, i, r) {
        const char *name = json_string_value(json_object_get(r, "name"));
        if (name == NULL || !json_is_string(mode) ||
            json_object_get(r, "names") == NULL ||
            json_object_get(cli->told, name) != NULL) {
            continue;
        }
        if (!printed) {
            (void)fputs(clear, cli->line.err);
            (void)fflush(cli->line.err);
        }
        printed = true;
        render_compared(cli->line.out, json_string_value(mode), r,
                        names_shown(cli));
        (void)fflush(cli->line.out);
        (void)json_object_set_new(cli->told, name, json_true());
    }
    return printed;
}

static void show_compare(struct cli *cli, const json_t *result)
{
    if (cli->line.json) {
        cli_print_json(cli, result);
    } else if (!cli->quiet) {
        render_compare(cli->line.out, result, names_shown(cli), cli->told);
        render_warnings(cli->line.err, result);
    }
}

static int run_compare(struct cli *cli, const char *cmd)
{
    json_t *result = NULL;
    int64_t ms = timeout_ms(cli);

    json_t *request = cli_request_of(cli, cmd);
    cli_on_interrupt(cli->live ? "\n" : NULL);
    if (ms >= 0) {
        (void)json_object_set_new(request, "timeout_ms", json_integer(ms));
    }
    (void)json_object_set_new(request, "content", json_boolean(cli->content));
    (void)json_object_set_new(request, "recorded", json_boolean(cli->recorded));
    (void)json_object_set_new(request, "dry_run", json_boolean(cli->dry_run));
    cli->told = json_object();
    cli->on_progress = cli->line.json || cli->quiet || cli->told == NULL
                           ? NULL
                           : print_compared;
    int rc = cli_request(cli, request, ms < 0 ? -1 : ms + GRACE_MS, &result);
    cli->on_progress = NULL;
    if (result != NULL) {
        show_compare(cli, result);
    }
    json_decref(result);
    json_decref(cli->told);
    cli->told = NULL;
    return rc;
}

static int resync_anew(struct cli *cli)
{
    json_t *result = NULL;

    if (cli->dry_run || cli->content) {
        return cmdline_fail(
            &cli->line, EX_USAGE,
            "--anew cannot be used with --dry-run or --content");
    }
    if (cli->line.count == 0) {
        return cmdline_fail(&cli->line, EX_USAGE,
                            "--anew needs a replica's name");
    }
    json_t *request = cli_request_of(cli, "resync");
    (void)json_object_set_new(request, "anew", json_true());
    int rc = cli_request(cli, request, -1, &result);
    if (result == NULL) {
        return rc;
    }
    if (cli->line.json) {
        cli_print_json(cli, result);
    } else if (!cli->quiet) {
        for (size_t i = 0; i < cli->line.count; i++) {
            (void)fprintf(cli->line.out,
                          "%s: its directory is taken as it is now, and "
                          "filled; until it is complete: drover wait %s\n",
                          cli->line.words[i], cli->line.words[i]);
        }
    }
    json_decref(result);
    return rc;
}

int cmd_resync(struct cmdline *line)
{
    struct cli *cli = cli_of(line);
    if (cli->anew) {
        return resync_anew(cli);
    }
    return run_compare(cli, "resync");
}

int cmd_verify(struct cmdline *line)
{
    struct cli *cli = cli_of(line);
    return run_compare(cli, "verify");
}

int cmd_wait(struct cmdline *line)
{
    struct cli *cli = cli_of(line);
    json_t *result = NULL;
    int64_t ms = timeout_ms(cli);

    json_t *request = cli_request_of(cli, "wait");
    (void)json_object_set_new(request, "timeout_ms", json_integer(ms));
    cli_on_interrupt(cli->live ? "\n" : NULL);
    int rc = cli_request(cli, request, ms < 0 ? -1 : ms + GRACE_MS, &result);
    if (result == NULL) {
        return rc;
    }
    if (cli->line.json) {
        cli_print_json(cli, result);
    } else if (!cli->quiet) {
        if (rc != 0 || cli->verbose > 0) {
            render_wait(rc != 0 ? cli->line.err : cli->line.out, result,
                        names_shown(cli));
        }
        render_warnings(cli->line.err, result);
    }
    json_decref(result);
    return rc;
}
