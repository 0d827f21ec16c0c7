/* SPDX-License-Identifier: MIT
 *
 * hint: see hint.h.  Rows from the special to the general; what is in no row is
 * in errors.def. */
#include "sync/errors/hint.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "sync/errors/state.h"

#define OTHER_CLIENT                                                           \
    "OpenSSH's client may get in: add transport = openssh to [replica "        \
    "REPLICA]; then: drover reload"
#define TOO_MANY                                                               \
    "too many at once (MaxStartups, PerSourceMaxStartups) or a ban "           \
    "(fail2ban, hosts.deny)? on HOST: journalctl -u ssh -n 20; it is tried "   \
    "again by itself"

/* The client says so of a connection that is no socket of its own. */
#define BEHIND_PROXY "UNKNOWN port 65535"
#define PROXY                                                                  \
    "the jump host or ProxyCommand of the client's configuration failed; by "  \
    "hand, as the agent's user: SSH -v true; then: drover retry REPLICA"

#define LINK_AWAY                                                              \
    "ls -ld DIR/TABLE.tbl; a link or a file: put the directory itself in its " \
    "place (stop its writers, rm the link or file, mv); what it had stays on " \
    "the replicas until then; to have it deleted there: rm the link or file"

#define IN_IT                                                                  \
    "what is mounted in the database? findmnt -rno TARGET | grep DIR/; take "  \
    "it away: umount what that shows; what it hides is neither read nor "      \
    "deleted meanwhile"

#define WHO_HAS_IT                                                             \
    "as root: fuser -v DIR/TABLE.tbl/KEY.kv; a process that it started has "   \
    "the file open still, and the lock with it; the key is sent as soon as "   \
    "that lets go"

