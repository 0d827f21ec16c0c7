/* SPDX-License-Identifier: MIT
 *
 * kv_main: the commands and options of drover-kv, and the database that a
 * command works on. */
#include <string.h>

#include "store/base/clock.h"
#include "store/base/units.h"
#include "store/cmdline/version.h"
#include "store/kv/kv.h"

#define TIMEOUT_PRESET_MS 5000

#define WRITER(name_, args_, summary_, examples_, run_)                        \
    {                                                                          \
        .name = (name_), .args = (args_), .summary = (summary_),               \
        .options = "", .examples = (examples_), .run = (run_),                 \
        .own = KV_WRITES,                                                      \
    }

static const struct cmdline_command COMMANDS[] = {
    CMDLINE_COMMAND("get", "KEY", "print the value, byte for byte", "",
                    "  $ drover-kv /srv/orders get bob\n"
                    "  $ drover-kv /srv/orders get --table users bob --json\n",
                    kv_get),
    CMDLINE_COMMAND("has", "KEY", "exit with 0 if the key exists, else 1", "",
                    "  $ drover-kv /srv/orders has bob || echo missing\n",
                    kv_has),
    WRITER("set", "KEY [VALUE]", "set the key, to stdin without VALUE",
           "  $ drover-kv /srv/orders set --table users bob 42\n"
           "  $ pg_dump app | drover-kv /srv/orders set backup\n",
           kv_set),
    WRITER("create", "KEY [VALUE]", "set the key only if it is missing",
           "  $ drover-kv /srv/orders create lock \"$$\" && echo mine\n",
           kv_create),
    WRITER("update", "KEY [VALUE]", "set the key only if it exists",
           "  $ drover-kv /srv/orders update bob 43\n", kv_update),
    WRITER("delete", "KEY...", "delete keys; a missing one is fine",
           "  $ drover-kv /srv/orders delete bob alice\n", kv_delete),
    WRITER("import", "KEY FILE", "set the key to the contents of a file",
           "  $ drover-kv /srv/orders import logo logo.png\n", kv_import),
    CMDLINE_COMMAND("keys", "", "list the keys, sorted", "prefix,null",
                    "  $ drover-kv /srv/orders keys --table users\n"
                    "  $ drover-kv /srv/orders keys --prefix b -0 | xargs -0\n",
                    kv_keys),
    CMDLINE_COMMAND("each", "", "list keys and values", "prefix,null",
                    "  $ drover-kv /srv/orders each --json | jq .key\n",
                    kv_each),
    CMDLINE_COMMAND("tables", "", "list the tables; '' is the root table",
                    "null", "  $ drover-kv /srv/orders tables\n", kv_tables),
    WRITER("mktable", "TABLE", "create a table; an existing one is fine",
           "  $ drover-kv /srv/orders mktable eu/users\n", kv_mktable),
    WRITER("drop", "TABLE", "delete a table with all its keys",
           "  $ drover-kv /srv/orders drop eu/users\n", kv_drop),
    WRITER("sweep", "", "remove killed writers' temporary files, list suspects",
           "  $ drover-kv /srv/orders sweep\n", kv_sweep),
    CMDLINE_VERSION("drover-kv"),
    CMDLINE_COMPLETION("drover-kv"),
    CMDLINE_HELP("drover-kv", "set"),
    {.name = NULL},
};

#define AT(member) offsetof(struct kv, member)

static const struct cmdline_option OPTIONS[] = {
    {"table", 't', CMDLINE_TEXT, AT(table_name), "TABLE",
     "the table, such as users or eu/users (the root)", true},
    {"timeout", 'T', CMDLINE_TEXT, AT(timeout_text), "TIME",
     "wait for a lock: 250ms, 10s, 0, forever (5s)", true},
    {"json", 'j', CMDLINE_FLAG, AT(line.json), NULL,
     "print one JSON object per line", true},
    {"create", 'C', CMDLINE_FLAG, AT(create), NULL,
     "create the database if it is missing", true},
    {"force", 'f', CMDLINE_FLAG, AT(force), NULL,
     "write even if the database is a replica", true},
    {"prefix", 'p', CMDLINE_TEXT, AT(prefix_text), "PREFIX",
     "only keys that begin with it", false},
    {"null", '0', CMDLINE_FLAG, AT(null), NULL,
     "names raw, each ended by NUL, not shell-quoted", false},
    {.name = NULL},
};

