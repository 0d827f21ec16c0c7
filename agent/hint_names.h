/* SPDX-License-Identifier: MIT
 *
 * hint_names: the names of the configuration put into an error's hint. */
#pragma once

#include <jansson.h>

struct config;
struct config_replica;

/* `error` is an ERROR of control.h (null: nothing is done); `r` is whose it
 * is, NULL: the database's. */
void hint_names_fill(json_t *error, const struct config *c,
                     const struct config_replica *r);
/* Those of a list of them that are of this host (1xx). */
void hint_names_fill_all(json_t *errors, const struct config *c);
