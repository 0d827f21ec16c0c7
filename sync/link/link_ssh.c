/* SPDX-License-Identifier: MIT
 *
 * link_ssh: the SSH conversation, from the handshake to the goodbye.  The only
 * file that knows libssh2.  The story is in link_ssh_impl.h. */
#include "sync/link/link_ssh_impl.h"

#include <assert.h>
#include <errno.h>
#include <libssh2.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "store/base/buf.h"

enum { READS_PER_STEP = 4, AGENT_POLL_MS = 100 };

/* What is offered; a server must have one of each.  All of it is in OpenSSH's
 * defaults; SHA-1, CBC and the like are left out on purpose.  So are groups of
 * 8192 bits, and those that the server chooses: the exchange is reckoned on the
 * loop, and with group18 it holds all replicas up for a fifth of a second. */
#define OUR_KEX                                                                \
    "curve25519-sha256,curve25519-sha256@libssh.org,ecdh-sha2-nistp256,"       \
    "ecdh-sha2-nistp384,ecdh-sha2-nistp521,"                                   \
    "diffie-hellman-group14-sha256,diffie-hellman-group16-sha512"
#define OUR_CIPHERS "aes128-ctr,aes192-ctr,aes256-ctr"
#define OUR_MACS "hmac-sha2-256,hmac-sha2-512"

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
static_assert(sizeof host_key_types / sizeof host_key_types[0] ==
                  SSH_HOST_KEY_TYPES,
              "the link has a flag for each");

/* --- answers ------------------------------------------------------------- */

static enum step fail_auth(struct link_ssh *l)
{
    char many[128] = "";

    if (l->agent_tried > 1) {
        (void)snprintf(many, sizeof many,
                       " (%u; it hangs up after some: name the right one by "
                       "its public half, identity = FILE.pub)",
                       l->agent_tried);
    }
    return link_ssh_fail(
        l, ERR_REFUSED, 0, DR_AUTH, PERMANENT,
        "the server refused %s%s.  Causes: the public key is not in this "
        "user's authorized_keys; its from= does not allow this host; "
        "the account is locked; or file modes there are too open.  "
        "To see which, run on the replica: journalctl -u ssh -n 20",
        l->config.identity != NULL ? l->config.identity : "the agent's keys",
        many);
}

/* It took the key and was shown a signature, and is not content. */
static enum step fail_half_way(struct link_ssh *l)
{
    int sys;

    if (sock_ended(l->sock, &sys)) {
        return link_ssh_fail_cut(l, sys);
    }
    return link_ssh_fail(
        l, ERR_REFUSED, 0, DR_AUTH, PERMANENT,
        "the server knows %s, but it also asks for a second factor, which "
        "the agent cannot give.  To see it, run on the replica: sshd -T -C "
        "user=%s | grep authenticationmethods",
        l->config.identity != NULL ? l->config.identity : "the agent's key",
        l->config.user);
}

static enum step fail_handshake(struct link_ssh *l)
{
    return link_ssh_fail(
        l, ERR_REFUSED, 0, DR_HANDSHAKE, PERMANENT,
        "no algorithms in common.  The server needs one of each: "
        "KexAlgorithms curve25519-sha256, ecdh-sha2-nistp256 or "
        "diffie-hellman-group14-sha256; Ciphers %s; MACs %s; a host "
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
    case LIBSSH2_ERROR_PUBLICKEY_UNVERIFIED:
        return fail_half_way(l);
    case LIBSSH2_ERROR_FILE:
        return link_ssh_fail(l, ERR_INVALID, 0, DR_KEY_FILE, PERMANENT,
                             "key file %s cannot be used: %s",
                             l->config.identity, text);
    case LIBSSH2_ERROR_CHANNEL_REQUEST_DENIED:
        return link_ssh_fail(l, ERR_REFUSED, 0, DR_NO_RECEIVER, PERMANENT,
                             "the server starts no command for this user");
    case LIBSSH2_ERROR_ALLOC:
        return link_ssh_fail(l, ERR_NOMEM, 0, link_ssh_id_of_cut(l), TRANSIENT,
                             "out of memory");
    default:
        return link_ssh_fail(l, ERR_PROTO, 0, link_ssh_id_of_cut(l), TRANSIENT,
                             "%s (libssh2 %d)", text, rc);
    }
}

