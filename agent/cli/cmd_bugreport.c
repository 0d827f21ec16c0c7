/* SPDX-License-Identifier: MIT
 *
 * cmd_bugreport: `drover bugreport`: an archive for whoever is asked for help.
 */
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "agent/base/object.h"
#include "agent/cli/command.h"
#include "agent/config/config.h"
#include "agent/report/report.h"
#include "store/base/cleanup.h"
#include "store/base/quote.h"

enum { ROOT_BYTES = 160 };

/* The program that runs, for children; the archive tells of the same. */
static const char *own_path(char out[PATH_MAX])
{
    ssize_t n = readlink("/proc/self/exe", out, PATH_MAX - 1);

    out[n > 0 ? n : 0] = '\0';
    return n > 0 && access(out, X_OK) == 0 ? out : "drover";
}

/* What --socket, --db and --config say; a broken file must not stop us, so it
 * is not read here. */
static int choose(struct cli *cli, struct report *r)
{
    if (cli->config_file != NULL || cli->db != NULL) {
        r->file = cli_config_file(cli);
        if (r->file == NULL) {
            return EX_CONFIG;
        }
    }
    if (cli->socket != NULL) {
        r->socket = strdup(cli->socket);
    } else if (r->file == NULL) {
        (void)cli_find_socket(cli, true, &r->socket);
    }
    return 0;
}

/* "drover-report-orders-20260131T120000Z" */
static void name_root(const struct cli *cli, char out[ROOT_BYTES])
{
    const char *name = cli->db != NULL ? cli->db : "agent";
    time_t now = time(NULL);
    struct tm tm;
    char when[32] = "";

    if (gmtime_r(&now, &tm) != NULL) {
        (void)strftime(when, sizeof when, "%Y%m%dT%H%M%SZ", &tm);
    }
    (void)snprintf(out, ROOT_BYTES, "drover-report-%.100s-%s", name, when);
}

static void show_part(void *arg, const char *name)
{
    struct cli *cli = arg;

    if (cli->live && !cli->quiet) {
        (void)fprintf(cli->line.err, "\r%.60s ...\033[K", name);
        (void)fflush(cli->line.err);
    }
}

static void print_text(struct cli *cli, const struct report *r,
                       const char *path)
{
    FILE *out = cli->line.out;
    const char *missing =
        r->missing.data != NULL ? (const char *)r->missing.data : "";

    (void)fprintf(out, "%s\n", QUOTED_STR(path));
    if (cli->quiet) {
        return;
    }
    (void)fputs("holds", out);
    for (size_t i = 0; i < r->files.count; i++) {
        (void)fprintf(out, " %s", r->files.files[i].name);
    }
    (void)fputc('\n', out);
    if (r->missing.len > 0) {
        (void)fprintf(out, "could not be had:\n%.*s", (int)r->missing.len,
                      missing);
    }
    (void)fprintf(out,
                  "No value and no private key is in it%s, but names of hosts, "
                  "users, replicas and paths are.\n"
                  "Look at it before you send it: tar -xzOf %s | less\n",
                  r->names ? "" : ", and no name of a table or key",
                  QUOTED_STR(path));
}

/* [{"part", "why"}] of lines "PART: WHY". */
static json_t *missing_json(const struct report *r)
{
    const char *at = (const char *)r->missing.data;
    const char *end = at != NULL ? at + r->missing.len : at;
    json_t *list = json_array();

    while (at < end) {
        size_t len = strcspn(at, "\n"), name = strcspn(at, ":");
        (void)json_array_append_new(list, json_pack("{s:s%, s:s%}", "part", at,
                                                    name, "why", at + name + 2,
                                                    len - name - 2));
        at += len + 1;
    }
    return list;
}

static void print_json(struct cli *cli, const struct report *r,
                       const char *path)
{
    json_t *parts = json_array();

    for (size_t i = 0; i < r->files.count; i++) {
        (void)json_array_append_new(parts, json_string(r->files.files[i].name));
    }
    json_t *o =
        json_pack("{s:o, s:o, s:o, s:b}", "file", object_text(path), "parts",
                  parts, "missing", missing_json(r), "names", r->names);
    cli_print_json(cli, o);
    json_decref(o);
}

static int fail_write(struct cli *cli, const struct err *err)
{
    return cmdline_fail(&cli->line,
                        err->code == ERR_PERM ? EX_NOPERM : EX_CANTCREAT, "%s",
                        err->msg);
}

int cmd_bugreport(struct cmdline *line)
{
    struct cli *cli = cli_of(line);
    CLEANUP(report_deinit)
    struct report r = {.names = cli->names, .begins = show_part, .arg = cli};
    char root[ROOT_BYTES], made[ROOT_BYTES + 8], own[PATH_MAX];
    const char *path = cli->output != NULL ? cli->output : made;
    struct err err = {0};

    name_root(cli, root);
    (void)snprintf(made, sizeof made, "%s.tar.gz", root);
    if (bundle_may_write(path, &err) < 0) {
        return fail_write(cli, &err);
    }
    int rc = choose(cli, &r);
    if (rc != 0) {
        return rc;
    }
    r.program = own_path(own);
    r.files.root = root;
    report_gather(&r);
    show_part(cli, "the archive");
    rc = bundle_write(&r.files, path, &err);
    if (cli->live && !cli->quiet) {
        (void)fputs("\r\033[K", line->err);
    }
    if (rc < 0) {
        return fail_write(cli, &err);
    }
    if (line->json) {
        print_json(cli, &r, path);
    } else {
        print_text(cli, &r, path);
    }
    return EXIT_GOOD;
}
