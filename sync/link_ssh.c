/* SPDX-License-Identifier: MIT
 *
 * link_ssh: a link over SSH: one TCP connection, one session, one exec channel.
 * The only file that knows libssh2.
 *
 * Happy path, one state function each, in running order:
 *   prepare      read key file and known_hosts; nothing is on the wire yet
 *   resolve      name lookup in the pool
 *   connect      each address in turn, each with its share of the time
 *   handshake    banner and key exchange; host key types that known_hosts has
 *                for this host are asked for first
 *   host_key     against known_hosts: nothing secret was sent before
 *   auth         key file, or ssh-agent in the pool (its socket is blocking)
 *   open, exec   the channel and the command; then `up`
 *   stream       output is pulled and written, stdout and stderr are drained
 *   goodbye      the channel ended: wait a moment for the exit status
 * run() is their only caller.  Each returns NEXT (call me or my successor
 * again), WAIT (for the socket, the pool or a kick) or FAIL (l->err says why).
 * settle() alone turns libssh2's answers into steps.
 *
 * Failures: any one ends the attempt with `down`; its number depends on the
 * state.  A cut is seen by the socket, not by libssh2, whose codes after a cut
 * are accidental: its receive callback is told "nothing now" for ever, all that
 * had arrived is used, and only then the end counts (see sock.h).
 *
 * Output: libssh2 sends through our callback into sock's buffer and is never
 * told to try again.  With its own sends, a half-sent packet makes any other
 * call fail or hang as soon as both directions are busy and a re-key begins.
 * So EAGAIN always means "needs input", and the poll mask is: readable, and
 * writable while the buffer holds something.
 *
 * Threads: all on the loop's, except auth by agent: while that job runs, the
 * session and the socket are its own and run() keeps away from them.
 */
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <libssh2.h>
#include <poll.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "store/base/buf.h"
#include "sync/handles.h"
#include "sync/known_hosts.h"
#include "sync/link_kind.h"
#include "sync/lookup.h"
#include "sync/sock.h"
#include "sync/sshkey.h"
#include "sync/state.h"

enum {
    /* Exactly one SSH packet: libssh2 sends no more than this per call. */
    PIECE_BYTES = 32700,
    INPUT_BYTES = 32768,
    STEPS_PER_TURN = 8, /* then other links have their turn */
    READS_PER_STEP = 4,
    CONNECT_TIMEOUT_MS = 10000,
    LOGIN_TIMEOUT_MS = 20000,
    GOODBYE_MS = 2000,
    AGENT_POLL_MS = 100,
    PERMANENT = 1, /* for fail(): trying again soon is pointless */
    TRANSIENT = 0,
};

/* What is offered; a server must have one of each.  All of it is in OpenSSH's
 * defaults; SHA-1, CBC and the like are left out on purpose. */
#define OUR_KEX                                                                \
    "curve25519-sha256,curve25519-sha256@libssh.org,ecdh-sha2-nistp256,"       \
    "ecdh-sha2-nistp384,ecdh-sha2-nistp521,"                                   \
    "diffie-hellman-group-exchange-sha256,diffie-hellman-group16-sha512,"      \
    "diffie-hellman-group18-sha512,diffie-hellman-group14-sha256"
#define OUR_CIPHERS "aes128-ctr,aes192-ctr,aes256-ctr"
#define OUR_MACS "hmac-sha2-256,hmac-sha2-512"

enum step { STEP_NEXT, STEP_WAIT, STEP_FAIL };

struct link_ssh;

static enum step st_prepare(struct link_ssh *l);
static enum step st_resolve(struct link_ssh *l);
static enum step st_connect(struct link_ssh *l);
static enum step st_handshake(struct link_ssh *l);
static enum step st_host_key(struct link_ssh *l);
static enum step st_auth(struct link_ssh *l);
static enum step st_open(struct link_ssh *l);
static enum step st_exec(struct link_ssh *l);
static enum step st_stream(struct link_ssh *l);
static enum step st_goodbye(struct link_ssh *l);

enum state_id {
    ST_PREPARE,
    ST_RESOLVE,
    ST_CONNECT,
    ST_HANDSHAKE,
    ST_HOST_KEY,
    ST_AUTH,
    ST_OPEN,
    ST_EXEC,
    ST_STREAM,
    ST_GOODBYE,
};

/* Whose time runs: RUNNING means the previous state's clock goes on. */
enum clock { CLOCK_NONE, CLOCK_CONNECT, CLOCK_RUNNING, CLOCK_LOGIN, CLOCK_BYE };

static const struct state {
    const char *name; /* for messages: "..., NAME: what happened" */
    enum step (*run)(struct link_ssh *l);
    enum clock clock;
} states[] = {
    [ST_PREPARE] = {"preparing", st_prepare, CLOCK_NONE},
    [ST_RESOLVE] = {"name lookup", st_resolve, CLOCK_CONNECT},
    [ST_CONNECT] = {"connecting", st_connect, CLOCK_RUNNING},
    [ST_HANDSHAKE] = {"handshake", st_handshake, CLOCK_LOGIN},
    [ST_HOST_KEY] = {"host key", st_host_key, CLOCK_RUNNING},
    [ST_AUTH] = {"login", st_auth, CLOCK_LOGIN},
    [ST_OPEN] = {"opening the channel", st_open, CLOCK_LOGIN},
    [ST_EXEC] = {"starting the receiver", st_exec, CLOCK_LOGIN},
    [ST_STREAM] = {"connection", st_stream, CLOCK_NONE},
    [ST_GOODBYE] = {"connection", st_goodbye, CLOCK_BYE},
};

struct host_key_type {
    const char *name;  /* in the key exchange and in known_hosts */
    const char *brief; /* for ssh-keyscan -t and ssh_host_*_key */
    int hostkey;       /* libssh2_session_hostkey() */
    int known;         /* libssh2_knownhost_checkp() */
};

/* In order of preference.  No ssh-rsa: libssh2 1.10 can check an RSA host key
 * only with SHA-1, which servers do not offer any more. */
static const struct host_key_type host_key_types[] = {
    {"ssh-ed25519", "ed25519", LIBSSH2_HOSTKEY_TYPE_ED25519,
     LIBSSH2_KNOWNHOST_KEY_ED25519},
    {"ecdsa-sha2-nistp256", "ecdsa", LIBSSH2_HOSTKEY_TYPE_ECDSA_256,
     LIBSSH2_KNOWNHOST_KEY_ECDSA_256},
    {"ecdsa-sha2-nistp384", "ecdsa", LIBSSH2_HOSTKEY_TYPE_ECDSA_384,
     LIBSSH2_KNOWNHOST_KEY_ECDSA_384},
    {"ecdsa-sha2-nistp521", "ecdsa", LIBSSH2_HOSTKEY_TYPE_ECDSA_521,
     LIBSSH2_KNOWNHOST_KEY_ECDSA_521},
};
enum { HOST_KEY_TYPES = sizeof host_key_types / sizeof host_key_types[0] };

