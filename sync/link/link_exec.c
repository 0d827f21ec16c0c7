/* SPDX-License-Identifier: MIT
 *
 * link_exec: a link to a child process that speaks the protocol on its stdin
 * and stdout: a receiver on this host, or OpenSSH's client.
 *
 * Happy path: link_start() wakes `again`; the child is spawned there with three
 * pipes; `up`; output is pulled from the owner in pieces of 64 KiB and written
 * at once, and only what the pipe does not take waits in a uv_write; input and
 * stderr are handed on as they come.
 *
 * Failures: the child cannot be started: `down` with DR_CHILD.  It exits,
 * closes its stdout or no longer reads: what it still has to say (its exit
 * status, the rest of both pipes) is gathered until it is silent for LINGER_MS,
 * then `down`.
 *
 * Close: the pipes are closed, which is the polite word to leave.  Whoever of
 * the child's process group is left after TERM_MS gets SIGTERM, after KILL_MS
 * SIGKILL, or at once with link_kill(); after GIVE_UP_MS (a process stuck in
 * the kernel) it is left behind.
 *
 * Only our ends of the pipes are non-blocking: each end of a pipe has its own
 * file description.
 *
 * A child has the three pipes and no other descriptor, default signals (libuv
 * sees to these), and of our rights and environment what child.h leaves.
 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

#include "store/base/buf.h"
#include "store/base/cleanup.h"
#include "sync/errors/state.h"
#include "sync/link/child.h"
#include "sync/link/handles.h"
#include "sync/link/link_kind.h"
#include "sync/link/sshkey.h"

enum {
    PIECE_BYTES = 65536,
    PIPE_BYTES = 262144, /* asked of the kernel; less is fine */
    PIECES_PER_TURN = 8, /* then other links have their turn */
    LINGER_MS = 1000,    /* of silence */
    LINGER_MAX_MS = 10000,
    REAP_MS = 20,
    TERM_MS = 500,
    KILL_MS = 3000,
    GIVE_UP_MS = 6000,
};

struct link_exec {
    struct link base;
    struct handles handles;
    uv_loop_t *loop;
    char **argv;
    bool has_key;     /* it is OpenSSH's client */
    char *key;        /* with this file; NULL: with those of an ssh-agent */
    uv_idle_t again;  /* "look at it in the next turn": start, more to write */
    uv_timer_t timer; /* LINGER_MS, then the steps of closing */
    uv_process_t process;
    uv_pipe_t child_in;
    uv_pipe_t child_out;
    uv_pipe_t child_err;
    uv_write_t write;
    bool spawn_tried;  /* the pipes' handles are initialised */
    bool process_used; /* and the process's */
    bool term_sent;
    bool up;
    bool exited;
    bool group_left; /* it exited, but others of its group live on */
    bool out_ended;
    bool err_ended;
    bool ending; /* gathering the child's last words */
    bool heard;  /* some input came */
    bool pumping;
    bool writing;    /* `write` is in flight, `piece` is in use */
    int write_error; /* libuv's, 0: none */
    int64_t exit_status;
    int term_signal;
    pid_t pid;
    uint64_t since_ms; /* of `ending`, later of closing */
    uint8_t piece[PIECE_BYTES];
    uint8_t input[PIECE_BYTES];
};

/* --- making one ------------------------------------------------------------
 */

static void free_argv(char **argv)
{
    for (size_t i = 0; argv != NULL && argv[i] != NULL; i++) {
        free(argv[i]);
    }
    free(argv);
}

static char **copy_argv(const char *const *argv)
{
    size_t n = 0;

    while (argv[n] != NULL) {
        n++;
    }
    char **copy = calloc(n + 1, sizeof *copy);
    for (size_t i = 0; copy != NULL && i < n; i++) {
        copy[i] = strdup(argv[i]);
        if (copy[i] == NULL) {
            free_argv(copy);
            return NULL;
        }
    }
    return copy;
}