/* `stage`: words of the message, NULL: any.  `sys`: 0: any. */
static const struct {
    int id, sys;
    const char *stage;
    const char *hint; /* NULL: the message says what to do */
} rows[] = {
    {DR_NOT_OUR_DATABASE, 0, "drover init --id", NULL},
    {DR_CONNECT, 0, BEHIND_PROXY, PROXY},
    {DR_HANDSHAKE, 0, BEHIND_PROXY, PROXY},
    {DR_AUTH, 0, BEHIND_PROXY, PROXY},
    {DR_HOST_KEY_UNKNOWN, 0, BEHIND_PROXY, PROXY},
    {DR_HANDSHAKE, 0, "no algorithms in common", OTHER_CLIENT},
    {DR_HANDSHAKE, 0, "channel",
     "on HOST: sshd -T | grep -i maxsessions (0 allows no session; each "
     "replica over one connection needs one); journalctl -u ssh -n 20; then: "
     "drover retry REPLICA"},
    {DR_HANDSHAKE, 0, "closed the connection", TOO_MANY},
    {DR_HANDSHAKE, 0, "the connection broke", TOO_MANY},
    {DR_HANDSHAKE, 0, "kex_exchange_identification", TOO_MANY},
    {DR_HANDSHAKE, 0, "child ",
     "by hand, as the agent's user: SSH -v true; on HOST: journalctl -u ssh -n "
     "20; then: drover retry REPLICA"},
    {DR_HANDSHAKE, 0, NULL,
     "on HOST: journalctl -u ssh -n 20; if it says nothing: " OTHER_CLIENT},
    {DR_HOST_KEY_UNKNOWN, 0, "ssh-keyscan", NULL},
    {DR_KNOWN_HOSTS, 0, "ssh-keyscan", NULL},
    {DR_KNOWN_HOSTS, 0, "has REVOKED", NULL},
    {DR_PROTOCOL, 0, "before an agent said hello", NULL},
    {DR_RSA_KEY, 0, "ssh-keygen", NULL},
    {DR_KEY_FILE, 0, "ssh-keygen", NULL},
    {DR_AUTH, 0, "journalctl -u ssh",
     "once that is fixed, to retry at once: drover retry REPLICA"},
    {DR_AUTH, 0, "authenticationmethods", NULL},
    {DR_NO_RECEIVER, 0, "exit status 64",
     "the receiver does not take its options: correct command=\"...\" of "
     "authorized_keys (or command = ... here); what it takes: drover-replica "
     "--help; then: drover reload"},
    {DR_NO_RECEIVER, 0, "exit status 78",
     "the receiver refuses its settings: on HOST, as the login user, run what "
     "command=\"...\" of authorized_keys has; then: drover retry REPLICA"},
    {DR_NO_RECEIVER, 0, "child ",
     "install drover, or correct the program in command = ... (where that is "
     "an ssh: on HOST, and in command=\"...\" of its authorized_keys); then: "
     "drover reload"},
    {DR_NO_RECEIVER, 0, "starts no command",
     "on HOST: sshd -T -C user=USER | grep -i -E 'forcecommand|permittty'; "
     "the account must be allowed to run drover-replica receive; then: drover "
     "retry REPLICA"},
    {DR_RECEIVER_BUSY, 0, "of this same agent",
     "what does it wait for, on HOST: ps -o pid,stat,wchan:30,args -p PID; "
     "stopped (T): kill -CONT PID; its disk (D): dmesg | tail; it is tried "
     "again by itself"},
    {DR_RECEIVER_BUSY, 0, "of an earlier run of this agent",
     "is a second agent running here? ps -C drover -o pid,args; else there is "
     "nothing to do: it is tried again by itself"},
    {DR_TWO_PRIMARIES, 0, "restart it",
     "is another agent running on this database? ps -C drover -o pid,args; "
     "stop one of the two, and the one that stays: systemctl restart "
     "drover@NAME"},
    {DR_REPLICA_NOT_EMPTY, 0, "drover-replica adopt", NULL},
    {DR_LINK_LOST, 0, "killed by signal",
     "on HOST: journalctl -n 50 | grep -i -E 'oom|drover-replica'; it is "
     "started again by itself"},
    {DR_NOISE, 0, "account is currently not available",
     "the account's shell refuses logins; on HOST: usermod -s /bin/sh USER "
     "(restrict,command=\"...\" in its authorized_keys allows the receiver "
     "alone); then: drover retry REPLICA"},
    {DR_LINK_LOST, 0, "child ",
     "it is started again by itself; if it repeats: the message has its last "
     "output; run its command by hand, as the agent's user"},
    {DR_LINK_LOST, 0, "exit status",
     "the command there ended by itself: it must be drover-replica receive "
     "DIR; see command=\"...\" of authorized_keys on HOST, and run it there "
     "as the login user"},
    {DR_CHILD, 0, "exit status 255",
     "try by hand, as the agent's user: SSH true; on HOST: journalctl -u ssh "
     "-n 20; it is tried again by itself, at once with: drover retry REPLICA"},
    {DR_CHILD, 0, "exit status",
     "run it by hand, as the agent's user: it must be drover-replica receive "
     "DIR, or an ssh that runs it and asks nothing (ssh -T -o BatchMode=yes)"},
    {DR_TIMED_OUT, 0, "no answer to the comparison",
     "its disk hangs, or its receiver is stopped? on HOST: dmesg | tail; ps -o "
     "pid,stat,wchan:32,args -C drover-replica; then ask again: drover verify "
     "REPLICA"},
    {DR_LAG, 0, "which is paused", "resume it: drover resume REPLICA"},
    {DR_BLOCKED, 0, "has ended or is hidden", WHO_HAS_IT},
    {DR_LOCKED_THERE, 0, "has ended or is hidden",
     "on HOST, as root: fuser -v DIR/TABLE.tbl/KEY.kv; a process that it "
     "started has the file open still, and the lock with it; the value comes "
     "into place when that lets go"},
    {DR_COVERED, 0, "table (root)", IN_IT}, /* never umount DIR itself */
    {DR_COVERED, 0, "there or above it", IN_IT},
    {DR_COVERED, 0, "is something else now", LINK_AWAY},
    {DR_COVERED, ENOTDIR, NULL, LINK_AWAY},
    {DR_COVERED, 0, "something else is in the table's place", LINK_AWAY},
    {DR_COVERED, ELOOP, NULL, LINK_AWAY},
    {DR_PASSED_OVER, 0, "in a key's place",
     "put the file itself back: rm the link (rmdir the directory), then mv the "
     "file to the key's place; the key stays on the replicas as it was until "
     "then; to have it deleted there: rm the link (rmdir the directory)"},
    {DR_PASSED_OVER, 0, "is something else now",
     "put the file itself back in its place; to have the key deleted on the "
     "replicas: take away what is there (rm, rmdir)"},
    {DR_STATE_DIR, EROFS, NULL,
     "read-only for the unit? systemctl edit drover@NAME: [Service] "
     "ReadWritePaths=DIR; else: findmnt -T DIR"},
    {DR_STATE_DIR, 0, "events is no regular file",
     "what is there? ls -ld DIR/events; take it away: mv DIR/events "
     "DIR/events.old; a new one is made by itself"},
    {DR_STATE_DIR, 0, "the record of events",
     "check space and owner of the state directory: df -h DIR; ls -la DIR; "
     "drover status says what happens now; what is not written is tried again "
     "by itself"},
    {DR_NO_IDENTITY, EROFS, NULL,
     "as the database's owner, outside the unit: drover init PRIMARY; or "
     "systemctl edit drover@NAME: [Service] ReadWritePaths=PRIMARY"},
    {DR_REPLICA_DIR, EROFS, NULL,
     "a replica of the agent's own host? systemctl edit drover@NAME: "
     "[Service] ReadWritePaths=DIR; else is its disk mounted read-only: "
     "findmnt -T DIR"},
    {DR_REPLICA_IO, 0, "cannot be read on the replica",
     "what is there? on HOST: ls -la DIR; findmnt -R -T DIR; a link, a mount "
     "or "
     "a file that drover did not put there, permissions that were removed? "
     "once it is put right: drover verify REPLICA"},
    {DR_DIFFERENT, 0, "comparisons that repaired",
     "which keys? drover verify REPLICA; on HOST: does another program write "
     "there (lsof +D DIR), is something mounted in it (findmnt -rno TARGET | "
     "grep DIR/), does its disk fail (dmesg | tail)?"},
    {DR_REPLICA_IO, EACCES, NULL,
     "on HOST, as the login user: ls -la DIR; what is there must belong to "
     "that user, or be readable and writable for it; it is tried again by "
     "itself"},
    {DR_REPLICA_IO, EXDEV, NULL,
     "something is mounted in the replica; on HOST: findmnt -rno TARGET | grep "
     "DIR/; take it away: umount what that shows; it is tried again by "
     "itself"},
    {DR_REPLICA_IO, EROFS, NULL,
     "a replica of the agent's own host? systemctl edit drover@NAME: "
     "[Service] ReadWritePaths=DIR; else on HOST: findmnt -T DIR; dmesg | "
     "tail; it is tried again by itself"},
    {DR_INSTALL, EBUSY, NULL,
     "something is mounted over it; on HOST: findmnt -rno TARGET | grep DIR/; "
     "take it away: umount what that shows; it is tried again by itself"},
    {DR_INSTALL, EROFS, NULL,
     "a replica of the agent's own host? systemctl edit drover@NAME: "
     "[Service] ReadWritePaths=DIR; else on HOST: findmnt -T DIR; it is tried "
     "again by itself"},
};

