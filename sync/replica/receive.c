/* SPDX-License-Identifier: MIT
 *
 * receive: the threads around the receiver core.
 *
 * Happy path: the reader (the main thread) takes bytes from stdin and gives
 * them to receiver_input(), which stages values as they come; the committer
 * runs receiver_commit() whenever there is work, so a group forms of what
 * came in while the one before was made durable; a change that comes alone is
 * committed at once, without a timer in between.  The scanner (scanner.c) keeps
 * the index true; edits (edits.c) tells it what others do to the database; the
 * watcher (watcher.c) looks whether this receiver must leave.
 *
 * End: stdin's end, BYE or a signal stop the reader; the committer finishes
 * what was received whole; index and watermark are saved.  Values not
 * received whole are dropped.
 * Failures: whoever meets one reports it once, sets `failed` and wakes all.
 */
#include "sync/replica/receive.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "store/base/cleanup.h"
#include "store/base/clock.h"
#include "store/cmdline/version.h"
#include "sync/replica/first.h"
#include "sync/replica/sandbox/filter.h"
#include "sync/replica/sandbox/sandbox.h"

enum {
    READ_BYTES = 256 * 1024,
    TICK_MS = 1000,
};

/* --- committer ----------------------------------------------------------- */

/* Wait until there is input to commit, a retry is due, or a second is over.
 * False at the end. */
static bool wait_for_work(struct receive *rv, int64_t due_ms)
{
    pthread_mutex_lock(&rv->mutex);
    while (!rv->work && !rv->stop && !rv->drain && clock_mono_ms() < due_ms) {
        struct timespec ts = {
            .tv_sec = (time_t)(due_ms / 1000),
            .tv_nsec = (long)(due_ms % 1000) * (long)NS_PER_MS,
        };
        (void)pthread_cond_clockwait(&rv->changed, &rv->mutex, CLOCK_MONOTONIC,
                                     &ts);
    }
    rv->work = false;
    bool go_on = !rv->stop;
    pthread_mutex_unlock(&rv->mutex);
    return go_on;
}

static bool draining(struct receive *rv)
{
    pthread_mutex_lock(&rv->mutex);
    bool drain = rv->drain;
    pthread_mutex_unlock(&rv->mutex);
    return drain;
}

static void let_reader_go_on(struct receive *rv)
{
    if (receiver_full(rv->core)) {
        return;
    }
    pthread_mutex_lock(&rv->mutex);

    if (rv->reader_waits) {
        pthread_cond_broadcast(&rv->changed);
    }
    pthread_mutex_unlock(&rv->mutex);
}

static void *committer(void *arg)
{
    struct receive *rv = arg;
    struct err err = {0};
    int64_t tick_ms = clock_mono_ms() + TICK_MS, due_ms = tick_ms;

    while (wait_for_work(rv, due_ms)) {
        bool last = draining(rv);
        int64_t again_ms = -1, now = clock_mono_ms();
        atomic_fetch_add(&rv->commits_begun, 1);
        int rc = receiver_commit(rv->core, now, &again_ms, &err);
        atomic_fetch_add(&rv->commits_done, 1);
        if (rc == 0 && now >= tick_ms) {
            rc = receiver_tick(rv->core, now, &err);
            tick_ms = now + TICK_MS;
        }
        if (rc != 0) {
            (void)receive_fail_once(rv, &err);
            break;
        }
        let_reader_go_on(rv);
        /* What waits for a reader's lock is not waited for at the end. */
        if (last && again_ms != 0) {
            break;
        }
        due_ms = tick_ms;
        now = clock_mono_ms();
        if (again_ms >= 0 && now + again_ms < due_ms) {
            due_ms = now + again_ms;
        }
    }
    return NULL;
}

/* --- ops that belong to the threads -------------------------------------- */

/* The agent shows it until HELLO_OK or an error comes. */
static void on_busy(void *arg, const struct err *who)
{
    char text[ERR_MSG_BYTES + 16];
    struct buf out = BUF_NULL;
    struct err ignored;

    (void)snprintf(text, sizeof text, "DR-%03d: %s", who->id, who->msg);
    wire_put_notice(&out, text);
    if (!out.bad) {
        (void)receive_send(arg, out.data, out.len, &ignored);
    }
    buf_deinit(&out);
}

static int op_identify(void *ctx, const struct wire_hello *hello,
                       struct wire_hello_ok *ok_out, struct err *err)
{
    struct receive *rv = receive_of(ctx);

    rv->disk.session.on_busy = on_busy;
    rv->disk.session.on_busy_arg = ctx;
    int rc = disk_identify(&rv->disk, hello, ok_out, err);

