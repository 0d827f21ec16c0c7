/* SPDX-License-Identifier: MIT
 *
 * cmd_replica: see cmd_replica.h. */
#include "agent/cli/replica/cmd_replica.h"

#include <glob.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/object.h"
#include "agent/cli/render/render_field.h"
#include "agent/enroll/lock.h"
#include "store/base/cleanup.h"

enum { STATUS_TIMEOUT_MS = 5000, SSH_PORT = 22 };

/* --- which configuration ------------------------------------------------- */

static int complain_which(struct cli *cli, const glob_t *g)
{
    if (g->gl_pathc == 0) {
        return cmdline_fail(&cli->line, EX_CONFIG,
                            "there is no configuration in %s; write one for "
                            "the database first (man drover.conf), or name it "
                            "with --config FILE",
                            cli->etc_dir);
    }
    int rc = cmdline_fail(&cli->line, EX_USAGE,
                          "there are several databases; choose one with --db "
                          "NAME:");
    for (size_t i = 0; i < g->gl_pathc; i++) {
        const char *name = strrchr(g->gl_pathv[i], '/') + 1;
        (void)fprintf(cli->line.err, "  --db %.*s\n",
                      (int)(strlen(name) - strlen(".conf")), name);
    }
    return rc;
}

static char *only_config_file(struct cli *cli, int *rc)
{
    CLEANUP(freep) char *pattern = NULL;
    char *found = NULL;
    glob_t g = {0};

    if (asprintf(&pattern, "%s/*.conf", cli->etc_dir) < 0) {
        pattern = NULL;
        return NULL;
    }
    if (glob(pattern, 0, NULL, &g) == 0 && g.gl_pathc == 1) {
        found = strdup(g.gl_pathv[0]);
    } else {
        *rc = complain_which(cli, &g);
    }
    globfree(&g);
    return found;
}

char *replica_config_file(struct cli *cli, int *rc)
{
    *rc = EX_CONFIG;
    return cli->config_file == NULL && cli->db == NULL
               ? only_config_file(cli, rc)
               : cli_config_file(cli);
}

struct config *replica_load_config(struct cli *cli, int *rc)
{
    CLEANUP(freep) char *file = replica_config_file(cli, rc);

    if (file == NULL) {
        return NULL;
    }
    /* Everything after this is about that file. */
    const char *was = cli->config_file;
    const char *db = cli->db;
    cli->config_file = file;
    cli->db = NULL;
    struct config *c = cli_load_config(cli);
    cli->config_file = was;
    cli->db = db;
    return c;
}

static void waits(void *arg, const char *text)
{
    (void)fprintf(arg, "drover: %s\n", text);
    (void)fflush(arg);
}

int replica_lock(struct cli *cli, const char *file, int *lock, struct err *err)
{
    *lock = -1;
    return cli->dry_run || cli->print
               ? 0
               : enroll_lock(file, waits, cli->line.err, lock, err);
}

struct config *replica_load_locked(struct cli *cli, int *lock, int *rc)
{
    CLEANUP(freep) char *file = replica_config_file(cli, rc);
    struct err err = {0};

    *lock = -1;
    if (file == NULL) {
        return NULL;
    }
    if (replica_lock(cli, file, lock, &err) < 0) {
        *rc = cmdline_fail_err(&cli->line, EXIT_BAD, &err, "");
        return NULL;
    }
    return replica_load_config(cli, rc);
}

/* --- its agent ----------------------------------------------------------- */

json_t *replica_agent_status(const struct config *c)
{
    json_t *request = json_pack("{s:s}", "cmd", "status");
    json_t *answer = NULL;
    struct err ignored = {0};

    int rc = control_call(c->socket, request, STATUS_TIMEOUT_MS, NULL, NULL,
                          &answer, &ignored);
    json_decref(request);
    json_t *status =
        rc >= 0 ? json_incref(json_object_get(answer, "result")) : NULL;
    json_decref(answer);
    return status;
}

const json_t *replica_in_status(const json_t *status, const char *name)
{
    const json_t *r;
    size_t i;

    json_array_foreach(json_object_get(status, "replicas"), i, r) {
        if (strcmp(field_text(r, "name", ""), name) == 0) {
            return r;
        }
    }
    return NULL;
}

int replica_print_script(struct cli *cli, const struct buf *script)
{
    if (cli->line.json) {
        json_t *o =
            json_pack("{s:o}", "script", object_text((char *)script->data));
        cli_print_json(cli, o);
        json_decref(o);
    } else {
        (void)fwrite(script->data, 1, script->len, cli->line.out);
    }
    return EXIT_GOOD;
}

char *replica_target_text(const struct config_replica *r)
{
    char *text = NULL;
    char port[16] = "";
    bool v6 = r->host != NULL && strchr(r->host, ':') != NULL;
    int rc;

    if (r->kind == REPLICA_EXEC) {
        rc = asprintf(&text, "exec:%s", r->command);
    } else {
        if (r->port != 0 && r->port != SSH_PORT) {
            (void)snprintf(port, sizeof port, ":%u", r->port);
        }
        rc = asprintf(&text, "%s@%s%s%s%s:%s", r->user, v6 ? "[" : "", r->host,
                      v6 ? "]" : "", port, r->path);
    }
    return rc < 0 ? NULL : text;
}
