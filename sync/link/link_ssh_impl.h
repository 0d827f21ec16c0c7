/* SPDX-License-Identifier: MIT
 *
 * link_ssh_impl: what the files of link_ssh share.
 *
 * A link over SSH is one TCP connection, one session and one exec channel.
 * Lowest first: link_ssh_step.c enters states and fails in them; link_ssh.c
 * holds the conversation and is the only file that knows libssh2;
 * link_ssh_dial.c reads the local files and connects, link_ssh_run.c drives and
 * ends the link, link_ssh_new.c makes and frees it.
 *
 * Happy path, one state function each, in running order:
 *   prepare      read key file and known_hosts; nothing is on the wire yet
 *   resolve      name lookup on a thread of its own
 *   connect      each address in turn, each with its share of the time
 *   handshake    banner and key exchange; host key types that known_hosts has
 *                for this host are asked for first
 *   host_key     against known_hosts: nothing secret was sent before
 *   auth         key file, or ssh-agent on a thread (its socket is blocking)
 *   open, exec   the channel and the command; then `up`
 *   stream       output is pulled and written, stdout and stderr are drained
 *   goodbye      the channel ended: wait a moment for the exit status
 * link_ssh_run() is their only caller.  Each returns NEXT (call me or my
 * successor again), WAIT (for the socket, a thread or a kick) or FAIL (l->err
 * says why).
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
 * session and the socket are its own and link_ssh_run() keeps away from them.
 */
#pragma once

#include <stdatomic.h>

#include "sync/errors/state.h"
#include "sync/link/handles.h"
#include "sync/link/heap.h"
#include "sync/link/known_hosts.h"
#include "sync/link/link_kind.h"
#include "sync/link/lookup.h"
#include "sync/link/sock.h"
#include "sync/link/sshkey.h"
#include "sync/link/worker.h"

enum {
    /* Exactly one SSH packet: libssh2 sends no more than this per call. */
    PIECE_BYTES = 32700,
    INPUT_BYTES = 32768,
    SSH_HOST_KEY_TYPES = 4,
    STEPS_PER_TURN = 8, /* then other links have their turn */
    /* A session holds some 100 KiB and up to 2 MiB of unread input; a peer that
     * makes it hold more than this is cut off. */
    HEAP_BYTES_MAX = 16 * 1024 * 1024,
    PERMANENT = 1, /* for link_ssh_fail(): trying again soon is pointless */
    TRANSIENT = 0,
};

enum step { STEP_NEXT, STEP_WAIT, STEP_FAIL };

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
    char *known_port_name;         /* the same as "[host]:port" */
    const char *known_as;          /* the one of both that counts */
    char *where;                   /* "host:port, user name" */

    /* Of link_ssh_run.c, for what libuv calls back in the files below. */
    void (*run)(struct link_ssh *l);
    uv_timer_cb on_deadline;
    uv_timer_t deadline;
    uv_idle_t again; /* go on in the next turn */
    enum state_id state;
    bool running; /* inside link_ssh_run(), _push() or a callback from there */
    bool kicked;  /* while running */
    bool failed;  /* STEP_FAIL met outside link_ssh_run(): tell it from there */
    bool blocked; /* the piece waits for the channel's window */
    struct err err;
    bool permanent;

    struct lookup *lookup;
    struct addrinfo *addrs;
    struct addrinfo *addr; /* being tried */
    uint64_t connect_until_ms;
    struct sock *sock;
    uint64_t received; /* bytes libssh2 has taken in */

    struct known_hosts known;
    bool type_known[SSH_HOST_KEY_TYPES]; /* known_hosts has one for this host */
    bool rsa_known;
    struct sshkey key;
    bool use_agent;
    char fingerprint[SSHKEY_FINGERPRINT_BYTES]; /* of the host key */
    const char *host_key_name;

    struct heap heap; /* the session's memory */
    struct _LIBSSH2_SESSION *session;
    struct _LIBSSH2_KNOWNHOSTS *hosts;
    struct _LIBSSH2_CHANNEL *channel;

    enum agent_state agent;
    enum agent_result agent_result;
    unsigned agent_rsa;   /* keys passed over because they are RSA */
    unsigned agent_tried; /* keys that were shown to the server */
    atomic_bool agent_stop;

    size_t piece_len, piece_off;
    uint8_t piece[PIECE_BYTES];
    uint8_t input[INPUT_BYTES];
};

/* --- the states, in running order ---------------------------------------- */
/* link_ssh_dial.c */
enum step link_ssh_st_prepare(struct link_ssh *l);
enum step link_ssh_st_resolve(struct link_ssh *l);
enum step link_ssh_st_connect(struct link_ssh *l);
/* link_ssh.c */
enum step link_ssh_st_handshake(struct link_ssh *l);
enum step link_ssh_st_host_key(struct link_ssh *l);
enum step link_ssh_st_auth(struct link_ssh *l);
enum step link_ssh_st_open(struct link_ssh *l);
enum step link_ssh_st_exec(struct link_ssh *l);
enum step link_ssh_st_stream(struct link_ssh *l);
enum step link_ssh_st_goodbye(struct link_ssh *l);

/* --- link_ssh_run.c ------------------------------------------------------ */
extern const struct link_kind link_ssh_kind;
/* Go on until there is something to wait for; from the loop only. */
void link_ssh_run(struct link_ssh *l);
void link_ssh_on_deadline(uv_timer_t *t);

/* --- link_ssh_step.c ----------------------------------------------------- */
/* Begin a state and its clock; STEP_NEXT. */
enum step link_ssh_enter(struct link_ssh *l, enum state_id state);
/* From now on, until the next enter. */
void link_ssh_set_deadline(struct link_ssh *l, int64_t ms);
/* Remember why; STEP_FAIL. */
enum step link_ssh_fail(struct link_ssh *l, int code, int sys, int id,
                        int permanent, const char *fmt, ...)
    __attribute__((format(printf, 6, 7)));
/* Put where and when in front of an error that another module made. */
enum step link_ssh_fail_with(struct link_ssh *l, const struct err *err,
                             int permanent);
/* The connection ended (sys 0) or broke. */
enum step link_ssh_fail_cut(struct link_ssh *l, int sys);
/* What a lost connection means in this state: a DR_ number. */
int link_ssh_id_of_cut(const struct link_ssh *l);
/* "-p 2222 " or "", as ssh-keyscan takes it. */
const char *link_ssh_port_option(const struct link_ssh *l, char out[16]);

/* --- link_ssh_dial.c ----------------------------------------------------- */
/* This address did not answer in time: STEP_NEXT with the next one, or FAIL. */
enum step link_ssh_next_addr(struct link_ssh *l);

/* --- link_ssh.c ---------------------------------------------------------- */
/* Once per program; 0 or libssh2's error. */
int link_ssh_init_library(void);
/* Connected: make the session.  Next: st_handshake. */
enum step link_ssh_begin(struct link_ssh *l);
/* One piece from the owner to the channel.  WAIT: nothing to send, or no room.
 */
enum step link_ssh_push(struct link_ssh *l);
/* For the server's log; it gets there or it does not. */
void link_ssh_bye(struct link_ssh *l);
/* Free the session; the socket is gone by now. */
void link_ssh_end_session(struct link_ssh *l);

/* --- link_ssh_new.c ------------------------------------------------------ */
/* Everything has ended: no socket, no job, no handle. */
void link_ssh_free(void *owner);
