/* SPDX-License-Identifier: MIT
 *
 * cmd_control: approve, pause, resume, retry, reload and version: requests that
 * are answered at once.
 */
#include <inttypes.h>
#include <string.h>

#include "agent/cli/command.h"
#include "agent/cli/render/render.h"
#include "agent/cli/render/render_field.h"
#include "store/base/cleanup.h"
#include "store/base/units.h"
#include "store/cmdline/version.h"

enum { ANSWER_TIMEOUT_MS = 30000 };

/* The result, printed when JSON was asked for; NULL when there is none. */
static json_t *ask(struct cli *cli, json_t *request, int *rc)
{
    json_t *result = NULL;

    *rc = cli_request(cli, request, ANSWER_TIMEOUT_MS, &result);
    if (result != NULL && cli->line.json) {
        cli_print_json(cli, result);
    }
    return result;
}

int cmd_approve(struct cmdline *line)
{
    struct cli *cli = cli_of(line);
    const char *token = cli->line.count > 1 ? cli->line.words[1] : NULL;
    uint64_t count = 0;
    int rc;
    json_t *result = ask(cli,
                         json_pack("{s:s, s:s, s:s*, s:b}", "cmd", "approve",
                                   "replica", cli->line.words[0], "token",
                                   token, "dry_run", cli->dry_run),
                         &rc);

    if (result != NULL && !cli->line.json && !cli->quiet) {
        if (cli->dry_run) {
            render_held(cli->line.out, cli->line.words[0],
                        json_object_get(result, "held"));
        } else {
            (void)field_count(result, "count", &count);
            (void)fprintf(cli->line.out, "%s: %s deletes released\n",
                          cli->line.words[0], COUNT_TEXT(count));
        }
    }
    json_decref(result);
    return rc;
}

/* --- pause, resume and retry --------------------------------------------- */

static const char *did_text(const char *did)
{
    static const struct {
        const char *did, *text;
    } TEXTS[] = {
        {"trying", "trying now"},
        {"connected", "connected"},
        {"waiting", "connects when the agent has seen the database"},
    };

    for (size_t i = 0; i < sizeof TEXTS / sizeof *TEXTS; i++) {
        if (strcmp(TEXTS[i].did, did) == 0) {
            return TEXTS[i].text;
        }
    }
    return did;
}

static void print_did(const struct cli *cli, const char *cmd, const json_t *one)
{
    const char *name = field_text(one, "name", "?");
    const char *did = field_text(one, "did", "?");
    bool is_paused = strcmp(did, "paused") == 0;

    render_clean(cli->line.out, name);
    if (strcmp(cmd, "retry") == 0 && is_paused) {
        (void)fprintf(cli->line.out, ": paused; to go on: drover resume %s\n",
                      name);
    } else if (strcmp(cmd, "resume") == 0 && strcmp(did, "resumed") != 0) {
        (void)fprintf(cli->line.out, ": was not paused; %s\n", did_text(did));
    } else {
        (void)fprintf(cli->line.out, ": %s\n", did_text(did));
    }
}

static int run_pausing(struct cli *cli, const char *cmd)
{
    int rc;
    json_t *result = ask(cli, cli_request_of(cli, cmd), &rc);
    const json_t *one;
    size_t i;

    if (!cli->line.json && !cli->quiet) {
        json_array_foreach(json_object_get(result, "done"), i, one) {
            print_did(cli, cmd, one);
        }
    }
    json_decref(result);
    return rc;
}

int cmd_pause(struct cmdline *line)
{
    return run_pausing(cli_of(line), "pause");
}

int cmd_resume(struct cmdline *line)
{
    return run_pausing(cli_of(line), "resume");
}

int cmd_retry(struct cmdline *line)
{
    return run_pausing(cli_of(line), "retry");
}

int cmd_reload(struct cmdline *line)
{
    struct cli *cli = cli_of(line);
    int rc;
    json_t *result = ask(cli, json_pack("{s:s}", "cmd", "reload"), &rc);
    const json_t *changes = json_object_get(result, "changes");
    const json_t *change;
    size_t i;

    if (result != NULL && !cli->line.json && !cli->quiet) {
        if (json_array_size(changes) == 0) {
            (void)fputs("nothing changed\n", cli->line.out);
        }
        json_array_foreach(changes, i, change) {
            const char *text = json_string_value(change);
            render_clean(cli->line.out, text != NULL ? text : "?");
            (void)fputc('\n', cli->line.out);
        }
    }
    json_decref(result);
    return rc;
}

/* The agent's part is a courtesy: without one it is still a good answer. */
int cmd_version(struct cmdline *line)
{
    struct cli *cli = cli_of(line);
    CLEANUP(freep) char *path = NULL;
    json_t *request = json_pack("{s:s}", "cmd", "version");
    json_t *answer = NULL;
    struct err err = {0};

    if (cli_find_socket(cli, true, &path) != 0 ||
        control_call(path, request, 2000, NULL, NULL, &answer, &err) != 0) {
        json_decref(answer);
        answer = NULL;
    }
    json_decref(request);
    json_t *agent = json_object_get(answer, "result");
    if (cli->line.json) {
        json_t *o =
            json_pack("{s:s, s:O?}", "version", version_text(), "agent", agent);
        cli_print_json(cli, o);
        json_decref(o);
    } else {
        (void)fprintf(cli->line.out, "drover %s\n", version_text());
        if (agent != NULL) {
            uint64_t pid = 0;
            (void)field_count(agent, "pid", &pid);
            (void)fprintf(cli->line.out, "agent %s of %s, pid %" PRIu64 "\n",
                          field_text(agent, "version", "?"),
                          field_text(agent, "database", "?"), pid);
        }
    }
    json_decref(answer);
    return 0;
}
