/* SPDX-License-Identifier: MIT
 *
 * config_probe: what a good file meets on this host: the files, accounts and
 * programs that it names.
 *
 * It is the agent's user that counts.  The agent itself asks at its start and
 * after a reload; check-config, when root runs it, asks from a child that has
 * become the agent's user.  Blocking: reads small local files.
 */
#pragma once

#include <sys/types.h>

#include "agent/config/config.h"

struct config_probe {
    struct config_errors mistakes; /* the agent does not start */
    struct config_errors warnings; /* it starts, and something will fail */
    struct config_errors notes;    /* not there yet */
};

/* As this process. */
void config_probe(const struct config *c, struct config_probe *out);
/* As user `uid` (this process is root): in a child.  0 or negative. */
int config_probe_as(const struct config *c, uid_t uid, struct config_probe *out,
                    struct err *err) MUSTCHECK;
void config_probe_deinit(struct config_probe *p);

/* Which user the agent of this file is, as far as root can tell: whose the
 * state directory is, else the account "drover", else this process's user. */
uid_t config_agent_user(const struct config *c);