/* libssh2 answered: go on in `next`, wait, or fail. */
static enum step settle(struct link_ssh *l, long rc, enum state_id next)
{
    int sys;

    if (rc == LIBSSH2_ERROR_EAGAIN) {
        return sock_ended(l->sock, &sys) ? link_ssh_fail_cut(l, sys)
                                         : STEP_WAIT;
    }
    return rc < 0 ? fail_ssh(l, (int)rc) : link_ssh_enter(l, next);
}

/* --- handshake ----------------------------------------------------------- */

/* libssh2 uses the same two callbacks for its blocking talk with the
 * ssh-agent, on a thread of its own; here it can be made to end when we want.
 */
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
    ssize_t n = sock_get(l->sock, buffer, length);
    l->received += n > 0 ? (uint64_t)n : 0;
    return n;
}

static LIBSSH2_ALLOC_FUNC(on_alloc)
{
    struct link_ssh *l = *abstract;

    return heap_get(&l->heap, count);
}

static LIBSSH2_REALLOC_FUNC(on_realloc)
{
    struct link_ssh *l = *abstract;

    return heap_resize(&l->heap, ptr, count);
}

static LIBSSH2_FREE_FUNC(on_free)
{
    struct link_ssh *l = *abstract;

    heap_free(&l->heap, ptr);
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

/* No port for libssh2: it would go on to the plain name after a line of
 * "[host]:port" that has another key. */
static int check_known(const struct link_ssh *l, const char *blob, size_t n,
                       int type, struct libssh2_knownhost **found)
{
    return libssh2_knownhost_checkp(l->hosts, l->known_as, -1, blob, n,
                                    LIBSSH2_KNOWNHOST_TYPE_PLAIN |
                                        LIBSSH2_KNOWNHOST_KEYENC_RAW | type,
                                    found);
}

/* A key that cannot be anyone's "mismatches" where one of its type is known;
 * this works for hashed names too. */
static bool is_known(const struct link_ssh *l, int type)
{
    return check_known(l, "probe", 5, type, NULL) ==
           LIBSSH2_KNOWNHOST_CHECK_MISMATCH;
}

/* A line of exactly this host and port decides, whatever its key's type; only
 * without one does a line of the host alone count.  Type 0 is any. */
static void choose_known_name(struct link_ssh *l)
{
    l->known_as = l->known_port_name;
    if (!is_known(l, 0)) {
        l->known_as = l->known_name;
    }
}

/* Types that known_hosts has for this host come first: the server presents only
 * one key, and it should be one that can be compared.  The others follow, so
 * that a host which is not known yet can be named with its fingerprint. */
static int prefer_known_types(struct link_ssh *l)
{
    char list[256] = "";
    size_t used = 0;

    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < SSH_HOST_KEY_TYPES; i++) {
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
    choose_known_name(l);
    int rc = prefer_known_types(l);

    for (size_t i = 0; i < sizeof prefs / sizeof prefs[0] && rc == 0; i++) {
        rc = libssh2_session_method_pref(l->session, prefs[i].method,
                                         prefs[i].list);
    }
    return rc;
}

enum step link_ssh_begin(struct link_ssh *l)
{
    LIBSSH2_SEND_FUNC((*send_fn)) = on_send;
    LIBSSH2_RECV_FUNC((*recv_fn)) = on_recv;
    struct err err;

    heap_init(&l->heap, HEAP_BYTES_MAX);
    l->session = libssh2_session_init_ex(on_alloc, on_free, on_realloc, l);
    l->hosts = l->session != NULL ? libssh2_knownhost_init(l->session) : NULL;
    if (l->hosts == NULL) {
        return link_ssh_fail(l, ERR_NOMEM, 0, DR_CONNECT, TRANSIENT,
                             "out of memory");
    }
    libssh2_session_set_blocking(l->session, 0);
    set_callback(l->session, LIBSSH2_CALLBACK_SEND, &send_fn);
    set_callback(l->session, LIBSSH2_CALLBACK_RECV, &recv_fn);
    if (feed_known_hosts(l, &err) < 0) {
        return link_ssh_fail_with(l, &err, PERMANENT);
    }
    int rc = prefer_methods(l);
    return rc < 0 ? fail_ssh(l, rc) : link_ssh_enter(l, ST_HANDSHAKE);
}

/* Next: link_ssh_st_host_key. */
enum step link_ssh_st_handshake(struct link_ssh *l)
{
    /* The descriptor is only looked at by libssh2: see on_recv. */
    return settle(l, libssh2_session_handshake(l->session, sock_fd(l->sock)),
                  ST_HOST_KEY);
}

/* --- host key ------------------------------------------------------------ */

static enum step fail_unknown(struct link_ssh *l, const struct host_key_type *t)
{
    const char *file = l->config.known_hosts, *also = "";
    bool other = l->rsa_known;
    char port[16];

    for (size_t i = 0; i < SSH_HOST_KEY_TYPES; i++) {
        other = other || l->type_known[i];
    }
    if (other) {
        also = " (only a key of another type)";
    } else if (l->known.unsupported > 0) {
        also = " (its lines with @cert-authority, * or ? are not supported)";
    }
    return link_ssh_fail(
        l, ERR_REFUSED, 0, DR_HOST_KEY_UNKNOWN, PERMANENT,
        "%s does not have this host's key, %s %s%s.  Compare it with "
        "ssh-keygen -lf /etc/ssh/ssh_host_%s_key.pub on the replica; "
        "if equal: ssh-keyscan -t %s %s%s >> %s",
        file, t->name, l->fingerprint, also, t->brief, t->brief,
        link_ssh_port_option(l, port), l->config.host, file);
}

static enum step fail_changed(struct link_ssh *l, const struct host_key_type *t,
                              const struct libssh2_knownhost *was)
{
    char expected[SSHKEY_FINGERPRINT_BYTES] = "?";
    const struct known_line *line = known_hosts_line_of(&l->known, was->key);

    if (line != NULL) {
        sshkey_fingerprint(line->blob.data, line->blob.len, expected);
    }
    return link_ssh_fail(
        l, ERR_REFUSED, 0, DR_HOST_KEY_CHANGED, PERMANENT,
        "HOST KEY CHANGED: the host presents %s %s, but %s line %u has "
        "%s.  Either the replica was reinstalled or someone may be "
        "intercepting the connection.  Compare ssh-keygen -lf "
        "/etc/ssh/ssh_host_%s_key.pub "
        "on the replica; only if it shows the first one, replace that "
        "line",
        t->name, l->fingerprint, l->config.known_hosts,
        line != NULL ? line->number : 0, expected, t->brief);
}

static const struct host_key_type *type_of(int hostkey)
{
    for (size_t i = 0; i < SSH_HOST_KEY_TYPES; i++) {
        if (host_key_types[i].hostkey == hostkey) {
            return &host_key_types[i];
        }
    }
    return NULL;
}

/* Next: link_ssh_st_auth. */
enum step link_ssh_st_host_key(struct link_ssh *l)
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
        return link_ssh_fail(
            l, ERR_REFUSED, 0, DR_KNOWN_HOSTS, PERMANENT,
            "%s line %u has REVOKED the key that this host presents, "
            "%s %s.  Give the host a new key",
            l->config.known_hosts, revoked->number, t->name, l->fingerprint);
    }
    switch (check_known(l, blob, n, t->known, &found)) {
    case LIBSSH2_KNOWNHOST_CHECK_MATCH:
        return link_ssh_enter(l, ST_AUTH);
    case LIBSSH2_KNOWNHOST_CHECK_MISMATCH:
        return fail_changed(l, t, found);
    case LIBSSH2_KNOWNHOST_CHECK_NOTFOUND:
        return fail_unknown(l, t);
    default:
        return link_ssh_fail(l, ERR_IO, 0, DR_KNOWN_HOSTS, TRANSIENT,
                             "libssh2 could not compare the key with %s",
                             l->config.known_hosts);
    }
}

