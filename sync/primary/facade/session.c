/* SPDX-License-Identifier: MIT
 *
 * session: one connection to one replica.
 *
 * Happy path: link up -> magic and HELLO out -> HELLO_OK in: live, changes
 * flow -> READY in: the replica's digests are known, comparison -> heartbeats:
 * PING carries "fresh as of", PONG the replica's root digest, which must equal
 * ours whenever nothing is in flight.
 * Failures, all of them ending in ACT_LINK_CLOSE: no HELLO_OK or no frame for
 * silence_ms; a frame that breaks the protocol or acknowledges what was never
 * sent; an ERROR frame (its number decides whether trying again is of use).
 * Nothing a replica sends can make this end hang, grow or claim more than it
 * can prove. */
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sync/primary/facade/facade.h"

enum {
    OUT_AHEAD = 48 * 1024, /* frames made ahead of one fill */
    MISMATCHES_PROVE = 2,  /* heartbeats with other roots in a row */
    PING_BEHIND = 1 << 20, /* no more pings behind so much output */
    HELLO_MIN_MS = 8000,   /* until the receiver says who it is */
    NOTICE_WINDOW_MS = 10000,
    NOTICE_WINDOW_MAX = 8, /* notices passed on in it */
};

/* --- what is known ------------------------------------------------------- */

/* --- up and down --------------------------------------------------------- */

/* Ask the shell to give the link up. */
static void close_link(struct primary *p, struct repl *r, const struct err *err,
                       bool permanent)
{
    struct action a = {.type = ACT_LINK_CLOSE,
                       .replica = r->id,
                       .permanent = permanent,
                       .err = *err};

    if (r->session.closing) {
        return;
    }
    r->session.closing = true;
    primary_act(p, &a);
}

void primary_link_up(struct primary *p, int replica, int64_t now_ms)
{
    struct repl *r = primary_repl(p, replica);
    struct wire_hello hello = {
        .proto_min = WIRE_PROTO_MIN,
        .proto_max = WIRE_PROTO_MAX,
        .features = WIRE_FEATURE_VIEW | WIRE_FEATURE_NEWEST |
                    WIRE_FEATURE_MODES | WIRE_FEATURE_EDITS |
                    WIRE_FEATURE_DIFFERS | WIRE_FEATURE_BLIND |
                    (r->undone.suspect ? WIRE_FEATURE_KEEP : 0),
        .epoch = p->config.epoch,
        .heartbeat_ms = (uint32_t)p->config.heartbeat_ms,
        .silence_ms = (uint32_t)p->config.silence_ms,
        .durability = r->session.durability,
    };

    p->now_ms = now_ms;
    assert(r->session.state == SESSION_DOWN);
    memcpy(hello.db_id, p->config.db_id, sizeof hello.db_id);
    memcpy(hello.instance, p->config.instance, sizeof hello.instance);
    memcpy(hello.key, index_key(p->ix), sizeof hello.key);
    hello.replica = (struct bytes){(const uint8_t *)r->name, strlen(r->name)};
    hello.version = (struct bytes){(const uint8_t *)p->config.version,
                                   strlen(p->config.version)};
    dirid_ask(&r->dirid, &hello);
    wire_in_deinit(&r->session.in);
    wire_in_init(&r->session.in);
    buf_clear(&r->session.out);
    r->session.out_at = 0;
    pace_begin(&r->pace, session_at(r), p->config.window_bytes,
               p->config.repair_room);
    r->session.closing = false;
    r->session.state = SESSION_HELLO;
    r->session.up_ms = r->session.rx_ms = now_ms;
    wire_put_magic(&r->session.out);
    wire_put_hello(&r->session.out, &hello);
}

