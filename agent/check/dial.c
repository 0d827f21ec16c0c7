/* SPDX-License-Identifier: MIT
 *
 * dial: see dial.h.
 *
 * Happy path: stages -> up -> the hello goes out -> the receiver's magic, its
 * findings and BYE come back -> the link is closed.  Failures: `down` with the
 * number and the stage; an ERROR that is about something else than the
 * protocol is what an agent would get, too; silence ends with a timer. */
#include "agent/check/dial.h"

#include <stdio.h>
#include <string.h>

#include "agent/check/remedy.h"
#include "agent/replica/replica_link.h"
#include "store/base/cleanup.h"
#include "store/base/clock.h"
#include "store/base/quote.h"
#include "store/base/units.h"
#include "store/cmdline/version.h"
#include "sync/errors/state.h"
#include "sync/link/link.h"
#include "sync/wire/wire.h"

enum {
    HEARTBEAT_MS = 1000,
    FINDINGS_MAX = 100, /* of one receiver */
    OLDER_MS = 500,     /* for the last words of an older one */
};

struct dial {
    const struct config *config;
    const struct config_replica *replica;
    const struct dial_as *as;
    struct findings *out;
    uv_loop_t loop;
    uv_timer_t timer;
    struct link *link;
    const char *stage; /* of the link's own words */
    int64_t stage_ns;  /* when it began */
    int64_t up_ns;     /* 0: not yet */
    int64_t timeout_ms;
    struct wire_in in;
    struct buf hello;
    size_t sent;
    unsigned found;  /* lines of the receiver */
    char lacks[300]; /* of its sandbox, as it says on stderr; "" */
    bool older;      /* it has refused, and said its version */
    bool late;       /* it is not waited for any longer */
    bool ended;
};

/* --- words ----------------------------------------------------------------- */

static const char STARTING[] = "starting the receiver";

static const struct {
    const char *stage, *what;
} STAGES[] = {
    {"preparing", "keys"},
    {"name lookup", "name"},
    {"connecting", "connect"},
    {"handshake", "handshake"},
    {"host key", "host key"},
    {"login", "login"},
    {"opening the channel", "login"},
    {STARTING, "command"},
    {"connection", "receiver"},
};

static const char *what_of(const char *stage)
{
    for (size_t i = 0; i < sizeof STAGES / sizeof STAGES[0]; i++) {
        if (strcmp(STAGES[i].stage, stage) == 0) {
            return STAGES[i].what;
        }
    }
    return stage;
}

/* What was done, as far as it is worth a word; "": its time alone. */
static void say_done(const struct dial *d, const char *stage, char *out,
                     size_t room)
{
    const struct config_replica *r = d->replica;

    out[0] = '\0';
    if (strcmp(stage, "preparing") == 0) {
        (void)snprintf(out, room, "%s, %s",
                       r->identity != NULL ? r->identity : "of the SSH agent",
                       r->known_hosts);
    } else if (strcmp(stage, "name lookup") == 0) {
        (void)snprintf(out, room, "%s", r->host);
    } else if (strcmp(stage, "connecting") == 0) {
        (void)snprintf(out, room, "port %u", r->port != 0 ? r->port : 22U);
    } else if (strcmp(stage, "host key") == 0) {
        (void)snprintf(out, room, "as in %s", r->known_hosts);
    } else if (strcmp(stage, "login") == 0) {
        (void)snprintf(out, room, "as %s", r->user);
    }
}

/* --- the end --------------------------------------------------------------- */

static void end(struct dial *d)
{
    if (!d->ended) {
        d->ended = true;
        uv_close((uv_handle_t *)&d->timer, NULL);
        if (d->late) {
            link_kill(d->link);
        } else {
            link_close(d->link);
        }
    }
}

/* An older one, which cannot be asked. */
static void tell_lacks(struct dial *d)
{
    if (d->found == 0 && d->lacks[0] != '\0') {
        finding_warn(d->out, "confinement", 0, "", "it runs without %s",
                     d->lacks);
    }
}

static void fail(struct dial *d, const struct err *err)
{
    remedy_add(d->out, FINDING_FAIL, what_of(d->stage), err, d->config,
               d->replica);
    end(d);
}

/* What was printed instead of the protocol says more than the end of it. */
static void tell_noise(struct dial *d, struct err *err)
{
    struct err why = {0};

    if (d->up_ns != 0 && err->id == DR_LINK_LOST && !d->in.greeted &&
        d->in.noisy && wire_in_ended(&d->in, &why) == ERR_PROTO) {
        *err = why;
        err->id = DR_NOISE;
    }
}

