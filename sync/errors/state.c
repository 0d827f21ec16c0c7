/* SPDX-License-Identifier: MIT
 *
 * state: the words and texts of state.h, as tables.  A hint says the next
 * thing to do, where possible the command to type; REPLICA, HOST, DIR, FILE and
 * the like stand for names that hint.h fills in. */
#include "sync/errors/state.h"

#include <stddef.h>
#include <sysexits.h>

const char *replica_state_word(enum replica_state s)
{
    static const char *const words[] = {
        [REPLICA_CONNECTING] = "connecting",
        [REPLICA_INITIAL] = "initial",
        [REPLICA_CATCHUP] = "catchup",
        [REPLICA_STREAMING] = "streaming",
        [REPLICA_RETRYING] = "retrying",
        [REPLICA_PAUSED] = "paused",
        [REPLICA_HELD] = "held",
        [REPLICA_FAILED] = "failed",
        [REPLICA_DIFFERS] = "differs",
    };
    size_t n = (size_t)s;

    return n < sizeof words / sizeof words[0] ? words[n] : "unknown";
}

enum again { AGAIN, ENDS };

struct dr_row {
    enum dr_id id;
    int exit;
    enum again again;
    const char *text;
    const char *hint;
};

static const struct dr_row rows[] = {
#define DR(name, number, exit, again, text, remedy)                            \
    {DR_##name, exit, again, text, remedy},
#include "sync/errors/errors.def"
#undef DR
};

static const struct dr_row *find(int id)
{
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if ((int)rows[i].id == id) {
            return &rows[i];
        }
    }
    return NULL;
}

const char *dr_hint(int id)
{
    const struct dr_row *row = find(id);

    return row != NULL ? row->hint : "";
}

const char *dr_text(int id)
{
    const struct dr_row *row = find(id);

    return row != NULL ? row->text : "";
}

bool dr_is_permanent(int id)
{
    const struct dr_row *row = find(id);

    return row != NULL && row->again == ENDS;
}

int dr_exit(const struct err *err, int otherwise)
{
    const struct dr_row *row = find(err->id);

    if (row != NULL && row->exit != 0) {
        return err->id == DR_REPLICA_DIR && err->code == ERR_PERM ? EX_NOPERM
                                                                  : row->exit;
    }
    return err_exit(err->code, otherwise);
}