/* The command in one line, for people. */
static char *command_text(char *const *argv)
{
    struct buf b = BUF_NULL;

    for (size_t i = 0; argv[i] != NULL; i++) {
        buf_printf(&b, "%s%s", i > 0 ? " " : "", argv[i]);
    }
    buf_u8(&b, 0);
    if (b.bad) {
        buf_deinit(&b);
        return NULL;
    }
    return (char *)b.data;
}

static void on_empty(void *owner)
{
    struct link_exec *l = owner;

    link_deinit(&l->base);
    free_argv(l->argv);
    free(l->key);
    free(l);
}

/* --- the end: what the child left us ----------------------------------------
 */

static void finish(struct link_exec *l);

static void on_linger(uv_timer_t *t)
{
    finish(t->data);
}

/* The stream is over; wait a moment for the rest of the story. */
static void note_end(struct link_exec *l)
{
    if (l->base.ended || l->base.closing) {
        return;
    }
    if (!l->ending) {
        l->ending = true;
        uv_update_time(l->loop);
        l->since_ms = uv_now(l->loop);
    }
    if (l->exited && l->out_ended && l->err_ended) {
        finish(l);
    } else if (uv_now(l->loop) - l->since_ms < LINGER_MAX_MS) {
        /* Each sign of life (any call of this) gives it time again. */
        (void)uv_timer_start(&l->timer, on_linger, LINGER_MS, 0);
    }
}

/* The client says of a key that it cannot use no more than that the other host
 * refused it.  Asked afterwards: its configuration may name an ssh-agent
 * (IdentityAgent) that nobody here knows of. */
static void explain_refusal(const struct link_exec *l, struct err *err)
{
    struct err key;

    if (l->has_key && err->id == DR_AUTH &&
        sshkey_file_lacks_agent(l->key, &key)) {
        *err = key;
    }
}

static bool say_how_it_ended(struct link_exec *l, struct err *err)
{
    const char *name = l->base.name;
    int pid = (int)l->pid;

    if (!l->exited) {
        err_set(err, ERR_CLOSED, 0, "child %d (%s) %s, but still runs", pid,
                name, l->out_ended ? "closed its output" : "reads no more");
    } else if (l->term_signal != 0) {
        err_set(err, ERR_CLOSED, 0,
                "child %d (%s) was killed by signal %d (%s)", pid, name,
                l->term_signal, strsignal(l->term_signal));
    } else {
        err_set(err, ERR_CLOSED, 0,
                "child %d (%s) ended with exit status %" PRId64 "%s", pid, name,
                l->exit_status,
                l->exit_status == 127   ? " (command not found)"
                : l->exit_status == 126 ? " (command cannot be executed)"
                                        : "");
    }
    if (l->exited && l->exit_status == 255 && !l->heard && l->base.said != 0) {
        err->id = l->base.said;
        explain_refusal(l, err);
        return err->id != DR_CONNECT && err->id != DR_HANDSHAKE;
    }
    /* 64 and 78 are EX_USAGE and EX_CONFIG: it would only say so again. */
    bool missing = l->exited && l->term_signal == 0 &&
                   (l->exit_status == 127 || l->exit_status == 126 ||
                    l->exit_status == 64 || l->exit_status == 78);
    err->id = missing ? DR_NO_RECEIVER : l->heard ? DR_LINK_LOST : DR_CHILD;
    return missing;
}

static void finish(struct link_exec *l)
{
    struct err err;

    (void)uv_timer_stop(&l->timer);
    (void)uv_idle_stop(&l->again);
    (void)uv_read_stop((uv_stream_t *)&l->child_out);
    (void)uv_read_stop((uv_stream_t *)&l->child_err);
    link_end_stderr(&l->base);
    bool missing = say_how_it_ended(l, &err);
    link_notify_down(&l->base, &err, missing);
}

/* --- output ------------------------------------------------------------------
 */

static void pump(struct link_exec *l);

static void on_again(uv_idle_t *h);

static void wake(struct link_exec *l)
{
    (void)uv_idle_start(&l->again, on_again);
}

