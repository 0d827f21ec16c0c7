/* SPDX-License-Identifier: MIT
 *
 * replica_drive: see replica_drive.h. */
#include "replica_drive.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "store/base/clock.h"
#include "store/layout/name.h"

enum { DEADLINE_S = 60 };

const char *drive_program(void)
{
    const char *env = getenv("DROVER_REPLICA");

    return env != NULL ? env : DROVER_REPLICA_PROGRAM;
}

static void give_up(struct drive *d, const char *why)
{
    char said[4096];

    drive_stderr(d, said, sizeof said);
    if (d->pid > 0) {
        (void)kill(d->pid, SIGKILL);
    }
    fail_msg("%s; ERROR %u %s; NAK %s; stderr: %s", why, d->error_id,
             d->error_text, d->nak_text, said);
}

static void child(struct drive *d, const char *const *options, int in, int out)
{
    const char *argv[DRIVE_ARGS] = {drive_program(), "receive", d->dir};
    size_t n = 3;
    int err = open(d->errfile, O_WRONLY | O_CREAT | O_APPEND, 0600);

    for (; options != NULL && *options != NULL && n < DRIVE_ARGS - 1;
         options++) {
        argv[n++] = *options;
    }
    if (err < 0 || dup2(in, 0) < 0 || dup2(out, 1) < 0 || dup2(err, 2) < 0) {
        _exit(126);
    }
    union {
        const char **in;
        char **out;
    } args = {.in = argv};
    (void)execv(argv[0], args.out);
    _exit(127);
}

void drive_start(struct drive *d, const char *dir, const char *const *options)
{
    int to[2], from[2];

    memset(d, 0, sizeof *d);
    (void)snprintf(d->dir, sizeof d->dir, "%s", dir);
    (void)snprintf(d->errfile, sizeof d->errfile, "%s.stderr", dir);
    assert_int_equal(pipe2(to, O_CLOEXEC), 0);
    assert_int_equal(pipe2(from, O_CLOEXEC), 0);
    (void)signal(SIGPIPE, SIG_IGN);
    d->pid = fork();
    assert_true(d->pid >= 0);
    if (d->pid == 0) {
        (void)signal(SIGPIPE, SIG_DFL);
        child(d, options, to[0], from[1]);
    }
    (void)close(to[0]);
    (void)close(from[1]);
    d->in = to[1];
    d->out = from[0];
    (void)fcntl(d->in, F_SETFL, O_NONBLOCK);
    wire_in_init(&d->rx);
}

/* --- what comes ---------------------------------------------------------- */

static void copy_text(char *out, size_t room, struct bytes b)
{
    size_t n = b.len < room - 1 ? b.len : room - 1;

    memcpy(out, b.p, n);
    out[n] = '\0';
}

static void take_ack(struct drive *d, struct bytes body, struct err *err)
{
    struct wire_items items;
    uint64_t seq;

    assert_int_equal(wire_get_items(WIRE_ACK, body, &items, err), 0);
    while (wire_item_ack(&items, &seq) == 1) {
        assert_true(seq > 0 && seq <= d->seq);
        assert_false(d->acked[seq]);
        d->acked[seq] = 1;
    }
}

static void take_nak(struct drive *d, struct bytes body, struct err *err)
{
    struct wire_nak m;

    assert_int_equal(wire_get_nak(body, &m, err), 0);
    assert_true(m.seq > 0 && m.seq <= d->seq);
    d->naked[m.seq] = 1;
    d->nak_sys = m.sys;
    copy_text(d->nak_text, sizeof d->nak_text, m.text);
}

static void take_blocked(struct drive *d, struct bytes body, struct err *err)
{
    struct wire_blocked m;

    assert_int_equal(wire_get_blocked(body, &m, err), 0);
    d->blocked_seq = m.seq;
    d->blocked_pid = m.pid;
    copy_text(d->blocked_comm, sizeof d->blocked_comm, m.comm);
}