/* --- the database ---------------------------------------------------------- */

static int open_db(struct kv *kv)
{
    struct drover_error err;
    bool writes = kv->line.command->own == KV_WRITES;
    unsigned flags = writes ? 0 : DROVER_OPEN_READONLY;

    if (writes && kv->create) {
        flags |= DROVER_OPEN_CREATE;
    }
    if (writes && kv->force) {
        flags |= DROVER_OPEN_FORCE;
    }
    int rc = drover_open(kv->line.place, flags, &kv->db, &err);
    if (rc == 0) {
        return EXIT_GOOD;
    }
    if (rc == DROVER_E_NOTFOUND) {
        return kv_fail_hint(kv, &err, EX_NOINPUT,
                            writes ? "--create creates the database" : "");
    }
    return kv_fail_hint(
        kv, &err, 0,
        rc == DROVER_E_READONLY ? "--force writes to the replica anyway" : "");
}

/* "forever" is no time that units_parse_duration() knows. */
static int take_timeout(struct kv *kv)
{
    struct err err = {0};
    int64_t ns = 0;

    if (kv->timeout_text == NULL) {
        return EXIT_GOOD;
    }
    if (strcmp(kv->timeout_text, "forever") == 0) {
        kv->timeout_ms = DROVER_FOREVER;
        return EXIT_GOOD;
    }
    if (units_parse_duration(kv->timeout_text, &ns, &err) < 0) {
        (void)err_wrap(&err, "--timeout");
        return cmdline_fail_err(&kv->line, EX_USAGE, &err, "");
    }
    kv->timeout_ms = (ns + NS_PER_MS - 1) / NS_PER_MS;
    return EXIT_GOOD;
}

static void take_names(struct kv *kv)
{
    if (kv->table_name != NULL) {
        kv->table = drover_text(kv->table_name);
    }
    if (kv->prefix_text != NULL) {
        kv->prefix = drover_text(kv->prefix_text);
    }
}

/* Before a command runs. */
static int begin(struct cmdline *line)
{
    struct kv *kv = kv_of(line);
    int code = take_timeout(kv);

    take_names(kv);
    return code == EXIT_GOOD && !line->command->alone ? open_db(kv) : code;
}

static const struct cmdline_option *const OPTION_LISTS[] = {OPTIONS, NULL};

static const struct cmdline_program PROGRAM = {
    .name = "drover-kv",
    .summary = "read and write a key/value database in directory DIR, safely\n"
               "beside other programs that use flockd or libdrover",
    .place = "DIR",
    .examples = "  $ drover-kv /srv/orders get bob\n"
                "  $ drover-kv /srv/orders set --table users bob 42\n"
                "  $ pg_dump app | drover-kv /srv/orders set backup\n"
                "  $ drover-kv /srv/orders keys --table users --prefix b\n"
                "  $ drover-kv /srv/orders each --json | jq .key\n"
                "  $ drover-kv /srv/orders create lock \"$$\" && echo mine\n",
    .more = "man drover-kv",
    .commands = COMMANDS,
    .options = OPTION_LISTS,
    .begin = begin,
    .names = kv_names,
};

int main(int argc, char **argv)
{
    struct kv kv = {
        .line = {.program = &PROGRAM, .out = stdout, .err = stderr},
        .timeout_ms = TIMEOUT_PRESET_MS,
        .out = BUF_NULL,
    };

    version_is(VERSION_BUILD);
    int code = cmdline_main(&kv.line, argc, argv);
    if (kv.out.bad) {
        code = cmdline_fail(&kv.line, EX_OSERR, "out of memory");
    }
    buf_deinit(&kv.out);
    drover_close(kv.db);
    return code;
}
