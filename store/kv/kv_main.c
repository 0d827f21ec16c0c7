/* SPDX-License-Identifier: MIT
 *
 * kv_main: the command line of drover-kv. */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "store/base/clock.h"
#include "store/base/quote.h"
#include "store/kv/kv.h"

struct command {
    const char *name;
    const char *args;
    const char *summary;
    int min_args;
    int max_args; /* -1: any number */
    bool writes;
    int (*run)(struct kv *kv);
};

static const struct command COMMANDS[] = {
    {"get", "KEY", "print the value, byte for byte", 1, 1, false, kv_get},
    {"has", "KEY", "exit with 0 if the key exists, else 1", 1, 1, false,
     kv_has},
    {"set", "KEY [VALUE]", "set the key, to stdin without VALUE", 1, 2, true,
     kv_set},
    {"create", "KEY [VALUE]", "set the key only if it is missing", 1, 2, true,
     kv_create},
    {"update", "KEY [VALUE]", "set the key only if it exists", 1, 2, true,
     kv_update},
    {"delete", "KEY...", "delete keys; a missing one is fine", 1, -1, true,
     kv_delete},
    {"import", "KEY FILE", "set the key to the contents of a file", 2, 2, true,
     kv_import},
    {"keys", "", "list the keys, sorted", 0, 0, false, kv_keys},
    {"each", "", "list keys and values", 0, 0, false, kv_each},
    {"tables", "", "list the tables; '' is the root table", 0, 0, false,
     kv_tables},
    {"mktable", "TABLE", "create a table; an existing one is fine", 1, 1, true,
     kv_mktable},
    {"drop", "TABLE", "delete a table with all its keys", 1, 1, true, kv_drop},
    {"sweep", "", "remove killed writers' temporary files, list suspects", 0, 0,
     true, kv_sweep},
};

enum { COMMAND_COUNT = sizeof COMMANDS / sizeof COMMANDS[0] };

#define DEFAULT_TIMEOUT_MS 5000

static const char HELP_HEAD[] =
    "Examples:\n"
    "  drover-kv /srv/orders get bob\n"
    "  drover-kv /srv/orders set --table users bob 42\n"
    "  pg_dump app | drover-kv /srv/orders set backup\n"
    "  drover-kv /srv/orders keys --table users --prefix b\n"
    "  drover-kv /srv/orders each --json | jq .key\n"
    "  drover-kv /srv/orders create lock \"$$\" && echo mine\n"
    "\n"
    "Usage: drover-kv DB COMMAND [OPTION...] [ARGUMENT...]\n"
    "Reads and writes a key/value database in directory DB, safely beside\n"
    "other programs that use flockd or libdrover.\n"
    "\n"
    "Commands:\n";

static const char HELP_TAIL[] =
    "\n"
    "Options (anywhere; -- ends them):\n"
    "  -t, --table=TABLE    the table, such as users or eu/users (the root)\n"
    "  -T, --timeout=TIME   wait for a lock: 250ms, 10s, 0, forever (5s)\n"
    "  -p, --prefix=PREFIX  keys, each: only keys that begin with it\n"
    "  -0, --null           names raw, each ended by NUL, not shell-quoted\n"
    "  -j, --json           one JSON object per line; a value or key that is\n"
    "                       not UTF-8 also as value_b64, key_b64\n"
    "  -C, --create         create the database if it is missing\n"
    "  -f, --force          write even though the database is a replica\n"
    "  -h, --help           this text\n"
    "  -V, --version        the version\n"
    "\n"
    "Exit status: 0 done; 1 the answer is no (get, update, has, keys: no such\n"
    "key or table; create: it exists; drop: something else is in it); 64 "
    "wrong\n"
    "usage or impossible name; 65 something else has the name; 66 no such\n"
    "database or file; 71 out of memory; 73 disk full; 74 input or output\n"
    "failed; 75 lock not granted in time; 77 not permitted, or a replica.\n";

static void print_help(void)
{
    (void)fputs(HELP_HEAD, stdout);
    for (size_t i = 0; i < COMMAND_COUNT; i++) {
        char left[40];
        (void)snprintf(left, sizeof left, "%s %s", COMMANDS[i].name,
                       COMMANDS[i].args);
        (void)printf("  %-20s %s\n", left, COMMANDS[i].summary);
    }
    (void)fputs(HELP_TAIL, stdout);
}

static const struct command *find_command(const char *name)
{
    for (size_t i = 0; i < COMMAND_COUNT; i++) {
        if (strcmp(COMMANDS[i].name, name) == 0) {
            return &COMMANDS[i];
        }
    }
    return NULL;
}

/* The command line, taken apart. */
struct line {
    struct kv kv;
    const char *db_path;
    const struct command *command;
    bool create;
    bool force;
    bool done; /* --help or --version: nothing else is to be done */
};

static int parse_timeout(const char *text, int64_t *ms_out)
{
    struct err err;
    int64_t ns;

    if (strcmp(text, "forever") == 0) {
        *ms_out = DROVER_FOREVER;
        return KV_OK;
    }
    if (units_parse_duration(text, &ns, &err) < 0) {
        return kv_fail_usage("--timeout %s", err.msg);
    }
    *ms_out = (ns + NS_PER_MS - 1) / NS_PER_MS;
    return KV_OK;
}

