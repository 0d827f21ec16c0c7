/* SPDX-License-Identifier: MIT
 *
 * pauses: see pauses.h. */
#include "agent/notes/pauses.h"

#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "agent/base/log.h"
#include "agent/notes/note.h"
#include "store/base/cleanup.h"
#include "store/files/small_file.h"
#include "sync/errors/state.h"

enum { PAUSES_MAX_BYTES = 128 * 1024 };

int pauses_note(int state_fd, const struct replicas *all, const char *state_dir,
                struct err *err)
{
    CLEANUP(buf_deinit) struct buf b = BUF_NULL;
    struct replica *r;

    DL_FOREACH(all->list, r) {
        if (r->paused_by_hand) {
            buf_printf(&b, "%s\n", r->name);
        }
    }
    int rc = b.bad ? err_set(err, ERR_NOMEM, 0, "out of memory")
                   : small_write(state_fd, PAUSES_FILE, b.data, b.len,
                                 SMALL_DURABLE(0600), err);
    if (rc < 0) {
        /* The text names the step: who asked may not know the directory. */
        (void)err_wrap(
            err,
            "done, but a restart of the agent would forget it; check "
            "df -h %.200s, then repeat the command",
            state_dir);
    }
    return rc;
}

/* What is there is names, a line each: no disk's or editor's leavings. */
static bool is_sound(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if ((unsigned char)text[i] < ' ' && text[i] != '\n') {
            return false;
        }
    }
    return len == 0 || text[len - 1] == '\n';
}

/* 0, also when there is none. */
static int read_pauses(int state_fd, char **text_out, struct err *err)
{
    char *text = malloc(PAUSES_MAX_BYTES);

    *text_out = text;
    if (text == NULL) {
        return err_set(err, ERR_NOMEM, 0, "out of memory");
    }
    text[0] = '\0';
    int rc =
        small_read(state_fd, PAUSES_FILE, text, PAUSES_MAX_BYTES, NULL, err);
    if (rc >= 0 && !is_sound(text, (size_t)rc)) {
        rc = err_set(err, ERR_CORRUPT, 0, "%s makes no sense", PAUSES_FILE);
    }
    return rc >= 0 || rc == ERR_NOTFOUND ? 0 : rc;
}

void pauses_recall(int state_fd, struct replica *r)
{
    CLEANUP(freep) char *text = NULL;
    struct err err = {0};

    if (read_pauses(state_fd, &text, &err) < 0) {
        /* Whoever paused it had a reason; to go on is one command. */
        log_event(LOG_WARNING, "pauses", r->name, DR_STATE_DIR,
                  "err=\"%s\"; it begins paused: drover resume %s", err.msg,
                  r->name);
        replica_pause(r, true);
        return;
    }
    char *rest = text;
    for (const char *line; (line = note_line(&rest)) != NULL;) {
        if (strcmp(line, r->name) == 0) {
            replica_pause(r, true);
        }
    }
}
