/* SPDX-License-Identifier: MIT
 *
 * cmd_replica: what the commands `drover replica ...` share. */
#pragma once

#include <jansson.h>

#include "agent/cli/command.h"
#include "agent/config/config.h"

/* --config's or --db's file, else the only NAME.conf in /etc/drover: a new
 * string; NULL after printing what is wrong (*rc is the exit code). */
char *replica_config_file(struct cli *cli, int *rc);
/* The file's configuration; NULL after printing what is wrong. */
struct config *replica_load_config(struct cli *cli, int *rc);
/* The same for a command that changes something, one at a time: *lock is to be
 * closed when it is done; -1 when it only shows. */
struct config *replica_load_locked(struct cli *cli, int *lock, int *rc);
/* Waits for the lock of a file (agent/enroll/lock.h), and says so. */
int replica_lock(struct cli *cli, const char *file, int *lock, struct err *err);
/* The status of the agent of that configuration; NULL: none answers. */
json_t *replica_agent_status(const struct config *c);
/* The replica of that name in a status, borrowed; NULL: it has none. */
const json_t *replica_in_status(const json_t *status, const char *name);
/* What --print prints; with --json {"script"}.  Returns the exit code. */
int replica_print_script(struct cli *cli, const struct buf *script);
/* "drover-recv@eu-1.example.net:/srv/orders", "exec:COMMAND": a new string. */
char *replica_target_text(const struct config_replica *r);
