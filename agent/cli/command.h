/* SPDX-License-Identifier: MIT
 *
 * command: the program `drover`: one table of commands, the options they
 * share, and how they reach the agent.
 *
 * A command is a row of COMMANDS: words for the help, its own options, and a
 * function.  Options that all commands take may stand before or after the
 * command's name.  Exit codes are those of <sysexits.h>: 0 good, 1 the answer
 * is bad, 64 usage, 69 no agent, 75 timed out, 76 protocol, 77 not permitted,
 * 78 configuration, 130 interrupted.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sysexits.h>

#include "agent/control/control.h"
#include "store/base/err.h"

enum { EXIT_BAD_ANSWER = 1, EXIT_INTERRUPTED = 130 };
enum { CLI_WORDS_MAX = 128 };

/* What the command line said. */
struct cli {
    FILE *out, *err;
    const char *run_dir; /* where agents' sockets are: /run/drover */
    const char *etc_dir; /* where --db finds NAME.conf: /etc/drover */
    const char *var_dir; /* where agents' state is: /var/lib/drover */
    /* options of all commands */
    const char *config_file, *db, *socket, *color_when;
    bool json, quiet, help;
    int verbose;
    /* options of some commands */
    bool dry_run, content, recorded, anew, watch, list_settings;
    const char *watch_every, *timeout, *log_level;
    const char *id, *state_dir;
    /* the words that are left */
    const char *words[CLI_WORDS_MAX];
    size_t count;
    /* worked out */
    bool color; /* on `out` */
    bool live;  /* `err` is a terminal: a line may be redrawn */
    /* Told of progress before it is shown; true when it prints something, after
     * `clear`.  NULL: nobody is. */
    bool (*on_progress)(struct cli *cli, const json_t *object,
                        const char *clear);
    json_t *told; /* names of replicas whose result was printed, or NULL */
};

struct command {
    const char *name;
    const char *args; /* for the usage line */
    const char *summary;
    const char *options;  /* the long names of its own, comma-separated */
    const char *examples; /* lines, each "  $ ..." */
    size_t words_min, words_max;
    int (*run)(struct cli *cli);
};

extern const struct command COMMANDS[]; /* ends with a NULL name */

/* The whole program; `cli` holds the streams and folders. */
int command_main(struct cli *cli, int argc, char **argv);
/* Print the help of one command, or of all (NULL). */
void command_help(struct cli *cli, const struct command *only);
const struct command *command_find(const char *name);
const char *command_suggest(const char *name);

/* "drover: ..." on cli->err; returns `code`. */
int cli_fail(struct cli *cli, int code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* The same for an error value, with its number and hint. */
int cli_fail_err(struct cli *cli, const struct err *err);
/* An answer's error, as JSON too with --json. */
void cli_show_error(struct cli *cli, const json_t *error);
/* JSON on cli->out, in one line. */
void cli_print_json(struct cli *cli, const json_t *object);
/* The path of --config's or --db's file, a new string; NULL after printing what
 * is wrong. */
char *cli_config_file(struct cli *cli);
/* Load --config or --db's file.  NULL after printing what is wrong. */
struct config *cli_load_config(struct cli *cli);
/* A request to the agent: finds its socket, sends, shows progress, prints an
 * error answer.  Takes `request`.  Returns the exit code; *result_out is the
 * result (caller decrefs) or NULL. */
int cli_request(struct cli *cli, json_t *request, int64_t timeout_ms,
                json_t **result_out);
/* The agent's socket.  0, or the exit code after printing why.  With `quiet`
 * nothing is printed. */
int cli_find_socket(struct cli *cli, bool quiet, char **path_out);
/* A request for `cmd` with the words as "replicas". */
json_t *cli_request_of(const struct cli *cli, const char *cmd);
/* On Ctrl-C write `text` (may be NULL, stays) and exit with 130. */
void cli_on_interrupt(const char *text);
/* The same, and put the terminal on stdin back to `was` (copied). */
struct termios;
void cli_on_interrupt_restore(const struct termios *was, const char *text);

int cmd_agent(struct cli *cli);
int cmd_status(struct cli *cli);
int cmd_resync(struct cli *cli);
int cmd_verify(struct cli *cli);
int cmd_wait(struct cli *cli);
int cmd_init(struct cli *cli);
int cmd_approve(struct cli *cli);
int cmd_pause(struct cli *cli);
int cmd_resume(struct cli *cli);
int cmd_reload(struct cli *cli);
int cmd_check_config(struct cli *cli);
int cmd_version(struct cli *cli);
int cmd_help(struct cli *cli);
