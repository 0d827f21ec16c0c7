/* SPDX-License-Identifier: MIT
 *
 * cmdline_complete: what a word that is being typed may become.  The scripts
 * of cmdline_shell.c ask with `PROGRAM __complete WORD...`. */
#include <string.h>

#include "store/cmdline/cmdline_impl.h"

enum { WORD_BYTES = 512 };

void cmdline_candidate(struct cmdline *line, const char *word, const char *help)
{
    /* One per line, and a shell would have to quote it. */
    if (strncmp(word, line->partial, strlen(line->partial)) == 0 &&
        strcspn(word, "\n\t") == strlen(word)) {
        (void)fprintf(line->out, "%.*s%s\t%s\n", line->before_bytes,
                      line->before != NULL ? line->before : "", word, help);
    }
}

static void complete_alternatives(struct cmdline *line, const char *list)
{
    while (*list != '\0') {
        char word[WORD_BYTES];
        size_t n = strcspn(list, "|");
        (void)snprintf(word, sizeof word, "%.*s", (int)n, list);
        cmdline_candidate(line, word, "");
        list += n + (list[n] == '|' ? 1 : 0);
    }
}

/* The first words of commands, or the second ones that may follow `first`. */
static void complete_commands(struct cmdline *line, const char *first,
                              bool only_alone)
{
    size_t len = first != NULL ? strlen(first) : 0;
    char last[WORD_BYTES] = "";

    for (const struct cmdline_command *c = line->program->commands;
         c->name != NULL; c++) {
        char word[WORD_BYTES];
        if ((only_alone && !c->alone) ||
            (first != NULL &&
             (strncmp(c->name, first, len) != 0 || c->name[len] != ' '))) {
            continue;
        }
        const char *name = c->name + (first != NULL ? len + 1 : 0);
        size_t n = strcspn(name, " ");
        (void)snprintf(word, sizeof word, "%.*s", (int)n, name);
        if (strcmp(word, last) != 0) {
            cmdline_candidate(line, word, name[n] == '\0' ? c->summary : "");
        }
        (void)snprintf(last, sizeof last, "%s", word);
    }
}

static void complete_placeholder(struct cmdline *line, const char *placeholder)
{
    if (strchr(placeholder, '|') != NULL) {
        complete_alternatives(line, placeholder);
    } else if (strcmp(placeholder, "DIR") == 0) {
        (void)fputs(":dirs\n", line->out);
    } else if (strcmp(placeholder, "FILE") == 0) {
        (void)fputs(":files\n", line->out);
    } else if (line->program->names != NULL) {
        line->program->names(line, placeholder);
    }
}

static void complete_option(struct cmdline *line)
{
    const struct cmdline_option *o;

    for (size_t i = 0; (o = cmdline_option_at(line->program, i)) != NULL; i++) {
        char word[WORD_BYTES];
        if (cmdline_takes(line->command, o)) {
            (void)snprintf(word, sizeof word, "--%s", o->name);
            cmdline_candidate(line, word, o->help);
        }
    }
}

static void complete_word(struct cmdline *line)
{
    bool placed = line->program->place != NULL;
    char placeholder[WORD_BYTES];

    if (line->command == NULL) {
        size_t at = placed ? 1 : 0;
        if (line->count < at) {
            (void)fputs(":dirs\n", line->out);
        }
        if (line->count <= at) {
            complete_commands(line, NULL, line->count < at);
        } else if (line->count == at + 1) {
            complete_commands(line, line->all[at], false);
        }
    } else if (line->command->run == cmdline_help) {
        complete_commands(line, line->count > 0 ? line->words[0] : NULL, false);
    } else if (cmdline_placeholder(line->command->args, line->count,
                                   placeholder, sizeof placeholder)) {
        complete_placeholder(line, placeholder);
    }
}

/* "--name=VALUE": what VALUE may be, each with that in front. */
static void complete_value(struct cmdline *line, size_t name_bytes)
{
    const char *name = line->partial + 2;
    const struct cmdline_option *o;

    for (size_t i = 0; (o = cmdline_option_at(line->program, i)) != NULL; i++) {
        if (o->value != NULL && strncmp(o->name, name, name_bytes) == 0 &&
            o->name[name_bytes] == '\0') {
            line->before = line->partial;
            line->before_bytes = (int)name_bytes + 3;
            line->partial += line->before_bytes;
            complete_placeholder(line, o->value);
            return;
        }
    }
}

/* bash hands over "--name=VALUE" as three words and replaces the last; the same
 * without "=" means the same. */
static int drop_equals(int argc, char **argv)
{
    int n = 0;

    for (int i = 0; i < argc; i++) {
        bool split =
            i > 0 && strcmp(argv[i], "=") == 0 && argv[i - 1][0] == '-';
        if (split && i == argc - 1) {
            argv[n++] = argv[i] + 1; /* nothing of the value yet */
        } else if (!split) {
            argv[n++] = argv[i];
        }
    }
    return n;
}

int cmdline_complete(struct cmdline *line, int argc, char **argv)
{
    bool ended;

    argc = drop_equals(argc, argv);
    line->partial = argc > 1 ? argv[argc - 1] : "";
    const struct cmdline_option *awaits =
        cmdline_parse_partial(line, argc > 1 ? argc - 1 : argc, argv, &ended);
    const char *equals = strchr(line->partial, '=');
    if (awaits != NULL) {
        complete_placeholder(line, awaits->value);
    } else if (!ended && strncmp(line->partial, "--", 2) == 0 &&
               equals != NULL) {
        complete_value(line, (size_t)(equals - line->partial) - 2);
    } else if (!ended && line->partial[0] == '-') {
        complete_option(line);
    } else {
        complete_word(line);
    }
    return EXIT_GOOD;
}
