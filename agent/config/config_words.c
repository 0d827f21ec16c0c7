/* SPDX-License-Identifier: MIT
 *
 * config_words: a command's text as words; see config.h. */
#include <stdlib.h>
#include <string.h>

#include "agent/config/config.h"
#include "store/base/cleanup.h"
#include "store/base/quote.h"

struct splitter {
    const char *p;
    char *out; /* the words, one after the other with NULs; fits in the text */
    char **words;
    size_t count;
};

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* Copies one quoted stretch; false when its end is missing. */
static bool take_quoted(struct splitter *s)
{
    char quote = *s->p++;

    while (*s->p != '\0' && *s->p != quote) {
        if (quote == '"' && *s->p == '\\' &&
            (s->p[1] == '"' || s->p[1] == '\\')) {
            s->p++;
        }
        *s->out++ = *s->p++;
    }
    if (*s->p != quote) {
        return false;
    }
    s->p++;
    return true;
}

static bool take_word(struct splitter *s)
{
    s->words[s->count++] = s->out;
    while (*s->p != '\0' && !is_blank(*s->p)) {
        if (*s->p == '\'' || *s->p == '"') {
            if (!take_quoted(s)) {
                return false;
            }
            continue;
        }
        if (*s->p == '\\' && *++s->p == '\0') {
            return false;
        }
        *s->out++ = *s->p++;
    }
    *s->out++ = '\0';
    return true;
}

int config_split_words(const char *text, char ***words_out, struct err *err)
{
    size_t len = strlen(text);
    CLEANUP(freep) char *block = malloc(len + 2);
    CLEANUP(freep) char **words = calloc(len / 2 + 2, sizeof *words);
    struct splitter s = {.p = text, .out = block, .words = words};

    if (block == NULL || words == NULL) {
        return err_set(err, ERR_NOMEM, 0, "out of memory");
    }
    for (;;) {
        while (is_blank(*s.p)) {
            s.p++;
        }
        if (*s.p == '\0') {
            break;
        }
        if (!take_word(&s)) {
            return err_set(err, ERR_INVALID, 0,
                           "%s: a quote is not closed (or a backslash ends it)",
                           QUOTED(text, len));
        }
    }
    if (s.count == 0 || words[0][0] == '\0') {
        return err_set(err, ERR_INVALID, 0, "the command is empty");
    }
    /* words[0] is the start of the block: one free() for both below. */
    block = NULL;
    *words_out = TAKE_PTR(words);
    return 0;
}

void config_free_words(char **words)
{
    if (words != NULL) {
        free(words[0]);
        free(words);
    }
}
