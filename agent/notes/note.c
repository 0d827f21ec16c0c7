/* SPDX-License-Identifier: MIT
 *
 * note: see note.h. */
#include "agent/notes/note.h"

#include <stdlib.h>
#include <string.h>

#include "agent/base/log.h"
#include "store/files/small_file.h"
#include "sync/errors/state.h"

enum { NOTE_MAX_BYTES = 128 * 1024 };

char *note_read(int state_fd, const char *file)
{
    struct err err = {0};
    char *text = malloc(NOTE_MAX_BYTES);

    if (text != NULL &&
        small_read(state_fd, file, text, NOTE_MAX_BYTES, NULL, &err) < 0) {
        text[0] = '\0';
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