void primary_link_down(struct primary *p, int replica, const struct err *err,
                       bool permanent, int64_t now_ms)
{
    struct repl *r = primary_repl(p, replica);
    struct err lost;

    p->now_ms = now_ms;
    if (err == NULL) {
        (void)err_set(&lost, ERR_CLOSED, 0, "the link was closed");
        lost.id = DR_LINK_LOST;
        err = &lost;
    }
    if (r->session.state != SESSION_DOWN && err->id == DR_LINK_LOST &&
        !r->session.in.greeted && r->session.in.noise.len > 0) {
        /* It spoke, but not as a receiver: a login shell that refuses. */
        (void)wire_in_ended(&r->session.in, &lost);
        err = &lost;
        permanent = true;
    }
    r->session.state = SESSION_DOWN;
    r->session.digests_known = r->blank = false;
    r->session.closing = false;
    r->session.failed = permanent;
    r->heartbeat.ping_tail = 0;
    r->session.last_error = *err;
    r->session.attempts++;
    buf_clear(&r->session.out);
    r->session.out_at = 0;
    sender_rewind(p, r);
    compare_disconnected(p, r, err);
    walk_unsubscribe(p, r->id);
    sender_advance_all(p);
}

static void copy_text(char *out, size_t room, struct bytes b)
{
    size_t n = b.len < room - 1 ? b.len : room - 1;

    for (size_t i = 0; i < n; i++) {
        out[i] = b.p[i] >= 0x20 && b.p[i] < 0x7f ? (char)b.p[i] : '?';
    }
    out[n] = '\0';
}

/* Which directory is it?  Not another replica's, and not a strange one. */
static int meet(struct primary *p, struct repl *r, const uint8_t *id,
                struct err *err)
{
    struct action a = {.type = ACT_MET, .replica = r->id};

    for (size_t i = 0; dirid_known(id) && i < sizeof p->repl / sizeof *p->repl;
         i++) {
        const struct repl *o = p->repl[i];
        if (o != NULL && o != r &&
            memcmp(o->dirid.id, id, WIRE_DIRID_BYTES) == 0) {
            return dirid_twice(r->name, o->name, err);
        }
    }
    int rc = dirid_met(&r->dirid, r->name, id, err);
    if (rc == DIRID_NEW) {
        primary_act(p, &a);
    }
    return rc < 0 ? rc : 0;
}

static int on_hello_ok(struct primary *p, struct repl *r, struct bytes body,
                       struct err *err)
{
    struct wire_hello_ok ok;
    int rc = wire_get_hello_ok(body, &ok, err);

    if (rc < 0) {
        return rc;
    }
    if (ok.proto < WIRE_PROTO_MIN || ok.proto > WIRE_PROTO_MAX) {
        return err_set(err, ERR_PROTO, 0,
                       "the receiver chose protocol %u, we speak %d to %d",
                       ok.proto, WIRE_PROTO_MIN, WIRE_PROTO_MAX);
    }
    if (meet(p, r, ok.dirid, err) < 0) {
        close_link(p, r, err, true);
        return 0;
    }
    r->session.features = ok.features & WIRE_FEATURES_ALL;
    if ((r->session.features & WIRE_FEATURE_MODES) == 0) {
        r->modes.unset = 0; /* not known */
    }
    copy_text(r->session.version, sizeof r->session.version, ok.version);
    copy_text(r->session.host, sizeof r->session.host, ok.host);
    r->session.state = SESSION_LIVE;
    r->figures.sessions++;
    r->session.scans_open = 0;
    heard_answer(p, r);
    r->forgotten = false;
    r->live_tail = p->log.tail_seq;
    r->initial = r->initial || ok.was_empty;
    r->session.failed = false;
    r->session.attempts = 0;
    r->heartbeat.next_ms = p->now_ms;
    memset(&r->session.last_error, 0, sizeof r->session.last_error);
    r->due.now = true;
    primary_log(p, r->id, LOG_INFO, DR_NONE, "session open, receiver %s on %s",
                r->session.version, r->session.host);
    sender_resume(p, r);
    return 0;
}

/* --- frames in ----------------------------------------------------------- */

static int on_ready(struct primary *p, struct repl *r, struct bytes body,
                    struct err *err)
{
    struct wire_ready m;
    int rc = wire_get_ready(body, &m, err);

