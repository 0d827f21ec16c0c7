/* SPDX-License-Identifier: MIT
 *
 * replica: what the commands of drover-replica share: settings, exit codes,
 * messages.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "store/base/err.h"
#include "sync/receiver/receiver.h"
#include "sync/replica/meta/meta.h"
#include "sync/replica/trash/trash.h"

/* The same numbers in every program of the project; systemd knows their
 * names. */
enum replica_exit {
    EXIT_GOOD = 0,
    EXIT_BAD = 1, /* done, and the answer is bad: stale */
    EXIT_USAGE = 64,
    EXIT_UNAVAILABLE = 69, /* never synced, disk full or failing */
    EXIT_TEMPORARY = 75,   /* another receiver is live; try again */
    EXIT_PROTOCOL = 76,
    EXIT_NOT_PERMITTED = 77,
    EXIT_CONFIG = 78, /* this replica refuses this agent */
};

struct replica_settings {
    const char *dir;
    struct meta_modes modes;
    enum lock_policy policy;
    int64_t lock_timeout_ms;
    bool sandbox;
    struct trash_settings trash;
};

/* Each command runs with argv[0] as its name and returns an exit code. */
int receive_main(int argc, char **argv);
int fresh_main(int argc, char **argv);
int status_main(int argc, char **argv);
int adopt_main(int argc, char **argv);
int promote_main(int argc, char **argv);
int demote_main(int argc, char **argv);
int kept_main(int argc, char **argv);
int trash_main(int argc, char **argv);
int undone_main(int argc, char **argv);

/* Serve one agent on stdin and stdout until it ends. */
int receive_run(const struct replica_settings *settings);

/* The directory that hints speak of; stays. */
void replica_serves(const char *dir);
/* One line on stderr, with the program's name in front. */
void replica_say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* What to do about it, with the names that are known here; HINT_ROOM bytes. */
void replica_hint(char *out, const struct err *err);
/* The error, its number and what to do, on stderr. */
void replica_say_error(const struct err *err);
/* The exit code that fits a failure. */
int replica_exit_of(const struct err *err);
