/* SPDX-License-Identifier: MIT
 *
 * dial: the way to a replica, tried as the agent would, up to its receiver.
 *
 * The same link is made as by the agent, so each of its stages (name, port,
 * host key, login, command) ends here with the same number and remedy.  What is
 * said to the receiver is a hello of no protocol there is: the receiver takes
 * no lock, makes nothing and changes nothing, but has to answer, with its
 * version; it may have a session with the agent meanwhile.  Blocking. */
#pragma once

#include <stdint.h>

#include "agent/config/config.h"
#include "sync/check/finding.h"

/* `timeout_ms` is for what comes after the login; the login's own times are
 * the configuration's. */
void dial_check(const struct config *c, const struct config_replica *r,
                int64_t timeout_ms, struct findings *out);
