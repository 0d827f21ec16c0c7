/* SPDX-License-Identifier: MIT
 *
 * say: what a command tells when it cannot do what it was asked, and the
 * loading of --config's or --db's file, which is told in the same way.
 */
#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "agent/base/object.h"
#include "agent/cli/command.h"
#include "agent/cli/render.h"
#include "agent/config/config.h"
#include "store/base/cleanup.h"
#include "store/base/quote.h"
#include "sync/errors/state.h"

int cli_fail(struct cli *cli, int code, const char *fmt, ...)
{
    va_list args;

    (void)fputs("drover: ", cli->err);
    va_start(args, fmt);
    (void)vfprintf(cli->err, fmt, args);
    va_end(args);
    (void)fputc('\n', cli->err);
    return code;
}

/* A new string, or NULL after printing what is wrong. */
char *cli_config_file(struct cli *cli)
{
    char *path = NULL;

    if (cli->db != NULL && !config_name_is_good(cli->db)) {
        (void)cli_fail(cli, EX_CONFIG,
                       "--db takes a name, not a path; for a file: --config");
        return NULL;
    }
    if (cli->config_file != NULL) {
        return strdup(cli->config_file);
    }
    return asprintf(&path, "%s/%s.conf", cli->etc_dir, cli->db) < 0 ? NULL
                                                                    : path;
}

static struct config *load(struct cli *cli, const char *file)
{
    struct config_errors errors = {0};
    struct config *config = config_load(file, &errors);

    for (size_t i = 0; i < errors.count; i++) {
        (void)fprintf(cli->err, "drover: DR-%d %s\n", DR_CONFIG,
                      errors.lines[i]);
    }
    if (errors.count > 0) {
        const char *hint = dr_hint(DR_CONFIG);
        if (hint[0] != '\0') {
            (void)fprintf(cli->err, "      HINT: %s\n", hint);
        }
    }
    config_errors_deinit(&errors);
    return config;
}

struct config *cli_load_config(struct cli *cli)
{
    CLEANUP(freep) char *file = cli_config_file(cli);

    return file != NULL ? load(cli, file) : NULL;
}

void cli_print_json(struct cli *cli, const json_t *object)
{
    CLEANUP(freep) char *text = json_dumps(object, CONTROL_JSON);

    if (text != NULL) {
        (void)fprintf(cli->out, "%s\n", text);
    }
}

void cli_show_error(struct cli *cli, const json_t *error)
{
    if (cli->json) {
        json_t *whole = json_pack("{s:O}", "error", (json_t *)(uintptr_t)error);
        cli_print_json(cli, whole);
        json_decref(whole);
    }
    render_error(cli->err, error);
}

int cli_fail_err(struct cli *cli, const struct err *err)
{
    json_t *error = object_error(err);

    if (err->id == DR_NO_AGENT && cli->db != NULL) {
        char hint[400];
        (void)snprintf(hint, sizeof hint,
                       "systemctl status drover@%.64s; journalctl -u "
                       "drover@%.64s -n 20; a file with mistakes ends it: "
                       "drover --db %.64s check-config",
                       cli->db, cli->db, cli->db);
        (void)json_object_set_new(error, "hint", json_string(hint));
    } else if (err->id == DR_NO_AGENT && cli->config_file != NULL) {
        char hint[2 * PATH_MAX];
        const char *file = QUOTED(cli->config_file, strlen(cli->config_file));
        (void)snprintf(hint, sizeof hint,
                       "is it running? ps -C drover -o pid,args; start it: "
                       "drover agent -c %s; a file with mistakes ends it: "
                       "drover check-config %s",
                       file, file);
        (void)json_object_set_new(error, "hint", json_string(hint));
    }
    cli_show_error(cli, error);
    json_decref(error);
    return dr_exit(err, EXIT_BAD_ANSWER);
}