/* The receiver's errors come as words alone. */
static bool is_sys(const struct err *err, int sys)
{
    return sys == 0 || err->sys == sys ||
           strstr(err->msg, strerrordesc_np(sys)) != NULL;
}

static const struct {
    int id;
    const char *hint;
} of_child[] = {
    {DR_LINK_LOST,
     "it is started again by itself; if it repeats: journalctl -n 50 | grep -i "
     "-E 'oom|drover-replica'"},
    {DR_FLAPPING,
     "the message has the last reason; killed? journalctl -n 50 | grep -i -E "
     "'oom|drover-replica'; it counts as mended after 3 minutes, or with: "
     "drover reload"},
    {DR_NOISE,
     "the command prints something before drover-replica speaks: run it by "
     "hand, as the agent's user, without input (</dev/null)"},
    {DR_PROTOCOL,
     "install drover and drover-replica of the same version: drover version; "
     "drover-replica version"},
};

const char *hint_of_child(int id)
{
    for (size_t i = 0; i < sizeof of_child / sizeof *of_child; i++) {
        if (of_child[i].id == id) {
            return of_child[i].hint;
        }
    }
    return dr_hint(id);
}

/* What there is of systemctl in the texts above. */
static const char *const of_unit[][2] = {
    {"read-only for the unit? systemctl edit drover@NAME: [Service] "
     "ReadWritePaths=DIR; else: ",
     "mounted read-only? "},
    {", outside the unit: drover init PRIMARY; or systemctl edit drover@NAME: "
     "[Service] ReadWritePaths=PRIMARY",
     ": drover init PRIMARY; mounted read-only? findmnt -T PRIMARY"},
    {"a replica of the agent's own host? systemctl edit drover@NAME: [Service] "
     "ReadWritePaths=DIR; else ",
     ""},
    {"systemctl restart drover@NAME", "start it again: drover agent -c FILE"},
};

