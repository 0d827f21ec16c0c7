/* SPDX-License-Identifier: MIT
 *
 * command: see command.h.  This file has the tables of commands and options;
 * command_client.c talks to the agent.
 */
#include "agent/cli/command.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/cli/render/render.h"
#include "store/base/cleanup.h"

const struct cmdline_command COMMANDS[] = {
    CMDLINE_COMMAND(
        "agent", "[DIR TARGET...]",
        "keep the replicas of a database up to date", "log-level,log-format",
        "  $ drover agent --config /etc/drover/orders.conf\n"
        "  $ drover agent /srv/orders eu-1.example.net:/srv/orders /mnt/copy\n"
        "  $ drover agent ./orders 'exec:ssh -J bastion eu-1 receive'\n",
        cmd_agent),
    CMDLINE_COMMAND("status", "", "show each replica's state, lag and errors",
                    "watch",
                    "  $ drover status\n"
                    "  $ drover status --watch\n"
                    "  $ drover --db orders status --json\n",
                    cmd_status),
    CMDLINE_COMMAND("events", "[REPLICA...]", "show what happened",
                    "since,follow",
                    "  $ drover events --since 8h\n"
                    "  $ drover --db orders events eu-1 --since 22:00\n"
                    "  $ drover events --follow\n",
                    cmd_events),
    CMDLINE_COMMAND("health", "",
                    "one line for monitoring, as plugins print it",
                    "max-lag,max-silence,max-blocked",
                    "  $ drover --db orders health\n"
                    "  $ drover health --max-lag 10s --max-silence 1m\n",
                    cmd_health),
    CMDLINE_COMMAND("metrics", "", "print metrics for Prometheus",
                    "openmetrics",
                    "  $ drover --db orders metrics | sponge "
                    "/var/lib/prometheus/node-exporter/drover.prom\n",
                    cmd_metrics),
    CMDLINE_COMMAND("resync", "[REPLICA...]",
                    "compare with the replicas and repair them",
                    "dry-run,content,anew,timeout",
                    "  $ drover resync\n"
                    "  $ drover resync eu-1 --dry-run\n"
                    "  $ drover resync --content\n"
                    "  $ drover resync --anew eu-1\n",
                    cmd_resync),
    CMDLINE_COMMAND("verify", "[REPLICA...]",
                    "compare with the replicas, change nothing",
                    "content,recorded,timeout",
                    "  $ drover verify\n"
                    "  $ drover verify eu-1 --content\n",
                    cmd_verify),
    CMDLINE_COMMAND("wait", "[REPLICA...]",
                    "wait until the replicas have every change made so far",
                    "timeout",
                    "  $ drover wait --timeout 30s\n"
                    "  $ drover wait eu-1 && ssh eu-1 start-job\n",
                    cmd_wait),
    CMDLINE_COMMAND(
        "init", "DIR", "create the database's id (run once)", "id,state",
        "  $ drover init /srv/orders\n"
        "  $ drover init --id 0f3c86d91d5d4c6f9e54a1f0c2b7e8e1 /srv/orders\n",
        cmd_init),
    CMDLINE_COMMAND("approve", "REPLICA [TOKEN]",
                    "release deletes that the brake is holding", "dry-run",
                    "  $ drover approve eu-1 --dry-run\n"
                    "  $ drover approve eu-1 5d41402abc4b\n",
                    cmd_approve),
    CMDLINE_COMMAND("pause", "[REPLICA...]",
                    "send nothing to the replicas until resume", "",
                    "  $ drover pause eu-1\n", cmd_pause),
    CMDLINE_COMMAND("resume", "[REPLICA...]", "end a pause", "",
                    "  $ drover resume eu-1\n", cmd_resume),
    CMDLINE_COMMAND("retry", "[REPLICA...]",
                    "connect now to replicas without a session", "",
                    "  $ drover retry\n"
                    "  $ drover retry eu-1 && drover wait eu-1\n",
                    cmd_retry),
    CMDLINE_COMMAND(
        "replica add", "REPLICA TARGET",
        "set up a replica, up to its first copy",
        "via,fingerprint,group,dir-mode,file-mode,identity,known-hosts,"
        "authorized-keys,receiver,print,dry-run,no-wait,timeout",
        "  $ drover replica add eu-1 eu-1.example.net --via "
        "root@eu-1.example.net\n"
        "  $ drover replica add eu-1 eu-1.example.net:/srv/orders --dry-run\n"
        "  $ drover replica add eu-1 eu-1.example.net --print | "
        "ssh admin@eu-1.example.net sudo sh\n",
        cmd_replica_add),
    CMDLINE_COMMAND(
        "replica remove", "REPLICA",
        "take a replica out of the configuration; its data stays",
        "via,authorized-keys,print,dry-run",
        "  $ drover replica remove eu-1\n"
        "  $ drover replica remove eu-1 --via root@eu-1.example.net\n",
        cmd_replica_remove),
    CMDLINE_COMMAND("replica list", "",
                    "show what replicas are set up, and where", "",
                    "  $ drover replica list\n"
                    "  $ drover --db orders replica list --json\n",
                    cmd_replica_list),
    CMDLINE_COMMAND("check", "[REPLICA...]",
                    "does it work, end to end? change nothing",
                    "timeout,strict",
                    "  $ drover --db orders check\n"
                    "  $ drover check eu-1 --timeout 10s\n",
                    cmd_check),
    CMDLINE_COMMAND("key", "TABLE KEY",
                    "where is this key? here, and on each replica", "",
                    "  $ drover --db orders key users bob\n"
                    "  $ drover key '' root-key --json\n",
                    cmd_key),
    CMDLINE_COMMAND("bugreport", "",
                    "gather what helpers ask for into one archive",
                    "output,names",
                    "  $ sudo drover --db orders bugreport\n"
                    "  $ drover --db orders bugreport -o /tmp/orders.tar.gz\n",
                    cmd_bugreport),
    CMDLINE_COMMAND("check-config", "[FILE]",
                    "check a configuration file, change nothing",
                    "list-settings",
                    "  $ drover check-config /etc/drover/orders.conf\n"
                    "  $ drover --db orders check-config\n",
                    cmd_check_config),
    CMDLINE_COMMAND("show-config", "[FILE]",
                    "print the configuration with its drop-ins as one file",
                    "all",
                    "  $ drover show-config /etc/drover/orders.conf\n"
                    "  $ drover --db orders show-config --all\n",
                    cmd_show_config),
    CMDLINE_COMMAND("reload", "", "apply the changed configuration", "",
                    "  $ drover --db orders reload\n", cmd_reload),
    CMDLINE_COMMAND("version", "", "print the version, and the running agent's",
                    "", "  $ drover version\n", cmd_version),
    CMDLINE_COMPLETION("drover"),
    CMDLINE_HELP("drover", "resync"),
    {.name = NULL},
};

