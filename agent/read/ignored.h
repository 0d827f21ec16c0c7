/* SPDX-License-Identifier: MIT
 *
 * ignored: what lies in the database's directories and is neither key nor table
 * (passed.h), for status.
 *
 * Each scan tells it.  Between scans the names are listed again, on the pool
 * and without a stat, when events came since; seldom enough that it costs next
 * to nothing.  A warning is due for what programs on the primary take for data,
 * and for a database without a key that has other files: it may be none of
 * flockd's.
 *
 * Loop thread only.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <uv.h>

#include "agent/identity/root.h"
#include "store/layout/passed.h"

struct ignored;

/* NULL: out of memory. */
struct ignored *ignored_new(uv_loop_t *loop);
/* Count no more; what runs ends at the next table. */
void ignored_stop(struct ignored *g);
/* After the loop has run dry. */
void ignored_free(struct ignored *g);

/* What a scan met. */
void ignored_scanned(struct ignored *g, const struct passed *what);
/* Called now and then with the number of events so far: counts again when it is
 * time and there were some. */
void ignored_tick(struct ignored *g, struct root *root, uint64_t events,
                  int64_t now_ms);

uint64_t ignored_count(const struct ignored *g);
/* [{"count", "path" (or "path_b64"), "why"}]: some directories, how many in
 * each, and an example; new reference. */
json_t *ignored_json(const struct ignored *g);
/* false: nothing to warn of.  Else DR_PASSED_OVER with a text; names are in it
 * if `with_names`. */
bool ignored_warning(const struct ignored *g, uint64_t keys, bool with_names,
                     struct err *out);
