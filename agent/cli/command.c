/* SPDX-License-Identifier: MIT
 *
 * command: see command.h.  This file has the table, the options and the help;
 * command_client.c talks to the agent.
 */
#include "agent/cli/command.h"

#include <assert.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/base/suggest.h"
#include "agent/cli/render.h"
#include "store/base/cleanup.h"
#include "store/base/quote.h"

const struct command COMMANDS[] = {
    {"agent", "--config FILE | DIR TARGET...",
     "keep the replicas of a database up to date", "log-level",
     "  $ drover agent --config /etc/drover/orders.conf\n"
     "  $ drover agent /srv/orders eu-1.example.net:/srv/orders /mnt/copy\n"
     "  $ drover agent ./orders 'exec:ssh -J bastion eu-1 receive'\n",
     0, CLI_WORDS_MAX, cmd_agent},
    {"status", "", "show each replica's state, lag and errors", "watch",
     "  $ drover status\n"
     "  $ drover status --watch\n"
     "  $ drover --db orders status --json\n",
     0, 0, cmd_status},
    {"resync", "[REPLICA...]", "compare with the replicas and repair them",
     "dry-run,content,anew,timeout",
     "  $ drover resync\n"
     "  $ drover resync eu-1 --dry-run\n"
     "  $ drover resync --content\n"
     "  $ drover resync --anew eu-1\n",
     0, CLI_WORDS_MAX, cmd_resync},
    {"verify", "[REPLICA...]", "compare with the replicas, change nothing",
     "content,recorded,timeout",
     "  $ drover verify\n"
     "  $ drover verify eu-1 --content\n",
     0, CLI_WORDS_MAX, cmd_verify},
    {"wait", "[REPLICA...]",
     "wait until the replicas have every change made so far", "timeout",
     "  $ drover wait --timeout 30s\n"
     "  $ drover wait eu-1 && ssh eu-1 start-job\n",
     0, CLI_WORDS_MAX, cmd_wait},
    {"init", "DIR", "create the database's id (run once)", "id,state",
     "  $ drover init /srv/orders\n"
     "  $ drover init --id 0f3c86d91d5d4c6f9e54a1f0c2b7e8e1 /srv/orders\n",
     1, 1, cmd_init},
    {"approve", "REPLICA [TOKEN]", "release deletes that the brake is holding",
     "dry-run",
     "  $ drover approve eu-1 --dry-run\n"
     "  $ drover approve eu-1 5d41402abc4b\n",
     1, 2, cmd_approve},
    {"pause", "[REPLICA...]", "send nothing to the replicas until resume", "",
     "  $ drover pause eu-1\n", 0, CLI_WORDS_MAX, cmd_pause},
    {"resume", "[REPLICA...]", "end a pause", "", "  $ drover resume eu-1\n", 0,
     CLI_WORDS_MAX, cmd_resume},
    {"check-config", "[FILE]", "check a configuration file, change nothing",
     "list-settings",
     "  $ drover check-config /etc/drover/orders.conf\n"
     "  $ drover --db orders check-config\n",
     0, 1, cmd_check_config},
    {"reload", "", "apply the changed configuration", "",
     "  $ drover --db orders reload\n", 0, 0, cmd_reload},
    {"version", "", "print the version, and the running agent's", "",
     "  $ drover version\n", 0, 0, cmd_version},
    {"help", "[COMMAND]", "print help", "", "  $ drover help resync\n", 0, 1,
     cmd_help},
    {NULL, NULL, NULL, NULL, NULL, 0, 0, NULL},
};

/* --- options ------------------------------------------------------------- */

enum {
    OPT_DB = 256,
    OPT_SOCKET,
    OPT_JSON,
    OPT_COLOR,
    OPT_LOG_LEVEL,
    OPT_WATCH,
    OPT_DRY_RUN,
    OPT_CONTENT,
    OPT_ANEW,
    OPT_RECORDED,
    OPT_TIMEOUT,
    OPT_LIST_SETTINGS,
    OPT_ID,
    OPT_STATE,
};

