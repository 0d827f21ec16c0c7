/* SPDX-License-Identifier: MIT
 *
 * finding_show: see finding_show.h. */
#include "sync/check/finding_show.h"

#include <string.h>

enum {
    WIDTH = 80,
    WHAT_WIDTH = 14,
    INDENT = 6 + WHAT_WIDTH + 1, /* where the text begins */
};

/* The text from column INDENT on, where `at` bytes stand already, cut between
 * words; a longer word stays whole. */
static void print_wrapped(FILE *out, size_t at, const char *text)
{
    for (const char *p = text; *p != '\0';) {
        size_t blanks = strspn(p, " "), n = strcspn(p + blanks, " ");
        if (at > 0 && INDENT + at + blanks + n >= WIDTH) {
            (void)fprintf(out, "\n%*s", INDENT, "");
            at = 0;
        } else {
            (void)fprintf(out, "%.*s", (int)blanks, p);
            at += blanks;
        }
        (void)fprintf(out, "%.*s", (int)n, p + blanks);
        at += n;
        p += blanks + n;
    }
    (void)fputc('\n', out);
}

static void print_one(FILE *out, const struct finding *d)
{
    char number[16] = "";

    if (d->id != 0) {
        (void)snprintf(number, sizeof number, "DR-%d ", d->id);
    }
    (void)fprintf(out, "%-4s  %-*s %s", finding_word(d->level), WHAT_WIDTH,
                  d->what, number);
    print_wrapped(out, strlen(number), d->text);
    if (d->hint[0] != '\0') {
        (void)fprintf(out, "      HINT: %s\n", d->hint);
    }
}

static const char *plural(size_t n)
{
    return n == 1 ? "" : "s";
}

void findings_print(const struct findings *f, bool quiet, FILE *out)
{
    const char *of = "";
    size_t warn = findings_count(f, FINDING_WARN);
    size_t fail = findings_count(f, FINDING_FAIL);

    for (size_t i = 0; i < f->count; i++) {
        const struct finding *d = &f->list[i];
        if (quiet && d->level == FINDING_OK) {
            continue;
        }
        if (strcmp(d->replica, of) != 0) {
            (void)fprintf(out, "%s:\n", d->replica);
            of = d->replica;
        }
        print_one(out, d);
    }
    if (f->bad) {
        (void)fputs("fail  memory         out of memory: lines are missing\n",
                    out);
    }
    if (!quiet) {
        (void)fprintf(out, "%zu ok, %zu warning%s, %zu failure%s\n",
                      findings_count(f, FINDING_OK), warn, plural(warn), fail,
                      plural(fail));
    }
}

static void text_or_none(struct json_out *j, const char *name, const char *text)
{
    if (text[0] != '\0') {
        json_bytes(j, name, text, strlen(text));
    } else {
        json_none(j, name);
    }
}

static void one_json(struct json_out *j, const struct finding *d)
{
    json_begin_object(j, NULL);
    text_or_none(j, "replica", d->replica);
    json_text(j, "level", finding_word(d->level));
    json_text(j, "what", d->what);
    json_bytes(j, "text", d->text, strlen(d->text));
    if (d->id != 0) {
        json_int(j, "id", d->id);
    } else {
        json_none(j, "id");
    }
    text_or_none(j, "hint", d->hint);
    json_end_object(j);
}

void findings_json(const struct findings *f, struct json_out *j)
{
    static const enum finding_level LEVELS[] = {FINDING_OK, FINDING_WARN,
                                                FINDING_FAIL};

    json_text(j, "verdict", finding_word(findings_worst(f)));
    for (size_t i = 0; i < sizeof LEVELS / sizeof LEVELS[0]; i++) {
        json_uint(j, finding_word(LEVELS[i]), findings_count(f, LEVELS[i]));
    }
    json_begin_array(j, "findings");
    for (size_t i = 0; i < f->count; i++) {
        one_json(j, &f->list[i]);
    }
    json_end_array(j);
}

int findings_exit(const struct findings *f, bool strict)
{
    return findings_worst(f) >= (strict ? FINDING_WARN : FINDING_FAIL) ? 1 : 0;
}