enum agent_state { AGENT_IDLE, AGENT_RUNNING, AGENT_DONE };
enum agent_result {
    AGENT_OK,
    AGENT_ABSENT,  /* no agent answers */
    AGENT_EMPTY,   /* it has no key that could be tried */
    AGENT_REFUSED, /* the server took none of them */
    AGENT_CUT,     /* the connection ended, or we stopped it */
};

struct link_ssh {
    struct link base;
    struct handles handles;
    uv_loop_t *loop;
    struct link_ssh_config config; /* its strings are ours */
    char *known_name;              /* the host in lower case */
    char *where;                   /* "host:port, user name" */

    uv_timer_t deadline;
    uv_idle_t again; /* go on in the next turn */
    enum state_id state;
    bool running; /* inside run(), push() or a callback from there */
    bool kicked;  /* while running */
    bool failed;  /* STEP_FAIL met outside run(): tell it from there */
    bool blocked; /* the piece waits for the channel's window */
    struct err err;
    bool permanent;

    struct lookup *lookup;
    struct addrinfo *addrs;
    struct addrinfo *addr; /* being tried */
    uint64_t connect_until_ms;
    struct sock *sock;

    struct known_hosts known;
    bool type_known[HOST_KEY_TYPES]; /* known_hosts has one for this host */
    bool rsa_known;
    struct sshkey key;
    bool use_agent;
    char fingerprint[SSHKEY_FINGERPRINT_BYTES]; /* of the host key */
    const char *host_key_name;

    LIBSSH2_SESSION *session;
    LIBSSH2_KNOWNHOSTS *hosts;
    LIBSSH2_CHANNEL *channel;

    uv_work_t agent_job;
    enum agent_state agent;
    enum agent_result agent_result;
    unsigned agent_rsa; /* keys passed over because they are RSA */
    atomic_bool agent_stop;

    size_t piece_len, piece_off;
    uint8_t piece[PIECE_BYTES];
    uint8_t input[INPUT_BYTES];
};

/* --- ending an attempt
 * ---------------------------------------------------------- */

__attribute__((format(printf, 6, 7))) static enum step
fail(struct link_ssh *l, int code, int sys, int id, int permanent,
     const char *fmt, ...)
{
    char text[ERR_MSG_BYTES];
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    err_set(&l->err, code, sys, "%s, %s: %s", l->where, states[l->state].name,
            text);
    l->err.id = id;
    l->permanent = permanent == PERMANENT;
    return STEP_FAIL;
}

/* Put where and when in front of an error that another module made. */
static enum step fail_with(struct link_ssh *l, const struct err *err,
                           int permanent)
{
    return fail(l, err->code, 0, err->id, permanent, "%s", err->msg);
}

/* What a lost connection means in this state. */
static int id_of_cut(const struct link_ssh *l)
{
    if (l->state <= ST_CONNECT) {
        return DR_CONNECT;
    }
    return l->state < ST_STREAM ? DR_HANDSHAKE : DR_LINK_LOST;
}

static enum step fail_cut(struct link_ssh *l, int sys)
{
    if (sys != 0) {
        return fail(l, ERR_CLOSED, sys, id_of_cut(l), TRANSIENT,
                    "the connection broke");
    }
    return fail(l, ERR_CLOSED, 0, id_of_cut(l), TRANSIENT,
                "the other end closed the connection");
}

static enum step fail_auth(struct link_ssh *l)
{
    return fail(l, ERR_REFUSED, 0, DR_AUTH, PERMANENT,
                "the server refused %s.  Causes: the public key is not in this "
                "user's authorized_keys; its from= does not allow this host; "
                "the account is locked; or file modes there are too open.  "
                "This tells, on the replica: journalctl -u ssh -n 20",
                l->use_agent ? "the agent's keys" : l->config.identity);
}

static enum step fail_handshake(struct link_ssh *l)
{
    return fail(l, ERR_REFUSED, 0, DR_HANDSHAKE, PERMANENT,
                "no algorithms in common.  The server needs one of each: "
                "KexAlgorithms curve25519-sha256, ecdh-sha2-nistp256 or "
                "diffie-hellman-group16-sha512; Ciphers %s; MACs %s; a host "
                "key of type ed25519 or ecdsa",
                OUR_CIPHERS, OUR_MACS);
}

/* libssh2 answered `rc` (< 0, not EAGAIN). */
static enum step fail_ssh(struct link_ssh *l, int rc)
{
    char *last = NULL;

    (void)libssh2_session_last_error(l->session, &last, NULL, 0);
    const char *text =
        last != NULL && last[0] != '\0' ? last : "no reason given";
    switch (rc) {
    case LIBSSH2_ERROR_KEX_FAILURE:
        return fail_handshake(l);
    case LIBSSH2_ERROR_AUTHENTICATION_FAILED:
        return fail_auth(l);
    case LIBSSH2_ERROR_FILE:
        return fail(l, ERR_INVALID, 0, DR_KEY_FILE, PERMANENT,
                    "key file %s cannot be used: %s", l->config.identity, text);
    case LIBSSH2_ERROR_CHANNEL_REQUEST_DENIED:
        return fail(l, ERR_REFUSED, 0, DR_NO_RECEIVER, PERMANENT,
                    "the server starts no command for this user");
    case LIBSSH2_ERROR_ALLOC:
        return fail(l, ERR_NOMEM, 0, id_of_cut(l), TRANSIENT, "out of memory");
    default:
        return fail(l, ERR_PROTO, 0, id_of_cut(l), TRANSIENT, "%s (libssh2 %d)",
                    text, rc);
    }
}

/* --- steps
 * ------------------------------------------------------------------------ */

static void run(struct link_ssh *l);
static void on_deadline(uv_timer_t *t);

static void set_deadline(struct link_ssh *l, int64_t ms)
{
    uv_update_time(l->loop);
    (void)uv_timer_start(&l->deadline, on_deadline, (uint64_t)ms, 0);
}

