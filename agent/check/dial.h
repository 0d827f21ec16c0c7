/* SPDX-License-Identifier: MIT
 *
 * dial: the way to a replica, tried as the agent would, up to its receiver and
 * what that can tell.
 *
 * The same link is made as by the agent, so each of its stages (name, port,
 * host key, login, command) ends here with the same number and remedy.  What is
 * said to the receiver asks how things stand there and for no session
 * (WIRE_FEATURE_CHECK): it takes no lock, makes nothing and changes nothing,
 * and may have a session with the agent meanwhile.  An older receiver refuses,
 * and tells its version thereby.  Blocking. */
#pragma once

#include <stdint.h>

#include "agent/config/config.h"
#include "sync/check/finding.h"

/* Whose database asks; all zero: it is not known. */
struct dial_as {
    uint8_t db_id[16];
    uint64_t epoch;
    uint8_t origin[8];
};

/* `timeout_ms` is for what comes after the login; the login's own times are
 * the configuration's. */
void dial_check(const struct config *c, const struct config_replica *r,
                const struct dial_as *as, int64_t timeout_ms,
                struct findings *out);
