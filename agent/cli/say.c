/* SPDX-License-Identifier: MIT
 *
 * say: what a command tells when it cannot do what it was asked, and the
 * loading of --config's or --db's file, which is told in the same way.
 */
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/object.h"
#include "agent/cli/command.h"
#include "agent/cli/render/render.h"
#include "agent/config/config.h"
#include "store/base/cleanup.h"
#include "store/base/quote.h"
#include "sync/errors/hint.h"
#include "sync/errors/state.h"

void cli_print_json(struct cli *cli, const json_t *object)
{
    json_t *whole = json_pack("{s:i}", "schema", CMDLINE_SCHEMA);
    CLEANUP(freep) char *text = NULL;

    (void)json_object_update_missing(whole, (json_t *)(uintptr_t)object);
    text = whole != NULL ? json_dumps(whole, CONTROL_JSON) : NULL;
    if (text != NULL) {
        (void)fprintf(cli->line.out, "%s\n", text);
    }
    json_decref(whole);
}

static void print_error(struct cli *cli, const json_t *error, int code)
{
    json_t *inner = json_copy((json_t *)(uintptr_t)error);
    json_t *whole = json_pack("{s:o}", "error", inner);

    (void)json_object_set_new(inner, "exit", json_integer(code));
    cli_print_json(cli, whole);
    json_decref(whole);
}

void cli_show_error(struct cli *cli, const json_t *error, int code)
{
    if (cli->line.json) {
        print_error(cli, error, code);
    }
    render_error(cli->line.err, error);
}

int cli_fail_list(struct cli *cli, int code, int id, const char *hint,
                  const struct config_errors *list)
{
    struct err first = {.id = id};
    FILE *err = cli->line.err;

    for (size_t i = 0; i < list->count; i++) {
        (void)fputs("drover: ", err);
        if (id != 0) {
            (void)fprintf(err, "DR-%d ", id);
        }
        (void)fprintf(err, "%s\n", list->lines[i]);
    }
    if (hint[0] != '\0') {
        (void)fprintf(err, "      HINT: %s\n", hint);
    }
    if (cli->line.json) {
        (void)snprintf(first.msg, sizeof first.msg, "%.500s%s", list->lines[0],
                       list->count > 1 ? " (the first of several)" : "");
        json_t *error = object_error(&first);
        (void)json_object_set_new(error, "hint", json_string(hint));
        print_error(cli, error, code);
        json_decref(error);
    }
    return code;
}

/* A new string, or NULL after printing what is wrong. */
char *cli_config_file(struct cli *cli)
{
    char *path = NULL;

    if (cli->db != NULL && !config_name_is_good(cli->db)) {
        (void)cmdline_fail(
            &cli->line, EX_CONFIG,
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

    if (errors.count > 0) {
        char hint[HINT_ROOM];
        const struct hint_names names = {.file = QUOTED_STR(file)};
        (void)hint_fill(hint, sizeof hint, dr_hint(DR_CONFIG), &names);
        (void)cli_fail_list(cli, EX_CONFIG, DR_CONFIG, hint, &errors);
    }
    config_errors_deinit(&errors);
    return config;
}

struct config *cli_load_config(struct cli *cli)
{
    CLEANUP(freep) char *file = cli_config_file(cli);

    return file != NULL ? load(cli, file) : NULL;
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
    int code = dr_exit(err, EXIT_BAD);
    cli_show_error(cli, error, code);
    json_decref(error);
    return code;
}