static enum step enter(struct link_ssh *l, enum state_id state)
{
    l->state = state;
    switch (states[state].clock) {
    case CLOCK_NONE:
        (void)uv_timer_stop(&l->deadline);
        break;
    case CLOCK_CONNECT:
        set_deadline(l, l->config.connect_timeout_ms);
        break;
    case CLOCK_LOGIN:
        set_deadline(l, l->config.login_timeout_ms);
        break;
    case CLOCK_BYE:
        set_deadline(l, GOODBYE_MS);
        break;
    case CLOCK_RUNNING:
        break;
    }
    return STEP_NEXT;
}

/* libssh2 answered: go on in `next`, wait, or fail. */
static enum step settle(struct link_ssh *l, long rc, enum state_id next)
{
    int sys;

    if (rc == LIBSSH2_ERROR_EAGAIN) {
        return sock_ended(l->sock, &sys) ? fail_cut(l, sys) : STEP_WAIT;
    }
    return rc < 0 ? fail_ssh(l, (int)rc) : enter(l, next);
}

/* --- prepare
 * ------------------------------------------------------------------------- */

static enum step need_agent(struct link_ssh *l, const char *why)
{
    const char *path = getenv("SSH_AUTH_SOCK");

    if (path == NULL || path[0] == '\0') {
        return fail(l, ERR_INVALID, 0, DR_KEY_FILE, PERMANENT,
                    "%s, and there is no ssh-agent (SSH_AUTH_SOCK is not set)",
                    why);
    }
    l->use_agent = true;
    return STEP_NEXT;
}

static enum step prepare_key(struct link_ssh *l)
{
    const char *path = l->config.identity;
    char why[320];
    struct err err;

    if (path == NULL) {
        return need_agent(l, "no key file is configured");
    }
    if (sshkey_load(&l->key, path, &err) < 0) {
        return fail_with(l, &err, PERMANENT);
    }
    if (!l->key.locked) {
        return STEP_NEXT;
    }
    (void)snprintf(why, sizeof why,
                   "key file %.100s is protected by a passphrase (remove it: "
                   "ssh-keygen -p -N '' -f %.100s)",
                   path, path);
    if (l->key.blob.len == 0) { /* no telling which of the agent's it is */
        return fail(l, ERR_INVALID, 0, DR_KEY_FILE, PERMANENT, "%s", why);
    }
    return need_agent(l, why);
}

/* "-p 2222 " or "". */
static const char *port_option(const struct link_ssh *l, char out[16])
{
    out[0] = '\0';
    if (l->config.port != 22) {
        (void)snprintf(out, 16, "-p %u ", (unsigned)l->config.port);
    }
    return out;
}

/* Next: st_resolve. */
static enum step st_prepare(struct link_ssh *l)
{
    struct err err;
    char port[16];

    int rc = known_hosts_load(&l->known, l->config.known_hosts, &err);
    if (rc == ERR_NOTFOUND) {
        return fail(l, rc, 0, DR_KNOWN_HOSTS, PERMANENT,
                    "%s.  To make it: ssh-keyscan -t ed25519 %s%s >> %s, then "
                    "compare ssh-keygen -lf %s with the replica's own key",
                    err.msg, port_option(l, port), l->config.host,
                    l->config.known_hosts, l->config.known_hosts);
    }
    if (rc < 0) {
        return fail_with(l, &err, PERMANENT);
    }
    enum step s = prepare_key(l);
    return s == STEP_NEXT ? enter(l, ST_RESOLVE) : s;
}

/* --- resolve and connect
 * ---------------------------------------------------------------- */

static void on_lookup(void *arg, int status, struct addrinfo *addrs)
{
    struct link_ssh *l = arg;

    l->lookup = NULL;
    if (status < 0) {
        (void)fail(l, ERR_IO, 0, DR_CONNECT, TRANSIENT,
                   "cannot look up \"%s\": %s", l->config.host,
                   uv_strerror(status));
        l->failed = true;
    }
    l->addrs = addrs;
    run(l);
}

/* Waits for on_lookup().  Next: st_connect. */
static enum step st_resolve(struct link_ssh *l)
{
    struct err err;

    if (l->addrs != NULL) {
        l->addr = l->addrs;
        l->connect_until_ms =
            uv_now(l->loop) + uv_timer_get_due_in(&l->deadline);
        return enter(l, ST_CONNECT);
    }
    if (l->lookup == NULL) {
        l->lookup = lookup_start(l->loop, l->config.host, l->config.port,
                                 on_lookup, l, &err);
        if (l->lookup == NULL) {
            err.id = DR_CONNECT;
            return fail_with(l, &err, TRANSIENT);
        }
    }
    return STEP_WAIT;
}

static void on_ready(void *arg)
{
    struct link_ssh *l = arg;

    /* While `again` is active the loop does not sleep and calls run() anyway.
     */
    if (!uv_is_active((uv_handle_t *)&l->again)) {
        run(l);
    }
}

static const char *addr_text(const struct link_ssh *l, char out[64])
{
    if (getnameinfo(l->addr->ai_addr, l->addr->ai_addrlen, out, 64, NULL, 0,
                    NI_NUMERICHOST) != 0) {
        (void)snprintf(out, 64, "?");
    }
    return out;
}

/* This address is no good (l->err says why): the next one, or fail. */
static enum step next_addr(struct link_ssh *l)
{
    sock_drop(&l->sock);
    l->addr = l->addr->ai_next;
    return l->addr != NULL ? STEP_NEXT : STEP_FAIL;
}

static enum step dial(struct link_ssh *l)
{
    uint64_t left_ms = 1, addrs = 0, now_ms = uv_now(l->loop);
    struct err err;
    char ip[64];

    for (const struct addrinfo *a = l->addr; a != NULL; a = a->ai_next) {
        addrs++;
    }
    if (l->connect_until_ms > now_ms) {
        left_ms = l->connect_until_ms - now_ms;
    }
    l->sock =
        sock_connect(l->loop, &l->handles, l->addr, l->config.sndbuf_bytes,
                     l->config.rcvbuf_bytes, on_ready, l, &err);
    if (l->sock == NULL) {
        (void)fail(l, err.code, 0, DR_CONNECT, TRANSIENT, "%s: %s",
                   addr_text(l, ip), err.msg);
        return next_addr(l);
    }
    set_deadline(l, (int64_t)(left_ms / addrs + 1));
    return STEP_WAIT;
}

static enum step begin_session(struct link_ssh *l);

/* Next: st_handshake. */
static enum step st_connect(struct link_ssh *l)
{
    char ip[64];

