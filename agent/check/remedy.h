/* SPDX-License-Identifier: MIT
 *
 * remedy: an error as a finding, with its number and what to do about it, the
 * names of the configuration filled in. */
#pragma once

#include <jansson.h>

#include "agent/config/config.h"
#include "store/base/err.h"
#include "sync/check/finding.h"

/* `r` is whose it is, NULL: the database's. */
void remedy_add(struct findings *f, enum finding_level level, const char *what,
                const struct err *err, const struct config *c,
                const struct config_replica *r);
/* An ERROR of control.h, as an agent says it. */
void remedy_add_json(struct findings *f, enum finding_level level,
                     const char *what, const json_t *error);