    if (rc != 0) {
        return rc;
    }
    atomic_store(&rv->silence_ms, receiver_silence_ms(hello));
    scanner_identified(&rv->scanner, rv, hello);
    return 0;
}

/* Before a group's renames, look whether another receiver asks for the lock or
 * the directory was moved away: what is applied after that would only have to
 * be repaired. */
static int op_stage_sync(void *ctx, const uint64_t *stages, size_t n,
                         struct err *err)
{
    struct receive *rv = receive_of(ctx);
    int rc = rv->disk_ops.stage_sync(ctx, stages, n, err);

    receive_check_takeover(rv, 0);
    return rc;
}

static int op_sync_both(void *ctx, const uint64_t *stages, size_t n,
                        struct err *err, struct err *dirs_err)
{
    struct receive *rv = receive_of(ctx);
    int rc = rv->disk_ops.sync_both(ctx, stages, n, err, dirs_err);

    receive_check_takeover(rv, 0);
    return rc;
}

static void op_scan_start(void *ctx, uint64_t id, unsigned how)
{
    struct receive *rv = receive_of(ctx);

    scanner_scan(&rv->scanner, rv, id, how);
}

static void op_names_start(void *ctx, uint64_t id, struct digest *names,
                           size_t n)
{
    struct receive *rv = receive_of(ctx);

    scanner_names(&rv->scanner, rv, id, names, n);
}

static void op_scan_stop(void *ctx, uint64_t id)
{
    scanner_give_up(&receive_of(ctx)->scanner, false, id);
}

static void op_names_stop(void *ctx, uint64_t id)
{
    scanner_give_up(&receive_of(ctx)->scanner, true, id);
}

/* --- reader -------------------------------------------------------------- */

/* Wait for bytes on stdin.  False: stopped, or a signal asks to end. */
static bool wait_for_input(struct receive *rv)
{
    for (;;) {
        struct pollfd pfd[3] = {
            {.fd = STDIN_FILENO, .events = POLLIN},
            {.fd = rv->wake_fd, .events = POLLIN},
            {.fd = rv->signal_fd, .events = POLLIN},
        };
        if (poll(pfd, 3, -1) < 0) {
            if (errno == EINTR) {
                continue;
            }
            return false;
        }
        if (pfd[1].revents != 0 || pfd[2].revents != 0) {
            return false;
        }
        if (pfd[0].revents != 0) {
            return true;
        }
    }
}

/* The core holds as much as it may: stop reading until a commit made room. */
static bool wait_for_room(struct receive *rv)
{
    bool waited = false;

    pthread_mutex_lock(&rv->mutex);
    rv->reader_waits = true;
    while (!rv->stop && receiver_full(rv->core)) {
        waited = true;
        (void)pthread_cond_wait(&rv->changed, &rv->mutex);
    }
    rv->reader_waits = false;
    bool go_on = !rv->stop;
    pthread_mutex_unlock(&rv->mutex);
    /* We did not listen; that the agent said nothing is not known. */
    if (waited) {
        atomic_store(&rv->input_ms, clock_mono_ms());
    }
    return go_on;
}

static void wake_committer(struct receive *rv)
{
    if (!receiver_has_work(rv->core)) {
        return;
    }
    pthread_mutex_lock(&rv->mutex);
    bool was = rv->work;
    rv->work = true;
    if (!was) {
        pthread_cond_broadcast(&rv->changed);
    }
    pthread_mutex_unlock(&rv->mutex);
}

/* 0 = the stream ended, RECEIVER_BYE, or ERR_*. */
static int read_all(struct receive *rv, uint8_t *buf, struct err *err)
{
    if (rv->first.len > 0) {
        int rc = receiver_input(rv->core, rv->first.data, rv->first.len,
                                clock_mono_ms(), err);
        if (rc != 0) {
            return rc;
        }
        wake_committer(rv);
    }
    while (wait_for_room(rv) && wait_for_input(rv)) {
        ssize_t n = read(STDIN_FILENO, buf, READ_BYTES);
        if (n < 0 && (errno == EINTR || errno == EAGAIN)) {
            continue;
        }
        if (n < 0) {
            return err_set(err, ERR_CLOSED, errno, "read from the agent");
        }
        if (n == 0) {
            return 0;
        }
        int64_t now = clock_mono_ms();
        atomic_store(&rv->input_ms, now);
        scanner_report(&rv->scanner, rv);
        int rc = receiver_input(rv->core, buf, (size_t)n, now, err);
        /* A slow disk under what was read is not the agent's silence. */
        atomic_store(&rv->input_ms, clock_mono_ms());
        if (rc != 0) {
            return rc;
        }
        wake_committer(rv);
    }
    return 0;
}

/* --- life ---------------------------------------------------------------- */

