/* SPDX-License-Identifier: MIT
 *
 * journal: see journal.h.
 */
#include "agent/base/journal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

/* The place in the source would be the one of this file. */
#define SD_JOURNAL_SUPPRESS_LOCATION
#include <systemd/sd-journal.h>

enum { FIELDS_MAX = 9, FIELD_BYTES = 128, MESSAGE_BYTES = 2048 };

bool journal_has_stderr(void)
{
    const char *text = getenv("JOURNAL_STREAM");
    struct stat st;
    unsigned long long dev, ino;
    char *end;

    if (text == NULL || fstat(STDERR_FILENO, &st) != 0) {
        return false;
    }
    dev = strtoull(text, &end, 10);
    if (*end != ':') {
        return false;
    }
    ino = strtoull(end + 1, &end, 10);
    return *end == '\0' && dev == (unsigned long long)st.st_dev &&
           ino == (unsigned long long)st.st_ino;
}

struct fields {
    struct iovec at[FIELDS_MAX];
    char text[FIELDS_MAX][FIELD_BYTES];
    int count;
};

/* Nothing without a value. */
static void add(struct fields *f, const char *name, const char *value)
{
    char *text = f->text[f->count];

    if (value != NULL && f->count < FIELDS_MAX) {
        int n = snprintf(text, FIELD_BYTES, "%s=%s", name, value);
        size_t len = n < FIELD_BYTES ? (size_t)n : FIELD_BYTES - 1;
        f->at[f->count++] = (struct iovec){.iov_base = text, .iov_len = len};
    }
}

static void add_number(struct fields *f, int dr)
{
    char text[64];

    if (dr != 0) {
        (void)snprintf(text, sizeof text, "DR-%03d", dr);
        add(f, "DROVER_ERROR_ID", text);
        (void)snprintf(text, sizeof text, JOURNAL_ID_BASE "%04d", dr % 10000);
        add(f, "MESSAGE_ID", text);
        add(f, "DOCUMENTATION", "man:drover-errors(7)");
    }
}

bool journal_send(const struct journal_entry *e)
{
    struct fields f = {.count = 0};
    char level[16], message[MESSAGE_BYTES + 16];
    int n = snprintf(message, sizeof message, "MESSAGE=%.*s",
                     (int)(e->len < MESSAGE_BYTES ? e->len : MESSAGE_BYTES),
                     e->message);

    (void)snprintf(level, sizeof level, "%d", e->level);
    add(&f, "PRIORITY", level);
    add(&f, "SYSLOG_IDENTIFIER", "drover");
    add(&f, "DROVER_EVENT", e->event);
    add(&f, "DROVER_DB", e->database);
    add(&f, "DROVER_REPLICA", e->replica);
    add_number(&f, e->dr);
    f.at[f.count++] = (struct iovec){.iov_base = message, .iov_len = (size_t)n};
    return sd_journal_sendv(f.at, f.count) == 0;
}
