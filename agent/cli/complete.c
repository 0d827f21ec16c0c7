/* SPDX-License-Identifier: MIT
 *
 * complete: the names that a shell completes: replicas, as the running agent
 * knows them, and databases that have a configuration. */
#include <glob.h>
#include <stdlib.h>
#include <string.h>

#include "agent/cli/command.h"
#include "store/base/cleanup.h"

static void complete_replicas(struct cli *cli)
{
    enum { PATIENCE_MS = 1000 };
    CLEANUP(freep) char *path = NULL;
    json_t *answer = NULL;
    struct err ignored = {0};
    const json_t *r;
    size_t i;

    if (cli_find_socket(cli, true, &path) != 0) {
        return;
    }
    json_t *request = json_pack("{s:s}", "cmd", "status");
    int rc =
        control_call(path, request, PATIENCE_MS, NULL, NULL, &answer, &ignored);
    json_decref(request);
    const json_t *result = rc >= 0 ? json_object_get(answer, "result") : NULL;
    const json_t *replicas = json_object_get(result, "replicas");
    json_array_foreach(replicas, i, r) {
        const char *name = json_string_value(json_object_get(r, "name"));
        const char *state = json_string_value(json_object_get(r, "state"));
        if (name != NULL) {
            cmdline_candidate(&cli->line, name, state != NULL ? state : "");
        }
    }
    json_decref(answer);
}

/* The NAME of each NAME.conf. */
static void complete_databases(struct cli *cli)
{
    CLEANUP(freep) char *pattern = NULL;
    glob_t g = {0};

    if (asprintf(&pattern, "%s/*.conf", cli->etc_dir) < 0) {
        pattern = NULL;
        return;
    }
    if (glob(pattern, 0, NULL, &g) == 0) {
        for (size_t i = 0; i < g.gl_pathc; i++) {
            char *name = strrchr(g.gl_pathv[i], '/') + 1;
            name[strlen(name) - strlen(".conf")] = '\0';
            cmdline_candidate(&cli->line, name, "");
        }
    }
    globfree(&g);
}

void cli_names(struct cmdline *line, const char *placeholder)
{
    if (strcmp(placeholder, "REPLICA") == 0) {
        complete_replicas(cli_of(line));
    } else if (strcmp(placeholder, "NAME") == 0) {
        complete_databases(cli_of(line));
    } else if (strcmp(placeholder, "TARGET") == 0) {
        (void)fputs(":dirs\n", line->out);
    }
}
