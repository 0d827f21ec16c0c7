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
/* The status of the agent of that configuration; NULL: none answers. */
json_t *replica_agent_status(const struct config *c);
/* The replica of that name in a status, borrowed; NULL: it has none. */
const json_t *replica_in_status(const json_t *status, const char *name);
/* What --print prints; with --json {"script"}.  Returns the exit code. */
int replica_print_script(struct cli *cli, const struct buf *script);
/* "drover-recv@eu-1.example.net:/srv/orders", "exec:COMMAND": a new string. */
char *replica_target_text(const struct config_replica *r);
