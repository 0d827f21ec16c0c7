/* SPDX-License-Identifier: MIT
 *
 * first: see first.h. */
#include "sync/replica/first.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/base/cleanup.h"
#include "store/base/clock.h"
#include "store/base/sys.h"
#include "store/cmdline/version.h"
#include "sync/identity/dirid.h"
#include "sync/receiver/receiver.h"
#include "sync/replica/meta/inside.h"
#include "sync/replica/meta/session.h"
#include "sync/replica/role/role.h"

enum {
    HELLO_MS = 30 * 1000,
    HELLO_MAX_BYTES = 2 * WIRE_NOISE_MAX, /* what prints before it, too */
    PIECE_BYTES = 4096,
};

bool first_is_due(const char *dir)
{
    struct stat st;
    CLEANUP(fd_closep)
    int fd = sys_open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0) {
        return errno == ENOENT;
    }
    return fstatat(fd, META_DIR "/" META_FILE_REPLICA, &st,
                   AT_SYMLINK_NOFOLLOW) != 0 &&
           errno == ENOENT;
}

int first_no_hello(struct err *err)
{
    return err_set(err, ERR_PROTO, 0,
                   "the input ended before an agent said hello; this "
                   "command is for `drover agent`, through ssh or as its "
                   "child");
}

/* --- hearing ------------------------------------------------------------- */

/* Append what comes next.  0 = something came. */
static int read_piece(struct buf *raw, int64_t until_ns, struct err *err)
{
    uint8_t piece[PIECE_BYTES];

    for (;;) {
        struct pollfd pfd = {.fd = STDIN_FILENO, .events = POLLIN};
        int64_t left_ms = (until_ns - clock_mono_ns()) / NS_PER_MS;
        if (left_ms <= 0) {
            return err_set(err, ERR_CLOSED, 0, "no agent said hello");
        }
        int ready = poll(&pfd, 1, (int)left_ms);
        ssize_t n = ready > 0 ? read(STDIN_FILENO, piece, sizeof piece) : -1;
        if (ready == 0 || (n < 0 && (errno == EINTR || errno == EAGAIN))) {
            continue;
        }
        if (n < 0) {
            return err_set(err, ERR_CLOSED, errno, "read from the agent");
        }
        if (n == 0) {
            return first_no_hello(err);
        }
        buf_put(raw, piece, (size_t)n);
        return raw->bad ? err_set(err, ERR_NOMEM, 0, "out of memory") : 0;
    }
}

/* Read until `in` has a whole frame. */
static int read_frame(struct buf *raw, struct wire_in *in,
                      enum wire_type *type_out, struct bytes *body_out,
                      struct err *err)
{
    int64_t until_ns = clock_mono_ns() + HELLO_MS * NS_PER_MS;

    for (;;) {
        size_t had = raw->len;
        int rc = read_piece(raw, until_ns, err);
        if (rc == 0) {
            rc = wire_in_add(in, raw->data + had, raw->len - had, err);
        }
        if (rc == 0) {
            rc = wire_in_next(in, type_out, body_out, err);
        }
        if (rc != 0) {
            return rc < 0 ? rc : 0;
        }
        if (raw->len > HELLO_MAX_BYTES) {
            return err_set(err, ERR_PROTO, 0, "no hello among the first bytes");
        }
    }
}

/* --- deciding ------------------------------------------------------------ */

/* Where it would be made. */
static int check_missing(const char *dir, const struct wire_hello *hello,
                         struct err *err)
{
    char above[PATH_MAX];
    const char *end = dir + strlen(dir);

    while (end > dir && end[-1] == '/') {
        end--;
    }
    while (end > dir && end[-1] != '/') {
        end--;
    }
    (void)snprintf(above, sizeof above, "%.*s", (int)(end - dir), dir);
    CLEANUP(fd_closep)
    int fd =
        sys_open(end > dir ? above : ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
    int rc = fd >= 0 ? inside_check(fd, true, dir, err) : 0;
    return rc == 0 ? session_check_missing(dir, hello, err) : rc;
}

/* One that was promoted is refused with the way on (DR_IS_PRIMARY); but the
 * database that is sent, or somebody else's, is no replica's place. */
static int check_primary(const struct meta *m, const struct wire_hello *hello,
                         struct err *err)
{
    struct role_facts f;
    struct err other;