/* --- auth ---------------------------------------------------------------- */

/* On the thread: the session and the socket are this job's until it ends. */
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
        l->agent_tried++;
        int rc = agent_login(l, agent, id);
        if (rc == 0 || rc == LIBSSH2_ERROR_EAGAIN) {
            /* Never another attempt after a success: it would hang. */
            return rc == 0 ? AGENT_OK : AGENT_CUT;
        }
        result = AGENT_REFUSED;
    }
    return result;
}

static void agent_work(void *arg)
{
    struct link_ssh *l = arg;
    LIBSSH2_AGENT *agent = libssh2_agent_init(l->session);

    l->agent_result = AGENT_ABSENT;
    if (agent != NULL) {
        l->agent_result = try_agent(l, agent);
        (void)libssh2_agent_disconnect(agent);
        libssh2_agent_free(agent);
    }
}

static void on_agent_done(void *arg)
{
    struct link_ssh *l = arg;

    l->agent = AGENT_DONE;
    if (l->base.closing || l->base.ended) {
        sock_drop(&l->sock);
    } else {
        l->run(l);
    }
    handles_release(&l->handles);
}

static enum step start_agent(struct link_ssh *l)
{
    struct err err;

    sock_watch(l->sock, 0);
    if (worker_start(l->loop, agent_work, on_agent_done, l, &err) < 0) {
        return link_ssh_fail(l, err.code, err.sys, DR_KEY_FILE, TRANSIENT,
                             "cannot ask the ssh-agent: %s", err.msg);
    }
    handles_hold(&l->handles);
    l->agent = AGENT_RUNNING;
    return STEP_WAIT;
}

