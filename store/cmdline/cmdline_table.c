/* SPDX-License-Identifier: MIT
 *
 * cmdline_table: looking up commands, options and placeholders in a program's
 * tables; see cmdline_impl.h. */
#include <string.h>

#include "store/cmdline/cmdline_impl.h"

static const struct cmdline_option BUILT_IN[] = {
    {.name = "help",
     .letter = 'h',
     .at = offsetof(struct cmdline, help),
     .help = "print this help",
     .shared = true},
    {.name = "version",
     .letter = 'V',
     .at = offsetof(struct cmdline, version),
     .help = "print the version",
     .shared = true},
};

enum { BUILT_IN_COUNT = sizeof BUILT_IN / sizeof BUILT_IN[0] };

const struct cmdline_option *
cmdline_option_at(const struct cmdline_program *program, size_t i)
{
    if (i < BUILT_IN_COUNT) {
        return &BUILT_IN[i];
    }
    i -= BUILT_IN_COUNT;
    for (size_t list = 0; program->options[list] != NULL; list++) {
        const struct cmdline_option *o = program->options[list];
        for (; o->name != NULL; o++) {
            if (i-- == 0) {
                return o;
            }
        }
    }
    return NULL;
}

bool cmdline_takes(const struct cmdline_command *command,
                   const struct cmdline_option *option)
{
    size_t len = strlen(option->name);
    const char *p = command != NULL ? command->options : "";

    while (!option->shared && *p != '\0') {
        size_t n = strcspn(p, ",");
        if (n == len && strncmp(p, option->name, n) == 0) {
            return true;
        }
        p += n + (p[n] == ',' ? 1 : 0);
    }
    return option->shared;
}

bool cmdline_needs_value(const struct cmdline_option *option)
{
    return option->kind == CMDLINE_TEXT || option->kind == CMDLINE_TIME ||
           option->kind == CMDLINE_SIZE;
}

/* How many of the words are the command's name; 0: they are not. */
static size_t words_of_name(const char *name, const char *const *words,
                            size_t count)
{
    size_t n = strcspn(name, " ");

    if (count == 0 || strlen(words[0]) != n ||
        strncmp(words[0], name, n) != 0) {
        return 0;
    }
    if (name[n] == '\0') {
        return 1;
    }
    return count > 1 && strcmp(words[1], name + n + 1) == 0 ? 2 : 0;
}

const struct cmdline_command *
cmdline_find(const struct cmdline_program *program, const char *const *words,
             size_t count, size_t *used_out)
{
    for (const struct cmdline_command *c = program->commands; c->name != NULL;
         c++) {
        *used_out = words_of_name(c->name, words, count);
        if (*used_out > 0) {
            return c;
        }
    }
    return NULL;
}

bool cmdline_is_first(const struct cmdline_program *program, const char *word)
{
    size_t n = strlen(word);

    for (const struct cmdline_command *c = program->commands; c->name != NULL;
         c++) {
        if (strncmp(c->name, word, n) == 0 && c->name[n] == ' ') {
            return true;
        }
    }
    return false;
}

bool cmdline_placeholder(const char *args, size_t k, char *out, size_t room)
{
    bool repeats = strstr(args, "...") != NULL;
    const char *p = args;

    for (; *p != '\0'; k--) {
        p += strspn(p, " []");
        size_t n = strcspn(p, " ].");
        const char *next = p + n + strspn(p + n, "[]. ");
        if (k == 0 || (repeats && *next == '\0')) {
            (void)snprintf(out, room, "%.*s", (int)n, p);
            return n > 0;
        }
        p = next;
    }
    return false;
}

struct cmdline_range cmdline_range_of(const char *args)
{
    struct cmdline_range r = {0, 0};
    int depth = 0;
    char last = ' ';

    for (const char *p = args; *p != '\0'; last = *p++) {
        depth += *p == '[' ? 1 : *p == ']' ? -1 : 0;
        if (last == ' ' && *p != ' ') {
            r.max++;
            r.min += depth == 0 ? 1 : 0;
        }
    }
    if (strstr(args, "...") != NULL) {
        r.max = SIZE_MAX;
    }
    return r;
}