    if (rc < 0) {
        return rc;
    }
    r->session.digests_known = true;
    heard_answer(p, r);
    r->heartbeat.root = m.root;
    r->figures.keys = m.keys;
    r->blank = r->initial && m.keys == 0;
    brake_count(p, r, m.keys, true);
    unread_heard(r, m.errors, m.first_error);
    if (m.errors > 0) {
        primary_log(p, r->id, LOG_WARNING, DR_REPLICA_IO,
                    "%" PRIu64 " key%s cannot be read on the replica: %.*s",
                    m.errors, m.errors == 1 ? "" : "s", (int)m.first_error.len,
                    (const char *)m.first_error.p);
    } else {
        differs_scanned(r);
    }
    compare_connected(p, r);
    return 0;
}

static int on_ack(struct primary *p, struct repl *r, struct bytes body,
                  struct err *err)
{
    struct wire_items m;
    uint64_t seq;
    int rc = wire_get_items(WIRE_ACK, body, &m, err);

    if (rc < 0) {
        return rc;
    }
    heard_commit(p, r);
    while (wire_item_ack(&m, &seq) == 1) {
        if (sender_acked(p, r, seq) == 0) {
            return err_set(err, ERR_PROTO, 0,
                           "the receiver acknowledged change %" PRIu64
                           ", which was "
                           "not in flight",
                           seq);
        }
    }
    return 0;
}

/* The digests of both ends may be compared: nothing was in flight when the
 * ping went out, and nothing has changed since. */
static void compare_roots(struct primary *p, struct repl *r)
{
    if (digest_equal(r->heartbeat.root, index_root(p->ix))) {
        struct action met = {.type = ACT_MET, .replica = r->id};
        if (dirid_complete(&r->dirid, r->figures.keys)) {
            primary_act(p, &met);
        }
        if (r->unread_there.count == 0) {
            r->heartbeat.equal_wall_ns = r->heartbeat.ping_wall_ns;
        }
        r->heartbeat.mismatches = 0;
        r->compares.fails = 0;
        differs_equal(r);
        brake_release(p, r);
        due_paid(r, r->heartbeat.ping_generation);
        return;
    }
    r->heartbeat.mismatches = brake_explains(p, r) || differs_waits(r)
                                  ? 0
                                  : r->heartbeat.mismatches + 1;

    if (r->heartbeat.mismatches >= MISMATCHES_PROVE && !r->due.now &&
        !r->due.soon) {
        due_soon(p, r);
    }
}

static int on_pong(struct primary *p, struct repl *r, struct bytes body,
                   struct err *err)
{
    struct wire_pong m;
    int rc = wire_get_pong(body, &m, err);

    if (rc < 0) {
        return rc;
    }
    pace_heard(&r->pace, m.id, session_at(r), p->now_ms);
    if (m.id > r->heartbeat.pong_id && m.id <= r->heartbeat.ping_id) {
        r->heartbeat.pong_id = m.id;
    }
    heartbeat_probe(p, r); /* the window may have become smaller */
    sender_ponged(p, r, m.id);
    stream_ponged(p, r, m.id);
    r->heartbeat.root = m.root;
    r->figures.keys = m.keys;
    brake_count(p, r, m.keys, false);
    r->figures.bytes = m.bytes;
    r->figures.replaced = m.replaced;
    heard_pong(p, r, &m);
    if (r->compares.jobs != NULL &&
        r->compares.jobs->phase == COMPARE_SCANNING) {
        r->compares.jobs->result.scan_keys = m.scan_keys;
    }
    if (m.id == r->heartbeat.ping_id &&
        r->heartbeat.ping_tail == p->log.tail_seq + 1 && !m.scanning &&
        r->session.digests_known && p->index_ready && flight_quiet(p, r)) {
        compare_roots(p, r);
    }
    return 0;
}

static int on_nak(struct primary *p, struct repl *r, struct bytes body,
                  struct err *err)
{
    struct wire_nak m;
    int rc = wire_get_nak(body, &m, err);