static void take_names(struct drive *d, struct bytes body, struct err *err)
{
    static struct wire_name name;
    struct wire_items items;

    assert_int_equal(wire_get_items(WIRE_NAMES, body, &items, err), 0);
    while (wire_item_name(&items, &name, err) == 1) {
        d->names++;
        (void)snprintf(d->name, sizeof d->name, "%.*s/%.*s",
                       (int)name.table.len, (const char *)name.table.p,
                       (int)name.key.len,
                       name.key.len > 0 ? (const char *)name.key.p : "");
    }
    if (items.last) {
        d->names_done = items.id;
    }
}

static void take_scan_done(struct drive *d, struct bytes body, struct err *err)
{
    struct wire_scan_done m;

    assert_int_equal(wire_get_scan_done(body, &m, err), 0);
    d->scan_done = m.id;
    d->scan_reread = m.result.reread;
    d->scan_errors = m.result.errors;
}

static void take_modes(struct drive *d, struct bytes body, struct err *err)
{
    struct wire_modes m;

    assert_int_equal(wire_get_modes(body, &m, err), 0);
    d->modes++;
    d->modes_set = m.set;
    d->modes_unset = m.unset;
    d->modes_sys = m.sys;
    (void)snprintf(d->modes_name, sizeof d->modes_name, "%.*s/%.*s",
                   (int)m.table.len, (const char *)m.table.p, (int)m.key.len,
                   (const char *)m.key.p);
}

static void take(struct drive *d, enum wire_type type, struct bytes body)
{
    struct err err;
    struct wire_hello_ok ok;
    struct wire_ready ready;
    struct wire_error error;

    if (type == WIRE_ACK) {
        take_ack(d, body, &err);
    } else if (type == WIRE_NAK) {
        take_nak(d, body, &err);
    } else if (type == WIRE_BLOCKED) {
        take_blocked(d, body, &err);
    } else if (type == WIRE_NAMES) {
        take_names(d, body, &err);
    } else if (type == WIRE_SCAN_DONE) {
        take_scan_done(d, body, &err);
    } else if (type == WIRE_MODES) {
        take_modes(d, body, &err);
    } else if (type == WIRE_PONG) {
        assert_int_equal(wire_get_pong(body, &d->pong, &err), 0);
    } else if (type == WIRE_HELLO_OK) {
        assert_int_equal(wire_get_hello_ok(body, &ok, &err), 0);
        d->was_empty = ok.was_empty;
    } else if (type == WIRE_READY) {
        assert_int_equal(wire_get_ready(body, &ready, &err), 0);
        d->ready = true;
        d->ready_keys = ready.keys;
    } else if (type == WIRE_ERROR) {
        assert_int_equal(wire_get_error(body, &error, &err), 0);
        d->error_id = error.id;
        copy_text(d->error_text, sizeof d->error_text, error.text);
    }
}

static void take_input(struct drive *d)
{
    uint8_t buf[65536];
    struct err err;
    enum wire_type type;
    struct bytes body;
    ssize_t n = read(d->out, buf, sizeof buf);

    if (n <= 0) {
        d->eof = true;
        return;
    }
    assert_int_equal(wire_in_add(&d->rx, buf, (size_t)n, &err), 0);
    for (;;) {
        int rc = wire_in_next(&d->rx, &type, &body, &err);
        if (rc < 0) {
            give_up(d, err.msg);
        }
        if (rc == 0) {
            return;
        }
        take(d, type, body);
    }
}

static void send_some(struct drive *d)
{
    ssize_t n = write(d->in, d->tx.data, d->tx.len);

    if (n > 0) {
        buf_drop(&d->tx, (size_t)n);
    } else if (n < 0 && errno != EAGAIN && errno != EINTR) {
        buf_clear(&d->tx); /* it left; what it said tells why */
        (void)close(d->in);
        d->in = -1;
    }
}

