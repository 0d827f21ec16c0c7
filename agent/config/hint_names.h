/* SPDX-License-Identifier: MIT
 *
 * hint_names: errors for people, with the names of the configuration put into
 * their hints. */
#pragma once

#include <jansson.h>

#include "store/base/err.h"

struct config;
struct config_replica;

/* As object_error_or_null(); `r` is whose it is, NULL: the database's. */
json_t *hint_names_error(const struct err *err, const struct config *c,
                         const struct config_replica *r);