    if (l->sock == NULL) {
        return dial(l);
    }
    int rc = sock_connected(l->sock);
    if (rc < 0) {
        (void)fail(l, ERR_IO, -rc, DR_CONNECT, TRANSIENT, "%s",
                   addr_text(l, ip));
        return next_addr(l);
    }
    return rc > 0 ? begin_session(l) : STEP_WAIT;
}

static enum step connect_timed_out(struct link_ssh *l)
{
    char ip[64];

    (void)fail(l, ERR_TIMEOUT, 0, DR_CONNECT, TRANSIENT, "%s: no answer",
               addr_text(l, ip));
    return next_addr(l);
}

/* --- handshake
 * ------------------------------------------------------------------------------
 */

/* libssh2 uses the same two callbacks for its blocking talk with the
 * ssh-agent, in the pool; here it can be made to end when we want. */
static int agent_ready(struct link_ssh *l, int fd, short events)
{
    struct pollfd p = {.fd = fd, .events = events};

    while (!atomic_load(&l->agent_stop)) {
        if (poll(&p, 1, AGENT_POLL_MS) > 0) {
            return 0;
        }
    }
    return -ECANCELED;
}

static ssize_t agent_send(struct link_ssh *l, int fd, const void *p, size_t n)
{
    int rc = agent_ready(l, fd, POLLOUT);
    ssize_t done = rc == 0 ? send(fd, p, n, MSG_NOSIGNAL) : rc;

    return done < 0 && rc == 0 ? -errno : done;
}

static ssize_t agent_recv(struct link_ssh *l, int fd, void *p, size_t n)
{
    int rc = agent_ready(l, fd, POLLIN);
    ssize_t done = rc == 0 ? recv(fd, p, n, 0) : rc;

    return done < 0 && rc == 0 ? -errno : done;
}

/* After the socket was dropped (closing), a session that is being freed may
 * still say goodbye; nobody listens. */
static LIBSSH2_SEND_FUNC(on_send)
{
    struct link_ssh *l = *abstract;

    (void)flags;
    if (l->sock == NULL) {
        return (ssize_t)length;
    }
    if (socket != sock_fd(l->sock)) {
        return agent_send(l, socket, buffer, length);
    }
    int rc = sock_put(l->sock, buffer, length);
    return rc < 0 ? rc : (ssize_t)length;
}

static LIBSSH2_RECV_FUNC(on_recv)
{
    struct link_ssh *l = *abstract;

    (void)flags;
    if (l->sock == NULL) {
        return 0;
    }
    if (socket != sock_fd(l->sock)) {
        return agent_recv(l, socket, buffer, length);
    }
    return sock_get(l->sock, buffer, length);
}

/* The API takes a function as void *, which C forbids to cast to. */
static void set_callback(LIBSSH2_SESSION *session, int which,
                         const void *function_ptr)
{
    void *f;

    memcpy(&f, function_ptr, sizeof f);
    (void)libssh2_session_callback_set(session, which, f);
}

static int feed_known_hosts(struct link_ssh *l, struct err *err)
{
    struct buf line = BUF_NULL;
    int rc = 0;

    for (size_t i = 0; i < l->known.count && rc == 0; i++) {
        const struct known_line *k = &l->known.lines[i];
        if (k->kind != KNOWN_PLAIN) {
            continue;
        }
        buf_clear(&line);
        buf_printf(&line, "%s %s %s", k->hosts, k->type, k->key64);
        if (line.bad || libssh2_knownhost_readline(
                            l->hosts, (const char *)line.data, line.len,
                            LIBSSH2_KNOWNHOST_FILE_OPENSSH) != 0) {
            rc = err_set(err, ERR_INVALID, 0,
                         "known_hosts file %s, line %u cannot be used; correct "
                         "or remove it",
                         l->config.known_hosts, k->number);
            err->id = DR_KNOWN_HOSTS;
        }
    }
    buf_deinit(&line);
    return rc;
}

static int check_known(const struct link_ssh *l, const char *blob, size_t n,
                       int type, struct libssh2_knownhost **found)
{
    return libssh2_knownhost_checkp(
        l->hosts, l->known_name, l->config.port, blob, n,
        LIBSSH2_KNOWNHOST_TYPE_PLAIN | LIBSSH2_KNOWNHOST_KEYENC_RAW | type,
        found);
}

/* A key that cannot be anyone's "mismatches" where one of its type is known;
 * this works for hashed names too. */
static bool is_known(const struct link_ssh *l, int type)
{
    return check_known(l, "probe", 5, type, NULL) ==
           LIBSSH2_KNOWNHOST_CHECK_MISMATCH;
}

/* Types that known_hosts has for this host come first: the server presents only
 * one key, and it should be one that can be compared.  The others follow, so
 * that a host which is not known yet can be named with its fingerprint. */
static int prefer_known_types(struct link_ssh *l)
{
    char list[256] = "";
    size_t used = 0;

    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < HOST_KEY_TYPES; i++) {
            const struct host_key_type *t = &host_key_types[i];
            if (round == 0) {
                l->type_known[i] = is_known(l, t->known);
            }
            if (l->type_known[i] == (round == 0)) {
                used += (size_t)snprintf(list + used, sizeof list - used,
                                         "%s%s", used > 0 ? "," : "", t->name);
            }
        }
    }
    l->rsa_known = is_known(l, LIBSSH2_KNOWNHOST_KEY_SSHRSA);
    return libssh2_session_method_pref(l->session, LIBSSH2_METHOD_HOSTKEY,
                                       list);
}

static int prefer_methods(struct link_ssh *l)
{
    static const struct {
        int method;
        const char *list;
    } prefs[] = {
        {LIBSSH2_METHOD_KEX, OUR_KEX},
        {LIBSSH2_METHOD_CRYPT_CS, OUR_CIPHERS},
        {LIBSSH2_METHOD_CRYPT_SC, OUR_CIPHERS},
        {LIBSSH2_METHOD_MAC_CS, OUR_MACS},
        {LIBSSH2_METHOD_MAC_SC, OUR_MACS},
    };
    int rc = prefer_known_types(l);

    for (size_t i = 0; i < sizeof prefs / sizeof prefs[0] && rc == 0; i++) {
        rc = libssh2_session_method_pref(l->session, prefs[i].method,
                                         prefs[i].list);
    }
    return rc;
}

static enum step begin_session(struct link_ssh *l)
{
    LIBSSH2_SEND_FUNC((*send_fn)) = on_send;
    LIBSSH2_RECV_FUNC((*recv_fn)) = on_recv;
    struct err err;

