/* SPDX-License-Identifier: MIT
 *
 * cmd_config: check-config, and the loading of --config's or --db's file for
 * all commands.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/command.h"
#include "agent/config.h"
#include "store/base/cleanup.h"
#include "sync/state.h"

static char *file_of(struct cli *cli)
{
    char *path = NULL;

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
    CLEANUP(freep) char *file = NULL;

    if (cli->db != NULL && !config_name_is_good(cli->db)) {
        (void)cli_fail(cli, EX_CONFIG,
                       "--db takes a name, not a path; for a file: --config");
        return NULL;
    }
    file = file_of(cli);
    return file != NULL ? load(cli, file) : NULL;
}

static int list_settings(struct cli *cli)
{
    for (const struct setting *s = CONFIG_SETTINGS; s->name != NULL; s++) {
        (void)fprintf(cli->out, "%s\t%s\t%s\t%s\n", s->section, s->name,
                      s->preset[0] != '\0' ? s->preset : "-", s->help);
    }
    return 0;
}

/* Not mistakes, for the file may be checked elsewhere or before its time. */
static void remark(struct cli *cli, const struct config *c)
{
    struct stat st;

    if (stat(c->path, &st) != 0) {
        (void)fprintf(cli->err, "note: path = %s: %s\n", c->path,
                      strerror(errno));
    } else if (!S_ISDIR(st.st_mode)) {
        (void)fprintf(cli->err, "note: path = %s is no folder\n", c->path);
    }
    for (size_t i = 0; i < c->replicas_count; i++) {
        const struct config_replica *r = &c->replicas[i];

        if (r->kind != REPLICA_SSH) {
            continue;
        }
        if (r->identity != NULL && access(r->identity, F_OK) != 0 &&
            errno == ENOENT) {
            (void)fprintf(cli->err,
                          "note: [replica %s] identity = %s does not exist "
                          "yet\n",
                          r->name, r->identity);
        }
        if (access(r->known_hosts, F_OK) != 0 && errno == ENOENT) {
            (void)fprintf(cli->err,
                          "note: [replica %s] known-hosts = %s does not exist "
                          "yet\n",
                          r->name, r->known_hosts);
        }
    }
    if (c->replicas_count == 0) {
        (void)fputs("note: there are no replicas\n", cli->err);
    }
}

int cmd_check_config(struct cli *cli)
{
    struct config *config;

    if (cli->list_settings) {
        return list_settings(cli);
    }
    if (cli->count > 0 && (cli->config_file != NULL || cli->db != NULL)) {
        return cli_fail(cli, EX_USAGE, "name the file once");
    }
    if (cli->count > 0) {
        cli->config_file = cli->words[0];
    }
    if (cli->config_file == NULL && cli->db == NULL) {
        return cli_fail(cli, EX_USAGE,
                        "usage: drover check-config FILE (or --db NAME)");
    }
    config = cli_load_config(cli);
    if (config == NULL) {
        return EX_CONFIG;
    }
    if (cli->json) {
        json_t *o = json_pack("{s:s, s:s, s:s, s:I}", "name", config->name,
                              "path", config->path, "socket", config->socket,
                              "replicas", (json_int_t)config->replicas_count);
        cli_print_json(cli, o);
        json_decref(o);
    } else if (!cli->quiet) {
        remark(cli, config);
        (void)fprintf(cli->out, "%s is good: database %s, %zu replica%s\n",
                      config->file, config->name, config->replicas_count,
                      config->replicas_count == 1 ? "" : "s");
    }
    config_free(config);
    return 0;
}
