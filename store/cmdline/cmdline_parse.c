/* SPDX-License-Identifier: MIT
 *
 * cmdline_parse: a command line into a struct cmdline.
 *
 * It is read twice: first to find the words among all options that the program
 * has, and by them the command; then for the values, with the options that this
 * command takes.  The first time only flags are stored, so that an error is
 * printed in the form that --json asks for, wherever that is.
 */
#include <stdlib.h>
#include <string.h>

#include "store/base/quote.h"
#include "store/base/units.h"
#include "store/cmdline/cmdline_impl.h"
#include "store/cmdline/suggest.h"

enum { NAMES_MAX = 96 };

struct pass {
    struct cmdline *line;
    const struct cmdline_command *command;
    bool first;   /* any command's options, flags only */
    bool partial; /* what is wrong is passed over */
    int argc, at;
    char **argv;
    struct err *err;
    bool ended;          /* "--" was there */
    const char *strange; /* the first option that none has */
    size_t strange_len;
    const char *strange_dashes;
    const struct cmdline_option *awaits; /* a value that is not there */
    /* --watch without a value, and the place of the word that follows it */
    const struct cmdline_option *open;
    size_t open_at;
};

static bool is_known(const struct pass *p, const struct cmdline_option *o)
{
    return p->first || cmdline_takes(p->command, o);
}

static bool passes_over(const struct pass *p)
{
    return p->first || p->partial;
}

/* --- options --------------------------------------------------------------- */

static const struct cmdline_option *find_long(const struct pass *p,
                                              const char *name, size_t len)
{
    const struct cmdline_option *found = NULL;
    const struct cmdline_option *o;
    bool several = false;

    for (size_t i = 0; (o = cmdline_option_at(p->line->program, i)) != NULL;
         i++) {
        if (len == 0 || !is_known(p, o) || strncmp(o->name, name, len) != 0) {
            continue;
        }
        if (o->name[len] == '\0') {
            return o;
        }
        several = several || found != NULL;
        found = found != NULL ? found : o;
    }
    /* With the command it may be one. */
    return several && !p->first ? NULL : found;
}

static const struct cmdline_option *find_letter(const struct pass *p,
                                                char letter)
{
    const struct cmdline_option *o;

    for (size_t i = 0; (o = cmdline_option_at(p->line->program, i)) != NULL;
         i++) {
        if (is_known(p, o) && o->letter == letter) {
            return o;
        }
    }
    return NULL;
}

static void set_hint_near(struct pass *p, const char *name)
{
    const struct cmdline_option *o;
    const char *names[NAMES_MAX + 1];
    const char *program = p->line->program->name;
    size_t n = 0;

    for (size_t i = 0; (o = cmdline_option_at(p->line->program, i)) != NULL;
         i++) {
        if (is_known(p, o) && n < NAMES_MAX) {
            names[n++] = o->name;
        }
    }
    names[n] = NULL;
    const char *near = suggest_nearest(name, names);
    if (near != NULL) {
        (void)snprintf(p->line->hint, sizeof p->line->hint,
                       "did you mean --%s?", near);
    } else {
        (void)snprintf(p->line->hint, sizeof p->line->hint, "%s help%s%s",
                       program, p->command != NULL ? " " : "",
                       p->command != NULL ? p->command->name : "");
    }
}

static int say_unknown(struct pass *p, const char *dashes, const char *name,
                       size_t len)
{
    char text[64];

    (void)snprintf(text, sizeof text, "%.*s", (int)(len < 60 ? len : 60), name);
    set_hint_near(p, text);
    return err_set(p->err, ERR_INVALID, 0, "unknown option %s%s", dashes,
                   QUOTED_STR(text));
}

static int unknown(struct pass *p, const char *dashes, const char *name,
                   size_t len)
{
    if (p->first && p->strange == NULL) {
        p->strange = name;
        p->strange_len = len;
        p->strange_dashes = dashes;
    }
    return passes_over(p) ? 0 : say_unknown(p, dashes, name, len);
}

