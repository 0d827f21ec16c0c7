/* SPDX-License-Identifier: MIT
 *
 * crash_agent: see crash_agent.h. */
#include "crash_agent.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "crash_lab.h"

enum { DEADLINE_MS = 30 * 1000, PIECE = 100 * 1000 };

/* --- the program --------------------------------------------------------- */

static void child(const struct agent *a, const char *dir,
                  const char *const *env, int in, int out)
{
    int err = open(a->errfile, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    const char *argv[] = {a->program, "receive", dir, NULL};

    union {
        const char *const *in;
        char *const *out;
    } args = {.in = argv}, more = {.in = env};
    if (err < 0 || dup2(in, 0) < 0 || dup2(out, 1) < 0 || dup2(err, 2) < 0) {
        _exit(126);
    }
    (void)execve(a->program, args.out, more.out);
    _exit(127);
}

static void put_hello(struct agent *a, uint8_t durability)
{
    struct wire_hello h = {
        .proto_min = WIRE_PROTO_MIN,
        .proto_max = WIRE_PROTO_MAX,
        .epoch = 1,
        .heartbeat_ms = 30 * 1000,
        .silence_ms = 120 * 1000,
        .durability = durability,
        .replica = bytes_of("crash", 5),
        .version = bytes_of("0", 1),
    };

    memset(h.db_id, 1, sizeof h.db_id);
    memset(h.instance, 1, sizeof h.instance);
    wire_put_magic(&a->tx);
    wire_put_hello(&a->tx, &h);
}

void agent_begin(struct agent *a, const char *program, const char *dir,
                 const char *const *env, uint8_t durability)
{
    static const char *const nothing[] = {NULL};
    int to[2], from[2];

    *a = (struct agent){.program = program, .in = -1, .out = -1};
    (void)snprintf(a->errfile, sizeof a->errfile, "%s.stderr", dir);
    if (pipe2(to, O_CLOEXEC) != 0 || pipe2(from, O_CLOEXEC) != 0) {
        lab_broken("pipe");
    }
    (void)signal(SIGPIPE, SIG_IGN);
    a->pid = fork();
    if (a->pid < 0) {
        lab_broken("fork");
    }
    if (a->pid == 0) {
        (void)signal(SIGPIPE, SIG_DFL);
        child(a, dir, env != NULL ? env : nothing, to[0], from[1]);
    }
    (void)close(to[0]);
    (void)close(from[1]);
    a->in = to[1];
    a->out = from[0];
    (void)fcntl(a->in, F_SETFL, O_NONBLOCK);
    wire_in_init(&a->rx);
    put_hello(a, durability);
}

/* --- what comes ---------------------------------------------------------- */

static void copy_text(char out[AGENT_TEXT], struct bytes b)
{
    size_t n = b.len < AGENT_TEXT - 1 ? b.len : AGENT_TEXT - 1;

    memcpy(out, b.p, n);
    out[n] = '\0';
}

static void answer(struct agent *a, uint64_t seq, enum answer what)
{
    if (seq == 0 || seq > a->seq || a->answers[seq] != ANSWER_NONE) {
        lab_bad("an answer to %llu, which was not sent or answered before",
                (unsigned long long)seq);
        return;
    }
    a->answers[seq] = (uint8_t)what;

    a->answered++;
    a->naked += what == ANSWER_NAK;
}

static void take_acks(struct agent *a, struct bytes body, struct err *err)
{
    struct wire_items items;
    uint64_t seq;

    if (wire_get_items(WIRE_ACK, body, &items, err) == 0) {
        while (wire_item_ack(&items, &seq) == 1) {
            answer(a, seq, ANSWER_ACK);
        }
    }
}

static int take(struct agent *a, enum wire_type type, struct bytes body,
                struct err *err)
{
    struct wire_hello_ok ok;
    struct wire_nak nak;
    struct wire_error error;
    int rc = 0;

    if (type == WIRE_ACK) {
        take_acks(a, body, err);
    } else if (type == WIRE_NAK) {
        rc = wire_get_nak(body, &nak, err);
        if (rc == 0) {
            answer(a, nak.seq, ANSWER_NAK);
            copy_text(a->nak_text, nak.text);
        }
    } else if (type == WIRE_PONG) {
        rc = wire_get_pong(body, &a->pong, err);
    } else if (type == WIRE_HELLO_OK) {
        rc = wire_get_hello_ok(body, &ok, err);
        a->greeted = true;
    } else if (type == WIRE_READY) {
        rc = wire_get_ready(body, &a->ready_frame, err);
        a->ready_frame.first_error = bytes_of(NULL, 0);
        a->ready = true;
    } else if (type == WIRE_ERROR) {
        rc = wire_get_error(body, &error, err);
        if (rc == 0) {
            copy_text(a->error_text, error.text);
        }
    }
    return rc;
}

static void take_input(struct agent *a)
{
    uint8_t in[65536];
    struct err err;
    enum wire_type type;
    struct bytes body;
    ssize_t n = read(a->out, in, sizeof in);

    if (n <= 0) {
        a->eof = true;
        return;
    }
    int rc = wire_in_add(&a->rx, in, (size_t)n, &err);
    while (rc == 0 && (rc = wire_in_next(&a->rx, &type, &body, &err)) == 1) {
        rc = take(a, type, body, &err);
    }
    if (rc < 0) {
        lab_bad("not our protocol: %s", err.msg);
        a->eof = true;
    }
}

static void close_input(struct agent *a)
{
    if (a->in >= 0) {
        (void)close(a->in);
    }
    a->in = -1;
    buf_clear(&a->tx);
}

/* One round of sending and receiving. */
static void turn(struct agent *a)
{
    bool sending = a->in >= 0 && a->tx.len > 0;
    struct pollfd pfd[2] = {
        {.fd = a->eof ? -1 : a->out, .events = POLLIN},
        {.fd = sending ? a->in : -1, .events = POLLOUT},
    };

    if (poll(pfd, 2, DEADLINE_MS) <= 0) {
        lab_bad("the receiver hangs (pid %d)", (int)a->pid);
        (void)kill(a->pid, SIGKILL);
        a->eof = true;
        return;
    }
    if (pfd[1].revents != 0) {
        ssize_t n = write(a->in, a->tx.data, a->tx.len);
        if (n > 0) {
            buf_drop(&a->tx, (size_t)n);
        } else if (errno != EAGAIN && errno != EINTR) {
            close_input(a);
        }
    }
    if (pfd[0].revents != 0) {
        take_input(a);
    }
    if (a->error_text[0] != '\0') {
        close_input(a); /* it lingers for us to read that */
    }
}

bool agent_settle(struct agent *a)
{
    while (!a->eof && (!a->ready || a->answered < a->seq)) {
        turn(a);
    }
    return !a->eof;
}

bool agent_ping(struct agent *a, int64_t fresh_ns)
{
    struct wire_ping m = {
        .id = a->pong.id + 1, .fresh_ns = fresh_ns, .seq = a->seq, .state = 3};

    wire_put_ping(&a->tx, &m);
    while (!a->eof && a->pong.id != m.id) {
        turn(a);
    }
    return !a->eof;
}

/* --- what goes ----------------------------------------------------------- */

static struct wire_change change_of(const char *table, const char *key)
{
    return (struct wire_change){
        .table = bytes_of(table, strlen(table)),
        .key = bytes_of(key, strlen(key)),
    };
}

uint64_t agent_set(struct agent *a, const char *table, const char *key,
                   const void *value, size_t len)
{
    struct wire_change m = change_of(table, key);
    struct buf body = BUF_NULL;

    m.value = bytes_of(value, len);
    m.digest = digest_of(value, len);
    wire_set_body(&body, &m);
    wire_put_set(&a->tx, ++a->seq, &body);
    buf_deinit(&body);
    return a->seq;
}

uint64_t agent_set_large(struct agent *a, const char *table, const char *key,
                         const void *value, size_t len)
{
    struct wire_change m = change_of(table, key);
    const uint8_t *p = value;

    m.seq = ++a->seq;
    m.size = len * 2;
    wire_put_change(&a->tx, WIRE_SET_BEGIN, &m);
    for (size_t at = 0; at < len; at += PIECE) {
        size_t n = len - at < PIECE ? len - at : PIECE;
        wire_put_piece(&a->tx, m.seq, p + at, n);
    }
    wire_put_set_end(&a->tx, m.seq, digest_of(value, len));
    return m.seq;
}

uint64_t agent_change(struct agent *a, enum wire_type type, const char *table,
                      const char *key)
{
    struct wire_change m = change_of(table, key);

    m.seq = ++a->seq;
    wire_put_change(&a->tx, type, &m);
    return m.seq;
}

/* --- the end ------------------------------------------------------------- */

void agent_end(struct agent *a)
{
    if (!a->eof && a->in >= 0) {
        wire_put_bye(&a->tx);
    }
    while (!a->eof && a->in >= 0 && a->tx.len > 0) {
        turn(a);
    }
    close_input(a);
    while (!a->eof) {
        turn(a);
    }
    (void)close(a->out);
    if (waitpid(a->pid, &a->status, 0) != a->pid) {
        lab_broken("waitpid");
    }
    wire_in_deinit(&a->rx);
    buf_deinit(&a->tx);
}

const char *agent_said(struct agent *a)
{
    static char text[3 * AGENT_TEXT];
    struct buf b = BUF_NULL;

    (void)lab_read(a->errfile, &b);
    (void)snprintf(text, sizeof text, "stderr: %.*s; ERROR: %s; NAK: %s",
                   (int)(b.len < 1000 ? b.len : 1000), (const char *)b.data,
                   a->error_text, a->nak_text);
    buf_deinit(&b);
    return text;
}