    if (rc < 0) {
        return rc;
    }
    heard_commit(p, r);
    if (sender_refused(p, r, &m) == 0) {
        return err_set(err, ERR_PROTO, 0,
                       "the receiver refused change %" PRIu64
                       ", which was not in "
                       "flight",
                       m.seq);
    }
    return 0;
}

static int on_blocked(struct primary *p, struct repl *r, struct bytes body,
                      struct err *err)
{
    struct wire_blocked m;
    int rc = wire_get_blocked(body, &m, err);

    if (rc < 0) {
        return rc;
    }
    (void)sender_blocked(p, r, &m); /* it may just have gone through */
    return 0;
}

static int on_error(struct primary *p, struct repl *r, struct bytes body,
                    struct err *err)
{
    struct wire_error m;
    struct err theirs;
    int rc = wire_get_error(body, &m, err);

    if (rc < 0) {
        return rc;
    }
    (void)err_set(&theirs, ERR_REFUSED, 0, "%.*s", (int)m.text.len,
                  (const char *)m.text.p);
    theirs.id = m.id;
    dirid_explain(&r->dirid, r->name, &theirs);
    close_link(p, r, &theirs, dr_is_permanent(m.id));
    return 0;
}

/* What it says before HELLO_OK is what it waits for: "DR-nnn: ...". */
static void note_waiting(struct repl *r, struct bytes text)
{
    char said[ERR_MSG_BYTES];
    int id = 0, at = 0;

    copy_text(said, sizeof said, text);
    if (sscanf(said, "DR-%3d: %n", &id, &at) == 1 && at > 0 && id > 300 &&
        id < 400) {
        (void)err_set(&r->session.last_error, ERR_REFUSED, 0, "%s", said + at);
        r->session.last_error.id = id;
    }
}

/* A receiver that talks without end costs neither memory nor the log's room:
 * what is over its share is counted. */
static int on_notice(struct primary *p, struct repl *r, struct bytes body,
                     struct err *err)
{
    struct bytes text;
    int rc = wire_get_notice(body, &text, err);

    if (rc < 0) {
        return rc;
    }
    if (r->session.state == SESSION_HELLO) {
        note_waiting(r, text);
    }
    if (r->session.notices == 0 ||
        p->now_ms - r->session.notices_ms >= NOTICE_WINDOW_MS) {
        r->session.notices_ms = p->now_ms;
        r->session.notices = 0;
    }
    if (r->session.notices >= NOTICE_WINDOW_MAX) {
        r->session.notices_held++;
        return 0;
    }
    r->session.notices++;
    if (r->session.notices_held > 0) {
        primary_log(p, r->id, LOG_NOTICE, DR_NONE,
                    "receiver: %" PRIu64 " more notices were left out",
                    r->session.notices_held);
        r->session.notices_held = 0;
    }
    primary_log(p, r->id, LOG_NOTICE, DR_NONE, "receiver: %.*s", (int)text.len,
                (const char *)text.p);
    return 0;
}

static int on_nodes(struct primary *p, struct repl *r, struct bytes body,
                    struct err *err)
{
    struct wire_nodes *m = malloc(sizeof *m);

    if (m == NULL) {
        return err_set(err, ERR_NOMEM, 0, "out of memory for tree digests");
    }
    int rc = wire_get_nodes(body, m, err);
    if (rc == 0) {
        (void)compare_nodes(p, r, m);
    }
    free(m);
    return rc;
}

static int on_items(struct primary *p, struct repl *r, enum wire_type type,
                    struct bytes body, struct err *err)
{
    struct wire_items m;
    int rc = wire_get_items(type, body, &m, err);

    if (rc < 0) {
        return rc;
    }
    return type == WIRE_LISTING ? compare_listing(p, r, &m, err)
                                : compare_names(p, r, &m, err);
}

static int on_scan_done(struct primary *p, struct repl *r, struct bytes body,
                        struct err *err)
{
    struct wire_scan_done m;
    int rc = wire_get_scan_done(body, &m, err);