char *hint_without_unit(char *out, const char *hint)
{
    (void)snprintf(out, HINT_ROOM, "%s", hint);
    for (size_t i = 0; i < sizeof of_unit / sizeof *of_unit; i++) {
        const char *from = of_unit[i][0], *to = of_unit[i][1];
        char *at = strstr(out, from);
        if (at != NULL && strlen(out) - strlen(from) + strlen(to) < HINT_ROOM) {
            memmove(at + strlen(to), at + strlen(from),
                    strlen(at + strlen(from)) + 1);
            memcpy(at, to, strlen(to));
        }
    }
    return out;
}

const char *hint_of(const struct err *err)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (rows[i].id == err->id && is_sys(err, rows[i].sys) &&
            (rows[i].stage == NULL ||
             strstr(err->msg, rows[i].stage) != NULL)) {
            return rows[i].hint != NULL ? rows[i].hint : "";
        }
    }
    return dr_hint(err->id);
}

/* --- names --------------------------------------------------------------- */

static bool is_capital(char c)
{
    return (c >= 'A' && c <= 'Z') || c == '_';
}

static bool is_letter(char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

static const char *name_for(const struct hint_names *n, const char *word,
                            size_t len)
{
    const struct {
        const char *word, *name;
    } all[] = {
        {"HOST", n->host},       {"USER", n->user},
        {"PORT", n->port},       {"REPLICA", n->replica},
        {"DIR", n->dir},         {"PRIMARY", n->primary},
        {"FILE", n->file},       {"NAME", n->name},
        {"KNOWN", n->known},     {"SSH", n->ssh},
        {"RECEIVE", n->receive}, {"TABLE", n->table},
        {"KEY", n->key},         {"PID", n->pid},
        {"EPOCH", n->epoch},
    };

    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        if (strlen(all[i].word) == len &&
            strncmp(all[i].word, word, len) == 0) {
            return all[i].name;
        }
    }
    return NULL;
}

static void append(char *out, size_t room, size_t *at, const char *p, size_t n)
{
    if (*at + 1 < room) {
        size_t fits = n < room - 1 - *at ? n : room - 1 - *at;
        memcpy(out + *at, p, fits);
        *at += fits;
    }
}

char *hint_fill(char *out, size_t room, const char *hint,
                const struct hint_names *names)
{
    size_t at = 0;

    for (const char *p = hint; *p != '\0';) {
        size_t len = 0;
        while (is_capital(p[len])) {
            len++;
        }
        const char *name = len > 0 ? name_for(names, p, len) : NULL;
        /* A part of a longer word, as in "User" or "OpenSSH", is none; and half
         * a name is no name. */
        if (name != NULL && strlen(name) < room - at && !is_letter(p[len]) &&
            (p == hint || !is_letter(p[-1]))) {
            append(out, room, &at, name, strlen(name));
        } else {
            append(out, room, &at, p, len > 0 ? len : 1);
        }
        p += len > 0 ? len : 1;
    }
    out[at] = '\0';
    return out;
}
