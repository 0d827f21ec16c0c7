/* SPDX-License-Identifier: MIT
 *
 * session: see session.h.
 *
 * The lock file has mode 0600, whatever a chmod -R has made of it: flock works
 * on any descriptor, so a reader of the replica that could open it could keep
 * the receiver out.
 */
#include "sync/replica/meta/session.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include "store/base/cleanup.h"
#include "store/base/clock.h"
#include "store/base/rand.h"
#include "store/base/sys.h"
#include "store/files/own_dir.h"
#include "store/layout/lock.h"
#include "sync/identity/dirid.h"
#include "sync/replica/meta/holder.h"

enum { TELL_MS = 700 /* one that runs has left before */ };

void session_init(struct session *s, int meta_fd)
{
    *s = (struct session){.meta_fd = meta_fd, .lock_fd = -1};
}

void session_deinit(struct session *s)
{
    fd_closep(&s->lock_fd);
}

/* The lock on the file that is behind the name now: 1 = taken, 0 = busy. */
static int try_lock(struct session *s, struct err *err)
{
    for (int i = 0; i < 100; i++) {
        CLEANUP(fd_closep)
        int fd = own_file_open(s->meta_fd, META_FILE_LOCK, O_RDWR, err);
        if (fd < 0) {
            return err_wrap(err, META_DIR);
        }
        if (sys_flock(fd, LOCK_EX) != 0) {
            return errno == EWOULDBLOCK
                       ? 0
                       : err_sys(err, errno,
                                 "lock " META_DIR "/" META_FILE_LOCK);
        }
        struct stat mine, named;
        if (fstat(fd, &mine) == 0 &&
            fstatat(s->meta_fd, META_FILE_LOCK, &named, AT_SYMLINK_NOFOLLOW) ==
                0 &&
            sys_same_file(&mine, &named)) {
            s->lock_fd = TAKE_FD(fd);
            return 1;
        }
    }
    return err_set(err, ERR_IO, 0,
                   META_DIR "/" META_FILE_LOCK " keeps being replaced");
}

static int write_takeover(const struct session *s, const char *nonce,
                          struct err *err)
{
    char id[META_ID_TEXT], instance[META_ID_TEXT], text[META_TEXT_MAX];

    meta_id_text(s->db_id, id);
    meta_id_text(s->instance, instance);
    int n = snprintf(text, sizeof text,
                     "db=%s instance=%s epoch=%" PRIu64 " nonce=%s pid=%d "
                     "replica=%s\n",
                     id, instance, s->epoch, nonce, (int)getpid(), s->replica);
    /* Written under a name of its own: two newcomers may write at once. */
    char temp[64];
    (void)snprintf(temp, sizeof temp, META_FILE_TAKEOVER "-%s", nonce);
    /* Root's request is for the receiver's user to read. */
    struct small_how how = {
        .mode = 0600, .group = (gid_t)-1, .like_dir = geteuid() == 0};
    int rc = meta_replace(s->meta_fd, temp, text, (size_t)n, &how, err);
    if (rc != 0) {
        return rc;
    }
    if (renameat(s->meta_fd, temp, s->meta_fd, META_FILE_TAKEOVER) != 0) {
        int sys = errno;
        (void)unlinkat(s->meta_fd, temp, 0);
        return err_sys(err, sys, "write " META_DIR "/" META_FILE_TAKEOVER);
    }
    return 0;
}

/* Say what it is that takes time. */
static void report_busy(struct session *s)
{
    struct err who;

    if (s->on_busy != NULL) {
        (void)holder_refuse(s, &who);
        (void)err_wrap(&who, "it is asked to leave");
        s->on_busy(s->on_busy_arg, &who);
    }
}

/* Ask again each second: the live receiver compares stats, and a file written
 * in the same clock tick as an earlier one could look the same. */
static int ask_for_lock(struct session *s, int64_t wait_ms, struct err *err)
{
    uint8_t raw[META_ID_BYTES];
    char nonce[META_ID_TEXT];
    int rc = rand_bytes(raw, sizeof raw, err);

    if (rc != 0) {
        return rc;
    }
    meta_id_text(raw, nonce);
    int64_t start = clock_mono_ns(), asked = start - NS_PER_S;
    bool told = false;

    for (;;) {
        int64_t now = clock_mono_ns();
        if (now - asked >= NS_PER_S) {
            rc = write_takeover(s, nonce, err);
            if (rc != 0) {
                return rc;
            }
            asked = now;
        }
        int got = try_lock(s, err);
        if (got != 0) {
            return got;
        }
        if (now - start >= wait_ms * NS_PER_MS) {
            return 0;
        }
        if (!told && now - start >= TELL_MS * NS_PER_MS) {
            told = true;
            report_busy(s);
        }
        clock_sleep_ns(10 * NS_PER_MS);
    }
}