static void on_timeout(uv_timer_t *t)
{
    struct dial *d = t->data;
    struct err err = {0};

    (void)err_set(&err, ERR_TIMEOUT, 0,
                  "the receiver was started and did not answer within %s",
                  DURATION_TEXT(d->timeout_ms * NS_PER_MS));
    err.id = DR_LINK_LOST;
    tell_noise(d, &err);
    d->late = true;
    fail(d, &err);
}

/* --- the link's events ----------------------------------------------------- */

static void on_stage(void *arg, const char *name)
{
    struct dial *d = arg;
    char text[600];
    int64_t now_ns = clock_mono_ns();

    /* What was started is told by `up`. */
    if (strcmp(what_of(name), what_of(d->stage)) != 0 &&
        strcmp(d->stage, STARTING) != 0) {
        say_done(d, d->stage, text, sizeof text);
        quote_tame(text);
        finding_ok(d->out, what_of(d->stage), "%s%s%s", text,
                   text[0] != '\0' ? ", " : "",
                   DURATION_TEXT(now_ns - d->stage_ns));
        d->stage_ns = now_ns;
    }
    d->stage = name;
}

static void on_up(void *arg, const char *what)
{
    struct dial *d = arg;
    int64_t now_ns = clock_mono_ns();

    finding_ok(d->out, "command", "started: %s, %s", what,
               DURATION_TEXT(now_ns - d->stage_ns));
    d->stage = "connection";
    d->stage_ns = d->up_ns = now_ns;
    (void)uv_timer_start(&d->timer, on_timeout, (uint64_t)d->timeout_ms, 0);
}

static size_t on_fill(void *arg, uint8_t *out, size_t room)
{
    struct dial *d = arg;
    size_t left = d->hello.len - d->sent, n = left < room ? left : room;

    memcpy(out, d->hello.data + d->sent, n);
    d->sent += n;
    return n;
}

/* What it said at its start on the other stream has come by now. */
static void on_older(uv_timer_t *t)
{
    struct dial *d = t->data;

    tell_lacks(d);
    end(d);
}

/* What an agent would have been told; or a refusal of our protocol, which says
 * the version. */
static void on_error(struct dial *d, struct bytes body)
{
    static const char VERSION[] = "this receiver (version ";
    struct wire_error m;
    struct err err = {0};

    if (wire_get_error(body, &m, &err) < 0) {
        fail(d, &err);
        return;
    }
    (void)err_set(&err, ERR_REFUSED, 0, "%.*s", (int)m.text.len,
                  (const char *)m.text.p);
    err.id = m.id;
    quote_tame(err.msg);
    const char *at = strstr(err.msg, VERSION);
    if (m.id != DR_PROTOCOL || at == NULL) {
        fail(d, &err);
        return;
    }
    at += sizeof VERSION - 1;
    finding_warn(d->out, "receiver", 0, "",
                 "version %.*s answers, and is too old to tell more (this "
                 "program: %s)",
                 (int)strcspn(at, ")"), at, version_text());
    d->older = true;
    (void)uv_timer_start(&d->timer, on_older, OLDER_MS, 0);
}

/* What has a number gets the remedy that the agent would show. */
static void on_finding(struct dial *d, struct bytes body)
{
    struct wire_finding m;
    struct err err = {0};
    char what[40], text[WIRE_TEXT_MAX + 1], hint[WIRE_TEXT_MAX + 1];

    if (wire_get_finding(body, &m, &err) < 0) {
        fail(d, &err);
        return;
    }
    if (d->found++ >= FINDINGS_MAX) {
        return;
    }
    (void)snprintf(what, sizeof what, "%.*s", (int)m.what.len,
                   (const char *)m.what.p);
    (void)snprintf(text, sizeof text, "%.*s", (int)m.text.len,
                   (const char *)m.text.p);
    (void)snprintf(hint, sizeof hint, "%.*s", (int)m.hint.len,
                   (const char *)m.hint.p);
    quote_tame(what);
    quote_tame(text);
    quote_tame(hint);
    if (m.id != 0) {
        (void)err_set(&err, ERR_REFUSED, 0, "%.600s", text);
        err.id = m.id;
        remedy_add(d->out, (enum finding_level)m.level, what, &err, d->config,
                   d->replica);
    } else if (m.level == FINDING_OK) {
        finding_ok(d->out, what, "%s", text);
    } else if (m.level == FINDING_WARN) {
        finding_warn(d->out, what, 0, hint, "%s", text);
    } else {
        finding_fail(d->out, what, 0, hint, "%s", text);
    }
}

static void on_bye(struct dial *d)
{
    finding_ok(d->out, "answer", "complete, %s after the start",
               DURATION_TEXT(clock_mono_ns() - d->up_ns));
    end(d);
}

