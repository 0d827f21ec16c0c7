/* SPDX-License-Identifier: MIT
 *
 * session: one live receiver per replica, and whose copy the replica is.
 *
 * The live receiver holds an exclusive flock on META_DIR/lock for as long as
 * its process lives, so the kernel gives it back however the process ends.
 * A newcomer that finds it held writes META_DIR/takeover (database, instance,
 * epoch, a random nonce) and waits a bounded time.  The live receiver looks at
 * that file before each group of changes and twice a second, and leaves when
 *     - the newcomer speaks for the same agent process and the same replica (it
 *       reconnected), or
 *     - the newcomer's epoch is higher (a newer primary took over), or
 *     - its own agent has been silent for more than three heartbeats.
 * It also leaves when the lock file was removed: a newcomer would lock another.
 * Else it stays and the newcomer is refused with DR_RECEIVER_BUSY; or with
 * DR_REPLICA_TWICE when the two speak for one agent, which has this directory
 * under two names: they would take it from each other for ever.
 *
 * Who may feed the replica at all is decided by its term
 * (sync/identity/term.h), which is kept in META_DIR/replica.
 *
 * Why a file and not a signal: the two may run as different processes of sshd
 * in different namespaces, and a file also tells who is asking.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "store/base/err.h"
#include "sync/identity/term.h"
#include "sync/replica/meta/meta.h"
#include "sync/wire/wire.h"

enum {
    SESSION_TAKEOVER_MS = 5000, /* how long a newcomer waits */
    SESSION_HEARTBEATS = 3,     /* silence that gives up the lock */
};

struct session {
    int meta_fd; /* borrowed */
    int lock_fd; /* -1: not held */
    uint8_t db_id[META_ID_BYTES];
    uint8_t instance[16];
    char replica[64]; /* its name in the agent's configuration */
    uint64_t epoch;
    uint32_t heartbeat_ms;
    struct stat seen; /* last takeover file that was judged and refused */
    /* session_lock() waits for whom `who` names; NULL: nobody is told. */
    void (*on_busy)(void *arg, const struct err *who);
    void *on_busy_arg;
};

void session_init(struct session *s, int meta_fd);
void session_deinit(struct session *s);

/* Take the lock for the agent that said `hello`, asking a live receiver to
 * leave for at most `wait_ms`.  ERR_REFUSED with DR_RECEIVER_BUSY names the
 * holder.  Blocking. */
int session_lock(struct session *s, const struct wire_hello *hello,
                 int64_t wait_ms, struct err *err) MUSTCHECK;

/* Must this receiver, which holds the lock, leave?  Writes the reason. */
bool session_superseded(struct session *s, int64_t silent_ms, char *why,
                        size_t why_room);

/* Is the agent's database the one this replica is a copy of, and this replica
 * the one it expects?  0 = yes, with
 * *ident_out as stored (also for a newer epoch, which is not stored yet);
 * SESSION_NEW = no identity and nothing in the database.  Refusals:
 * DR_OTHER_DATABASE, DR_OLD_EPOCH, DR_TWO_PRIMARIES, DR_REPLICA_NOT_EMPTY,
 * DR_IS_PRIMARY (it was promoted since it was opened), DR_REPLICA_BLANK,
 * DR_REPLICA_OTHER.  m->fd may be -1: there is no META_DIR. */
enum { SESSION_NEW = 1 };
int session_check(const struct meta *m, const struct wire_hello *hello,
                  struct meta_ident *ident_out, struct err *err) MUSTCHECK;

/* The same where there is no directory at all: 0 = it may be made. */
int session_check_missing(const char *dir, const struct wire_hello *hello,
                          struct err *err) MUSTCHECK;

/* See to it that the replica has an id of its own: true when it is changed and
 * has to be written.  ERR_* when none can be made. */
int session_own_id(struct meta_ident *ident, const struct wire_hello *hello,
                   bool *changed_out, struct err *err) MUSTCHECK;

/* Change the stored identity for this agent, which was accepted; it has to be
 * written unless the answer is TERM_AS_IT_WAS. */
enum term_change session_follow(struct meta_ident *ident,
                                const struct wire_hello *hello);

/* What the lock file says about the holder. */
struct session_holder {
    int pid;
    int64_t since_s; /* CLOCK_REALTIME */
    char replica[64];
    uint8_t instance[16]; /* zero: not known */
};
/* 1 = a receiver is live; 0 = none; ERR_*.  Takes no lock where /proc/locks
 * can tell. */
int session_live(int meta_fd, struct session_holder *out,
                 struct err *err) MUSTCHECK;
