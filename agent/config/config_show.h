/* SPDX-License-Identifier: MIT
 *
 * config_show: a configuration and its drop-ins as the one file that they
 * amount to.
 *
 * Each setting has the place that it comes from in a comment above it.  Values
 * are as they were written, except that paths are whole; so what is printed is
 * a configuration that means the same in any directory, under the same name.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

struct config;

/* With `all` the defaults, too. */
void config_show(const struct config *c, bool all, FILE *out);
/* {"file", "files": [], "settings": [{"section", "replica", "setting", "value",
 * "file", "line"}]}; of a default the last two are null. */
json_t *config_show_json(const struct config *c, bool all);