static void on_written(uv_write_t *req, int status)
{
    struct link_exec *l = req->data;

    l->writing = false;
    if (l->base.closing) {
        return;
    }
    if (status < 0) {
        l->write_error = status;
        note_end(l);
        return;
    }
    pump(l);
}

/* Errors wait for the next turn: the owner may be inside link_kick(). */
static void write_failed(struct link_exec *l, int status)
{
    l->write_error = status;
    wake(l);
}

static void send_piece(struct link_exec *l, size_t n)
{
    uv_stream_t *to = (uv_stream_t *)&l->child_in;
    uv_buf_t b = uv_buf_init((char *)l->piece, (unsigned)n);

    int rc = uv_try_write(to, &b, 1);
    if (rc < 0 && rc != UV_EAGAIN) {
        write_failed(l, rc);
        return;
    }
    size_t done = rc > 0 ? (size_t)rc : 0;
    if (done == n) {
        return;
    }
    b = uv_buf_init((char *)l->piece + done, (unsigned)(n - done));
    l->write.data = l;
    rc = uv_write(&l->write, to, &b, 1, on_written);
    if (rc < 0) {
        write_failed(l, rc);
        return;
    }
    l->writing = true;
}

static bool can_write(const struct link_exec *l)
{
    return l->up && !l->writing && l->write_error == 0 && !l->base.ended &&
           !l->base.closing;
}

static void pump(struct link_exec *l)
{
    int left = PIECES_PER_TURN;

    if (l->pumping) {
        return; /* a kick from inside `fill`: we ask again anyway */
    }
    l->pumping = true;
    while (can_write(l) && left-- > 0) {
        size_t n = link_notify_fill(&l->base, l->piece, sizeof l->piece);
        if (n == 0 || l->base.closing) {
            break;
        }
        send_piece(l, n);
    }
    l->pumping = false;
    if (left < 0 && can_write(l)) {
        wake(l);
    }
}

/* --- input -------------------------------------------------------------------
 */

static void on_room(uv_handle_t *h, size_t hint, uv_buf_t *b)
{
    struct link_exec *l = h->data;

    (void)hint;
    /* One buffer for both: what was read is consumed before the next read. */
    *b = uv_buf_init((char *)l->input, sizeof l->input);
}

static void on_input(uv_stream_t *s, ssize_t n, const uv_buf_t *b)
{
    struct link_exec *l = s->data;

    if (n > 0) {
        l->heard = true;
        link_notify_input(&l->base, (const uint8_t *)b->base, (size_t)n);
        if (l->ending) {
            note_end(l);
        }
    } else if (n < 0) {
        (void)uv_read_stop(s);
        l->out_ended = true;
        note_end(l);
    }
}

static void on_stderr(uv_stream_t *s, ssize_t n, const uv_buf_t *b)
{
    struct link_exec *l = s->data;

    if (n > 0) {
        link_notify_stderr(&l->base, (const uint8_t *)b->base, (size_t)n);
    } else if (n < 0) {
        (void)uv_read_stop(s);
        l->err_ended = true;
        if (l->ending) {
            note_end(l);
        }
    }
}

/* --- starting the child -------------------------------------------------- */

static void finish_close(struct link_exec *l);

static bool group_alive(const struct link_exec *l)
{
    return kill(-l->pid, 0) == 0 || errno == EPERM;
}

static void on_exit_child(uv_process_t *p, int64_t status, int signal_number)
{
    struct link_exec *l = p->data;

    l->exited = true;
    l->exit_status = status;
    l->term_signal = signal_number;
    /* Asked now, while the number cannot have been given to others. */
    l->group_left = group_alive(l);
    if (l->base.closing) {
        if (!l->group_left) {
            finish_close(l);
        }
        return;
    }
    note_end(l);
}

/* Three pipes; [0] is read from.  Ours are stdin's [1] and the others' [0]. */
struct pipes {
    int in[2], out[2], err[2];
};