    l->session = libssh2_session_init_ex(NULL, NULL, NULL, l);
    l->hosts = l->session != NULL ? libssh2_knownhost_init(l->session) : NULL;
    if (l->hosts == NULL) {
        return fail(l, ERR_NOMEM, 0, DR_CONNECT, TRANSIENT, "out of memory");
    }
    libssh2_session_set_blocking(l->session, 0);
    set_callback(l->session, LIBSSH2_CALLBACK_SEND, &send_fn);
    set_callback(l->session, LIBSSH2_CALLBACK_RECV, &recv_fn);
    if (feed_known_hosts(l, &err) < 0) {
        return fail_with(l, &err, PERMANENT);
    }
    int rc = prefer_methods(l);
    return rc < 0 ? fail_ssh(l, rc) : enter(l, ST_HANDSHAKE);
}

/* Next: st_host_key. */
static enum step st_handshake(struct link_ssh *l)
{
    /* The descriptor is only looked at by libssh2: see on_recv. */
    return settle(l, libssh2_session_handshake(l->session, sock_fd(l->sock)),
                  ST_HOST_KEY);
}

/* --- host key
 * -----------------------------------------------------------------------------------
 */

static enum step fail_unknown(struct link_ssh *l, const struct host_key_type *t)
{
    const char *file = l->config.known_hosts, *also = "";
    bool other = l->rsa_known;
    char port[16];

    for (size_t i = 0; i < HOST_KEY_TYPES; i++) {
        other = other || l->type_known[i];
    }
    if (other) {
        also = " (only a key of another type)";
    } else if (l->known.unsupported > 0) {
        also = " (its lines with @cert-authority, * or ? are not supported)";
    }
    return fail(l, ERR_REFUSED, 0, DR_HOST_KEY_UNKNOWN, PERMANENT,
                "%s does not have this host's key, %s %s%s.  Compare it with "
                "ssh-keygen -lf /etc/ssh/ssh_host_%s_key.pub on the replica; "
                "if equal: ssh-keyscan -t %s %s%s >> %s",
                file, t->name, l->fingerprint, also, t->brief, t->brief,
                port_option(l, port), l->config.host, file);
}

static enum step fail_changed(struct link_ssh *l, const struct host_key_type *t,
                              const struct libssh2_knownhost *was)
{
    char expected[SSHKEY_FINGERPRINT_BYTES] = "?";
    const struct known_line *line = known_hosts_line_of(&l->known, was->key);

    if (line != NULL) {
        sshkey_fingerprint(line->blob.data, line->blob.len, expected);
    }
    return fail(l, ERR_REFUSED, 0, DR_HOST_KEY_CHANGED, PERMANENT,
                "HOST KEY CHANGED: the host presents %s %s, but %s line %u has "
                "%s.  Either the replica was reinstalled or somebody stands in "
                "between.  Compare ssh-keygen -lf /etc/ssh/ssh_host_%s_key.pub "
                "on the replica; only if it shows the first one, replace that "
                "line",
                t->name, l->fingerprint, l->config.known_hosts,
                line != NULL ? line->number : 0, expected, t->brief);
}

static const struct host_key_type *type_of(int hostkey)
{
    for (size_t i = 0; i < HOST_KEY_TYPES; i++) {
        if (host_key_types[i].hostkey == hostkey) {
            return &host_key_types[i];
        }
    }
    return NULL;
}

/* Next: st_auth. */
static enum step st_host_key(struct link_ssh *l)
{
    struct libssh2_knownhost *found = NULL;
    size_t n = 0;
    int hostkey = LIBSSH2_HOSTKEY_TYPE_UNKNOWN;

    const char *blob = libssh2_session_hostkey(l->session, &n, &hostkey);
    const struct host_key_type *t = type_of(hostkey);
    if (blob == NULL || t == NULL) {
        return fail_handshake(l);
    }
    l->host_key_name = t->brief;
    sshkey_fingerprint(blob, n, l->fingerprint);
    const struct known_line *revoked = known_hosts_revoked(&l->known, blob, n);
    if (revoked != NULL) {
        return fail(l, ERR_REFUSED, 0, DR_KNOWN_HOSTS, PERMANENT,
                    "%s line %u has REVOKED the key that this host presents, "
                    "%s %s.  Give the host a new key",
                    l->config.known_hosts, revoked->number, t->name,
                    l->fingerprint);
    }
    switch (check_known(l, blob, n, t->known, &found)) {
    case LIBSSH2_KNOWNHOST_CHECK_MATCH:
        return enter(l, ST_AUTH);
    case LIBSSH2_KNOWNHOST_CHECK_MISMATCH:
        return fail_changed(l, t, found);
    case LIBSSH2_KNOWNHOST_CHECK_NOTFOUND:
        return fail_unknown(l, t);
    default:
        return fail(l, ERR_IO, 0, DR_KNOWN_HOSTS, TRANSIENT,
                    "libssh2 could not compare the key with %s",
                    l->config.known_hosts);
    }
}

/* --- auth
 * ------------------------------------------------------------------------------------------
 */

/* In the pool: the session and the socket are this job's until it ends. */
static int agent_login(struct link_ssh *l, LIBSSH2_AGENT *agent,
                       struct libssh2_agent_publickey *id)
{
    int rc, sys;

    while ((rc = libssh2_agent_userauth(agent, l->config.user, id)) ==
           LIBSSH2_ERROR_EAGAIN) {
        if (atomic_load(&l->agent_stop) || sock_ended(l->sock, &sys)) {
            break;
        }
        sock_poll(l->sock, AGENT_POLL_MS);
    }
    return rc;
}

static bool may_try(struct link_ssh *l,
                    const struct libssh2_agent_publickey *id)
{
    const struct buf *only = &l->key.blob;

    if (sshkey_blob_is(id->blob, id->blob_len, "ssh-rsa")) {
        l->agent_rsa++; /* it would only use up the server's patience */
        return false;
    }
    return only->len == 0 || (only->len == id->blob_len &&
                              memcmp(only->data, id->blob, only->len) == 0);
}

static enum agent_result try_agent(struct link_ssh *l, LIBSSH2_AGENT *agent)
{
    struct libssh2_agent_publickey *id = NULL;
    enum agent_result result = AGENT_EMPTY;

    if (libssh2_agent_connect(agent) != 0 ||
        libssh2_agent_list_identities(agent) != 0) {
        return AGENT_ABSENT;
    }
    while (libssh2_agent_get_identity(agent, &id, id) == 0) {
        if (!may_try(l, id)) {
            continue;
        }
        int rc = agent_login(l, agent, id);
        if (rc == 0 || rc == LIBSSH2_ERROR_EAGAIN) {
            /* Never another attempt after a success: it would hang. */
            return rc == 0 ? AGENT_OK : AGENT_CUT;
        }
        result = AGENT_REFUSED;
    }
    return result;
}

