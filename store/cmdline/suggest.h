/* SPDX-License-Identifier: MIT
 *
 * suggest: the known word nearest to a mistyped one. */
#pragma once

/* `known` ends with NULL.  NULL when nothing is near enough to be meant.
 * Borrowed from `known`. */
const char *suggest_nearest(const char *word, const char *const *known);
/* Edit distance where swapping two neighbours is one step; words of more than
 * 63 bytes are far from everything. */
unsigned suggest_distance(const char *a, const char *b);
