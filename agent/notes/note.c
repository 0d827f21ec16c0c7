/* SPDX-License-Identifier: MIT
 *
 * note: see note.h. */
#include "agent/notes/note.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/log.h"
#include "store/files/small_file.h"
#include "sync/errors/state.h"

enum { NOTE_MAX_BYTES = 128 * 1024 };

static bool is_sound(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if ((unsigned char)text[i] < ' ' && text[i] != '\n') {
            return false;
        }
    }
    return true;
}

/* 0, also when there is none. */
static int read_whole(int state_fd, const char *file, char *text,
                      struct err *err)
{
    text[0] = '\0';
    int rc = small_read(state_fd, file, text, NOTE_MAX_BYTES, NULL, err);

    if (rc >= 0 && !is_sound(text, (size_t)rc)) {
        rc = err_set(err, ERR_CORRUPT, 0, "%s makes no sense", file);
    }
    return rc >= 0 || rc == ERR_NOTFOUND ? 0 : rc;
}

char *note_read(int state_fd, const char *file, const char *event,
                const char *harm)
{
    struct err err = {0};
    char *text = malloc(NOTE_MAX_BYTES);
    int rc = text == NULL ? err_set(&err, ERR_NOMEM, 0, "out of memory")
                          : read_whole(state_fd, file, text, &err);

    if (rc < 0) {
        log_event(LOG_WARNING, event, NULL, DR_STATE_DIR, "err=\"%s\"; %s",
                  err.msg, harm);
        free(text);
        return NULL;
    }
    return text;
}

char *note_line(char **text)
{
    char *line = *text;

    if (line == NULL || *line == '\0') {
        return NULL;
    }
    size_t len = strcspn(line, "\n");

    *text = line + len + (line[len] == '\n');
    line[len] = '\0';
    return line;
}

void note_write(int state_fd, const char *file, const struct buf *text,
                const char *event, const char *harm)
{
    struct err err = {0};
    int rc = text->bad ? err_set(&err, ERR_NOMEM, 0, "out of memory")
                       : small_write(state_fd, file, text->data, text->len,
                                     SMALL_DURABLE(0600), &err);

    if (rc < 0) {
        log_event(LOG_WARNING, event, NULL, DR_STATE_DIR, "err=\"%s\"; %s",
                  err.msg, harm);
    }
}
