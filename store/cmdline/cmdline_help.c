/* SPDX-License-Identifier: MIT
 *
 * cmdline_help: help of a program and of one command, examples first, and the
 * version. */
#include <string.h>

#include "store/base/cleanup.h"
#include "store/base/quote.h"
#include "store/cmdline/cmdline_impl.h"
#include "store/cmdline/version.h"

enum { LEFT_BYTES = 80, LEFT_COLUMNS = 25 };

static const char *blank(const char *text)
{
    return text[0] != '\0' ? " " : "";
}

void cmdline_usage(const struct cmdline_program *program,
                   const struct cmdline_command *command, char *out,
                   size_t room)
{
    bool placed = program->place != NULL && !command->alone;

    (void)snprintf(out, room, "usage: %s%s%s %s%s%s", program->name,
                   placed ? " " : "", placed ? program->place : "",
                   command->name, blank(command->args), command->args);
}

/* What does not fit in the left column has its help on a line of its own. */
static void print_row(FILE *out, const char *left, const char *help)
{
    bool fits = strlen(left) <= LEFT_COLUMNS;

    (void)fprintf(out, "  %-*s", LEFT_COLUMNS, left);
    if (!fits) {
        (void)fprintf(out, "\n  %-*s", LEFT_COLUMNS, "");
    }
    (void)fprintf(out, " %s\n", help);
}

static void print_option(FILE *out, const struct cmdline_option *o)
{
    char left[LEFT_BYTES];
    char letter[6] = "";
    bool maybe = o->kind == CMDLINE_MAYBE;

    if (o->letter != 0) {
        (void)snprintf(letter, sizeof letter, "-%c, ", o->letter);
    }
    (void)snprintf(left, sizeof left, "%s--%s%s%s%s", letter, o->name,
                   o->value == NULL ? ""
                   : maybe          ? "[="
                                    : " ",
                   o->value != NULL ? o->value : "", maybe ? "]" : "");
    print_row(out, left, o->help);
}

/* Those that all commands take, or the command's own. */
static void print_options(FILE *out, const struct cmdline_program *program,
                          const struct cmdline_command *command, bool shared)
{
    const struct cmdline_option *o;

    /* --help and --version, the first ones, are what one looks for last. */
    for (size_t i = 2; (o = cmdline_option_at(program, i)) != NULL; i++) {
        if (o->shared == shared && cmdline_takes(command, o)) {
            print_option(out, o);
        }
    }
    for (size_t i = 0; shared && i < 2; i++) {
        print_option(out, cmdline_option_at(program, i));
    }
}

static void print_command_help(struct cmdline *line,
                               const struct cmdline_command *c)
{
    const struct cmdline_program *program = line->program;
    char usage[CMDLINE_HINT_BYTES];

    cmdline_usage(program, c, usage, sizeof usage);
    (void)fprintf(line->out,
                  "%s %s: %s\n\nExamples:\n%s\nUsage%s [OPTION...]\n",
                  program->name, c->name, c->summary, c->examples,
                  usage + strlen("usage"));
    print_options(line->out, program, c, false);
    (void)fputs("\nFor every command:\n", line->out);
    print_options(line->out, program, c, true);
}

void cmdline_print_help(struct cmdline *line,
                        const struct cmdline_command *command)
{
    const struct cmdline_program *program = line->program;

    if (command != NULL) {
        print_command_help(line, command);
        return;
    }
    (void)fprintf(line->out, "%s: %s\n\nExamples:\n%s\nCommands", program->name,
                  program->summary, program->examples);
    if (program->place != NULL) {
        (void)fprintf(line->out, ", after %s", program->place);
    }
    (void)fputs(":\n", line->out);
    for (const struct cmdline_command *c = program->commands; c->name != NULL;
         c++) {
        char left[LEFT_BYTES];
        (void)snprintf(left, sizeof left, "%s%s%s", c->name, blank(c->args),
                       c->args);
        print_row(line->out, left, c->summary);
    }
    (void)fputs("\nFor every command:\n", line->out);
    print_options(line->out, program, NULL, true);
    (void)fprintf(line->out, "\n%s\nMore: %s help COMMAND, %s\n",
                  "Exit codes are those of sysexits.h: 0 good, 1 the answer is "
                  "bad, 64 wrong usage.",
                  program->name, program->more);
}

int cmdline_help(struct cmdline *line)
{
    size_t used = 0;
    const struct cmdline_command *only =
        cmdline_find(line->program, line->words, line->count, &used);

    if (line->count > 0 && (only == NULL || used != line->count)) {
        const char *word = line->words[0];
        return cmdline_fail_usage(line, "unknown command %s", QUOTED_STR(word));
    }
    cmdline_print_help(line, only);
    return EXIT_GOOD;
}

int cmdline_version(struct cmdline *line)
{
    CLEANUP(buf_deinit) struct buf b = BUF_NULL;

    if (line->json) {
        struct json_out j = cmdline_json_begin(&b);
        json_text(&j, "version", version_text());
        cmdline_json_end(line, &j);
        return EXIT_GOOD;
    }
    (void)fprintf(line->out, "%s %s", line->program->name, version_text());
    if (line->program->version != NULL) {
        line->program->version(line->out);
    }
    (void)fputc('\n', line->out);
    return EXIT_GOOD;
}