#define AT(member) offsetof(struct cli, member)

static const struct cmdline_option OPTIONS[] = {
    {"config", 'c', CMDLINE_TEXT, AT(config_file), "FILE",
     "the agent's configuration file", true},
    {"db", 0, CMDLINE_TEXT, AT(db), "NAME",
     "the same as --config /etc/drover/NAME.conf", true},
    {"socket", 0, CMDLINE_TEXT, AT(socket), "FILE",
     "the agent's control socket (also $DROVER_SOCKET)", true},
    {"json", 0, CMDLINE_FLAG, AT(line.json), NULL, "print one JSON object",
     true},
    {"quiet", 'q', CMDLINE_FLAG, AT(quiet), NULL, "print errors only", true},
    {"verbose", 'v', CMDLINE_COUNT, AT(verbose), NULL, "print more", true},
    {"color", 0, CMDLINE_TEXT, AT(color_when), "auto|always|never",
     "when to use colors", true},
    {"log-level", 0, CMDLINE_TEXT, AT(log_level),
     "error|warning|notice|info|debug", "what to log (default info)", false},
    {"log-format", 0, CMDLINE_TEXT, AT(log_format), "text|json",
     "how to log (default text)", false},
    {"watch", 0, CMDLINE_MAYBE, AT(watch), "TIME",
     "refresh every TIME (default 1s); q or Ctrl-C quits", false},
    {"since", 0, CMDLINE_TEXT, AT(since), "TIME",
     "from then on: 8h (ago), 22:00, '2026-01-31 22:00', or an event's number",
     false},
    {"follow", 'f', CMDLINE_FLAG, AT(follow), NULL,
     "go on with what happens; Ctrl-C quits", false},
    {"dry-run", 'n', CMDLINE_FLAG, AT(dry_run), NULL,
     "show what would be done, change nothing", false},
    {"content", 0, CMDLINE_FLAG, AT(content), NULL,
     "read every value on both ends", false},
    {"anew", 0, CMDLINE_FLAG, AT(anew), NULL,
     "accept the replica's directory as it is now, even if empty", false},
    {"recorded", 0, CMDLINE_FLAG, AT(recorded), NULL,
     "compare what both ends remember, look at no disk", false},
    {"timeout", 0, CMDLINE_TIME, AT(timeout_ns), "TIME",
     "give up after TIME, such as 30s", false},
    {"max-lag", 0, CMDLINE_TIME, AT(max_lag_ns), "TIME",
     "critical when a replica lags for longer", false},
    {"max-silence", 0, CMDLINE_TIME, AT(max_silence_ns), "TIME",
     "critical when a replica is silent for longer", false},
    {"max-blocked", 0, CMDLINE_TEXT, AT(max_blocked), "COUNT",
     "critical when more keys are blocked", false},
    {"openmetrics", 0, CMDLINE_FLAG, AT(openmetrics), NULL,
     "in the format of OpenMetrics", false},
    {"strict", 0, CMDLINE_FLAG, AT(strict), NULL,
     "exit with 1 for a warning, too", false},
    {"list-settings", 0, CMDLINE_FLAG, AT(list_settings), NULL,
     "print every setting with its default", false},
    {"output", 'o', CMDLINE_TEXT, AT(output), "FILE",
     "write to FILE, which must not exist", false},
    {"names", 0, CMDLINE_FLAG, AT(names), NULL,
     "with the names of tables and keys", false},
    {"all", 0, CMDLINE_FLAG, AT(all), NULL, "print the defaults, too", false},
    {"via", 0, CMDLINE_TEXT, AT(enroll.via), "[USER@]HOST",
     "log in there with ssh, as its administrator", false},
    {"fingerprint", 0, CMDLINE_TEXT, AT(enroll.fingerprint), "SHA256:...",
     "of the host's key: pin that one, do not ask", false},
    {"group", 0, CMDLINE_TEXT, AT(enroll.group), "GROUP",
     "who reads the copy there (default DATABASE-read)", false},
    {"dir-mode", 0, CMDLINE_TEXT, AT(enroll.dir_mode), "MODE",
     "mode of directories there (2750)", false},
    {"file-mode", 0, CMDLINE_TEXT, AT(enroll.file_mode), "MODE",
     "mode of values there (0640)", false},
    {"identity", 0, CMDLINE_TEXT, AT(enroll.identity), "FILE",
     "the login key (default STATE-DIR/id_ed25519)", false},
    {"known-hosts", 0, CMDLINE_TEXT, AT(enroll.known_hosts), "FILE",
     "where the host's key is pinned (default /etc/drover/known_hosts)", false},
    {"authorized-keys", 0, CMDLINE_TEXT, AT(enroll.authorized_keys), "FILE",
     "of the account there (default ~USER/.ssh/authorized_keys)", false},
    {"receiver", 0, CMDLINE_TEXT, AT(enroll.receiver), "PROGRAM",
     "drover-replica there", false},
    {"print", 0, CMDLINE_FLAG, AT(print), NULL,
     "print what is to be run there, as root, by sh; do nothing else", false},
    {"no-wait", 0, CMDLINE_FLAG, AT(no_wait), NULL,
     "do not wait for the first copy", false},
    {"id", 0, CMDLINE_TEXT, AT(id), "ID",
     "the id it had, when it lost it (32 hexadecimal digits)", false},
    {"state", 0, CMDLINE_TEXT, AT(state_dir), "DIR",
     "where its agent keeps its state (all below /var/lib/drover)", false},
    {.name = NULL},
};