static void close_pipes(struct pipes *p)
{
    int *const all[] = {p->in, p->out, p->err};

    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        fd_closep(&all[i][0]);
        fd_closep(&all[i][1]);
    }
}

static int open_pipes(struct pipes *p, struct err *err)
{
    int *const all[] = {p->in, p->out, p->err};

    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        if (pipe2(all[i], O_CLOEXEC) != 0) {
            return err_sys(err, errno, "cannot make a pipe for the child");
        }
        (void)fcntl(all[i][0], F_SETPIPE_SZ, PIPE_BYTES);
    }
    return 0;
}

/* Hands our ends to libuv, which makes them non-blocking and closes them. */
static int adopt_pipes(struct link_exec *l, struct pipes *p, struct err *err)
{
    struct {
        uv_pipe_t *pipe;
        int *fd;
    } const ends[] = {{&l->child_in, &p->in[1]},
                      {&l->child_out, &p->out[0]},
                      {&l->child_err, &p->err[0]}};

    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        int rc = uv_pipe_open(ends[i].pipe, *ends[i].fd);
        if (rc < 0) {
            return err_sys(err, -rc, "cannot use the child's pipe");
        }
        (void)TAKE_FD(*ends[i].fd);
    }
    return 0;
}

static void init_child_handles(struct link_exec *l)
{
    uv_pipe_t *const pipes[] = {&l->child_in, &l->child_out, &l->child_err};

    for (size_t i = 0; i < sizeof pipes / sizeof pipes[0]; i++) {
        (void)uv_pipe_init(l->loop, pipes[i], 0);
        pipes[i]->data = l;
        handles_hold(&l->handles);
    }
    l->spawn_tried = true;
}

static int spawn(struct link_exec *l, const struct pipes *p, struct err *err)
{
    int rc = child_give_no_rights(err);

    if (rc < 0) {
        return rc;
    }
    CLEANUP(freep) char **env = child_environment();
    if (env == NULL) {
        return err_set(err, ERR_NOMEM, 0, "no memory for a child");
    }
    uv_stdio_container_t stdio[3] = {
        {.flags = UV_INHERIT_FD, .data.fd = p->in[0]},
        {.flags = UV_INHERIT_FD, .data.fd = p->out[1]},
        {.flags = UV_INHERIT_FD, .data.fd = p->err[1]},
    };
    uv_process_options_t options = {
        .exit_cb = on_exit_child,
        .file = l->argv[0],
        .args = l->argv,
        .env = env,
        .flags = UV_PROCESS_DETACHED, /* setsid: a group to signal */
        .stdio_count = 3,
        .stdio = stdio,
    };

    /* A descriptor that somebody forgot to mark would keep its file lock alive
     * in the child.  Best effort: sandboxes may forbid the call. */
    (void)close_range(3, ~0U, CLOSE_RANGE_CLOEXEC);
    l->process_used = true; /* also when it fails */
    l->process.data = l;
    handles_hold(&l->handles);
    rc = uv_spawn(l->loop, &l->process, &options);
    if (rc < 0) {
        return err_sys(err, -rc, "cannot start the child \"%s\"", l->argv[0]);
    }
    l->pid = uv_process_get_pid(&l->process);
    return 0;
}

static int start_child(struct link_exec *l, struct err *err)
{
    CLEANUP(close_pipes) struct pipes p = {{-1, -1}, {-1, -1}, {-1, -1}};

    init_child_handles(l);
    int rc = open_pipes(&p, err);
    if (rc < 0) {
        return rc;
    }
    rc = spawn(l, &p, err);
    return rc < 0 ? rc : adopt_pipes(l, &p, err);
}

