/* SPDX-License-Identifier: MIT
 *
 * receive_options: see receive_options.h. */
#include "sync/options/receive_options.h"

#include <errno.h>
#include <grp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "store/base/cleanup.h"
#include "store/base/clock.h"

int receive_mode(const char *text, mode_t must, mode_t *out, struct err *err)
{
    unsigned mode = 0;
    size_t n = strlen(text);
    bool octal = n > 0 && n <= 5;

    for (size_t i = 0; octal && i < n; i++) {
        octal = text[i] >= '0' && text[i] <= '7';
        mode = mode * 8 + (unsigned)(text[i] - '0');
    }
    if (!octal || mode > 07777) {
        return err_set(err, ERR_INVALID, 0,
                       "%s is not an octal mode such as 0640", text);
    }
    if ((mode & must) != must) {
        return err_set(err, ERR_INVALID, 0,
                       "mode %s would lock the receiver out: it needs %#o",
                       text, (unsigned)must);
    }
    *out = (mode_t)mode;

    return 0;
}

int receive_group(const char *text, gid_t *out, struct err *err)
{
    size_t n = strlen(text);

    if (n > 0 && strspn(text, "0123456789") == n) {
        errno = 0;
        unsigned long id = strtoul(text, NULL, 10);
        if (errno != 0 || id >= UINT32_MAX) {
            return err_set(err, ERR_INVALID, 0, "group %s: number too large",
                           text);
        }
        *out = (gid_t)id;
        return 0;
    }
    errno = 0;
    const struct group *g = getgrnam(text);
    if (g == NULL) {
        return err_set(err, ERR_INVALID, 0,
                       "there is no group %s; make it: groupadd --system %s",
                       text, text);
    }
    *out = g->gr_gid;
    return 0;
}

int receive_policy(const char *text, bool *replace_out, struct err *err)
{
    if (strcmp(text, "wait") == 0) {
        *replace_out = false;
    } else if (strcmp(text, "replace") == 0) {
        *replace_out = true;
    } else {
        return err_set(err, ERR_INVALID, 0,
                       "--on-lock-timeout is wait or replace, not %s", text);
    }
    return 0;
}

/* --- the line ------------------------------------------------------------ */

#define AT(member) offsetof(struct receive_line, member)

const struct cmdline_option RECEIVE_OPTIONS[] = {
    {"group", 0, CMDLINE_TEXT, AT(group), "GROUP",
     "group of new directories and values", false},
    {"dir-mode", 0, CMDLINE_TEXT, AT(dir_mode), "MODE",
     "mode of new directories (2750)", false},
    {"file-mode", 0, CMDLINE_TEXT, AT(file_mode), "MODE",
     "mode of values (0640)", false},
    {"lock-timeout", 0, CMDLINE_TIME, AT(lock_timeout_ns), "TIME",
     "how long a reader's lock is respected before the policy decides (10s)",
     false},
    {"on-lock-timeout", 0, CMDLINE_TEXT, AT(policy), "wait|replace",
     "keep waiting (default), or put the value in place anyway: readers keep "
     "the old one",
     false},
    {"trash-keep", 0, CMDLINE_TIME, AT(trash_keep_ns), "TIME",
     "keep deleted values for this long (off)", false},
    {"trash-max", 0, CMDLINE_SIZE, AT(trash_max_bytes), "SIZE",
     "... and no more of them than this (1G)", false},
    {"no-sandbox", 0, CMDLINE_FLAG, AT(no_sandbox), NULL,
     "run without Landlock and seccomp", false},
    {.name = NULL},
};

static int take_texts(const struct receive_line *l, struct receive_options *out,
                      struct err *err)
{
    int rc = l->group != NULL ? receive_group(l->group, &out->group, err) : 0;

    if (rc == 0 && l->dir_mode != NULL) {
        rc = receive_mode(l->dir_mode, 0700, &out->dir_mode, err);
    }
    if (rc == 0 && l->file_mode != NULL) {
        rc = receive_mode(l->file_mode, 0600, &out->file_mode, err);
    }
    if (rc == 0 && l->policy != NULL) {
        rc = receive_policy(l->policy, &out->replace, err);
    }
    return rc;
}

int receive_options_take(const struct receive_line *line,
                         struct receive_options *out, struct err *err)
{
    if (line->lock_timeout_ns >= 0) {
        out->lock_timeout_ms = line->lock_timeout_ns / NS_PER_MS;
    }
    if (line->trash_keep_ns >= 0) {
        out->trash_keep_ns = line->trash_keep_ns;
    }
    if (line->trash_max_bytes != UINT64_MAX) {
        out->trash_max_bytes = line->trash_max_bytes;
    }
    out->sandbox = out->sandbox && !line->no_sandbox;
    out->dir = line->line.words[0];
    return out->dir[0] == '\0' ? err_set(err, ERR_INVALID, 0,
                                         "receive: the directory is empty text")
                               : take_texts(line, out, err);
}

int receive_options_parse(int argc, char **argv, struct receive_options *out,
                          struct err *err)
{
    static const struct cmdline_command RECEIVE[] = {
        CMDLINE_COMMAND("receive", "DIR", "", RECEIVE_OPTION_NAMES, "", NULL),
        {.name = NULL},
    };
    static const struct cmdline_option *const LISTS[] = {RECEIVE_OPTIONS, NULL};
    static const struct cmdline_program PROGRAM = {
        .name = "drover-replica", .commands = RECEIVE, .options = LISTS};
    struct receive_line line = RECEIVE_LINE_NULL;
    CLEANUP(freep) char **words = calloc((size_t)argc + 2, sizeof *words);

    if (words == NULL) {
        return err_set(err, ERR_NOMEM, 0, "out of memory");
    }
    memcpy(words + 1, argv, (size_t)argc * sizeof *words);
    line.line.program = &PROGRAM;
    int rc = cmdline_parse(&line.line, argc + 1, words, err);
    if (rc != 0 && line.line.hint[0] != '\0') {
        const struct err why = *err;
        rc = err_set(err, rc, 0, "%.400s; %s", why.msg, line.line.hint);
    } else if (rc == 0 && line.line.count == 0) { /* --help, --version */
        rc = err_set(err, ERR_INVALID, 0, "receive needs DIR");
    } else if (rc == 0) {
        rc = receive_options_take(&line, out, err);
    }
    free(line.line.all);
    return rc;
}