static void agent_work(uv_work_t *w)
{
    struct link_ssh *l = w->data;
    LIBSSH2_AGENT *agent = libssh2_agent_init(l->session);

    l->agent_result = AGENT_ABSENT;
    if (agent != NULL) {
        l->agent_result = try_agent(l, agent);
        (void)libssh2_agent_disconnect(agent);
        libssh2_agent_free(agent);
    }
}

static void on_agent_done(uv_work_t *w, int status)
{
    struct link_ssh *l = w->data;

    l->agent = AGENT_DONE;
    if (status < 0) {
        l->agent_result = AGENT_CUT; /* cancelled before it began */
    }
    if (l->base.closing || l->base.ended) {
        sock_drop(&l->sock);
    } else {
        run(l);
    }
    handles_release(&l->handles);
}

static enum step start_agent(struct link_ssh *l)
{
    sock_watch(l->sock, 0);
    l->agent_job.data = l;
    int rc = uv_queue_work(l->loop, &l->agent_job, agent_work, on_agent_done);
    if (rc < 0) {
        return fail(l, ERR_IO, -rc, DR_KEY_FILE, TRANSIENT,
                    "cannot ask the ssh-agent");
    }
    handles_hold(&l->handles);
    l->agent = AGENT_RUNNING;
    return STEP_WAIT;
}

static enum step judge_agent(struct link_ssh *l)
{
    int sys = 0;

    switch (l->agent_result) {
    case AGENT_OK:
        return enter(l, ST_OPEN);
    case AGENT_REFUSED:
        if (!sock_ended(l->sock, &sys)) {
            return fail_auth(l);
        }
        return fail_cut(l, sys);
    case AGENT_ABSENT:
        return fail(l, ERR_NOTFOUND, 0, DR_KEY_FILE, TRANSIENT,
                    "no ssh-agent answers at SSH_AUTH_SOCK");
    case AGENT_EMPTY:
        if (l->agent_rsa > 0) {
            return fail(l, ERR_INVALID, 0, DR_RSA_KEY, PERMANENT,
                        "the ssh-agent has only RSA keys, and libssh2 here "
                        "signs with those in SHA-1 only, which OpenSSH refuses "
                        "since 8.8; add an ed25519 key: ssh-keygen -t ed25519");
        }
        return fail(l, ERR_NOTFOUND, 0, DR_KEY_FILE, TRANSIENT,
                    "the ssh-agent does not have %s (ssh-add -l shows what it "
                    "has)",
                    l->config.identity != NULL ? l->config.identity : "a key");
    case AGENT_CUT:
        break;
    }
    (void)sock_ended(l->sock, &sys);
    return fail_cut(l, sys);
}

/* Next: st_open. */
static enum step st_auth(struct link_ssh *l)
{
    if (!l->use_agent) {
        return settle(l,
                      libssh2_userauth_publickey_fromfile_ex(
                          l->session, l->config.user,
                          (unsigned)strlen(l->config.user), NULL,
                          l->config.identity, NULL),
                      ST_OPEN);
    }
    switch (l->agent) {
    case AGENT_IDLE:
        return start_agent(l);
    case AGENT_RUNNING:
        return STEP_WAIT;
    case AGENT_DONE:
        break;
    }
    return judge_agent(l);
}

/* --- channel
 * ------------------------------------------------------------------------------------------
 */

/* Next: st_exec. */
static enum step st_open(struct link_ssh *l)
{
    l->channel = libssh2_channel_open_session(l->session);
    int rc = l->channel == NULL ? libssh2_session_last_errno(l->session) : 0;
    return settle(l, rc, ST_EXEC);
}

static void tell_up(struct link_ssh *l)
{
    char what[160];
    const char *cipher =
        libssh2_session_methods(l->session, LIBSSH2_METHOD_CRYPT_CS);

    (void)snprintf(what, sizeof what, "ssh, %s %s, %s", l->host_key_name,
                   l->fingerprint, cipher != NULL ? cipher : "?");
    link_tell_up(&l->base, what);
}

/* Next: st_stream. */
static enum step st_exec(struct link_ssh *l)
{
    enum step s = settle(l, libssh2_channel_exec(l->channel, l->config.command),
                         ST_STREAM);
    if (s == STEP_NEXT) {
        tell_up(l);
    }
    return s;
}

/* --- stream
 * --------------------------------------------------------------------------------------------
 */

/* One piece from the owner to libssh2.  WAIT: nothing to send, or no room. */
static enum step push(struct link_ssh *l)
{
    if (sock_waiting(l->sock) > SOCK_OUT_HIGH) {
        return STEP_WAIT;
    }
    if (l->piece_off == l->piece_len) {
        l->piece_off = 0;
        l->piece_len = link_tell_fill(&l->base, l->piece, sizeof l->piece);
        if (l->piece_len == 0 || l->base.closing) {
            l->piece_len = 0;
            return STEP_WAIT;
        }
    }
    /* A refused write is repeated with the same pointer and length. */
    ssize_t n =
        libssh2_channel_write(l->channel, (const char *)l->piece + l->piece_off,
                              l->piece_len - l->piece_off);
    l->blocked = n == LIBSSH2_ERROR_EAGAIN;
    if (n == LIBSSH2_ERROR_EAGAIN) {
        return STEP_WAIT; /* the end of the stream is drain()'s to find */
    }
    if (n < 0) {
        return settle(l, n, ST_STREAM);
    }
    l->piece_off += (size_t)n;
    return STEP_NEXT;
}

/* Up to READS_PER_STEP reads of one stream; *last_out: the last answer. */
static void drain_one(struct link_ssh *l, int stream, ssize_t *last_out)
{
    for (int i = 0; i < READS_PER_STEP && !l->base.closing; i++) {
        ssize_t n = libssh2_channel_read_ex(l->channel, stream,
                                            (char *)l->input, sizeof l->input);
        *last_out = n;
        if (n <= 0) {
            return;
        }
        if (stream == SSH_EXTENDED_DATA_STDERR) {
            link_tell_stderr(&l->base, l->input, (size_t)n);
        } else {
            link_tell_input(&l->base, l->input, (size_t)n);
        }
        if (l->base.paused) {
            return;
        }
    }
}

