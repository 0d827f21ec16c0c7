/* SPDX-License-Identifier: MIT
 *
 * holder: see holder.h. */
#include "sync/replica/meta/holder.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "store/base/utc.h"

/* A name from the wire, made fit for a line of text. */
void holder_printable(struct bytes b, char *out, size_t room)
{
    size_t n = b.len < room - 1 ? b.len : room - 1;

    for (size_t i = 0; i < n; i++) {
        out[i] = b.p[i] > 0x20 && b.p[i] < 0x7f ? (char)b.p[i] : '?';
    }
    out[n] = '\0';
}

/* Tell a later newcomer who holds the lock.  Only for its message, so a
 * failure to write is no reason to refuse the session. */
void holder_write(const struct session *s)
{
    char hex[META_ID_TEXT], text[256];

    meta_id_text(s->instance, hex);
    int n =
        snprintf(text, sizeof text, "pid=%d since=%jd replica=%s instance=%s\n",
                 (int)getpid(), (intmax_t)time(NULL), s->replica, hex);
    if (ftruncate(s->lock_fd, 0) != 0 ||
        pwrite(s->lock_fd, text, (size_t)n, 0) != n) {
        /* The holder is then described without these facts. */
    }
}

void holder_read(int meta_fd, struct session_holder *out)
{
    char text[META_TEXT_MAX];
    struct err err;

    *out = (struct session_holder){.pid = 0};
    if (meta_read(meta_fd, META_FILE_LOCK, text, sizeof text, NULL, &err) !=
        0) {
        return;
    }
    char hex[META_ID_TEXT] = "";
    int n = sscanf(text,
                   "pid=%d since=%" SCNd64 " replica=%63s instance=%32[0-9a-f]",
                   &out->pid, &out->since_s, out->replica, hex);
    if (n < 3) {
        *out = (struct session_holder){.pid = 0};
    }
    if (n < 4 || !meta_id_parse(hex, out->instance)) {
        memset(out->instance, 0, sizeof out->instance);
    }
    /* Whoever owns the directory can have written it. */
    holder_printable(bytes_of(out->replica, strlen(out->replica)), out->replica,
                     sizeof out->replica);
}

/* Our own agent, which has this directory as another replica, too. */
static int refuse_twice(const struct session *s,
                        const struct session_holder *holder, struct err *err)
{
    (void)err_set(err, ERR_REFUSED, 0,
                  "%s leads to the directory of %s, which is live in it (pid "
                  "%d): one directory under two names",
                  s->replica, holder->replica, holder->pid);
    err->id = DR_REPLICA_TWICE;
    return err->code;
}

/* Of an earlier session: asked to leave, it does so within half a second, if it
 * runs at all. */
static const char OWN[] =
    "an earlier session of this same agent still has the replica: its receiver "
    "does not run (it is stopped, or waits for its disk), and leaves by itself "
    "as soon as it does";

/* An agent that was started anew is not the process that it was. */
static bool same_primary(const struct session *s,
                         const struct session_holder *holder)
{
    static const uint8_t UNKNOWN[WIRE_ORIGIN_BYTES];

    return memcmp(holder->instance, UNKNOWN, sizeof UNKNOWN) != 0 &&
           memcmp(holder->instance, s->instance, sizeof UNKNOWN) == 0;
}

static void describe(const struct session *s,
                     const struct session_holder *holder, char *out,
                     size_t room)
{
    if (memcmp(holder->instance, s->instance, sizeof s->instance) == 0) {
        (void)snprintf(out, room, "%s", OWN);
    } else if (same_primary(s, holder)) {
        (void)snprintf(
            out, room,
            "a receiver of an earlier run of this agent, or of a second agent "
            "on the same database, is live on this replica; it leaves by "
            "itself when its link has been silent for %u s",
            (unsigned)((SESSION_HEARTBEATS * (uint64_t)s->heartbeat_ms + 999) /
                       1000));
    } else {
        (void)snprintf(out, room,
                       "another agent's receiver is live on this replica");
    }
}

int holder_refuse(const struct session *s, struct err *err)
{
    struct session_holder holder;
    char who[300];

    holder_read(s->meta_fd, &holder);
    if (holder.pid != 0 &&
        memcmp(holder.instance, s->instance, sizeof s->instance) == 0 &&
        strcmp(holder.replica, s->replica) != 0) {
        return refuse_twice(s, &holder, err);
    }
    if (holder.pid == 0) {
        (void)err_set(err, ERR_REFUSED, 0,
                      "another receiver is live on this replica");
    } else {
        describe(s, &holder, who, sizeof who);
        (void)err_set(err, ERR_REFUSED, 0, "%s: pid %d since %s (replica %s)",
                      who, holder.pid, UTC_SECOND(holder.since_s),
                      holder.replica);
    }
    err->id = DR_RECEIVER_BUSY;
    return err->code;
}