/* The connection ended in an agent's login: by a server that has seen too many
 * keys, or by anything else.  When it hangs up while the next key is on its
 * way, writing that is what fails. */
static enum step fail_agent_cut(struct link_ssh *l)
{
    int sys = 0;

    bool hung_up = sock_ended(l->sock, &sys) &&
                   (sys == 0 || sys == EPIPE || sys == ECONNRESET);
    return hung_up && l->agent_tried > 1 ? fail_auth(l)
                                         : link_ssh_fail_cut(l, sys);
}

static enum step judge_agent(struct link_ssh *l)
{
    int sys = 0;

    switch (l->agent_result) {
    case AGENT_OK:
        return link_ssh_enter(l, ST_OPEN);
    case AGENT_REFUSED:
        if (!sock_ended(l->sock, &sys)) {
            return fail_auth(l);
        }
        return fail_agent_cut(l);
    case AGENT_ABSENT:
        return link_ssh_fail(l, ERR_NOTFOUND, 0, DR_KEY_FILE, TRANSIENT,
                             "no ssh-agent answers at SSH_AUTH_SOCK");
    case AGENT_EMPTY:
        if (l->agent_rsa > 0 && l->key.blob.len == 0) {
            return link_ssh_fail(
                l, ERR_INVALID, 0, DR_RSA_KEY, PERMANENT,
                "the ssh-agent has only RSA keys, and libssh2 here "
                "signs with those in SHA-1 only, which OpenSSH refuses "
                "since 8.8; add an ed25519 key: ssh-keygen -t ed25519");
        }
        return link_ssh_fail(
            l, ERR_NOTFOUND, 0, DR_KEY_FILE, TRANSIENT,
            "the ssh-agent does not have %s (ssh-add -l shows what it "
            "has)",
            l->config.identity != NULL ? l->config.identity : "a key");
    case AGENT_CUT:
        break;
    }
    return fail_agent_cut(l);
}

/* Next: link_ssh_st_open. */
enum step link_ssh_st_auth(struct link_ssh *l)
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

/* --- channel ------------------------------------------------------------- */

/* Next: link_ssh_st_exec. */
enum step link_ssh_st_open(struct link_ssh *l)
{
    l->channel = libssh2_channel_open_session(l->session);
    int rc = l->channel == NULL ? libssh2_session_last_errno(l->session) : 0;
    return settle(l, rc, ST_EXEC);
}

static void report_up(struct link_ssh *l)
{
    char what[160];
    const char *cipher =
        libssh2_session_methods(l->session, LIBSSH2_METHOD_CRYPT_CS);

    (void)snprintf(what, sizeof what, "ssh, %s %s, %s", l->host_key_name,
                   l->fingerprint, cipher != NULL ? cipher : "?");
    link_notify_up(&l->base, what);
}