    return rc < 0 ? rc : compare_scanned(p, r, &m);
}

static int on_unread(const struct primary *p, struct repl *r, struct bytes body,
                     struct err *err)
{
    struct wire_unread m;
    int rc = wire_get_unread(body, &m, err);

    if (rc == 0) {
        compare_unread(p, r, &m);
    }
    return rc;
}

static int on_modes(const struct primary *p, struct repl *r, struct bytes body,
                    struct err *err)
{
    struct wire_modes m;
    int rc = wire_get_modes(body, &m, err);

    if (rc == 0) {
        modes_heard(p, r, &m);
    }
    return rc;
}

static int on_edited(struct primary *p, struct repl *r, struct bytes body,
                     struct err *err)
{
    struct wire_edited m;
    int rc = wire_get_edited(body, &m, err);

    if (rc == 0) {
        differs_edited(p, r, &m);
    }
    return rc;
}

static int on_blind(struct primary *p, struct repl *r, struct bytes body,
                    struct err *err)
{
    struct wire_blind m;
    int rc = wire_get_blind(body, &m, err);

    if (rc == 0) {
        unread_told(p, r, &m);
    }
    return rc;
}

static int on_bye(struct primary *p, struct repl *r)
{
    struct err bye;

    (void)err_set(&bye, ERR_CLOSED, 0, "the receiver ended the session");
    bye.id = DR_LINK_LOST;
    close_link(p, r, &bye, false);
    return 0;
}

static int on_frame(struct primary *p, struct repl *r, enum wire_type type,
                    struct bytes b, struct err *err)
{
    if (type == WIRE_ERROR) {
        return on_error(p, r, b, err);
    }
    if (r->session.state == SESSION_HELLO && type != WIRE_HELLO_OK &&
        type != WIRE_NOTICE) {
        return err_set(err, ERR_PROTO, 0, "%s came before HELLO_OK",
                       wire_type_name(type));
    }
    if (r->session.state == SESSION_LIVE && type == WIRE_HELLO_OK) {
        return err_set(err, ERR_PROTO, 0, "a second HELLO_OK came");
    }
    /* Types are the wire's numbers; the default is the point here. */
    switch ((int)type) {
    case WIRE_HELLO_OK:
        return on_hello_ok(p, r, b, err);
    case WIRE_READY:
        return on_ready(p, r, b, err);
    case WIRE_ACK:
        return on_ack(p, r, b, err);
    case WIRE_NAK:
        return on_nak(p, r, b, err);
    case WIRE_BLOCKED:
        return on_blocked(p, r, b, err);
    case WIRE_PONG:
        return on_pong(p, r, b, err);
    case WIRE_SCAN_DONE:
        return on_scan_done(p, r, b, err);
    case WIRE_UNREAD:
        return on_unread(p, r, b, err);
    case WIRE_MODES:
        return on_modes(p, r, b, err);
    case WIRE_BLIND:
        return on_blind(p, r, b, err);
    case WIRE_EDITED:
        return on_edited(p, r, b, err);
    case WIRE_NODES:
        return on_nodes(p, r, b, err);
    case WIRE_LISTING:
    case WIRE_NAMES:
        return on_items(p, r, type, b, err);
    case WIRE_NOTICE:
        return on_notice(p, r, b, err);
    case WIRE_BYE:
        return on_bye(p, r);
    default:
        return err_set(err, ERR_PROTO, 0, "%s is not for the agent",
                       wire_type_name(type));
    }
}

static int read_frames(struct primary *p, struct repl *r, struct err *err)
{
    enum wire_type type;
    struct bytes body;
    int rc;

    while ((rc = wire_in_next(&r->session.in, &type, &body, err)) == 1) {
        rc = on_frame(p, r, type, body, err);
        if (rc < 0 || r->session.closing) {
            return rc;
        }
    }
    return rc;
}

