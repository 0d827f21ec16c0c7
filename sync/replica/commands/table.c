/* SPDX-License-Identifier: MIT
 *
 * table: the commands and options of drover-replica.  Above the commands, which
 * it names; what these share is in commands.c. */
#include <string.h>

#include "sync/replica/commands/commands.h"
#include "sync/wire/wire.h"

#define VALUES_OPTIONS "json,table,key,id"

static const struct cmdline_command COMMANDS[] = {
    {.name = "receive",
     .args = "DIR",
     .summary = "take changes from an agent on stdin (for ssh)",
     .options = RECEIVE_OPTION_NAMES,
     .examples =
         "  in ~/.ssh/authorized_keys of the replica's user, one line per "
         "primary:\n"
         "    restrict,command=\"drover-replica receive /srv/orders --group "
         "orders-read\" ssh-ed25519 AAAA...\n",
     .run = cmd_receive,
     .one_line = true},
    CMDLINE_COMMAND("fresh", "DIR",
                    "exit with 0 fresh, 1 stale, 69 never synced",
                    "json,max-age",
                    "  $ drover-replica fresh /srv/orders --max-age 10s || "
                    "exit 1\n",
                    cmd_fresh),
    CMDLINE_COMMAND("status", "DIR",
                    "whose copy it is, how current, who writes it", "json",
                    "  $ drover-replica status /srv/orders\n", cmd_status),
    CMDLINE_COMMAND("check", "DIR",
                    "does it serve as a replica? change nothing",
                    "json,strict,group,dir-mode,file-mode",
                    "  $ drover-replica check /srv/orders\n"
                    "  $ drover-replica check /srv/orders --group "
                    "orders-read\n",
                    cmd_check),
    CMDLINE_COMMAND("metrics", "DIR", "print metrics for Prometheus", "",
                    "  $ drover-replica metrics /srv/orders > "
                    "/var/lib/prometheus/node-exporter/orders.prom\n",
                    cmd_metrics),
    CMDLINE_COMMAND("adopt", "DIR ID",
                    "take a copy made by other means as a replica", "json",
                    "  $ drover-replica adopt /srv/orders "
                    "0f3c86d91d5d4c6f9e54a1f0c2b7e8e1\n",
                    cmd_adopt),
    CMDLINE_COMMAND("promote", "DIR",
                    "make it the primary, with the next epoch",
                    "json,force,epoch",
                    "  $ drover-replica promote /srv/orders\n", cmd_promote),
    CMDLINE_COMMAND(
        "demote", "DIR", "make a primary a replica; keeps its values",
        "json,discard", "  $ drover-replica demote /srv/orders\n", cmd_demote),
    CMDLINE_COMMAND("kept", "DIR",
                    "list kept values the new primary does not have",
                    "json,restore,remove",
                    "  $ drover-replica kept /srv/orders\n"
                    "  $ drover-replica kept --restore /tmp/lost /srv/orders\n"
                    "  $ drover-replica kept --remove /srv/orders\n",
                    cmd_kept),
    CMDLINE_COMMAND("trash list", "DIR",
                    "list deleted values that are kept (--trash-keep)",
                    VALUES_OPTIONS,
                    "  $ drover-replica trash list /srv/orders --table users\n",
                    cmd_trash_list),
    CMDLINE_COMMAND("trash restore", "DIR OUT",
                    "copy them to OUT, a new directory, as a database",
                    VALUES_OPTIONS,
                    "  $ drover-replica trash restore /srv/orders /tmp/back "
                    "--key bob\n",
                    cmd_trash_restore),
    CMDLINE_COMMAND("trash empty", "DIR", "remove them", VALUES_OPTIONS,
                    "  $ drover-replica trash empty /srv/orders\n",
                    cmd_trash_empty),
    CMDLINE_COMMAND("undone list", "DIR",
                    "the same for values that a primary undid after it had "
                    "lost its last changes",
                    VALUES_OPTIONS,
                    "  $ drover-replica undone list /srv/orders\n",
                    cmd_undone_list),
    CMDLINE_COMMAND("undone restore", "DIR OUT", "copy them to OUT",
                    VALUES_OPTIONS,
                    "  $ drover-replica undone restore /srv/orders /tmp/back\n",
                    cmd_undone_restore),
    CMDLINE_COMMAND("undone empty", "DIR", "remove them", VALUES_OPTIONS,
                    "  $ drover-replica undone empty /srv/orders\n",
                    cmd_undone_empty),
    CMDLINE_VERSION("drover-replica"),
    CMDLINE_COMPLETION("drover-replica"),
    CMDLINE_HELP("drover-replica", "promote"),
    {.name = NULL},
};

#define AT(member) offsetof(struct replica_line, member)

static const struct cmdline_option OPTIONS[] = {
    {"json", 0, CMDLINE_FLAG, AT(receive.line.json), NULL,
     "print one JSON object", false},
    {"max-age", 0, CMDLINE_TIME, AT(max_age_ns), "TIME",
     "how old it may be, such as 10s", false},
    {"force", 0, CMDLINE_FLAG, AT(force), NULL,
     "even if a receiver is connected or the copy is incomplete", false},
    {"epoch", 0, CMDLINE_TEXT, AT(epoch), "NUMBER",
     "begin this epoch, also on a primary", false},
    {"discard", 0, CMDLINE_FLAG, AT(discard), NULL,
     "do not keep the old values", false},
    {"restore", 0, CMDLINE_TEXT, AT(out), "OUT",
     "copy them to OUT, a new directory, as a database", false},
    {"remove", 0, CMDLINE_FLAG, AT(remove), NULL, "remove what was kept",
     false},
    {"strict", 0, CMDLINE_FLAG, AT(strict), NULL,
     "exit with 1 for a warning, too", false},
    {"table", 0, CMDLINE_TEXT, AT(table), "TABLE", "only this table", false},
    {"key", 0, CMDLINE_TEXT, AT(key), "KEY", "only this key", false},
    {"id", 0, CMDLINE_TEXT, AT(id), "ID", "only this one", false},
    {.name = NULL},
};

/* Hints speak of the directory. */
static int begin(struct cmdline *line)
{
    if (line->count > 0 && !line->command->alone) {
        replica_serves(line->words[0]);
    }
    return EXIT_GOOD;
}

static void names(struct cmdline *line, const char *placeholder)
{
    if (strcmp(placeholder, "OUT") == 0) {
        (void)fputs(":dirs\n", line->out);
    }
}

static void say_protocols(FILE *out)
{
    (void)fprintf(out, " (protocol %d to %d)", WIRE_PROTO_MIN, WIRE_PROTO_MAX);
}

static const struct cmdline_option *const OPTION_LISTS[] = {
    OPTIONS, RECEIVE_OPTIONS, NULL};

const struct cmdline_program REPLICA_PROGRAM = {
    .name = "drover-replica",
    .summary = "the replica's side of Drover",
    .examples =
        "  in ~/.ssh/authorized_keys of the replica's user, one line per "
        "primary:\n"
        "    restrict,command=\"drover-replica receive /srv/orders --group "
        "orders-read\" ssh-ed25519 AAAA...\n"
        "  in an application's start script:\n"
        "    drover-replica fresh /srv/orders --max-age 10s || exit 1\n"
        "  by hand:\n"
        "    drover-replica status /srv/orders\n",
    .more = "man drover-replica",
    .version = say_protocols,
    .commands = COMMANDS,
    .options = OPTION_LISTS,
    .begin = begin,
    .names = names,
};
