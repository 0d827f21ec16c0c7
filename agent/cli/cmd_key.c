/* SPDX-License-Identifier: MIT
 *
 * cmd_key: `drover key`: where is this key?  The agent tells what it knows of
 * it, here and on each replica; the file itself is looked at from here, for the
 * agent never waits for a disk to answer a question.
 */
#include <stdlib.h>
#include <string.h>

#include "agent/base/object.h"
#include "agent/cli/command.h"
#include "agent/cli/render/render.h"
#include "agent/cli/render/render_field.h"
#include "agent/key/on_disk.h"
#include "store/base/clock.h"
#include "store/base/quote.h"
#include "store/base/utc.h"
#include "store/layout/name.h"
#include "store/layout/value.h"

enum { ANSWER_TIMEOUT_MS = 30000 };

/* As messages print it. */
#define ROOT_WORD "(root)"

/* --- the file ------------------------------------------------------------ */

/* Is that the file that the agent read last?  Null: it cannot be told, for a
 * stat as young as that proves nothing. */
static json_t *as_read(const json_t *result, const struct on_disk *d)
{
    const char *changed = field_text(result, "changed", NULL);
    bool present = strcmp(field_text(result, "state", ""), "present") == 0;
    uint64_t size = 0;

    if (d->state != ON_DISK_FILE || !present) {
        return json_boolean(d->state != ON_DISK_FILE && !present);
    }
    struct vstat v = vstat_of(&d->st);
    if (!field_count(result, "size", &size) || size != v.size) {
        return json_false();
    }
    return changed != NULL
               ? json_boolean(strcmp(changed, UTC_NANO(v.ctime_ns)) == 0)
               : json_null();
}

static json_t *file_json(const json_t *result, const struct on_disk *d)
{
    json_t *o = json_pack("{s:s, s:o}", "state",
                          d->state == ON_DISK_FILE    ? "present"
                          : d->state == ON_DISK_OTHER ? "other"
                                                      : "absent",
                          "as_read", as_read(result, d));

    if (d->state == ON_DISK_FILE) {
        struct vstat v = vstat_of(&d->st);
        (void)json_object_set_new(o, "size", json_integer((json_int_t)v.size));
        (void)json_object_set_new(o, "changed",
                                  json_string(UTC_NANO(v.ctime_ns)));
        (void)json_object_set_new(
            o, "modified",
            json_string(UTC_NANO(clock_of_timespec(d->st.st_mtim))));
        (void)json_object_set_new(
            o, "pid", d->pid != 0 ? json_integer(d->pid) : json_null());
        (void)json_object_set_new(
            o, "comm", d->comm[0] != '\0' ? object_text(d->comm) : json_null());
    }
    return o;
}

/* Adds what is on disk, or why that could not be seen. */
static void add_file(json_t *result, struct bytes table, struct bytes key)
{
    const char *root = field_text(result, "database", "");
    struct on_disk d;
    struct err err = {0};

    json_t *file = on_disk_find(root, table, key, &d, &err) == 0
                       ? file_json(result, &d)
                       : json_pack("{s:s, s:o}", "state", "unknown", "error",
                                   object_text(err.msg));
    (void)json_object_set_new(result, "file", file);
}

/* --- asking -------------------------------------------------------------- */

static int ask(struct cli *cli, struct bytes table, struct bytes key,
               json_t **result_out)
{
    json_t *request = json_pack("{s:s}", "cmd", "key");

    object_set_key(request, table, key, false);
    return cli_request(cli, request, ANSWER_TIMEOUT_MS, result_out);
}

static bool lacks_table(const json_t *result)
{
    return json_is_false(json_object_get(result, "table_here"));
}

static bool ends_with(const char *s, const char *end)
{
    size_t len = strlen(s), n = strlen(end);

    return len > n && strcmp(s + len - n, end) == 0;
}

/* Whoever names the directory or the file means what is in it. */
static void print_hint(struct cli *cli, const char *table, const char *key)
{
    size_t t = strlen(table) - (ends_with(table, ".tbl") ? 4 : 0);
    size_t k = strlen(key) - (ends_with(key, ".kv") ? 3 : 0);

    if (t < strlen(table) || k < strlen(key)) {
        (void)fprintf(cli->line.err,
                      "      HINT: names are written without .tbl and .kv: "
                      "drover key %s %s\n",
                      QUOTED(table, t), QUOTED(key, k));
    }
}

static int fail_name(struct cli *cli, const struct err *err)
{
    return cmdline_fail(&cli->line, EX_USAGE, "%s", err->msg);
}

int cmd_key(struct cmdline *line)
{
    struct cli *cli = cli_of(line);
    struct bytes table = bytes_of(line->words[0], strlen(line->words[0]));
    struct bytes key = bytes_of(line->words[1], strlen(line->words[1]));
    json_t *result = NULL;
    struct err err = {0};

    if (table_check(table.p, table.len, &err) < 0 ||
        key_check(key.p, key.len, &err) < 0) {
        return fail_name(cli, &err);
    }
    int rc = ask(cli, table, key, &result);
    if (lacks_table(result) && strcmp(line->words[0], ROOT_WORD) == 0) {
        json_decref(result);
        table.len = 0;
        rc = ask(cli, table, key, &result);
    }
    if (result == NULL) {
        return rc;
    }
    add_file(result, table, key);
    if (line->json) {
        cli_print_json(cli, result);
    } else if (!cli->quiet) {
        render_key(line->out, result);
    }
    if (rc == EX_NOINPUT && !line->json) {
        print_hint(cli, line->words[0], line->words[1]);
    }
    json_decref(result);
    return rc;
}