static void start(struct link_exec *l)
{
    struct err err;
    char what[64];

    if (start_child(l, &err) < 0) {
        bool permanent = err.sys == ENOENT || err.sys == EACCES ||
                         err.sys == ENOEXEC || err.sys == ENOTDIR;
        err.id = DR_CHILD;
        link_notify_down(&l->base, &err, permanent);
        return;
    }
    l->up = true;
    (void)uv_read_start((uv_stream_t *)&l->child_out, on_room, on_input);
    (void)uv_read_start((uv_stream_t *)&l->child_err, on_room, on_stderr);
    (void)snprintf(what, sizeof what, "child %d", (int)l->pid);
    link_notify_up(&l->base, what);
    pump(l);
}

static void on_again(uv_idle_t *h)
{
    struct link_exec *l = h->data;

    (void)uv_idle_stop(h);
    if (!l->spawn_tried) {
        start(l);
    } else if (l->write_error != 0) {
        note_end(l);
    } else {
        pump(l);
    }
}

/* --- closing ------------------------------------------------------------- */

static void finish_close(struct link_exec *l)
{
    if (l->process_used) {
        handles_close(&l->handles, (uv_handle_t *)&l->process);
    }
    handles_close(&l->handles, (uv_handle_t *)&l->timer);
}

/* Every REAP_MS while somebody of the group is left. */
static void on_reap(uv_timer_t *t)
{
    struct link_exec *l = t->data;
    uint64_t ms = uv_now(l->loop) - l->since_ms;

    if ((l->exited && !group_alive(l)) || ms >= GIVE_UP_MS) {
        finish_close(l);
    } else if (ms >= KILL_MS || l->base.hurry) {
        (void)kill(-l->pid, SIGKILL);
    } else if (ms >= TERM_MS && !l->term_sent) {
        l->term_sent = true;
        (void)kill(-l->pid, SIGTERM);
    }
}

static void exec_close(struct link *base)
{
    struct link_exec *l = (struct link_exec *)base;

    handles_close(&l->handles, (uv_handle_t *)&l->again);
    if (l->spawn_tried) {
        handles_close(&l->handles, (uv_handle_t *)&l->child_in);
        handles_close(&l->handles, (uv_handle_t *)&l->child_out);
        handles_close(&l->handles, (uv_handle_t *)&l->child_err);
    }
    if (l->pid == 0 || (l->exited && !l->group_left)) {
        finish_close(l);
    } else {
        uv_update_time(l->loop);
        l->since_ms = uv_now(l->loop);
        (void)uv_timer_start(&l->timer, on_reap, REAP_MS, REAP_MS);
    }
}

static void exec_start(struct link *base)
{
    wake((struct link_exec *)base);
}

static void exec_kick(struct link *base)
{
    pump((struct link_exec *)base);
}

static const struct link_kind exec_kind = {
    .start = exec_start,
    .kick = exec_kick,
    .close = exec_close,
};

struct link *link_exec_new(uv_loop_t *loop, const char *const *argv,
                           const struct link_events *events, void *arg,
                           struct err *err)
{
    if (argv == NULL || argv[0] == NULL || argv[0][0] == '\0') {
        err_set(err, ERR_INVALID, 0, "the link's command is empty");
        err->id = DR_CONFIG;
        return NULL;
    }
    struct link_exec *l = calloc(1, sizeof *l);
    char **copy = copy_argv(argv);
    char *name = copy != NULL ? command_text(copy) : NULL;
    if (l == NULL || name == NULL) {
        free(l);
        free_argv(copy);
        err_set(err, ERR_NOMEM, 0, "no memory for a link");
        return NULL;
    }
    link_init(&l->base, &exec_kind, events, arg, name);

    handles_init(&l->handles, on_empty, l);
    l->loop = loop;
    l->argv = copy;
    (void)uv_idle_init(loop, &l->again);
    l->again.data = l;
    handles_hold(&l->handles);
    (void)uv_timer_init(loop, &l->timer);
    l->timer.data = l;
    handles_hold(&l->handles);
    return &l->base;
}

void link_exec_set_key(struct link *base, const char *path)
{
    struct link_exec *l = (struct link_exec *)base;

    l->key = path != NULL ? strdup(path) : NULL;
    l->has_key = path == NULL || l->key != NULL; /* else it stays unexplained */
}
