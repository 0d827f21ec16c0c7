/* SPDX-License-Identifier: MIT
 *
 * output: what `drover-replica receive` writes to stdout; see receive.h.
 *
 * Writes block: a thread that hangs here because the agent stopped reading is
 * waited for by nobody, and the watcher ends the process.
 */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "store/base/clock.h"
#include "sync/errors/hint.h"
#include "sync/replica/receive.h"

enum { LINGER_MS = 2000 /* for the agent to read a refusal */ };

static int write_stdout(const void *p, size_t n, struct err *err)
{
    const uint8_t *at = p;

    while (n > 0) {
        ssize_t done = write(STDOUT_FILENO, at, n);
        if (done < 0 && errno == EINTR) {
            continue;
        }
        if (done < 0 && errno == EAGAIN) {
            /* The other end shares the file description and made it
             * non-blocking. */
            struct pollfd pfd = {.fd = STDOUT_FILENO, .events = POLLOUT};
            (void)poll(&pfd, 1, -1);
            continue;
        }
        if (done < 0) {
            return err_set(err, ERR_CLOSED, errno, "write to the agent");
        }
        at += done;
        n -= (size_t)done;
    }
    return 0;
}

/* Frames of several threads must not mix. */
int receive_send(void *ctx, const void *p, size_t n, struct err *err)
{
    struct receive *rv = receive_of(ctx);

    pthread_mutex_lock(&rv->out_mutex);
    int rc = write_stdout(p, n, err);
    pthread_mutex_unlock(&rv->out_mutex);
    return rc;
}

void receive_send_error(const struct err *err, bool with_magic)
{
    struct buf out = BUF_NULL;
    struct err ignored;
    char hint[HINT_ROOM];

    replica_hint(hint, err);
    struct wire_error frame = {
        .id = (uint16_t)err->id,
        .text = bytes_of(err->msg, strlen(err->msg)),
        .hint = bytes_of(hint, strlen(hint)),
    };
    if (with_magic) {
        wire_put_magic(&out);
    }
    wire_put_error(&out, &frame);
    if (!out.bad) {
        (void)write_stdout(out.data, out.len, &ignored);
    }
    buf_deinit(&out);
}

/* The agent is still writing its hello; closing on it would lose our words. */
int receive_refuse(const struct err *err)
{
    replica_say_error(err);
    receive_send_error(err, true);
    int64_t until = clock_mono_ms() + LINGER_MS;
    for (;;) {
        int64_t left = until - clock_mono_ms();
        struct pollfd pfd = {.fd = STDIN_FILENO, .events = POLLIN};
        char junk[4096];
        if (left <= 0 || poll(&pfd, 1, (int)left) <= 0) {
            break;
        }
        ssize_t n = read(STDIN_FILENO, junk, sizeof junk);
        if (n == 0 || (n < 0 && errno != EINTR)) {
            break;
        }
    }
    return replica_exit_of(err);
}