static const struct option_row {
    struct option option;
    bool shared; /* taken by all commands */
    const char *shown;
    const char *help;
} OPTIONS[] = {
    {{"config", required_argument, NULL, 'c'},
     true,
     "-c, --config FILE",
     "the agent's configuration file"},
    {{"db", required_argument, NULL, OPT_DB},
     true,
     "--db NAME",
     "the same as --config /etc/drover/NAME.conf"},
    {{"socket", required_argument, NULL, OPT_SOCKET},
     true,
     "--socket PATH",
     "the agent's control socket (also $DROVER_SOCKET)"},
    {{"json", no_argument, NULL, OPT_JSON},
     true,
     "--json",
     "print one JSON object"},
    {{"quiet", no_argument, NULL, 'q'},
     true,
     "-q, --quiet",
     "print errors only"},
    {{"verbose", no_argument, NULL, 'v'}, true, "-v, --verbose", "print more"},
    {{"color", required_argument, NULL, OPT_COLOR},
     true,
     "--color WHEN",
     "auto, always or never"},
    {{"help", no_argument, NULL, 'h'}, true, "-h, --help", "print this help"},
    {{"log-level", required_argument, NULL, OPT_LOG_LEVEL},
     false,
     "--log-level LEVEL",
     "error, warning, notice, info (default) or debug"},
    {{"watch", optional_argument, NULL, OPT_WATCH},
     false,
     "--watch[=TIME]",
     "refresh every TIME (default 1s); q or Ctrl-C quits"},
    {{"dry-run", no_argument, NULL, OPT_DRY_RUN},
     false,
     "-n, --dry-run",
     "show what would be done, change nothing"},
    {{"content", no_argument, NULL, OPT_CONTENT},
     false,
     "--content",
     "read every value on both ends"},
    {{"anew", no_argument, NULL, OPT_ANEW},
     false,
     "--anew",
     "accept the replica's directory as it is now, even if empty"},
    {{"recorded", no_argument, NULL, OPT_RECORDED},
     false,
     "--recorded",
     "compare what both ends remember, look at no disk"},
    {{"timeout", required_argument, NULL, OPT_TIMEOUT},
     false,
     "--timeout TIME",
     "give up after TIME, such as 30s"},
    {{"list-settings", no_argument, NULL, OPT_LIST_SETTINGS},
     false,
     "--list-settings",
     "print every setting with its default"},
    {{"id", required_argument, NULL, OPT_ID},
     false,
     "--id ID",
     "the id it had, when it lost it (32 hexadecimal digits)"},
    {{"state", required_argument, NULL, OPT_STATE},
     false,
     "--state DIR",
     "where its agent keeps its state (all below /var/lib/drover)"},
};

enum { OPTIONS_COUNT = sizeof OPTIONS / sizeof *OPTIONS };

/* Is `name` one of the command's own, comma-separated options? */
static bool takes(const struct command *command, const char *name)
{
    size_t len = strlen(name);
    const char *p = command != NULL ? command->options : "";

    while (*p != '\0') {
        size_t n = strcspn(p, ",");
        if (n == len && strncmp(p, name, n) == 0) {
            return true;
        }
        p += n + (p[n] == ',' ? 1 : 0);
    }
    return false;
}

static size_t options_for(const struct command *command, struct option *out)
{
    size_t n = 0;

    for (size_t i = 0; i < OPTIONS_COUNT; i++) {
        if (OPTIONS[i].shared || takes(command, OPTIONS[i].option.name)) {
            out[n++] = OPTIONS[i].option;
        }
    }
    out[n] = (struct option){0};
    return n;
}

/* Those that all commands take; true: it was one. */
static bool take_shared_option(struct cli *cli, int c, const char *arg)
{
    switch (c) {
    case 'c':
        cli->config_file = arg;
        return true;
    case OPT_DB:
        cli->db = arg;
        return true;
    case OPT_SOCKET:
        cli->socket = arg;
        return true;
    case OPT_JSON:
        cli->json = true;
        return true;
    case 'q':
        cli->quiet = true;
        return true;
    case 'v':
        cli->verbose++;
        return true;
    case OPT_COLOR:
        cli->color_when = arg;
        return true;
    case 'h':
        cli->help = true;
        return true;
    default:
        return false;
    }
}

static void take_option(struct cli *cli, int c, const char *arg)
{
    if (take_shared_option(cli, c, arg)) {
        return;
    }
    switch (c) {
    case OPT_LOG_LEVEL:
        cli->log_level = arg;
        break;
    case OPT_WATCH:
        cli->watch = true;
        cli->watch_every = arg;
        break;
    case 'n':
    case OPT_DRY_RUN:
        cli->dry_run = true;
        break;
    case OPT_CONTENT:
        cli->content = true;
        break;
    case OPT_ANEW:
        cli->anew = true;
        break;
    case OPT_RECORDED:
        cli->recorded = true;
        break;
    case OPT_TIMEOUT:
        cli->timeout = arg;
        break;
    case OPT_LIST_SETTINGS:
        cli->list_settings = true;
        break;
    case OPT_ID:
        cli->id = arg;
        break;
    case OPT_STATE:
        cli->state_dir = arg;
        break;
    default:
        assert(false && "an option of the table that is not taken");
    }
}

