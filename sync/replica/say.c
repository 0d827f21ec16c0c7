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
        .dir =
            served_dir != NULL ? QUOTED(served_dir, strlen(served_dir)) : NULL,
    };

    (void)hint_fill(out, HINT_ROOM, hint_of(err), &names);
}

void replica_say_error(const struct err *err)
{
    if (err->id != 0) {
        replica_say("DR-%d: %s", err->id, err->msg);
    } else {
        replica_say("%s", err->msg);
    }
    char hint[HINT_ROOM];
    replica_hint(hint, err);
    if (hint[0] != '\0') {
        replica_say("hint: %s", hint);
    }
}

int replica_exit_of(const struct err *err)
{
    switch (err->id) {
    case DR_RECEIVER_BUSY:
        return EXIT_TEMPORARY;
    case DR_OTHER_DATABASE:
    case DR_OLD_EPOCH:
    case DR_TWO_PRIMARIES:
    case DR_IS_PRIMARY:
    case DR_EPOCH_JUMP:
    case DR_REPLICA_NOT_EMPTY:
        return EXIT_CONFIG;
    case DR_REPLICA_DIR:
        return err->code == ERR_PERM ? EXIT_NOT_PERMITTED : EXIT_CONFIG;
    case DR_PROTOCOL:
        return EXIT_PROTOCOL;
    default:
        break;
    }
    switch (err->code) {
    case ERR_PROTO:
        return EXIT_PROTOCOL;
    case ERR_INVALID:
        return EXIT_USAGE;
    case ERR_PERM:
        return EXIT_NOT_PERMITTED;
    case ERR_CLOSED:
    case ERR_TIMEOUT:
        return EXIT_TEMPORARY;
    default:
        return EXIT_UNAVAILABLE;
    }
}