/* One round of sending and receiving; false when nothing happened in time. */
static bool turn(struct drive *d)
{
    bool sending = d->in >= 0 && d->tx.len > 0;
    struct pollfd pfd[2] = {
        {.fd = d->eof ? -1 : d->out, .events = POLLIN},
        {.fd = sending ? d->in : -1, .events = POLLOUT},
    };

    if (poll(pfd, 2, DEADLINE_S * 1000) <= 0) {
        return false;
    }
    if (pfd[1].revents != 0) {
        send_some(d);
    }
    if (pfd[0].revents != 0) {
        take_input(d);
    }
    return true;
}

void drive_flush(struct drive *d)
{
    assert_false(d->tx.bad);
    while (d->in >= 0 && d->tx.len > 0) {
        if (!turn(d)) {
            give_up(d, "the receiver takes nothing");
        }
    }
}

void drive_until(struct drive *d,
                 bool (*done)(const struct drive *d, uint64_t seq),
                 uint64_t seq)
{
    int64_t until = clock_mono_ns() + DEADLINE_S * NS_PER_S;

    drive_flush(d);
    while (!done(d, seq)) {
        if (d->eof || clock_mono_ns() > until || !turn(d)) {
            give_up(d, "what was waited for did not come");
        }
    }
}

bool drive_is_acked(const struct drive *d, uint64_t seq)
{
    return d->acked[seq] != 0;
}

bool drive_is_naked(const struct drive *d, uint64_t seq)
{
    return d->naked[seq] != 0;
}

bool drive_is_eof(const struct drive *d, uint64_t seq)
{
    (void)seq;
    return d->eof;
}

bool drive_is_blocked(const struct drive *d, uint64_t seq)
{
    return d->blocked_seq == seq;
}

bool drive_is_scanned(const struct drive *d, uint64_t id)
{
    return d->scan_done == id;
}

bool drive_is_named(const struct drive *d, uint64_t id)
{
    return d->names_done == id;
}

static bool is_ready(const struct drive *d, uint64_t seq)
{
    (void)seq;
    return d->ready;
}

void drive_wait_ready(struct drive *d)
{
    drive_until(d, is_ready, 0);
}

void drive_wait_all_acked(struct drive *d, uint64_t seq)
{
    for (uint64_t i = 1; i <= seq; i++) {
        drive_until(d, drive_is_acked, i);
    }
}

/* --- what goes ----------------------------------------------------------- */

void drive_put_hello(struct drive *d, uint8_t db, uint8_t instance,
                     uint64_t epoch, uint32_t heartbeat_ms)
{
    struct wire_hello h = {
        .proto_min = WIRE_PROTO_MIN,
        .proto_max = WIRE_PROTO_MAX,
        .epoch = epoch,
        .features = d->features | WIRE_FEATURE_MODES,
        .heartbeat_ms = heartbeat_ms,
        .silence_ms = 120 * 1000,
        .replica = bytes_of("test", 4),
        .version = bytes_of("0", 1),
    };

    memset(h.db_id, db, sizeof h.db_id);
    memset(h.instance, instance, sizeof h.instance);
    memset(h.instance, DRIVE_ORIGIN, WIRE_ORIGIN_BYTES);
    if (instance >= DRIVE_OTHER_ORIGIN) {
        memset(h.instance, instance, WIRE_ORIGIN_BYTES);
    }
    wire_put_magic(&d->tx);
    wire_put_hello(&d->tx, &h);
}

void drive_hello(struct drive *d, uint8_t db, uint8_t instance, uint64_t epoch)
{
    drive_put_hello(d, db, instance, epoch, 30 * 1000);
    drive_wait_ready(d);
}

static uint64_t next_seq(struct drive *d)
{
    assert_true(d->seq + 1 < DRIVE_SEQS);
    return ++d->seq;
}