int session_lock(struct session *s, const struct wire_hello *hello,
                 int64_t wait_ms, struct err *err)
{
    memcpy(s->db_id, hello->db_id, sizeof s->db_id);
    memcpy(s->instance, hello->instance, sizeof s->instance);
    holder_printable(hello->replica, s->replica, sizeof s->replica);
    if (s->replica[0] == '\0') {
        s->replica[0] = '-';
        s->replica[1] = '\0';
    }
    s->epoch = hello->epoch;
    s->heartbeat_ms = hello->heartbeat_ms;
    int got = try_lock(s, err);
    if (got == 0) {
        got = ask_for_lock(s, wait_ms, err);
    }
    /* Also what a newcomer that died left behind: it might speak for the same
     * agent as we do.  One that still waits asks again. */
    if (got >= 0) {
        (void)unlinkat(s->meta_fd, META_FILE_TAKEOVER, 0);
    }
    if (got < 0) {
        err->id = meta_error_id(err);
        return got;
    }
    if (got == 0) {
        return holder_refuse(s, err);
    }
    holder_write(s);
    return 0;
}

static bool same_file(const struct stat *a, const struct stat *b)
{
    return a->st_ino == b->st_ino && a->st_ctim.tv_sec == b->st_ctim.tv_sec &&
           a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

/* Does the lock's name still lead to the file that we locked?  If not, the
 * lock keeps nobody out any more. */
static bool lock_is_lost(const struct session *s)
{
    struct stat mine, named;

    if (s->lock_fd < 0 || fstat(s->lock_fd, &mine) != 0) {
        return false;
    }
    if (fstatat(s->meta_fd, META_FILE_LOCK, &named, AT_SYMLINK_NOFOLLOW) != 0) {
        return errno == ENOENT;
    }
    return mine.st_ino != named.st_ino || mine.st_dev != named.st_dev;
}

bool session_superseded(struct session *s, int64_t silent_ms, char *why,
                        size_t why_room)
{
    struct stat st;

    if (lock_is_lost(s)) {
        (void)snprintf(why, why_room,
                       META_DIR "/" META_FILE_LOCK
                                " was removed, so another receiver may begin");
        return true;
    }
    if (fstatat(s->meta_fd, META_FILE_TAKEOVER, &st, AT_SYMLINK_NOFOLLOW) !=
        0) {
        return false;
    }
    bool silent = s->heartbeat_ms > 0 &&
                  silent_ms > (int64_t)s->heartbeat_ms * SESSION_HEARTBEATS;

    if (!silent && same_file(&st, &s->seen)) {
        return false;
    }

    char text[META_TEXT_MAX], hex[META_ID_TEXT], instance_hex[META_ID_TEXT];
    char replica[64] = "";
    uint8_t id[META_ID_BYTES], instance[16];
    uint64_t epoch;
    struct err err;
    if (meta_read(s->meta_fd, META_FILE_TAKEOVER, text, sizeof text, NULL,
                  &err) != 0) {
        return false;
    }
    s->seen = st;
    if (sscanf(text,
               "db=%32[0-9a-f] instance=%32[0-9a-f] epoch=%" SCNu64
               " nonce=%*32[0-9a-f] pid=%*d replica=%63s",
               hex, instance_hex, &epoch, replica) < 3 ||
        !meta_id_parse(hex, id) || !meta_id_parse(instance_hex, instance)) {
        return false;
    }
    if (memcmp(id, s->db_id, sizeof id) != 0) {
        return false;
    }
    bool same_name = replica[0] == '\0' || strcmp(replica, s->replica) == 0;
    if (memcmp(instance, s->instance, sizeof instance) == 0 && same_name) {
        (void)snprintf(why, why_room, "the same agent has a new connection");
    } else if (epoch > s->epoch) {
        (void)snprintf(why, why_room,
                       "a primary with epoch %" PRIu64
                       " takes over from epoch %" PRIu64,
                       epoch, s->epoch);
    } else if (silent) {
        (void)snprintf(why, why_room,
                       "another agent asks for the replica and "
                       "ours has been silent for %" PRId64 " ms",
                       silent_ms);
    } else {
        return false;
    }
    return true;
}

static struct term term_of(const struct meta_ident *ident)
{
    struct term r = {.epoch = ident->epoch};

    memcpy(r.db_id, ident->db_id, sizeof r.db_id);
    memcpy(r.origin, ident->origin, sizeof r.origin);
    memcpy(r.agents, ident->agents, sizeof r.agents);
    return r;
}

/* Does the agent know which directory it wants? */
static bool expects(const struct wire_hello *hello)
{
    return hello->anew == 0 && dirid_known(hello->expected);
}

static int refuse_strange(int id, const char *dir, const char *what,
                          struct err *err)
{
    (void)err_set(err, ERR_REFUSED, 0, "%s %s", dir, what);
    err->id = id;
    return err->code;
}

int session_check_missing(const char *dir, const struct wire_hello *hello,
                          struct err *err)
{
    return expects(hello)
               ? refuse_strange(DR_REPLICA_BLANK, dir, "does not exist", err)
               : 0;
}

/* One without an id of its own (of an earlier version, demoted, adopted) gets
 * the one that is expected. */
static int check_old(const struct meta *m, const struct meta_ident *ident,
                     const struct wire_hello *hello, struct err *err)
{
    struct term r = term_of(ident);
    int rc = term_check(&r, hello, err);

    if (rc == 0 && expects(hello) && dirid_known(ident->self) &&
        memcmp(ident->self, hello->expected, sizeof ident->self) != 0) {
        rc = refuse_strange(DR_REPLICA_OTHER, m->db.path,
                            "is another replica than before", err);
    }
    return rc;
}

int session_own_id(struct meta_ident *ident, const struct wire_hello *hello,
                   bool *changed_out, struct err *err)
{
    *changed_out = hello->anew != 0 || !dirid_known(ident->self);
    if (!*changed_out) {
        return 0;
    }
    if (expects(hello)) {
        memcpy(ident->self, hello->expected, sizeof ident->self);
        return 0;
    }
    return rand_bytes(ident->self, sizeof ident->self, err);
}

int session_check(const struct meta *m, const struct wire_hello *hello,
                  struct meta_ident *ident_out, struct err *err)
{
    struct meta_ident ident;
    int rc = m->fd < 0 ? ERR_NOTFOUND : meta_ident_read(m->fd, &ident, err);

    if (rc == 0) {
        rc = check_old(m, &ident, hello, err);
        if (rc == 0) {
            *ident_out = ident;
        }
        return rc;
    }
    if (rc != ERR_NOTFOUND) {
        err->id = DR_REPLICA_DIR;
        return rc;
    }
    struct stat st;

    if (m->fd >= 0 &&
        fstatat(m->fd, META_FILE_PRIMARY, &st, AT_SYMLINK_NOFOLLOW) == 0) {
        (void)err_set(err, ERR_REFUSED, 0,
                      "replica directory %s was promoted: it is a primary "
                      "itself now",
                      m->db.path);
        err->id = DR_IS_PRIMARY;
        return err->code;
    }
    int holds = meta_holds_data(&m->db, err);
    if (holds < 0) {
        err->id = err->id == DR_NESTED ? DR_NESTED : DR_REPLICA_DIR;
        return holds;
    }
    if (holds > 0) {
        char hex[META_ID_TEXT];
        meta_id_text(hello->db_id, hex);
        (void)err_set(
            err, ERR_REFUSED, 0,
            "%s holds keys or tables but no database id: is it the "
            "right directory?  A copy of this database is taken over, "
            "and compared, with: drover-replica adopt %s %s; anything "
            "else stays as it is until it is moved away",
            m->db.path, m->db.path, hex);
        err->id = DR_REPLICA_NOT_EMPTY;
        return err->code;
    }
    if (expects(hello)) {
        return refuse_strange(DR_REPLICA_BLANK, m->db.path, "is empty", err);
    }
    struct term none = {.epoch = 0};
    memcpy(none.db_id, hello->db_id, sizeof none.db_id);
    rc = term_check(&none, hello, err);
    return rc < 0 ? rc : SESSION_NEW;
}

enum term_change session_follow(struct meta_ident *ident,
                                const struct wire_hello *hello)
{
    struct term r = term_of(ident);
    enum term_change change = term_follow(&r, hello);

    if (change == TERM_NEW) {
        ident->epoch = r.epoch;
        ident->watermark = 0;
        memcpy(ident->db_id, r.db_id, sizeof ident->db_id);
    }
    memcpy(ident->origin, r.origin, sizeof ident->origin);

    memcpy(ident->agents, r.agents, sizeof ident->agents);
    return change;
}

int session_live(int meta_fd, struct session_holder *out, struct err *err)
{
    struct stat st;

    *out = (struct session_holder){.pid = 0};
    if (fstatat(meta_fd, META_FILE_LOCK, &st, AT_SYMLINK_NOFOLLOW) != 0) {
        if (errno == ENOENT) {
            return 0;
        }
        return err_sys(err, errno, "stat " META_DIR "/" META_FILE_LOCK);
    }
    char comm[16];
    pid_t pid = lock_holder(&st, 1, comm);
    if (pid == 0) {
        /* Released, or hidden by a pid namespace: a try tells. */
        CLEANUP(fd_closep)
        int fd = sys_open_file(meta_fd, META_FILE_LOCK);
        if (fd < 0) {
            if (errno == EACCES) {
                return 0; /* /proc/locks said: nobody */
            }
            return err_sys(err, errno, "open " META_DIR "/" META_FILE_LOCK);
        }
        if (sys_flock(fd, LOCK_SH) == 0) {
            return 0;
        }
        if (errno != EWOULDBLOCK) {
            return err_sys(err, errno, "lock " META_DIR "/" META_FILE_LOCK);
        }
    }
    holder_read(meta_fd, out);
    if (out->pid == 0) {
        out->pid = (int)pid;
    }
    return 1;
}
