/* SPDX-License-Identifier: MIT
 *
 * say: what drover-replica tells people: one line on stderr, and an exit code.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "store/base/quote.h"
#include "sync/errors/hint.h"
#include "sync/errors/state.h"
#include "sync/replica/replica.h"

/* Of `receive`, for hints; NULL before it is known. */
static const char *served_dir;

void replica_serves(const char *dir)
{
    served_dir = dir;
}

void replica_say(const char *fmt, ...)
{
    char line[ERR_MSG_BYTES + 64];
    va_list ap;

    va_start(ap, fmt);
    int n = vsnprintf(line, sizeof line - 1, fmt, ap);
    va_end(ap);
    if (n < 0) {
        return;
    }
    /* One write per line: threads and other processes share stderr. */
    dprintf(STDERR_FILENO, "drover-replica: %s\n", line);
}

void replica_hint(char *out, const struct err *err)
{
    const struct hint_names names = {
        .host = "this host",
        .dir = served_dir != NULL ? QUOTED_STR(served_dir) : NULL,
    };

    (void)hint_fill(out, HINT_ROOM, hint_of(err), &names);
}

void replica_say_error(const struct err *err)
{
    char id[32] = "";
    char hint[HINT_ROOM];

    if (err->id != 0) {
        (void)snprintf(id, sizeof id, "DR-%d ", err->id);
    }
    replica_hint(hint, err);
    dprintf(STDERR_FILENO, "drover-replica: %s%s\n%s%s%s", id, err->msg,
            hint[0] != '\0' ? "      HINT: " : "", hint,
            hint[0] != '\0' ? "\n" : "");
}

int replica_exit_of(const struct err *err)
{
    return dr_exit(err, EX_UNAVAILABLE);
}