static bool stream_is_terminal(FILE *f)
{
    int fd = fileno(f);

    return fd >= 0 && isatty(fd);
}

static int check_options(struct cmdline *line)
{
    struct cli *cli = cli_of(line);
    const char *when = cli->color_when != NULL ? cli->color_when : "auto";
    const char *term = getenv("TERM");
    const char *no_color = getenv("NO_COLOR");
    bool dumb = term == NULL || strcmp(term, "dumb") == 0;

    if (strcmp(when, "always") == 0) {
        cli->color = true;
    } else if (strcmp(when, "never") == 0) {
        cli->color = false;
    } else if (strcmp(when, "auto") == 0) {
        cli->color = stream_is_terminal(line->out) && !dumb &&
                     (no_color == NULL || no_color[0] == '\0');
    } else {
        return cmdline_fail(line, EX_USAGE,
                            "--color %s: write auto, always or never", when);
    }
    cli->live = stream_is_terminal(line->err) && !dumb;
    if (cli->config_file != NULL && cli->db != NULL) {
        return cmdline_fail(line, EX_USAGE, "use --config or --db, not both");
    }
    return 0;
}

/* Without a command: the state of the agent that runs, else help.  A script
 * must not take the help for an answer. */
static int run_bare(struct cmdline *line)
{
    CLEANUP(freep) char *socket = NULL;

    if (line->json || cli_find_socket(cli_of(line), true, &socket) == 0) {
        return cmd_status(line);
    }
    line->words = line->all;
    return cmdline_help(line);
}

static const struct cmdline_option *const OPTION_LISTS[] = {OPTIONS, NULL};

static const struct cmdline_program PROGRAM = {
    .name = "drover",
    .summary = "live copies of a flockd database on other hosts",
    .examples = "  $ drover agent /srv/orders eu-1.example.net:/srv/orders\n"
                "  $ drover status\n"
                "  $ drover verify --content\n",
    .more = "man drover, man drover.conf",
    .commands = COMMANDS,
    .options = OPTION_LISTS,
    .begin = check_options,
    .bare = run_bare,
    .names = cli_names,
};

int command_main(struct cli *cli, int argc, char **argv)
{
    cli->line.program = &PROGRAM;
    cli->timeout_ns = cli->max_lag_ns = cli->max_silence_ns = CLI_NO_TIMEOUT;
    return cmdline_main(&cli->line, argc, argv);
}
