/* SPDX-License-Identifier: MIT
 *
 * link_peer: see link_peer.h. */
#include "tests/support/link_peer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

enum { WATCHDOG_MS = 120000 };

uint8_t peer_pattern(uint64_t i)
{
    return (uint8_t)(i * 131 + (i >> 13) * 7);
}

void peer_close(struct peer *p)
{
    p->close_called = true;
    link_close(p->link);
}

static void note(struct peer *p)
{
    if (p->close_called || p->closes > 0) {
        p->late = true;
    }
}

static void up(void *arg, const char *what)
{
    struct peer *p = arg;

    note(p);
    p->ups++;
    (void)snprintf(p->what, sizeof p->what, "%s", what);
    if (p->close_when == CLOSE_AT_UP) {
        peer_close(p);
    }
}

static void input(void *arg, const uint8_t *b, size_t n)
{
    struct peer *p = arg;

    note(p);
    if (p->check_echo) {
        for (size_t i = 0; i < n && !p->echo_wrong; i++) {
            p->echo_wrong = b[i] != peer_pattern(p->got + i);
        }
    } else {
        buf_put(&p->input, b, n);
    }
    p->got += n;
    if (p->pings > 0 && p->got == p->sent) {
        p->pings--;
        p->to_send = 1;
        link_kick(p->link);
    }
    if (p->close_when == CLOSE_AT_INPUT ||
        (p->close_when == CLOSE_AT_BYTES && p->got >= p->close_bytes)) {
        peer_close(p);
    }
}

static size_t fill(void *arg, uint8_t *out, size_t room)
{
    struct peer *p = arg;

    note(p);
    if (p->close_when == CLOSE_AT_FILL) {
        peer_close(p);
        return 0;
    }
    size_t n = p->to_send < room ? (size_t)p->to_send : room;
    for (size_t i = 0; i < n; i++) {
        out[i] = peer_pattern(p->sent + i);
    }
    p->sent += n;
    p->to_send -= n;
    return n;
}

static void stderr_line(void *arg, const char *line, size_t len)
{
    struct peer *p = arg;

    note(p);
    buf_put(&p->lines, line, len);
    buf_u8(&p->lines, '\n');
}

static void down(void *arg, const struct err *err, bool permanent)
{
    struct peer *p = arg;

    note(p);
    p->downs++;
    p->err = *err;
    p->permanent = permanent;
    peer_close(p);
}

static void closed(void *arg)
{
    struct peer *p = arg;

    p->closes++;
    (void)uv_timer_stop(&p->watchdog);
    if (p->also_close != NULL) {
        uv_close(p->also_close, NULL);
    }
}

const struct link_events peer_events = {
    .up = up,
    .input = input,
    .fill = fill,
    .stderr_line = stderr_line,
    .down = down,
    .closed = closed,
};

static void on_watchdog(uv_timer_t *t)
{
    (void)t;
    fail_msg("the link is stuck");
}

void peer_init(struct peer *p)
{
    memset(p, 0, sizeof *p);
    assert_int_equal(uv_loop_init(&p->loop), 0);
    uv_timer_init(&p->loop, &p->watchdog);
    uv_timer_start(&p->watchdog, on_watchdog, WATCHDOG_MS, 0);
}

void peer_run(struct peer *p)
{
    assert_int_equal(uv_run(&p->loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(p->closes, 1);
    assert_false(p->late);
    assert_true(p->downs <= 1);
    uv_close((uv_handle_t *)&p->watchdog, NULL);
    assert_int_equal(uv_run(&p->loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(uv_loop_close(&p->loop), 0);
}

void peer_start(struct peer *p)
{
    link_start(p->link);
    assert_int_equal(p->ups + p->downs, 0); /* nothing before it returns */
    peer_run(p);
}

void peer_deinit(struct peer *p)
{
    buf_deinit(&p->input);
    buf_deinit(&p->lines);
}

bool peer_has(const struct buf *b, const char *text)
{
    return b->len > 0 && memmem(b->data, b->len, text, strlen(text)) != NULL;
}