static int store(struct pass *p, const struct cmdline_option *o,
                 const char *text)
{
    void *at = (char *)p->line + o->at;
    int rc = 0;

    if (p->first && o->kind != CMDLINE_FLAG) {
        return 0;
    }
    switch (o->kind) {
    case CMDLINE_FLAG:
        *(bool *)at = true;
        break;
    case CMDLINE_COUNT:
        ++*(int *)at;
        break;
    case CMDLINE_TEXT:
        *(const char **)at = text;
        break;
    case CMDLINE_MAYBE:
        *(struct cmdline_maybe *)at = (struct cmdline_maybe){true, text};
        break;
    case CMDLINE_TIME:
        rc = units_parse_duration(text, at, p->err);
        break;
    case CMDLINE_SIZE:
        rc = units_parse_size(text, at, p->err);
        break;
    }
    return rc == 0 || p->partial ? 0 : err_wrap(p->err, "--%s", o->name);
}

/* `value`: what is there already, or NULL. */
static int take(struct pass *p, const struct cmdline_option *o,
                const char *value)
{
    if (value == NULL && cmdline_needs_value(o)) {
        if (p->at + 1 >= p->argc) {
            p->awaits = o;
            return passes_over(p) ? 0
                                  : err_set(p->err, ERR_INVALID, 0,
                                            "--%s needs an argument: %s",
                                            o->name, o->value);
        }
        value = p->argv[++p->at];
    }
    if (value == NULL && o->kind == CMDLINE_MAYBE) {
        p->open = o;
        p->open_at = p->line->count;
    }
    return store(p, o, value);
}

static int take_long(struct pass *p, const char *name)
{
    size_t len = strcspn(name, "=");
    const char *value = name[len] == '=' ? name + len + 1 : NULL;
    const struct cmdline_option *o = find_long(p, name, len);

    if (o == NULL) {
        return unknown(p, "--", name, len);
    }
    if (value != NULL &&
        (o->kind == CMDLINE_FLAG || o->kind == CMDLINE_COUNT)) {
        return passes_over(p) ? 0
                              : err_set(p->err, ERR_INVALID, 0,
                                        "--%s takes no argument", o->name);
    }
    return take(p, o, value);
}

static int take_letters(struct pass *p, const char *letters)
{
    int rc = 0;

    for (const char *c = letters; rc == 0 && *c != '\0'; c++) {
        const struct cmdline_option *o = find_letter(p, *c);
        if (o == NULL) {
            return unknown(p, "-", c, 1);
        }
        if (cmdline_needs_value(o)) {
            return take(p, o, c[1] != '\0' ? c + 1 : NULL);
        }
        rc = take(p, o, NULL);
    }
    return rc;
}

static int scan(struct pass *p)
{
    int rc = 0;

    p->line->count = 0;
    for (p->at = 1; rc == 0 && p->at < p->argc; p->at++) {
        const char *word = p->argv[p->at];
        if (p->ended || word[0] != '-' || word[1] == '\0') {
            p->line->all[p->line->count++] = word;
        } else if (word[1] != '-') {
            rc = take_letters(p, word + 1);
        } else if (word[2] != '\0') {
            rc = take_long(p, word + 2);
        } else {
            p->ended = true;
        }
    }
    return rc;
}

/* --- words ----------------------------------------------------------------- */

/* Which of the words is the command's name, or would be. */
static size_t name_at(const struct cmdline *line)
{
    size_t used;
    const struct cmdline_command *c =
        cmdline_find(line->program, line->all, line->count, &used);

    return line->program->place == NULL ||
                   (c != NULL &&
                    (c->alone || (line->help && line->count == used)))
               ? 0
               : 1;
}

static int unknown_command(struct cmdline *line, size_t at, struct err *err)
{
    const char *names[NAMES_MAX + 1];
    const char *const *words = line->all + at;
    size_t n = 0;
    char name[128];
    bool two = at + 1 < line->count && cmdline_is_first(line->program, *words);

    (void)snprintf(name, sizeof name, "%.60s%s%.60s", words[0], two ? " " : "",
                   two ? words[1] : "");
    for (const struct cmdline_command *c = line->program->commands;
         c->name != NULL && n < NAMES_MAX; c++) {
        names[n++] = c->name;
    }
    names[n] = NULL;
    const char *near = suggest_nearest(name, names);
    if (near == NULL && two) { /* "trash DIR" */
        near = suggest_nearest(words[0], names);
    }
    (void)snprintf(line->hint, sizeof line->hint,
                   near != NULL ? "did you mean %s?" : "%s help",
                   near != NULL ? near : line->program->name);
    return err_set(err, ERR_INVALID, 0, "unknown command %s", QUOTED_STR(name));
}