/* Next: link_ssh_st_stream. */
enum step link_ssh_st_exec(struct link_ssh *l)
{
    enum step s = settle(l, libssh2_channel_exec(l->channel, l->config.command),
                         ST_STREAM);

    if (s == STEP_NEXT) {
        report_up(l);
    }
    return s;
}

/* --- stream -------------------------------------------------------------- */

enum step link_ssh_push(struct link_ssh *l)
{
    if (sock_waiting(l->sock) > SOCK_OUT_HIGH) {
        return STEP_WAIT;
    }
    if (l->piece_off == l->piece_len) {
        l->piece_off = 0;
        l->piece_len = link_notify_fill(&l->base, l->piece, sizeof l->piece);
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
            link_notify_stderr(&l->base, l->input, (size_t)n);
        } else {
            link_notify_input(&l->base, l->input, (size_t)n);
        }
    }
}

/* Both streams share the channel's window. */
static enum step drain(struct link_ssh *l)
{
    ssize_t out = LIBSSH2_ERROR_EAGAIN, errs = LIBSSH2_ERROR_EAGAIN;
    uint64_t before = l->received;

    drain_one(l, 0, &out);
    drain_one(l, SSH_EXTENDED_DATA_STDERR, &errs);
    if (l->base.closing) {
        return STEP_WAIT;
    }
    /* A read takes in whatever has arrived, also for the other stream or the
     * window, and no poll tells of it any more.  So only a round that took in
     * nothing at all may be followed by waiting. */
    if (out > 0 || errs > 0 || l->received != before) {
        return STEP_NEXT;
    }
    if (libssh2_channel_eof(l->channel) == 1) {
        return link_ssh_enter(l, ST_GOODBYE);
    }
    if (out != 0 && out != LIBSSH2_ERROR_EAGAIN) {
        return settle(l, out, ST_STREAM);
    }
    return settle(l, errs == 0 ? LIBSSH2_ERROR_EAGAIN : errs, ST_STREAM);
}

/* Writing first makes libssh2 take in what has arrived, so reading follows
 * whether or not the socket polls readable.  Next: link_ssh_st_goodbye. */
enum step link_ssh_st_stream(struct link_ssh *l)
{
    l->kicked = false;
    enum step wrote = link_ssh_push(l);
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
        return link_ssh_fail(l, ERR_CLOSED, 0, DR_LINK_LOST, TRANSIENT,
                             "the receiver was killed by signal %s", name);
    }
    if (status == 127 || status == 126) {
        return link_ssh_fail(
            l, ERR_NOTFOUND, 0, DR_NO_RECEIVER, PERMANENT,
            "the receiver command cannot be run there (exit status %d)",
            status);
    }
    if (status == 64 ||
        status == 78) { /* EX_USAGE, EX_CONFIG: the same again */
        return link_ssh_fail(l, ERR_REFUSED, 0, DR_NO_RECEIVER, PERMANENT,
                             "the receiver refused its command line or its "
                             "settings (exit status %d)",
                             status);
    }
    return link_ssh_fail(l, ERR_CLOSED, 0, DR_LINK_LOST, TRANSIENT,
                         "the receiver ended with exit status %d", status);
}

/* The exit status comes before the channel's close, if it comes. */
enum step link_ssh_st_goodbye(struct link_ssh *l)
{
    int sys;

    if (libssh2_channel_wait_closed(l->channel) != LIBSSH2_ERROR_EAGAIN) {
        return say_how_it_ended(l);
    }
    return sock_ended(l->sock, &sys) ? link_ssh_fail_cut(l, sys) : STEP_WAIT;
}

void link_ssh_bye(struct link_ssh *l)
{
    (void)libssh2_session_disconnect(l->session, "closed by drover");
}

void link_ssh_end_session(struct link_ssh *l)
{
    if (l->hosts != NULL) {
        libssh2_knownhost_free(l->hosts);
    }
    if (l->session != NULL) {
        /* Without a socket it cannot wait, but it may take some steps. */
        for (int i = 0; i < 100; i++) {
            if (libssh2_session_free(l->session) != LIBSSH2_ERROR_EAGAIN) {
                break;
            }
        }
    }
    heap_deinit(&l->heap);
}

int link_ssh_init_library(void)
{
    return libssh2_init(0);
}
