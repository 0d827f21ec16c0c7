/* SPDX-License-Identifier: MIT
 *
 * compare: what a comparison knows: which replica's, what it found, and what it
 * keeps of that.  The steps are in compare_run.c and its like.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "sync/primary/primary.h"

struct compare;
struct diff;
struct primary;
struct repl;

bool compare_repairs(const struct compare *c);
struct compare *compare_current(struct repl *r);
/* An id for a request about what the replica has. */
uint64_t compare_request(struct primary *p, const struct compare *c);
/* Differences that were counted and not kept: there are too many for one
 * comparison. */
uint64_t compare_beyond(const struct compare *c);
/* A list of differences begins anew. */
void compare_keep_none(struct compare *c);
/* Copies of both names in one block, at out->table.p.  false: no memory. */
bool compare_copy_name(struct diff_name *out, struct bytes table,
                       struct bytes key);
struct diff *compare_find(const struct compare *c, struct digest name);
void compare_add_name(struct compare *c, enum diff_kind kind, bool is_table,
                      struct bytes table, struct bytes key);
/* Bytes of names that wait for room in the log. */
size_t compare_waiting(const struct compare *c);
/* Forget what was found; its names; all of it. */
void compare_clear(struct primary *p, struct compare *c);
void compare_free_names(struct compare *c);
void compare_free_job(struct repl *r, struct compare *c);