/* What getopt_long() did not like: `word` is the argument it looked at. */
static int bad_option(struct cli *cli, const struct command *command, int c,
                      const char *word)
{
    struct option known[OPTIONS_COUNT + 1];
    const char *names[OPTIONS_COUNT + 1];
    char name[64];
    size_t n = options_for(command, known);

    if (c == ':') {
        return cli_fail(cli, EX_USAGE, "%s needs an argument", word);
    }
    if (strncmp(word, "--", 2) != 0) {
        return cli_fail(cli, EX_USAGE, "unknown option -%c; see drover help",
                        optopt != 0 ? optopt : '?');
    }
    (void)snprintf(name, sizeof name, "%.*s", (int)strcspn(word + 2, "="),
                   word + 2);
    for (size_t i = 0; i < n; i++) {
        names[i] = known[i].name;
        if (strcmp(names[i], name) == 0) {
            return cli_fail(cli, EX_USAGE, "--%s takes no argument", name);
        }
    }
    names[n] = NULL;
    const char *near = suggest_nearest(name, names);
    if (near != NULL) {
        return cli_fail(cli, EX_USAGE,
                        "unknown option --%s; did you mean --%s?", name, near);
    }
    return cli_fail(cli, EX_USAGE, "unknown option --%s; see drover help %s",
                    name, command != NULL ? command->name : "");
}

/* Options of argv[1..] into cli, from a fresh start.  With `stop` the first
 * word ends it.  Returns the index of the first word, or -1 after printing. */
static int take_options(struct cli *cli, const struct command *command,
                        bool stop, int argc, char **argv)
{
    struct option known[OPTIONS_COUNT + 1];
    bool has_n = takes(command, "dry-run");
    const char *letters = stop ? "+:c:qvh" : has_n ? ":c:qvhn" : ":c:qvh";
    int c;

    (void)options_for(command, known);
    optind = 0; /* glibc: begin anew, whatever was parsed before */
    opterr = 0;
    for (;;) {
        int at = optind > 0 ? optind : 1;
        c = getopt_long(argc, argv, letters, known, NULL);
        if (c == -1) {
            return optind;
        }
        if (c == '?' || c == ':') {
            /* The word it complains about is the last one it took. */
            const char *word =
                argv[optind > at ? optind - 1 : (at < argc ? at : argc - 1)];
            (void)bad_option(cli, command, c, word);
            return -1;
        }
        take_option(cli, c, optarg);
    }
}

static bool stream_is_terminal(FILE *f)
{
    int fd = fileno(f);

    return fd >= 0 && isatty(fd);
}

static int check_options(struct cli *cli)
{
    const char *when = cli->color_when != NULL ? cli->color_when : "auto";
    const char *term = getenv("TERM");
    const char *no_color = getenv("NO_COLOR");
    bool dumb = term == NULL || strcmp(term, "dumb") == 0;

    if (strcmp(when, "always") == 0) {
        cli->color = true;
    } else if (strcmp(when, "never") == 0) {
        cli->color = false;
    } else if (strcmp(when, "auto") == 0) {
        cli->color = stream_is_terminal(cli->out) && !dumb &&
                     (no_color == NULL || no_color[0] == '\0');
    } else {
        return cli_fail(cli, EX_USAGE,
                        "--color %s: write auto, always or never", when);
    }
    cli->live = stream_is_terminal(cli->err) && !dumb;
    if (cli->config_file != NULL && cli->db != NULL) {
        return cli_fail(cli, EX_USAGE, "use --config or --db, not both");
    }
    return 0;
}

/* --- help ---------------------------------------------------------------- */

static void print_options(struct cli *cli, const struct command *command,
                          bool shared)
{
    for (size_t i = 0; i < OPTIONS_COUNT; i++) {
        if (OPTIONS[i].shared == shared &&
            (shared || takes(command, OPTIONS[i].option.name))) {
            (void)fprintf(cli->out, "  %-20s %s\n", OPTIONS[i].shown,
                          OPTIONS[i].help);
        }
    }
}