/* Stderr shares the channel's window and is read even when input is paused;
 * that also keeps re-keys and window updates moving, and what arrives for
 * stdout meanwhile is bounded by the window (2 MiB). */
static enum step drain(struct link_ssh *l)
{
    ssize_t out = LIBSSH2_ERROR_EAGAIN, errs = LIBSSH2_ERROR_EAGAIN;

    if (!l->base.paused) {
        drain_one(l, 0, &out);
    }
    drain_one(l, SSH_EXTENDED_DATA_STDERR, &errs);
    if (l->base.closing) {
        return STEP_WAIT;
    }
    if (out > 0 || errs > 0) {
        return STEP_NEXT;
    }
    if (libssh2_channel_eof(l->channel) == 1) {
        return enter(l, ST_GOODBYE);
    }
    if (l->base.paused) {
        return STEP_WAIT; /* an end counts when its data has been taken */
    }
    if (out != 0 && out != LIBSSH2_ERROR_EAGAIN) {
        return settle(l, out, ST_STREAM);
    }
    return settle(l, errs == 0 ? LIBSSH2_ERROR_EAGAIN : errs, ST_STREAM);
}

/* Writing first makes libssh2 take in what has arrived, so reading follows
 * whether or not the socket polls readable.  Next: st_goodbye. */
static enum step st_stream(struct link_ssh *l)
{
    l->kicked = false;
    enum step wrote = push(l);
    if (wrote == STEP_FAIL || l->base.closing) {
        return wrote;
    }
    enum step read = drain(l);
    if (read == STEP_WAIT && (wrote == STEP_NEXT || l->kicked)) {
        return STEP_NEXT;
    }
    return read;
}

static enum step say_how_it_ended(struct link_ssh *l)
{
    char *signal_name = NULL;
    size_t n = 0;
    int status = libssh2_channel_get_exit_status(l->channel);

    (void)libssh2_channel_get_exit_signal(l->channel, &signal_name, &n, NULL,
                                          NULL, NULL, NULL);
    if (signal_name != NULL) {
        char name[16];
        (void)snprintf(name, sizeof name, "%s", signal_name);
        libssh2_free(l->session, signal_name);
        return fail(l, ERR_CLOSED, 0, DR_LINK_LOST, TRANSIENT,
                    "the receiver was killed by signal %s", name);
    }
    if (status == 127 || status == 126) {
        return fail(l, ERR_NOTFOUND, 0, DR_NO_RECEIVER, PERMANENT,
                    "the receiver command cannot be run there (exit status %d)",
                    status);
    }
    return fail(l, ERR_CLOSED, 0, DR_LINK_LOST, TRANSIENT,
                "the receiver ended with exit status %d", status);
}

/* The exit status comes before the channel's close, if it comes. */
static enum step st_goodbye(struct link_ssh *l)
{
    int sys;

    if (libssh2_channel_wait_closed(l->channel) != LIBSSH2_ERROR_EAGAIN) {
        return say_how_it_ended(l);
    }
    return sock_ended(l->sock, &sys) ? fail_cut(l, sys) : STEP_WAIT;
}

/* --- the driver
 * ------------------------------------------------------------------------------------------
 */

/* The attempt is over: let go of the connection and tell the owner. */
static void finish(struct link_ssh *l)
{
    (void)uv_timer_stop(&l->deadline);
    (void)uv_idle_stop(&l->again);
    lookup_forget(&l->lookup);
    if (l->agent == AGENT_RUNNING) {
        atomic_store(&l->agent_stop, true);
        sock_shutdown(l->sock);
    } else {
        sock_drop(&l->sock);
    }
    link_end_stderr(&l->base);
    link_tell_down(&l->base, &l->err, l->permanent);
}

/* What to wait for. */
static void arm(struct link_ssh *l)
{
    int events = UV_READABLE, sys;

    if (l->sock == NULL || l->agent == AGENT_RUNNING) {
        return;
    }
    if (l->state == ST_CONNECT) {
        events = UV_WRITABLE;
    } else if (sock_ended(l->sock, &sys)) {
        events = 0; /* paused: the rest is in libssh2's queue */
    } else if (sock_waiting(l->sock) > 0) {
        events |= UV_WRITABLE;
    }
    sock_watch(l->sock, events);
}

static void on_again(uv_idle_t *h)
{
    run(h->data);
}

static void wake(struct link_ssh *l)
{
    (void)uv_idle_start(&l->again, on_again);
}

static void flush(struct link_ssh *l)
{
    if (l->sock != NULL && l->agent != AGENT_RUNNING) {
        sock_flush(l->sock);
    }
}

static void run(struct link_ssh *l)
{
    enum step s = l->failed ? STEP_FAIL : STEP_NEXT;
    int left = STEPS_PER_TURN;

    assert(!l->running && !l->base.ended && !l->base.closing);
    (void)uv_idle_stop(&l->again);
    l->running = true;
    flush(l);
    while (s == STEP_NEXT && left-- > 0 && !l->base.closing) {
        s = states[l->state].run(l);
    }
    l->running = false;
    if (l->base.closing) {
        return;
    }
    if (s == STEP_FAIL) {
        finish(l);
        return;
    }
    arm(l);
    if (s == STEP_NEXT) {
        wake(l);
    }
}

static void on_deadline(uv_timer_t *t)
{
    struct link_ssh *l = t->data;

    if (l->state == ST_CONNECT) {
        l->failed = connect_timed_out(l) == STEP_FAIL;
    } else if (l->state == ST_GOODBYE) {
        (void)fail(l, ERR_CLOSED, 0, DR_LINK_LOST, TRANSIENT,
                   "the receiver closed its output, but did not end");
        l->failed = true;
    } else {
        (void)fail(l, ERR_TIMEOUT, 0, id_of_cut(l), TRANSIENT,
                   "no answer in time");
        l->failed = true;
    }
    run(l);
}

/* --- operations
 * ---------------------------------------------------------------------------------------------
 */

static void ssh_start(struct link *base)
{
    wake((struct link_ssh *)base);
}

static void ssh_kick(struct link *base)
{
    struct link_ssh *l = (struct link_ssh *)base;
    enum step s = STEP_NEXT;

    if (l->state != ST_STREAM || l->running || l->blocked || l->failed) {
        l->kicked = true; /* the stream asks `fill` in its next step anyway */
        return;
    }
    l->running = true;
    for (int i = 0; i < STEPS_PER_TURN && s == STEP_NEXT; i++) {
        s = push(l);
    }
    l->running = false;
    if (!base->closing) {
        l->failed = s == STEP_FAIL;
        wake(l); /* what the write has taken in is read from there */
    }
}

