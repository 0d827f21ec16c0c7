/* SPDX-License-Identifier: MIT
 *
 * cmdline: the command line of the project's programs.  One table of commands
 * and one of options; from them come parsing, help, suggestions for mistyped
 * words, errors as text and as JSON, and completion in shells.
 *
 *   PROGRAM COMMAND [OPTION...] [WORD...]
 *   PROGRAM PLACE COMMAND [OPTION...] [WORD...]    with a `place`, such as DIR
 *
 * Options may appear anywhere; "--" ends them.  A long one may be shortened to
 * a beginning that no other has; its value is the next word or follows "=".
 * A program's own struct begins with a struct cmdline, and an option's row says
 * where in it the value goes.
 *
 * Exit codes are those of <sysexits.h>: 0 good, 1 the answer is bad, 64 usage.
 * An answer in JSON is one object in one line that begins with "schema"; a
 * failure is {"schema", "error": {"id", "text", "hint", "exit"}} there, too.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sysexits.h>

#include "store/base/buf.h"
#include "store/base/err.h"
#include "store/base/json_out.h"

enum { EXIT_GOOD = 0, EXIT_BAD = 1, EXIT_INTERRUPTED = 130 };
enum { CMDLINE_SCHEMA = 1, CMDLINE_HINT_BYTES = 256 };

struct cmdline;

enum cmdline_kind {
    CMDLINE_FLAG,  /* bool */
    CMDLINE_COUNT, /* int: how often it was given */
    CMDLINE_TEXT,  /* const char *, borrowed from argv */
    CMDLINE_MAYBE, /* struct cmdline_maybe: the value only after "=" */
    CMDLINE_TIME,  /* int64_t, nanoseconds */
    CMDLINE_SIZE,  /* uint64_t, bytes */
};

struct cmdline_maybe {
    bool given;
    const char *value; /* NULL: none */
};

struct cmdline_option {
    const char *name;
    char letter; /* 0: none */
    enum cmdline_kind kind;
    size_t at;         /* offset of its value in the program's struct */
    const char *value; /* placeholder, "FILE" or "wait|replace"; NULL: none */
    const char *help;
    bool shared; /* taken by every command */
};

struct cmdline_command {
    const char *name;     /* one word, or two: "trash list" */
    const char *args;     /* "REPLICA [TOKEN]", "KEY...", "bash|zsh|fish" */
    const char *summary;  /* one line */
    const char *options;  /* the long names of its own, comma-separated */
    const char *examples; /* lines, each "  $ ..." */
    int (*run)(struct cmdline *line);
    bool alone;    /* takes no `place` */
    bool one_line; /* its errors are read by a program that keeps one line */
    unsigned own;  /* what the program wants to know about it */
};

struct cmdline_program {
    const char *name;
    const char *summary;
    const char *place; /* word in front of the command; NULL: none */
    const char *examples;
    const char *more; /* exit codes, manuals: the end of the help */
    const struct cmdline_command *commands; /* end with a NULL name */
    const struct cmdline_option *const
        *options; /* lists, each the same; NULL */
    /* Before a command runs, or NULL.  0, or the exit code. */
    int (*begin)(struct cmdline *line);
    /* Without a command; NULL: that is wrong usage. */
    int (*bare)(struct cmdline *line);
    /* Prints what follows the version's number; or NULL. */
    void (*version)(FILE *out);
    /* Calls cmdline_candidate() for what a placeholder may be; or NULL. */
    void (*names)(struct cmdline *line, const char *placeholder);
};

/* What the command line said.  `program`, `out` and `err` are set before. */
struct cmdline {
    const struct cmdline_program *program;
    FILE *out, *err;
    const struct cmdline_command *command; /* NULL: none */
    const char *place;
    const char **words; /* what follows the command */
    size_t count;
    bool json; /* of a program that has --json: its row stores it here */
    bool help, version;
    char hint[CMDLINE_HINT_BYTES]; /* for cmdline_parse()'s error */
    const char **all;              /* owned: words, from the first one on */
    const char *partial;           /* what is being completed */
    const char *before; /* what each candidate has in front: "--db=" */
    int before_bytes;
};

/* The whole program: parse, run the command, see that the output arrived.
 * Returns the exit code. */
int cmdline_main(struct cmdline *line, int argc, char **argv);

/* argv[1] and what follows, into the line.  0, or ERR_INVALID with line->hint
 * set; the caller frees line->all either way. */
int cmdline_parse(struct cmdline *line, int argc, char **argv,
                  struct err *err) MUSTCHECK;

/* --- what commands say ---------------------------------------------------- */

/* "PROGRAM: TEXT" on line->err, and with --json an error on line->out, too.
 * Returns `code`. */
int cmdline_fail(struct cmdline *line, int code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* The same for an error value, with its number, and a hint ("": none). */
int cmdline_fail_err(struct cmdline *line, int code, const struct err *err,
                     const char *hint);
/* Wrong usage of the command that runs, with its usage line as the hint. */
int cmdline_fail_usage(struct cmdline *line, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* An answer in JSON: begin it in `b`, print it and clear `b`. */
struct json_out cmdline_json_begin(struct buf *b);
void cmdline_json_end(struct cmdline *line, struct json_out *j);

/* A word that completes the partial one, if it begins with that. */
void cmdline_candidate(struct cmdline *line, const char *word,
                       const char *help);

/* --- rows of commands --------------------------------------------------------- */

#define CMDLINE_COMMAND(name_, args_, summary_, options_, examples_, run_)     \
    {                                                                          \
        .name = (name_), .args = (args_), .summary = (summary_),               \
        .options = (options_), .examples = (examples_), .run = (run_),         \
    }

/* --- rows for every program ------------------------------------------------ */

int cmdline_help(struct cmdline *line);
int cmdline_version(struct cmdline *line);
int cmdline_completion(struct cmdline *line);

#define CMDLINE_COMPLETION(program)                                            \
    {                                                                          \
        .name = "completion", .args = "bash|zsh|fish",                         \
        .summary = "print a completion script for the shell", .options = "",   \
        .examples =                                                            \
            "  $ " program " completion bash >"                                \
            "~/.local/share/bash-completion/completions/" program "\n",        \
        .run = cmdline_completion, .alone = true,                              \
    }
#define CMDLINE_HELP(program, command)                                         \
    {                                                                          \
        .name = "help", .args = "[COMMAND...]", .summary = "print help",       \
        .options = "", .examples = "  $ " program " help " command "\n",       \
        .run = cmdline_help, .alone = true,                                    \
    }
#define CMDLINE_VERSION(program)                                               \
    {                                                                          \
        .name = "version", .args = "", .summary = "print the version",         \
        .options = "json", .examples = "  $ " program " version\n",            \
        .run = cmdline_version, .alone = true,                                 \
    }
