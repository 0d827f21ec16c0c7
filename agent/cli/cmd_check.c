/* SPDX-License-Identifier: MIT
 *
 * cmd_check: `drover check`: does it really work, end to end?  It finds the
 * configuration and the agent, if one runs, and prints what agent/check
 * found. */
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "agent/check/check.h"
#include "agent/cli/command.h"
#include "store/base/cleanup.h"
#include "store/base/clock.h"
#include "store/base/quote.h"
#include "sync/check/finding_show.h"
#include "sync/errors/state.h"

enum { TIMEOUT_MS = 30000 };

/* The file that a running agent was started with; NULL: none. */
static const char *file_of(const struct check *k)
{
    const json_t *database = json_object_get(k->status, "database");

    return json_string_value(json_object_get(database, "file"));
}

/* What --config or --db name, else what the running agent has.  0, or the exit
 * code after printing what is wrong. */
static int find(struct cli *cli, struct check *k, struct config **config,
                char **socket)
{
    if (cli->config_file != NULL || cli->db != NULL) {
        *config = cli_load_config(cli);
        if (*config == NULL) {
            return EX_CONFIG;
        }
    }
    int rc = cli_find_socket(cli, *config != NULL, socket);
    if (rc != 0) {
        return rc;
    }
    k->socket = *socket;
    check_begin(k);
    if (*config == NULL && k->status == NULL) {
        return cli_fail_err(cli, &k->silent);
    }
    if (*config == NULL && file_of(k) != NULL &&
        access(file_of(k), R_OK) != 0) {
        k->unread_file = file_of(k);
    } else if (*config == NULL && file_of(k) != NULL) {
        cli->config_file = file_of(k);
        *config = cli_load_config(cli);
        cli->config_file = NULL;
        rc = *config != NULL ? 0 : EX_CONFIG;
    }
    k->config = *config;
    return rc;
}

static int fail_unknown(struct cli *cli, const struct check *k)
{
    struct err err = {0};
    char names[300];

    check_names(k, names, sizeof names);
    (void)err_set(&err, ERR_NOTFOUND, 0,
                  "no replica is named %s; there are: %s",
                  QUOTED_STR(check_unknown(k)), names);
    err.id = DR_NO_SUCH_REPLICA;
    return cli_fail_err(cli, &err);
}

static void print(struct cli *cli, const struct findings *f)
{
    CLEANUP(buf_deinit) struct buf b = BUF_NULL;

    if (!cli->line.json) {
        findings_print(f, cli->quiet, cli->line.out);
        return;
    }
    struct json_out j = cmdline_json_begin(&b);
    findings_json(f, &j);
    cmdline_json_end(&cli->line, &j);
}

int cmd_check(struct cmdline *line)
{
    struct cli *cli = cli_of(line);
    CLEANUP(config_freep) struct config *config = NULL;
    CLEANUP(freep) char *socket = NULL;
    CLEANUP(findings_deinit) struct findings f = FINDINGS_NULL;
    CLEANUP(check_end)
    struct check k = {
        .replicas = line->words,
        .count = line->count,
        .timeout_ms = cli->timeout_ns == CLI_NO_TIMEOUT
                          ? TIMEOUT_MS
                          : cli->timeout_ns / NS_PER_MS,
    };

    (void)signal(SIGPIPE, SIG_IGN);
    int rc = find(cli, &k, &config, &socket);
    if (rc != 0) {
        return rc;
    }
    if (check_unknown(&k) != NULL) {
        return fail_unknown(cli, &k);
    }
    check_run(&k, &f);
    print(cli, &f);
    return findings_exit(&f, cli->strict);
}