uint64_t drive_set(struct drive *d, const char *table, const void *key,
                   size_t key_len, const void *value, size_t len)
{
    struct wire_change m = {
        .table = bytes_of(table, strlen(table)),
        .key = bytes_of(key, key_len),
        .digest = digest_of(value, len),
        .value = bytes_of(value, len),
    };
    struct buf body = BUF_NULL;
    uint64_t seq = next_seq(d);

    wire_set_body(&body, &m);
    wire_put_set(&d->tx, seq, &body);
    buf_deinit(&body);
    return seq;
}

uint64_t drive_set_text(struct drive *d, const char *table, const char *key,
                        const char *value)
{
    return drive_set(d, table, key, strlen(key), value, strlen(value));
}

uint64_t drive_change(struct drive *d, enum wire_type type, const char *table,
                      const char *key)
{
    struct wire_change m = {
        .seq = next_seq(d),
        .table = bytes_of(table, strlen(table)),
        .key = bytes_of(key, strlen(key)),
    };

    wire_put_change(&d->tx, type, &m);
    return m.seq;
}

static bool is_ponged(const struct drive *d, uint64_t id)
{
    return d->pong.id == id;
}

void drive_ping(struct drive *d, int64_t fresh_ns, uint8_t state)
{
    struct wire_ping m = {.id = d->pong.id + 1,
                          .fresh_ns = fresh_ns,
                          .seq = d->seq,
                          .state = state};

    wire_put_ping(&d->tx, &m);
    drive_until(d, is_ponged, m.id);
}

/* --- ends ---------------------------------------------------------------- */

static int reap(struct drive *d)
{
    int status;

    assert_int_equal(waitpid(d->pid, &status, 0), d->pid);
    d->pid = 0;
    if (d->in >= 0) {
        (void)close(d->in);
    }
    (void)close(d->out);
    wire_in_deinit(&d->rx);
    buf_deinit(&d->tx);
    return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

int drive_end(struct drive *d)
{
    drive_flush(d);
    if (d->in >= 0) {
        (void)close(d->in);
        d->in = -1;
    }
    while (!d->eof) {
        if (!turn(d)) {
            give_up(d, "the receiver does not end");
        }
    }
    return reap(d);
}

int drive_bye(struct drive *d)
{
    wire_put_bye(&d->tx);
    return drive_end(d);
}

void drive_kill(struct drive *d, int signal)
{
    (void)kill(d->pid, signal);
    while (!d->eof) {
        (void)turn(d);
    }
    (void)reap(d);
}

void drive_stderr(struct drive *d, char *out, size_t room)
{
    int fd = open(d->errfile, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, out, room - 1) : 0;

    out[n > 0 ? n : 0] = '\0';
    if (fd >= 0) {
        (void)close(fd);
    }
}

size_t drive_held(const struct drive *d, uint64_t *bytes_out)
{
    char path[64];
    struct stat st;
    size_t n = 0;

    *bytes_out = 0;
    (void)snprintf(path, sizeof path, "/proc/%d/fd", (int)d->pid);
    DIR *dir = opendir(path);
    assert_non_null(dir);
    for (const struct dirent *e; (e = readdir(dir)) != NULL;) {
        if (fstatat(dirfd(dir), e->d_name, &st, 0) == 0 &&
            S_ISREG(st.st_mode) && st.st_nlink == 0) {
            n++;
            *bytes_out += (uint64_t)st.st_blocks * 512;
        }
    }
    (void)closedir(dir);
    return n;
}

static size_t temporaries_in(int at, const char *name, bool deeper)
{
    int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    size_t n = 0, len;

    for (const struct dirent *e; dir != NULL && (e = readdir(dir)) != NULL;) {
        n += name_is_temp(e->d_name);
        if (deeper && name_is_table(e->d_name, &len)) {
            n += temporaries_in(fd, e->d_name, false);
        }
    }
    if (dir != NULL) {
        (void)closedir(dir);
    }
    return n;
}

size_t drive_temporaries(int dir_fd)
{
    return temporaries_in(dir_fd, ".", true);
}
