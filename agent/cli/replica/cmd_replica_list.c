/* SPDX-License-Identifier: MIT
 *
 * cmd_replica_list: `drover replica list`: what is set up, by the configuration
 * and what it names on this host, and what the agent says of it if there is
 * one. */
#include <stdlib.h>
#include <string.h>

#include "agent/base/object.h"
#include "agent/cli/render/render.h"
#include "agent/cli/render/render_field.h"
#include "agent/cli/replica/cmd_replica.h"
#include "agent/enroll/pinned.h"
#include "store/base/cleanup.h"

/* One replica, as it is shown. */
struct row {
    const struct config_replica *r;
    char *target;
    const char *file; /* where it is defined */
    unsigned line;
    const char *key;   /* "agent" is ssh-agent; NULL: none of ours */
    const char *state; /* NULL: no agent */
    char fingerprint[SSHKEY_FINGERPRINT_BYTES]; /* "": not pinned */
    unsigned pinned_line;
};

static void find_pin(struct row *row)
{
    CLEANUP(freep) struct pinned *pinned = calloc(1, sizeof *pinned);
    struct err ignored = {0};

    if (pinned == NULL || pinned_find(row->r->known_hosts, row->r->host,
                                      row->r->port, pinned, &ignored) < 0) {
        return;
    }
    for (size_t i = 0; i < pinned->count; i++) {
        if (!pinned->keys[i].revoked) {
            pinned_fingerprint(&pinned->keys[i], row->fingerprint);
            row->pinned_line = pinned->keys[i].line;
            return;
        }
    }
}

static struct row make_row(const struct config *c,
                           const struct config_replica *r, const json_t *status)
{
    struct row row = {
        .r = r,
        .target = replica_target_text(r),
        .file = config_file_of(c, r->where.head),
        .line = r->where.head.line,
    };

    if (status != NULL) {
        row.state = field_text(replica_in_status(status, r->name), "state",
                               "not loaded");
    }
    if (r->kind == REPLICA_SSH) {
        row.key = r->identity != NULL ? r->identity : "agent";
        find_pin(&row);
    }
    return row;
}

/* --- as text ------------------------------------------------------------- */

static void add_text(struct table *t, const struct row *row)
{
    CLEANUP(freep) char *where = NULL;

    if (asprintf(&where, "%s:%u", row->file, row->line) < 0) {
        where = NULL;
    }
    const char *cells[] = {
        row->r->name,
        row->state != NULL ? row->state : "no agent",
        row->target != NULL ? row->target : "?",
        where != NULL ? where : "?",
        row->key != NULL ? row->key : "-",
        row->fingerprint[0] != '\0'    ? row->fingerprint
        : row->r->kind == REPLICA_EXEC ? "-"
                                       : "not pinned",
    };
    table_row(t, cells);
}

static void list_text(struct cli *cli, const struct config *c,
                      const json_t *status)
{
    static const char *const HEAD[] = {"REPLICA", "STATE", "TARGET",
                                       "DEFINED", "KEY",   "HOST KEY"};
    CLEANUP(table_deinit) struct table t = {.columns = 6};

    if (c->replicas_count == 0) {
        (void)fprintf(cli->line.out, "%s has no replicas\n", c->file);
        return;
    }
    table_row(&t, HEAD);
    for (size_t i = 0; i < c->replicas_count; i++) {
        struct row row = make_row(c, &c->replicas[i], status);
        add_text(&t, &row);
        free(row.target);
    }
    table_print(&t, cli->line.out, NULL);
}

/* --- as JSON ------------------------------------------------------------- */

static json_t *row_json(const struct row *row)
{
    bool pinned = row->fingerprint[0] != '\0';
    json_t *o = json_pack(
        "{s:s, s:o, s:o, s:i, s:s?}", "name", row->r->name, "target",
        object_text(row->target != NULL ? row->target : "?"), "file",
        object_text(row->file), "line", (int)row->line, "state", row->state);

    (void)json_object_set_new(
        o, "identity", row->key != NULL ? object_text(row->key) : json_null());
    (void)json_object_set_new(o, "known_hosts",
                              row->r->kind == REPLICA_SSH
                                  ? object_text(row->r->known_hosts)
                                  : json_null());
    (void)json_object_set_new(
        o, "fingerprint", pinned ? json_string(row->fingerprint) : json_null());
    (void)json_object_set_new(
        o, "pinned_line",
        pinned ? json_integer((json_int_t)row->pinned_line) : json_null());
    return o;
}

static void list_json(struct cli *cli, const struct config *c,
                      const json_t *status)
{
    json_t *list = json_array();

    for (size_t i = 0; i < c->replicas_count; i++) {
        struct row row = make_row(c, &c->replicas[i], status);
        (void)json_array_append_new(list, row_json(&row));
        free(row.target);
    }
    json_t *o = json_pack("{s:s, s:o, s:b, s:o}", "database", c->name, "file",
                          object_text(c->file), "agent", status != NULL,
                          "replicas", list);
    cli_print_json(cli, o);
    json_decref(o);
}

int cmd_replica_list(struct cmdline *line)
{
    struct cli *cli = cli_of(line);
    int rc = 0;
    CLEANUP(config_freep)
    struct config *c = replica_load_config(cli, &rc);

    if (c == NULL) {
        return rc;
    }
    json_t *status = replica_agent_status(c);
    if (line->json) {
        list_json(cli, c, status);
    } else {
        list_text(cli, c, status);
    }
    json_decref(status);
    return EXIT_GOOD;
}