void command_help(struct cli *cli, const struct command *only)
{
    FILE *out = cli->out;

    if (only != NULL) {
        (void)fprintf(out, "drover %s: %s\n\nExamples:\n%s\n", only->name,
                      only->summary, only->examples);
        (void)fprintf(out, "Usage: drover %s%s%s [OPTION...]\n", only->name,
                      only->args[0] != '\0' ? " " : "", only->args);
        print_options(cli, only, false);
        (void)fputs("\nFor every command:\n", out);
        print_options(cli, only, true);
        return;
    }
    (void)fputs("drover: live copies of a flockd database on other hosts\n\n"
                "Examples:\n"
                "  $ drover agent /srv/orders eu-1.example.net:/srv/orders\n"
                "  $ drover status\n"
                "  $ drover verify --content\n\n"
                "Commands:\n",
                out);
    for (const struct command *c = COMMANDS; c->name != NULL; c++) {
        (void)fprintf(out, "  %-13s %s\n", c->name, c->summary);
    }
    (void)fputs("\nFor every command:\n", out);
    print_options(cli, NULL, true);
    (void)fputs("\nMore: drover help COMMAND, man drover, man drover.conf\n",
                out);
}

int cmd_help(struct cli *cli)
{
    const struct command *only =
        cli->count > 0 ? command_find(cli->words[0]) : NULL;

    if (cli->count > 0 && only == NULL) {
        return cli_fail(cli, EX_USAGE, "unknown command %s; see drover help",
                        QUOTED(cli->words[0], strlen(cli->words[0])));
    }
    command_help(cli, only);
    return 0;
}

/* --- running ------------------------------------------------------------- */

const struct command *command_find(const char *name)
{
    for (const struct command *c = COMMANDS; c->name != NULL; c++) {
        if (strcmp(c->name, name) == 0) {
            return c;
        }
    }
    return NULL;
}

const char *command_suggest(const char *name)
{
    const char *names[sizeof COMMANDS / sizeof *COMMANDS];
    size_t n = 0;

    for (const struct command *c = COMMANDS; c->name != NULL; c++) {
        names[n++] = c->name;
    }
    names[n] = NULL;
    return suggest_nearest(name, names);
}

static int unknown_command(struct cli *cli, const char *name)
{
    const char *near = command_suggest(name);

    if (near != NULL) {
        return cli_fail(cli, EX_USAGE, "unknown command %s; did you mean %s?",
                        QUOTED(name, strlen(name)), near);
    }
    return cli_fail(cli, EX_USAGE, "unknown command %s; see drover help",
                    QUOTED(name, strlen(name)));
}

/* Without a command: the state of the agent that runs, else a short help. */
static int run_bare(struct cli *cli)
{
    CLEANUP(freep) char *socket = NULL;

    if (!cli->help && cli_find_socket(cli, true, &socket) == 0) {
        return cmd_status(cli);
    }
    command_help(cli, NULL);
    return 0;
}

static int check_words(struct cli *cli, const struct command *command)
{
    if (cli->count < command->words_min || cli->count > command->words_max) {
        return cli_fail(cli, EX_USAGE, "usage: drover %s%s%s", command->name,
                        command->args[0] != '\0' ? " " : "", command->args);
    }
    return 0;
}

int command_main(struct cli *cli, int argc, char **argv)
{
    const struct command *command;
    int first = take_options(cli, NULL, true, argc, argv);
    int rc;

    if (first < 0) {
        return EX_USAGE;
    }
    if (first >= argc) {
        rc = check_options(cli);
        return rc != 0 ? rc : run_bare(cli);
    }
    command = command_find(argv[first]);
    if (command == NULL) {
        return unknown_command(cli, argv[first]);
    }
    argc -= first;
    argv += first;
    first = take_options(cli, command, false, argc, argv);
    if (first < 0) {
        return EX_USAGE;
    }
    if (cli->help) {
        command_help(cli, command);
        return 0;
    }
    if (argc - first > CLI_WORDS_MAX) {
        return cli_fail(cli, EX_USAGE, "more than %d words", CLI_WORDS_MAX);
    }
    for (; first < argc; first++) {
        cli->words[cli->count++] = argv[first];
    }
    rc = check_options(cli);
    if (rc == 0) {
        rc = check_words(cli, command);
    }
    return rc != 0 ? rc : command->run(cli);
}