    if (role_inspect(m->fd, &f, &other) != 0 || f.role != ROLE_PRIMARY) {
        return 0;
    }
    bool ours = memcmp(f.db_id, hello->db_id, sizeof f.db_id) == 0;
    if (ours && f.epoch != hello->epoch) {
        return 0;
    }
    (void)err_set(err, ERR_REFUSED, 0, "%.300s is %s", m->db.path,
                  ours ? "the very database that is sent (or a copy of it with "
                         "its " META_DIR ": the same id, the same epoch)"
                       : "another database, and a primary");
    err->id = DR_NESTED;
    return err->code;
}

/* It may be gone when it is opened to be written: then that says why. */
static int check_blank(const char *dir, const struct wire_hello *hello,
                       struct err *err)
{
    struct meta m = {.fd = -1};
    struct meta_ident ident;
    struct err other;

    int rc = db_open(&m.db, dir, false, &other);
    if (rc == ERR_NOTFOUND) {
        return check_missing(dir, hello, err);
    }
    if (rc < 0) {
        return 0;
    }
    m.fd = sys_open_dir(m.db.root_fd, META_DIR);
    rc = m.fd >= 0 ? check_primary(&m, hello, err) : 0;
    if (rc == 0) {
        rc = inside_check(m.db.root_fd, false, dir, err);
    }
    if (rc == 0) {
        rc = session_check(&m, hello, &ident, err);
    }
    meta_close(&m);
    return rc < 0 ? rc : 0;
}

/* Is there anything that says what it is? */
static bool is_told(const char *dir)
{
    struct stat st;
    CLEANUP(fd_closep)
    int fd = sys_open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);

    return fd >= 0 && fstatat(fd, META_DIR, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

/* Would it be let in?  Of one that has no database yet nobody knows. */
static int ask(const char *dir, const struct wire_hello *hello, struct err *err)
{
    static const uint8_t NONE[sizeof hello->db_id];

    *err = (struct err){0};
    if (memcmp(hello->db_id, NONE, sizeof NONE) != 0) {
        (void)check_blank(dir, hello, err);
    }
    return FIRST_ASKED;
}

/* Decide on what was said first. */
static int judge(const char *dir, enum wire_type type, struct bytes body,
                 struct wire_hello *hello, struct err *err)
{
    int rc = type != WIRE_HELLO
                 ? err_set(err, ERR_PROTO, 0, "%s came before HELLO",
                           wire_type_name(type))
                 : wire_get_hello(body, hello, err);

    if (rc == 0 && receiver_is_asked(hello)) {
        return ask(dir, hello, err);
    }
    if (rc == 0) {
        rc = receiver_check_proto(hello, version_text(), err);
    }
    return rc == 0 ? check_blank(dir, hello, err) : rc;
}

int first_hear(const char *dir, struct buf *raw, struct wire_hello *hello_out,
               struct err *err)
{
    struct wire_in in;
    enum wire_type type = WIRE_ERROR;
    struct bytes body = {NULL, 0};

    *hello_out = (struct wire_hello){.proto_min = 0};
    wire_in_init(&in);
    in.peer = "an agent";
    int rc = read_frame(raw, &in, &type, &body, err);
    if (rc < 0 && is_told(dir)) {
        /* A primary refuses whoever does not say hello, too. */
        wire_in_deinit(&in);
        return 0;
    }
    if (rc == 0) {
        rc = judge(dir, type, body, hello_out, err);
    }
    hello_out->replica = hello_out->version = bytes_of(NULL, 0);
    wire_in_deinit(&in);
    if (rc < 0 && err->id == 0) {
        err->id = DR_PROTOCOL;
    }
    return rc;
}
