/* SPDX-License-Identifier: MIT
 *
 * config_text: is a setting's text what its kind of setting can be?
 *
 * A value that is taken as it stands and means nothing (a path in quotes, a
 * host with a comment behind it) fails later, elsewhere and with other words,
 * or not at all: a directory of that name is made.  So what only looks like a
 * value is a mistake of the file.  Errors say what to write instead.
 */
#pragma once

#include "agent/config/config.h"

/* Wherever the text comes from: characters that the kind cannot have, and what
 * another program would take for an option. */
int config_check_text(enum setting_type type, const char *text,
                      struct err *err) MUSTCHECK;
/* Of a line in a file: comments behind a value, quotes around it, a second
 * sign between name and value. */
int config_check_line(enum setting_type type, const char *text,
                      struct err *err) MUSTCHECK;