static int open_signals(struct receive *rv, struct err *err)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    (void)pthread_sigmask(SIG_BLOCK, &set, NULL);
    rv->signal_fd = signalfd(-1, &set, SFD_CLOEXEC);
    rv->wake_fd = eventfd(0, EFD_CLOEXEC);
    if (rv->signal_fd < 0 || rv->wake_fd < 0) {
        return err_sys(err, errno, "signalfd");
    }
    return 0;
}

static int make_core(struct receive *rv, const struct replica_settings *set,
                     struct err *err)
{
    disk_ops(&rv->disk_ops);
    rv->ops = rv->disk_ops;
    rv->ops.identify = op_identify;
    rv->ops.stage_sync = op_stage_sync;
    rv->ops.sync_both = op_sync_both;
    rv->ops.scan_start = op_scan_start;
    rv->ops.names_start = op_names_start;
    rv->ops.scan_stop = op_scan_stop;
    rv->ops.names_stop = op_names_stop;
    rv->ops.send = receive_send;
    rv->ops.check = receive_check;
    struct receiver_config config = {
        .policy = set->policy,
        .lock_timeout_ms = set->lock_timeout_ms,
        .group_changes = 1000,
        .group_bytes = 8 << 20,
        .streams_max = 4,
        .pending_max = 16384,
        .version = version_text(),
    };
    rv->index = index_new();
    if (rv->index != NULL) {
        rv->core = receiver_new(&config, &rv->ops, &rv->disk, rv->index);
    }
    if (rv->core == NULL) {
        return err_set(err, ERR_NOMEM, 0, "no memory for the receiver");
    }
    return 0;
}

static int start_threads(struct receive *rv, struct err *err)
{
    int sys = pthread_create(&rv->committer, NULL, committer, rv);

    if (sys == 0) {
        rv->started++;
    }
    if (sys == 0) {
        sys = pthread_create(&rv->watcher, NULL, receive_watcher, rv);
    }
    if (sys == 0) {
        rv->started++;
    }
    if (sys == 0) {
        sys = scanner_start(&rv->scanner, rv);
    }
    if (sys == 0) {
        sys = edits_start(rv->edits, rv);
    }
    if (sys != 0) {
        return err_sys(err, sys, "start a thread");
    }
    return 0;
}

static void join_threads(struct receive *rv)
{
    if (rv->started > 0) {
        (void)pthread_join(rv->committer, NULL);
    }
    edits_stop(rv->edits);
    scanner_stop(&rv->scanner);
    fresh_deinit(&rv->disk.fresh); /* it may sync once more */
    if (rv->started > 1) {
        /* Last: it ends the process should one of the others hang. */
        pthread_mutex_lock(&rv->watch_mutex);
        rv->watch_stop = true;
        pthread_cond_signal(&rv->watch_wake);
        pthread_mutex_unlock(&rv->watch_mutex);
        (void)pthread_join(rv->watcher, NULL);
    }
}

static void end_input(struct receive *rv, int rc, const struct err *err)
{
    if (rc < 0) {
        (void)receive_fail_once(rv, err);
        return;
    }
    pthread_mutex_lock(&rv->mutex);
    rv->drain = true;
    if (rv->ending_ms == 0) {
        rv->ending_ms = clock_mono_ms();
    }
    pthread_cond_broadcast(&rv->changed);
    pthread_mutex_unlock(&rv->mutex);
}

static void save(struct receive *rv)
{
    struct err err;

    if (!atomic_load(&rv->disk.identified)) {
        return;
    }
    if (scanner_save(&rv->scanner, rv, &err) != 0) {
        replica_say_error(&err);
    }
    if (disk_save_watermark(&rv->disk, &err) != 0) {
        replica_say_error(&err);
    }
}

static int serve(struct receive *rv, struct err *err)
{
    CLEANUP(freep) uint8_t *buf = malloc(READ_BYTES);

    if (buf == NULL) {
        int rc = err_set(err, ERR_NOMEM, 0, "no memory to read with");
        (void)receive_refuse(err);
        return rc;
    }
    rv->start_ms = clock_mono_ms();

    atomic_store(&rv->input_ms, rv->start_ms);
    int rc = receiver_start(rv->core, err);
    if (rc == 0) {
        rc = start_threads(rv, err);
    }
    if (rc == 0) {
        rc = read_all(rv, buf, err);
    }
    end_input(rv, rc, err);
    join_threads(rv);
    if (rv->failed) {
        *err = rv->error;
        rc = err->code;
    }
    save(rv);
    if (rc == 0 && !atomic_load(&rv->disk.identified)) {
        rc = first_no_hello(err);
        replica_say_error(err);
    }
    return rc;
}