static void on_frame(struct dial *d, enum wire_type type, struct bytes body)
{
    struct err err = {0};

    if (d->older) {
        return; /* it has said all */
    }
    if (type == WIRE_ERROR) {
        on_error(d, body);
    } else if (type == WIRE_FINDING) {
        on_finding(d, body);
    } else if (type == WIRE_BYE) {
        on_bye(d);
    } else if (type != WIRE_NOTICE) {
        (void)err_set(&err, ERR_PROTO, 0, "the receiver answered with %s",
                      wire_type_name(type));
        err.id = DR_PROTOCOL;
        fail(d, &err);
    }
}

static void on_input(void *arg, const uint8_t *p, size_t n)
{
    struct dial *d = arg;
    struct err err = {0};
    enum wire_type type;
    struct bytes body;
    int rc = wire_in_add(&d->in, p, n, &err);

    while (rc >= 0 && !d->ended &&
           (rc = wire_in_next(&d->in, &type, &body, &err)) == 1) {
        on_frame(d, type, body);
    }
    if (rc < 0 && !d->ended) {
        err.id = err.id != 0 ? err.id : DR_PROTOCOL;
        fail(d, &err);
    }
}

/* What the receiver lacks it says at its start; what it says of our hello is
 * what it answers. */
static void on_stderr_line(void *arg, const char *line, size_t len)
{
    static const char LACKS[] = "drover-replica: running without ";
    struct dial *d = arg;
    char text[600];

    if (len > sizeof LACKS && memcmp(line, LACKS, sizeof LACKS - 1) == 0) {
        line += sizeof LACKS - 1;
        len -= sizeof LACKS - 1;
        (void)snprintf(d->lacks, sizeof d->lacks, "%s",
                       quote_log(text, sizeof text, line, len));
    }
}

static void on_down(void *arg, const struct err *err, bool permanent)
{
    struct dial *d = arg;
    struct err told = *err;

    (void)permanent;
    if (d->older) {
        tell_lacks(d);
        end(d);
        return;
    }
    tell_noise(d, &told);
    fail(d, &told);
}

static void on_closed(void *arg)
{
    (void)arg;
}

static const struct link_events EVENTS = {
    .stage = on_stage,
    .up = on_up,
    .input = on_input,
    .fill = on_fill,
    .stderr_line = on_stderr_line,
    .down = on_down,
    .closed = on_closed,
};

/* --- the attempt ----------------------------------------------------------- */

static void make_hello(struct dial *d)
{
    struct wire_hello m = {
        .proto_min = WIRE_PROTO_NONE,
        .proto_max = WIRE_PROTO_NONE,
        .features = WIRE_FEATURE_CHECK,
        .epoch = d->as->epoch,
        .heartbeat_ms = HEARTBEAT_MS,
        .replica = bytes_of(d->replica->name, strlen(d->replica->name)),
        .version = bytes_of(version_text(), strlen(version_text())),
    };

    memcpy(m.db_id, d->as->db_id, sizeof m.db_id);
    memcpy(m.instance, d->as->origin, sizeof d->as->origin);
    wire_put_magic(&d->hello);
    wire_put_hello(&d->hello, &m);
    d->out->bad = d->out->bad || d->hello.bad;
}

static void run(struct dial *d)
{
    struct err err = {0};

    (void)uv_timer_init(&d->loop, &d->timer);
    d->timer.data = d;
    d->link = replica_link(&d->loop, d->replica, &EVENTS, d, &err);
    if (d->link == NULL) {
        remedy_add(d->out, FINDING_FAIL, what_of(d->stage), &err, d->config,
                   d->replica);
        uv_close((uv_handle_t *)&d->timer, NULL);
    } else {
        link_start(d->link);
    }
    (void)uv_run(&d->loop, UV_RUN_DEFAULT);
}

void dial_check(const struct config *c, const struct config_replica *r,
                const struct dial_as *as, int64_t timeout_ms,
                struct findings *out)
{
    struct dial d = {
        .config = c,
        .replica = r,
        .as = as,
        .out = out,
        .timeout_ms = timeout_ms,
        .stage = r->argv == NULL ? "preparing" : STARTING,
        .stage_ns = clock_mono_ns(),
        .hello = BUF_NULL,
    };

    if (uv_loop_init(&d.loop) != 0) {
        out->bad = true;
        return;
    }
    wire_in_init(&d.in);
    d.in.peer = "the receiver";
    make_hello(&d);
    if (!out->bad) {
        run(&d);
    }
    (void)uv_loop_close(&d.loop);
    wire_in_deinit(&d.in);
    buf_deinit(&d.hello);
}