static int take_option(struct line *line, int option)
{
    switch (option) {
    case 't':
        line->kv.table = drover_text(optarg);
        return KV_OK;
    case 'T':
        return parse_timeout(optarg, &line->kv.timeout_ms);
    case 'p':
        line->kv.prefix = drover_text(optarg);
        return KV_OK;
    case '0':
        line->kv.null = true;
        return KV_OK;
    case 'j':
        line->kv.json = true;
        return KV_OK;
    case 'C':
        line->create = true;
        return KV_OK;
    case 'f':
        line->force = true;
        return KV_OK;
    case 'h':
        print_help();
        line->done = true;
        return KV_OK;
    case 'V':
        (void)printf("drover-kv %s\n", drover_version());
        line->done = true;
        return KV_OK;
    default: /* getopt has said what is wrong */
        (void)fputs("Try: drover-kv --help\n", stderr);
        return KV_USAGE;
    }
}

static int take_options(struct line *line, int argc, char **argv)
{
    static const struct option options[] = {
        {"table", required_argument, NULL, 't'},
        {"timeout", required_argument, NULL, 'T'},
        {"prefix", required_argument, NULL, 'p'},
        {"null", no_argument, NULL, '0'},
        {"json", no_argument, NULL, 'j'},
        {"create", no_argument, NULL, 'C'},
        {"force", no_argument, NULL, 'f'},
        {"help", no_argument, NULL, 'h'},
        {"version", no_argument, NULL, 'V'},
        {NULL, 0, NULL, 0},
    };
    int option;
    int rc = KV_OK;

    while (rc == KV_OK && !line->done &&
           (option = getopt_long(argc, argv, "t:T:p:0jCfhV", options, NULL)) !=
               -1) {
        rc = take_option(line, option);
    }
    return rc;
}

/* DB COMMAND ARGUMENT... */
static int take_words(struct line *line, int argc, char **argv)
{
    if (argc < 1) {
        return kv_fail_usage("the database's directory is missing");
    }
    line->db_path = argv[0];
    if (argc < 2 && find_command(argv[0]) != NULL) {
        return kv_fail_usage("the database's directory comes first: "
                             "drover-kv DB %s",
                             argv[0]);
    }
    if (argc < 2) {
        return kv_fail_usage("what to do with %s? The command is missing",
                             QUOTED(argv[0], strlen(argv[0])));
    }
    line->command = find_command(argv[1]);
    if (line->command == NULL && find_command(argv[0]) != NULL) {
        return kv_fail_usage("the database's directory comes first: "
                             "drover-kv DB %s ...",
                             argv[0]);
    }
    if (line->command == NULL) {
        return kv_fail_usage("unknown command %s",
                             QUOTED(argv[1], strlen(argv[1])));
    }
    line->kv.argc = argc - 2;
    line->kv.argv = argv + 2;
    if (line->kv.argc < line->command->min_args ||
        (line->command->max_args >= 0 &&
         line->kv.argc > line->command->max_args)) {
        return kv_fail_usage("usage: drover-kv DB %s %s", line->command->name,
                             line->command->args);
    }
    return KV_OK;
}

static int open_db(struct line *line)
{
    struct drover_error err;
    unsigned flags = line->command->writes ? 0 : DROVER_OPEN_READONLY;

    if (line->command->writes && line->create) {
        flags |= DROVER_OPEN_CREATE;
    }
    if (line->command->writes && line->force) {
        flags |= DROVER_OPEN_FORCE;
    }
    line->kv.path = line->db_path;
    int rc = drover_open(line->db_path, flags, &line->kv.db, &err);
    if (rc == 0) {
        return KV_OK;
    }
    int status = kv_fail(&err);
    if (rc == DROVER_E_READONLY) {
        (void)fputs("      HINT: --force writes to the replica anyway\n",
                    stderr);
    }
    if (rc == DROVER_E_NOTFOUND) {
        if (line->command->writes) {
            (void)fputs("      HINT: --create creates the database\n", stderr);
        }
        return KV_NO_DB;
    }
    return status;
}

/* What was printed must have arrived, or the status must say so. */
static int finish(struct kv *kv, int rc)
{
    if (kv->line.bad) {
        (void)fputs("drover-kv: out of memory\n", stderr);
        rc = KV_OS;
    }
    if (fflush(stdout) != 0 || ferror(stdout)) {
        (void)fprintf(stderr, "drover-kv: write to stdout: %s\n",
                      strerror(errno));
        rc = KV_IO;
    }
    buf_deinit(&kv->line);
    drover_close(kv->db);
    return rc;
}

int main(int argc, char **argv)
{
    struct line line = {
        .kv = {.timeout_ms = DEFAULT_TIMEOUT_MS, .line = BUF_NULL}};

    int rc = take_options(&line, argc, argv);
    if (rc == KV_OK && !line.done) {
        rc = take_words(&line, argc - optind, argv + optind);
        if (rc == KV_OK) {
            rc = open_db(&line);
        }
        if (rc == KV_OK) {
            rc = line.command->run(&line.kv);
        }
    }
    return finish(&line.kv, rc);
}
