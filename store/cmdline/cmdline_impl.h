/* SPDX-License-Identifier: MIT
 *
 * cmdline_impl: what the files of this room share, lowest first: table,
 * parse, help, complete. */
#pragma once

#include "store/cmdline/cmdline.h"

/* --- cmdline_table: looking things up --------------------------------------- */

/* The i-th option of the program, --help and --version first; NULL: no more. */
const struct cmdline_option *
cmdline_option_at(const struct cmdline_program *program, size_t i);
/* Does the command take it?  NULL: what all commands take. */
bool cmdline_takes(const struct cmdline_command *command,
                   const struct cmdline_option *option);
bool cmdline_needs_value(const struct cmdline_option *option);
/* The command that the first of the words name, one or two of them. */
const struct cmdline_command *
cmdline_find(const struct cmdline_program *program, const char *const *words,
             size_t count, size_t *used_out);
/* Is the word the first of a command's two? */
bool cmdline_is_first(const struct cmdline_program *program, const char *word);
/* The k-th placeholder of "KEY [VALUE]" without brackets and dots; the last one
 * again where it may be repeated.  false: there is none. */
bool cmdline_placeholder(const char *args, size_t k, char *out, size_t room);
struct cmdline_range {
    size_t min, max;
};
struct cmdline_range cmdline_range_of(const char *args);

/* --- cmdline_parse ------------------------------------------------------------ */

/* A line that is still being typed: what is wrong in it is passed over, and
 * nothing is missing.  Returns the option whose value comes next, or NULL;
 * *ended_out: "--" was there. */
const struct cmdline_option *cmdline_parse_partial(struct cmdline *line,
                                                   int argc, char **argv,
                                                   bool *ended_out);

/* --- cmdline_help -------------------------------------------------------------- */

/* "usage: PROGRAM COMMAND ARGS" */
void cmdline_usage(const struct cmdline_program *program,
                   const struct cmdline_command *command, char *out,
                   size_t room);
/* Help of one command, or of the program (NULL). */
void cmdline_print_help(struct cmdline *line,
                        const struct cmdline_command *command);

/* --- cmdline_complete ------------------------------------------------------------ */

/* The words up to the partial one, which is the last; prints what it may
 * become, one "WORD<tab>HELP" per line, ":dirs" and ":files" for the shell's
 * own. */
int cmdline_complete(struct cmdline *line, int argc, char **argv);
