/* SPDX-License-Identifier: MIT
 *
 * screen: text cut to what a terminal can show, so that what stands first stays
 * on it: a table keeps its shape, and nothing scrolls away.  Pure.
 */
#pragma once

#include <stddef.h>
#include <stdio.h>

/* Print what of the text fits into `rows` lines of `columns`; what is left out
 * is counted in the last line, and `more` says how to see it.  The lines of the
 * first `table` bytes are cut, the others go on in the next line.  Colors (ESC
 * [
 * ... m) take no room and end where a line is cut; characters of UTF-8 count
 * one. */
void screen_fit(FILE *out, const char *text, size_t table, unsigned rows,
                unsigned columns, const char *more);
