/* SPDX-License-Identifier: MIT
 *
 * cmd_agent: agent and init: the commands that work on a database themselves
 * instead of asking a running agent.
 */
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include "agent/command.h"
#include "agent/daemon.h"
#include "agent/identity.h"
#include "agent/log.h"
#include "store/base/cleanup.h"
#include "store/base/hex.h"
#include "store/base/quote.h"
#include "store/db.h"
#include "sync/state.h"

static struct config *load_adhoc(struct cli *cli)
{
    struct config_errors errors = {0};
    struct config *config = config_adhoc(cli->words[0], cli->words + 1,
                                         cli->count - 1, &errors);

    for (size_t i = 0; i < errors.count; i++) {
        (void)cli_fail(cli, EX_USAGE, "%s", errors.lines[i]);
    }
    config_errors_deinit(&errors);
    return config;
}

/* Keys to other hosts and the database's values are in this process's memory:
 * it leaves no core dump, and only root may look into it.  A child is started
 * by exec and is like any other again, but for the core dump. */
static void keep_memory_private(void)
{
    struct rlimit none = {0};

    (void)setrlimit(RLIMIT_CORE, &none);
    (void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
}

int cmd_agent(struct cli *cli)
{
    bool has_file = cli->config_file != NULL || cli->db != NULL;
    struct config *config;
    struct err err = {0};

    if (cli->log_level != NULL) {
        int level = log_level_of(cli->log_level);
        if (level < 0) {
            return cli_fail(cli, EX_USAGE,
                            "--log-level %s: write error, warning, notice, "
                            "info or debug",
                            cli->log_level);
        }
        log_set_level(level);
    } else if (cli->verbose > 0) {
        log_set_level(LOG_TRACE);
    } else if (cli->quiet) {
        log_set_level(LOG_WARN);
    }
    if (has_file == (cli->count > 0) || cli->count == 1) {
        return cli_fail(cli, EX_USAGE,
                        "usage: drover agent --config FILE, or drover agent "
                        "DIR TARGET...");
    }
    config = has_file ? cli_load_config(cli) : load_adhoc(cli);
    if (config == NULL) {
        return has_file ? EX_CONFIG : EX_USAGE;
    }
    if (cli->socket != NULL) {
        free(config->socket);
        config->socket = strdup(cli->socket);
        if (config->socket == NULL) {
            config_free(config);
            return cli_fail(cli, EXIT_BAD_ANSWER, "out of memory");
        }
    }
    if (config_make_dirs(config, &err) < 0) {
        err.id = err.id != 0 ? err.id : DR_STATE_DIR;
        config_free(config);
        return cli_fail_err(cli, &err);
    }
    keep_memory_private();
    /* A client or child that went away is an error of write(). */
    (void)signal(SIGPIPE, SIG_IGN);
    return daemon_run(config);
}

int cmd_init(struct cli *cli)
{
    uint8_t id[IDENTITY_BYTES];
    char hex[IDENTITY_HEX_BYTES];
    struct err err = {0};
    struct db db;

    if (db_open(&db, cli->words[0], false, &err) < 0) {
        return cli_fail_err(cli, &err);
    }
    int rc = identity_make(&db, id, &err);
    db_close(&db);
    if (rc < 0) {
        return cli_fail_err(cli, &err);
    }
    (void)hex_encode(hex, id, sizeof id);
    if (cli->json) {
        json_t *o = json_pack("{s:s, s:b}", "id", hex, "made",
                              rc != IDENTITY_THERE);
        cli_print_json(cli, o);
        json_decref(o);
    } else if (!cli->quiet) {
        (void)fprintf(cli->out, "%s: %s database id %s\n",
                      QUOTED(cli->words[0], strlen(cli->words[0])),
                      rc == IDENTITY_THERE ? "has" : "was given", hex);
        (void)fprintf(cli->out, "Next: drover agent %s HOST:PATH, or a file in "
                                "/etc/drover (man drover.conf)\n",
                      QUOTED(cli->words[0], strlen(cli->words[0])));
    }
    return 0;
}