static void ssh_pause_input(struct link *base)
{
    struct link_ssh *l = (struct link_ssh *)base;

    if (!base->paused && l->state == ST_STREAM && !l->running) {
        wake(l);
    } else {
        l->kicked = true;
    }
}

static void ssh_close(struct link *base)
{
    struct link_ssh *l = (struct link_ssh *)base;

    lookup_forget(&l->lookup);
    if (l->agent == AGENT_RUNNING) {
        atomic_store(&l->agent_stop, true);
        (void)uv_cancel((uv_req_t *)&l->agent_job);
        sock_shutdown(l->sock);
    } else if (l->sock != NULL) {
        if (l->session != NULL && l->state > ST_HANDSHAKE) {
            /* For the server's log; it counts as sent or it does not. */
            (void)libssh2_session_disconnect(l->session, "closed by drover");
        }
        sock_drop(&l->sock);
    }
    handles_close(&l->handles, (uv_handle_t *)&l->again);
    handles_close(&l->handles, (uv_handle_t *)&l->deadline);
}

static void free_config(struct link_ssh_config *c)
{
    const char *const strings[] = {c->host, c->user, c->identity,
                                   c->known_hosts, c->command};

    for (size_t i = 0; i < sizeof strings / sizeof strings[0]; i++) {
        free((void *)(uintptr_t)strings[i]);
    }
}

/* Everything has ended: no socket, no job, no handle. */
static void on_empty(void *owner)
{
    struct link_ssh *l = owner;

    if (l->hosts != NULL) {
        libssh2_knownhost_free(l->hosts);
    }
    if (l->session != NULL) {
        /* Without a socket it cannot wait, but it may count to some steps. */
        for (int i = 0; i < 100; i++) {
            if (libssh2_session_free(l->session) != LIBSSH2_ERROR_EAGAIN) {
                break;
            }
        }
    }
    if (l->addrs != NULL) {
        uv_freeaddrinfo(l->addrs);
    }
    known_hosts_deinit(&l->known);
    sshkey_deinit(&l->key);
    free_config(&l->config);
    free(l->known_name);
    free(l->where);
    link_deinit(&l->base);
    free(l);
}

/* --- making one
 * --------------------------------------------------------------------------------------------------
 */

static const struct link_kind ssh_kind = {
    .start = ssh_start,
    .kick = ssh_kick,
    .pause_input = ssh_pause_input,
    .close = ssh_close,
};

static uv_once_t init_once = UV_ONCE_INIT;
static int init_rc;

static void init_library(void)
{
    init_rc = libssh2_init(0);
}

static char *lower_case(const char *s)
{
    char *copy = strdup(s);

    for (char *p = copy; p != NULL && *p != '\0'; p++) {
        if (*p >= 'A' && *p <= 'Z') {
            *p = (char)(*p - 'A' + 'a');
        }
    }
    return copy;
}

static bool copy_string(const char **s)
{
    if (*s != NULL) {
        *s = strdup(*s);
        return *s != NULL;
    }
    return true;
}

/* The texts that name this link. */
static bool make_names(struct link_ssh *l, char **name_out)
{
    const struct link_ssh_config *c = &l->config;
    bool six = strchr(c->host, ':') != NULL;
    const char *open = six ? "[" : "", *shut = six ? "]" : "";

    if (asprintf(&l->where, "%s%s%s:%u, user %s", open, c->host, shut,
                 (unsigned)c->port, c->user) < 0) {
        l->where = NULL;
        return false;
    }
    if (asprintf(name_out, "ssh %s@%s%s%s:%u", c->user, open, c->host, shut,
                 (unsigned)c->port) < 0) {
        *name_out = NULL;
        return false;
    }
    return true;
}

static bool copy_config(struct link_ssh *l, const struct link_ssh_config *from)
{
    struct link_ssh_config *c = &l->config;

    *c = *from;
    c->port = from->port != 0 ? from->port : 22;
    if (c->connect_timeout_ms <= 0) {
        c->connect_timeout_ms = CONNECT_TIMEOUT_MS;
    }
    if (c->login_timeout_ms <= 0) {
        c->login_timeout_ms = LOGIN_TIMEOUT_MS;
    }
    bool ok = copy_string(&c->host);
    ok = copy_string(&c->user) && ok;
    ok = copy_string(&c->identity) && ok;
    ok = copy_string(&c->known_hosts) && ok;
    ok = copy_string(&c->command) && ok;
    l->known_name = lower_case(from->host);
    return ok && l->known_name != NULL;
}

static int check_config(const struct link_ssh_config *c, struct err *err)
{
    const struct {
        const char *name, *value;
    } needed[] = {{"host", c->host},
                  {"user", c->user},
                  {"known_hosts", c->known_hosts},
                  {"command", c->command}};

    for (size_t i = 0; i < sizeof needed / sizeof needed[0]; i++) {
        if (needed[i].value == NULL || needed[i].value[0] == '\0') {
            err_set(err, ERR_INVALID, 0, "the ssh link's setting %s is empty",
                    needed[i].name);
            err->id = DR_CONFIG;
            return err->code;
        }
    }
    return 0;
}

static void init_handles(struct link_ssh *l)
{
    handles_init(&l->handles, on_empty, l);
    (void)uv_timer_init(l->loop, &l->deadline);
    l->deadline.data = l;
    handles_hold(&l->handles);
    (void)uv_idle_init(l->loop, &l->again);
    l->again.data = l;
    handles_hold(&l->handles);
}

struct link *link_ssh_new(uv_loop_t *loop, const struct link_ssh_config *config,
                          const struct link_events *events, void *arg,
                          struct err *err)
{
    if (check_config(config, err) < 0) {
        return NULL;
    }
    uv_once(&init_once, init_library);
    struct link_ssh *l = init_rc == 0 ? calloc(1, sizeof *l) : NULL;
    if (l == NULL) {
        err_set(err, ERR_NOMEM, 0, "no memory for an ssh link");
        return NULL;
    }
    char *name = NULL;
    if (!copy_config(l, config) || !make_names(l, &name)) {
        free_config(&l->config);
        free(l->known_name);
        free(l->where);
        free(l);
        err_set(err, ERR_NOMEM, 0, "no memory for an ssh link");
        return NULL;
    }
    l->loop = loop;
    atomic_init(&l->agent_stop, false);
    link_init(&l->base, &ssh_kind, events, arg, name);
    init_handles(l);
    return &l->base;
}
