/* SPDX-License-Identifier: MIT
 *
 * finding_show: a list of findings for people and for programs.
 *
 * Text: one line each, level, what and text, wrapped at 80 columns; below what
 * is wrong a HINT, which is not wrapped, so that it can be copied.  Those of a
 * replica stand below its name.
 * JSON: {"verdict": "ok" | "warn" | "fail", "ok", "warn", "fail": counts,
 * "findings": [{"replica" (null: the host's own), "level", "what", "text",
 * "id" (null: none), "hint" (null: none)}]}. */
#pragma once

#include <stdio.h>

#include "store/base/json_out.h"
#include "sync/check/finding.h"

/* `quiet`: only what is not ok. */
void findings_print(const struct findings *f, bool quiet, FILE *out);
/* Members of the object that is open. */
void findings_json(const struct findings *f, struct json_out *j);
/* The exit code: 1 with a failure, and with a warning where `strict`; else 0.
 */
int findings_exit(const struct findings *f, bool strict);