void primary_input(struct primary *p, int replica, const void *data, size_t n,
                   int64_t now_ms)
{
    struct repl *r = primary_repl(p, replica);
    struct err err;

    p->now_ms = now_ms;
    if (r->session.state == SESSION_DOWN || r->session.closing) {
        return;
    }
    r->session.rx_ms = now_ms;
    r->figures.received_bytes += n;
    int rc = wire_in_add(&r->session.in, data, n, &err);
    if (rc == 0) {
        rc = read_frames(p, r, &err);
    }
    if (rc < 0) {
        if (err.id == 0) {
            err.id = r->session.in.greeted ? DR_PROTOCOL : DR_NOISE;
        }
        close_link(p, r, &err, err.id == DR_NOISE);
        return;
    }
    stream_more(p, r);
    compare_step(p, r);
    sender_advance(p, r);
    (void)walk_step(p);
}

/* --- frames out ---------------------------------------------------------- */

bool primary_wants_fill(struct primary *p, int replica)
{
    struct repl *r = primary_repl(p, replica);

    if (r->session.state == SESSION_DOWN || r->session.closing) {
        return false;
    }
    return r->session.out.len > r->session.out_at ||
           (r->session.state == SESSION_LIVE && !p->lost && frames_ready(r) &&
            session_has_room(r));
}

size_t primary_fill(struct primary *p, int replica, uint8_t *out, size_t room,
                    int64_t now_ms)
{
    struct repl *r = primary_repl(p, replica);

    p->now_ms = now_ms;
    if (r->session.state == SESSION_DOWN || r->session.closing) {
        return 0;
    }
    if (r->session.state == SESSION_LIVE) {
        frames_produce(p, r, room > OUT_AHEAD ? room : OUT_AHEAD);
    }
    if (r->session.out.bad) {
        struct err err;
        (void)err_set(&err, ERR_NOMEM, 0, "out of memory for output");
        close_link(p, r, &err, false);
        return 0;
    }
    size_t n = r->session.out.len - r->session.out_at;
    n = n < room ? n : room;
    if (n > 0) {
        memcpy(out, r->session.out.data + r->session.out_at, n);
    }
    r->session.out_at += n;
    r->figures.sent_bytes += n;
    if (r->session.out_at == r->session.out.len) {
        buf_clear(&r->session.out);
        r->session.out_at = 0;
    } else if (r->session.out_at > OUT_AHEAD) {
        buf_drop(&r->session.out, r->session.out_at);
        r->session.out_at = 0;
    }
    stream_more(p, r);
    sender_advance(p, r);
    return n;
}

/* --- heartbeats ---------------------------------------------------------- */

/* A receiver says nothing while it waits for its predecessor to go, and then
 * who that is: to give up before would hide it. */
static int64_t silence_max_ms(const struct primary *p, const struct repl *r)
{
    int64_t ms = p->config.silence_ms;

    return r->session.state == SESSION_LIVE || ms > HELLO_MIN_MS ? ms
                                                                 : HELLO_MIN_MS;
}

int64_t session_tick(struct primary *p, struct repl *r)
{
    struct err err;

    if (r->session.state == SESSION_DOWN || r->session.closing) {
        return INT64_MAX;
    }
    int64_t silent_ms = p->now_ms - r->session.rx_ms;
    if (silent_ms >= silence_max_ms(p, r)) {
        (void)err_set(&err, ERR_CLOSED, 0,
                      "no word from the receiver for %" PRId64 " s",
                      (silent_ms / 1000));
        err.id = DR_LINK_LOST;
        close_link(p, r, &err, false);
        return INT64_MAX;
    }
    if (r->session.state != SESSION_LIVE) {
        return r->session.rx_ms + silence_max_ms(p, r);
    }
    if (p->now_ms >= r->heartbeat.next_ms) {
        if (r->session.out.len - r->session.out_at < PING_BEHIND) {
            heartbeat_ping(p, r);
        } else {
            r->heartbeat.next_ms = p->now_ms + p->config.heartbeat_ms;
        }
    }
    return r->heartbeat.next_ms;
}
