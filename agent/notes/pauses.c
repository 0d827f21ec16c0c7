/* SPDX-License-Identifier: MIT
 *
 * pauses: see pauses.h. */
#include "agent/notes/pauses.h"

#include <string.h>
#include <utlist.h>

#include "agent/notes/note.h"
#include "store/base/cleanup.h"
#include "store/files/small_file.h"

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

void pauses_recall(int state_fd, struct replica *r)
{
    CLEANUP(freep)
    char *text =
        note_read(state_fd, PAUSES_FILE, "pauses_not_known",
                  "every replica begins paused; to go on: drover resume");
    char *rest = text;

    if (text == NULL) {
        /* Whoever paused one had a reason; to go on is one command. */
        replica_pause(r, true);
    }
    for (const char *line; (line = note_line(&rest)) != NULL;) {
        if (strcmp(line, r->name) == 0) {
            replica_pause(r, true);
        }
    }
}