/* DIR is not there, or not in front. */
static int no_place(struct cmdline *line, struct err *err)
{
    size_t used;
    const struct cmdline_command *c =
        cmdline_find(line->program, line->all, line->count, &used);

    if (c == NULL) {
        return 0;
    }
    cmdline_usage(line->program, c, line->hint, sizeof line->hint);
    return err_set(err, ERR_INVALID, 0, "%s comes first, then the command",
                   line->program->place);
}

/* The command that was named, into the line. */
static int find_command(struct cmdline *line, size_t *used_out, struct err *err)
{
    size_t at = name_at(line);

    *used_out = 0;
    if (line->count > at) {
        line->command = cmdline_find(line->program, line->all + at,
                                     line->count - at, used_out);
    }
    *used_out += at;
    if (line->command != NULL || line->count == 0) {
        return 0;
    }
    int rc = at > 0 ? no_place(line, err) : 0;
    if (rc != 0 || line->count == at) {
        return rc;
    }
    return unknown_command(line, at, err);
}

static int check_count(struct pass *p, size_t used)
{
    struct cmdline *line = p->line;
    const struct cmdline_command *c = line->command;
    struct cmdline_range r = cmdline_range_of(c->args);
    char missing[64];

    if (line->count >= r.min && line->count <= r.max) {
        return 0;
    }
    cmdline_usage(line->program, c, line->hint, sizeof line->hint);
    if (line->count < r.min) {
        (void)cmdline_placeholder(c->args, line->count, missing,
                                  sizeof missing);
        return err_set(p->err, ERR_INVALID, 0, "%s needs %s", c->name, missing);
    }
    const char *extra = line->words[r.max];
    if (p->open != NULL && p->open_at == used + r.max) {
        (void)snprintf(line->hint, sizeof line->hint, "write --%s=%.60s",
                       p->open->name, extra);
    }
    return err_set(p->err, ERR_INVALID, 0, "%s takes %s: %s", c->name,
                   r.max == 0 ? "no arguments" : "fewer arguments",
                   QUOTED_STR(extra));
}

/* --- both -------------------------------------------------------------------- */

/* What is wrong; or the second pass, which stores the values. */
static int parse(struct pass *p)
{
    struct cmdline *line = p->line;
    size_t used = 0;
    int rc = 0;

    line->all = calloc((size_t)p->argc + 1, sizeof *line->all);
    if (line->all == NULL) {
        return err_set(p->err, ERR_NOMEM, 0, "out of memory");
    }
    p->first = true;
    (void)scan(p);
    rc = find_command(line, &used, p->err);
    if (rc != 0 && !p->partial) {
        /* What follows an unknown option may be its value, and no command. */
        return p->strange == NULL ? rc
                                  : say_unknown(p, p->strange_dashes,
                                                p->strange, p->strange_len);
    }
    p->command = line->command;
    p->first = p->ended = false;
    p->awaits = p->open = NULL;
    rc = scan(p);
    if (rc == 0 && line->command != NULL) {
        line->place = used > 0 && name_at(line) > 0 ? line->all[0] : NULL;
        line->words = line->all + used;
        line->count -= used;
        rc = p->partial || line->help || line->version ? 0
                                                       : check_count(p, used);
    }
    return rc;
}

int cmdline_parse(struct cmdline *line, int argc, char **argv, struct err *err)
{
    struct pass p = {.line = line, .argc = argc, .argv = argv, .err = err};

    return parse(&p);
}

const struct cmdline_option *cmdline_parse_partial(struct cmdline *line,
                                                   int argc, char **argv,
                                                   bool *ended_out)
{
    struct err ignored = {0};
    struct pass p = {.line = line,
                     .partial = true,
                     .argc = argc,
                     .argv = argv,
                     .err = &ignored};

    (void)parse(&p);
    *ended_out = p.ended;
    return p.awaits;
}