static void init(struct receive *rv)
{
    rv->wake_fd = rv->signal_fd = -1;
    pthread_mutex_init(&rv->mutex, NULL);
    pthread_mutex_init(&rv->out_mutex, NULL);
    pthread_mutex_init(&rv->takeover_mutex, NULL);
    pthread_mutex_init(&rv->watch_mutex, NULL);
    pthread_cond_init(&rv->changed, NULL);
    pthread_cond_init(&rv->watch_wake, NULL);
    scanner_init(&rv->scanner);
}

static void deinit(struct receive *rv)
{
    if (rv->core != NULL) {
        receiver_free(rv->core);
    }
    buf_deinit(&rv->first);
    index_free(rv->index);
    disk_close(&rv->disk);
    fd_closep(&rv->wake_fd);
    fd_closep(&rv->signal_fd);
    scanner_deinit(&rv->scanner);
    edits_free(rv->edits);
    pthread_cond_destroy(&rv->watch_wake);
    pthread_cond_destroy(&rv->changed);
    pthread_mutex_destroy(&rv->watch_mutex);
    pthread_mutex_destroy(&rv->takeover_mutex);
    pthread_mutex_destroy(&rv->out_mutex);
    pthread_mutex_destroy(&rv->mutex);
}

/* The agent's log shows what is said here; a check tells it, too. */
static void lacks(struct receive *rv, const char *what, const char *why)
{
    size_t at = strlen(rv->unconfined);

    replica_say("running without %s: %s", what, why);
    (void)snprintf(rv->unconfined + at, sizeof rv->unconfined - at,
                   "%swithout %s: %s", at > 0 ? "; " : "", what, why);
}

static void confine(struct receive *rv, bool wanted)
{
    char why[160];

    if (!wanted) {
        lacks(rv, "the sandbox", "switched off by --no-sandbox");
        return;
    }
    if (sandbox_enter(rv->disk.meta.db.root_fd, why, sizeof why) != 0) {
        lacks(rv, "the Landlock sandbox", why);
    }
    /* Last: it allows none of the calls that come before. */
    if (filter_enter(why, sizeof why) != 0) {
        lacks(rv, "the system call filter", why);
    }
}

/* Nothing is made where no replica is before an agent has asked for one.  What
 * the filter lacks here is said by the one that follows. */
static int hear_first(struct receive *rv, const struct replica_settings *set,
                      struct err *err)
{
    struct wire_hello hello;
    char why[160];

    if (!first_is_due(set->dir)) {
        return 0;
    }
    if (set->sandbox) {
        (void)filter_first(why, sizeof why);
    }
    int rc = first_hear(set->dir, &rv->first, &hello, err);
    if (rc == FIRST_ASKED) {
        const struct err refused = *err;
        rc = receive_check_first(rv, &refused, err);
        return rc < 0 ? rc : FIRST_ASKED;
    }
    return rc;
}

static int open_disk(struct receive *rv, const struct replica_settings *set,
                     struct err *err)
{
    int rc = meta_check_group(set->dir, &set->modes, err);

    if (rc == 0) {
        rc = hear_first(rv, set, err);
    }
    if (rc == 0) {
        rc = disk_open(&rv->disk, set->dir, &set->modes, err);
    }
    if (rc == 0) {
        rc = disk_keep_trash(&rv->disk, &set->trash, err);
        if (rc != 0) {
            disk_close(&rv->disk);
        }
    }
    return rc;
}

int receive_run(const struct replica_settings *settings)
{
    struct err err = {0};

    (void)signal(SIGPIPE, SIG_IGN);
    sandbox_close_inherited();
    sandbox_limits();
    struct receive *rv = calloc(1, sizeof *rv);
    if (rv == NULL) {
        (void)err_set(&err, ERR_NOMEM, 0, "no memory");
        return receive_refuse(&err);
    }
    init(rv);
    rv->settings = settings;
    rv->edits = edits_new();
    int rc = open_disk(rv, settings, &err);
    if (rc != 0) {
        edits_free(rv->edits);
        buf_deinit(&rv->first);
        free(rv);
        return rc == FIRST_ASKED ? 0 : receive_refuse(&err);
    }
    edits_root(rv->edits, settings->dir);
    boot_now(rv->disk.meta.db.root_fd, &rv->scanner.ident.boot);
    confine(rv, settings->sandbox);
    rc = open_signals(rv, &err);
    if (rc == 0) {
        rc = make_core(rv, settings, &err);
    }
    if (rc == 0) {
        rc = serve(rv, &err);
    } else {
        (void)receive_refuse(&err);
    }
    deinit(rv);
    free(rv);
    return rc < 0 ? replica_exit_of(&err) : 0;
}
