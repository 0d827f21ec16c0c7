/* SPDX-License-Identifier: MIT
 *
 * command: the program `drover`: its table of commands and options
 * (store/cmdline), and how commands reach the agent.
 *
 * Exit codes: 0 good, 1 the answer is bad, 64 usage, 66 no such key, 69 no
 * agent, 75 timed out, 76 protocol, 77 not permitted, 78 configuration, 130
 * interrupted.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "agent/control/control.h"
#include "agent/enroll/plan.h"
#include "store/base/err.h"
#include "store/cmdline/cmdline.h"

struct config_errors;

/* What the command line said. */
struct cli {
    struct cmdline line; /* first */
    const char *run_dir; /* where agents' sockets are: /run/drover */
    const char *etc_dir; /* where --db finds NAME.conf: /etc/drover */
    const char *var_dir; /* where agents' state is: /var/lib/drover */
    /* options of all commands */
    const char *config_file, *db, *socket, *color_when;
    bool quiet;
    int verbose;
    /* options of some commands */
    bool dry_run, content, recorded, anew, list_settings;
    struct cmdline_maybe watch;
    int64_t timeout_ns; /* CLI_NO_TIMEOUT: none was given */
    int64_t max_lag_ns, max_silence_ns;
    const char *max_blocked;
    bool openmetrics;
    bool all;                     /* what is not written, too */
    bool strict;                  /* a warning is a failure */
    struct enroll_request enroll; /* of replica add and remove */
    bool print, no_wait;
    bool names;         /* of tables and keys, in a report */
    const char *output; /* a new file */
    const char *log_level, *log_format, *id, *state_dir, *since;
    bool follow;
    /* worked out */
    bool color; /* on `out` */
    bool live;  /* `err` is a terminal: a line may be redrawn */
    /* Told of progress before it is shown; true when it prints something, after
     * `clear`.  NULL: nobody is. */
    bool (*on_progress)(struct cli *cli, const json_t *object,
                        const char *clear);
    json_t *told; /* names of replicas whose result was printed, or NULL */
};

enum { CLI_NO_TIMEOUT = -1 };

static inline struct cli *cli_of(struct cmdline *line)
{
    return (struct cli *)line;
}

extern const struct cmdline_command COMMANDS[]; /* ends with a NULL name */

/* The whole program; `cli` holds the streams and directories. */
int command_main(struct cli *cli, int argc, char **argv);

/* An error value with its number and hint; returns its exit code. */
int cli_fail_err(struct cli *cli, const struct err *err);
/* Each line of the list; one error in JSON.  Returns `code`. */
int cli_fail_list(struct cli *cli, int code, int id, const char *hint,
                  const struct config_errors *list);
/* An answer's error, as JSON too with --json. */
void cli_show_error(struct cli *cli, const json_t *error, int code);
/* JSON in one line, which begins with "schema". */
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
/* For completion: what a placeholder may be, as far as it can be found out. */
void cli_names(struct cmdline *line, const char *placeholder);
/* On Ctrl-C write `text` (may be NULL, stays) and exit with 130. */
void cli_on_interrupt(const char *text);
/* The same, and put the terminal on stdin back to `was` (copied). */
struct termios;
void cli_on_interrupt_restore(const struct termios *was, const char *text);

int cmd_agent(struct cmdline *line);
int cmd_status(struct cmdline *line);
int cmd_events(struct cmdline *line);
int cmd_health(struct cmdline *line);
int cmd_metrics(struct cmdline *line);
int cmd_resync(struct cmdline *line);
int cmd_verify(struct cmdline *line);
int cmd_wait(struct cmdline *line);
int cmd_init(struct cmdline *line);
int cmd_approve(struct cmdline *line);
int cmd_pause(struct cmdline *line);
int cmd_resume(struct cmdline *line);
int cmd_retry(struct cmdline *line);
int cmd_reload(struct cmdline *line);
int cmd_key(struct cmdline *line);
int cmd_bugreport(struct cmdline *line);
int cmd_replica_add(struct cmdline *line);
int cmd_replica_remove(struct cmdline *line);
int cmd_replica_list(struct cmdline *line);
int cmd_check_config(struct cmdline *line);
int cmd_check(struct cmdline *line);
int cmd_show_config(struct cmdline *line);
int cmd_version(struct cmdline *line);
