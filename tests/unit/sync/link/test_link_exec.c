/* SPDX-License-Identifier: MIT
 *
 * link_exec: a child process as the other end of a link.
 *
 * Every test runs a real child on a loop of its own.  A stuck link fails the
 * test through a watchdog timer of a minute, which no healthy run comes near.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sync/errors/state.h"
#include "tests/support/link_peer.h"

static void exec_init(struct peer *p, const char *const *argv)
{
    struct err err;

    peer_init(p);
    p->link = link_exec_new(&p->loop, argv, &peer_events, p, &err);
    assert_non_null(p->link);
}

static void exec_init_sh(struct peer *p, const char *script)
{
    const char *const argv[] = {"sh", "-c", script, NULL};

    exec_init(p, argv);
}

static int child_of(const struct peer *p)
{
    int pid = 0;

    assert_int_equal(sscanf(p->what, "child %d", &pid), 1);
    return pid;
}

/* A process of this number is neither there nor a zombie of ours. */
static bool gone(int pid)
{
    return kill(pid, 0) != 0 && errno == ESRCH;
}

static void echo_returns_every_byte_in_order(void **state)
{
    (void)state;
    static const uint64_t sizes[] = {1, 100, 65536, 65537, 48u << 20};

    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        const char *const argv[] = {"cat", NULL};
        struct peer p;
        exec_init(&p, argv);
        p.to_send = sizes[i];
        p.check_echo = true;
        p.close_when = CLOSE_AT_BYTES;
        p.close_bytes = sizes[i];
        peer_start(&p);
        assert_int_equal(p.ups, 1);
        assert_int_equal(p.downs, 0);
        assert_int_equal(p.got, sizes[i]);
        assert_false(p.echo_wrong);
        assert_true(gone(child_of(&p)));
        peer_deinit(&p);
    }
}

static void on_later_kick(uv_timer_t *t)
{
    struct peer *p = t->data;

    p->to_send += 10;
    uint64_t was = p->sent;
    link_kick(p->link);
    assert_int_equal(p->sent, was + 10); /* at once, not in a later turn */
    uv_close((uv_handle_t *)t, NULL);
}

static void kick_on_an_idle_link_fills_before_it_returns(void **state)
{
    (void)state;
    const char *const argv[] = {"cat", NULL};
    struct peer p;
    uv_timer_t t;

    exec_init(&p, argv);
    uv_timer_init(&p.loop, &t);
    t.data = &p;
    uv_timer_start(&t, on_later_kick, 50, 0);
    p.check_echo = true;
    p.close_when = CLOSE_AT_BYTES;
    p.close_bytes = 10;
    peer_start(&p);
    assert_int_equal(p.got, 10);
    assert_false(p.echo_wrong);
    peer_deinit(&p);
}

static void input_before_an_exit_is_delivered_whole(void **state)
{
    (void)state;
    struct peer p;

    exec_init_sh(&p, "i=0; while [ $i -lt 20000 ]; do echo 0123456789; "
                     "i=$((i+1)); done; exit 3");
    peer_start(&p);
    assert_int_equal(p.got, 220000);
    assert_int_equal(p.downs, 1);
    assert_false(p.permanent);
    assert_int_equal(p.err.id, DR_LINK_LOST);
    assert_int_equal(p.err.code, ERR_CLOSED);
    assert_non_null(strstr(p.err.msg, "exit status 3"));
    peer_deinit(&p);
}

static void down_names_the_last_stderr_line_printably(void **state)
{
    (void)state;
    struct peer p;

    exec_init_sh(&p, "echo one >&2; echo >&2; printf 'tw\\033o' >&2; exit 1");
    peer_start(&p);
    assert_int_equal(p.lines.len, strlen("one\ntw\033o\n"));
    assert_memory_equal(p.lines.data, "one\ntw\033o\n", p.lines.len);
    assert_non_null(strstr(p.err.msg, "last line on stderr: tw?o"));
    assert_int_equal(p.err.id, DR_CHILD); /* it never said anything */
    peer_deinit(&p);
}

/* What follows from it does not hide it. */
static void down_names_the_line_that_gave_the_reason(void **state)
{
    (void)state;
    struct peer p;

    exec_init_sh(&p, "echo 'kex_exchange_identification: Connection closed by "
                     "remote host' >&2; echo 'Connection closed by UNKNOWN "
                     "port 65535' >&2; exit 255");
    peer_start(&p);
    assert_non_null(strstr(p.err.msg,
                           "; it said: kex_exchange_identification: Connection "
                           "closed by remote host; last line on stderr: "
                           "Connection closed by UNKNOWN port 65535"));
    assert_int_equal(p.err.id, DR_HANDSHAKE);
    peer_deinit(&p);
}

static void long_stderr_lines_are_cut_at_512_bytes(void **state)
{
    (void)state;
    struct peer p;

    exec_init_sh(&p, "printf '%01500d\\n' 7 >&2");
    peer_start(&p);
    assert_int_equal(p.lines.len, 1503);
    assert_int_equal(p.lines.data[512], '\n');
    assert_int_equal(p.lines.data[1025], '\n');
    peer_deinit(&p);
}

static void missing_program_is_permanent_and_named(void **state)
{
    (void)state;
    const char *const argv[] = {"drover-no-such-program", "x", NULL};
    struct peer p;

    exec_init(&p, argv);
    peer_start(&p);
    assert_int_equal(p.ups, 0);
    assert_int_equal(p.downs, 1);
    assert_true(p.permanent);
    assert_int_equal(p.err.id, DR_CHILD);
    assert_non_null(strstr(p.err.msg, "drover-no-such-program"));
    peer_deinit(&p);
}

static void exit_status_127_means_no_receiver(void **state)
{
    (void)state;
    struct peer p;

    exec_init_sh(&p, "PATH=/usr/bin:/bin; exec drover-no-such-program receive");
    peer_start(&p);
    assert_int_equal(p.ups, 1);
    assert_true(p.permanent);
    assert_int_equal(p.err.id, DR_NO_RECEIVER);
    assert_non_null(strstr(p.err.msg, "127"));
    peer_deinit(&p);
}

/* In OpenSSH's words: no more attempts than one in minutes. */
static void a_login_that_ssh_was_refused_is_a_refused_login(void **state)
{
    (void)state;
    struct peer p;

    exec_init_sh(&p,
                 "echo 'u@h: Permission denied (publickey).' >&2; exit 255");
    peer_start(&p);
    assert_int_equal(p.err.id, DR_AUTH);
    assert_true(p.permanent);
    peer_deinit(&p);
    exec_init_sh(&p, "echo 'ssh: connect to host h: refused' >&2; exit 255");
    peer_start(&p);
    assert_int_equal(p.err.id, DR_CONNECT);
    assert_false(p.permanent);
    peer_deinit(&p);
    /* What came first is the reason, not what follows from it. */
    exec_init_sh(&p, "echo '@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!"
                     " @' >&2; echo 'Host key verification failed.' >&2; "
                     "exit 255");
    peer_start(&p);
    assert_int_equal(p.err.id, DR_HOST_KEY_CHANGED);
    assert_true(p.permanent);
    peer_deinit(&p);
    /* The other end's words, after it has spoken, are not the client's. */
    exec_init_sh(&p, "echo hello; echo 'Permission denied (no)' >&2; exit 255");
    peer_start(&p);
    assert_int_equal(p.err.id, DR_LINK_LOST);
    peer_deinit(&p);
}

static void death_by_signal_is_named(void **state)
{
    (void)state;
    struct peer p;

    exec_init_sh(&p, "echo x; kill -KILL $$");
    peer_start(&p);
    assert_non_null(strstr(p.err.msg, "signal 9"));
    assert_false(p.permanent);
    peer_deinit(&p);
}

static void a_child_that_reads_no_more_is_down(void **state)
{
    (void)state;
    struct peer p;

    exec_init_sh(&p, "exec <&-; sleep 1000");
    p.to_send = 10u << 20;
    peer_start(&p);
    assert_int_equal(p.downs, 1);
    assert_non_null(strstr(p.err.msg, "reads no more"));
    assert_true(gone(child_of(&p)));
    peer_deinit(&p);
}

static void a_child_that_closes_its_output_is_down(void **state)
{
    (void)state;
    struct peer p;

    exec_init_sh(&p, "exec >&-; sleep 1000");
    peer_start(&p);
    assert_non_null(strstr(p.err.msg, "closed its output"));
    assert_true(gone(child_of(&p)));
    peer_deinit(&p);
}

static void
a_child_that_ignores_sigterm_is_killed_with_its_children(void **state)
{
    (void)state;
    struct peer p;
    int grandchild = 0;

    exec_init_sh(&p, "trap '' TERM; (while :; do sleep 1; done) & "
                     "echo $!; while :; do sleep 1; done");
    p.close_when = CLOSE_AT_INPUT;
    peer_start(&p);
    buf_u8(&p.input, 0);
    assert_int_equal(sscanf((char *)p.input.data, "%d", &grandchild), 1);
    assert_true(gone(child_of(&p)));
    /* It belongs to init now; killed, perhaps not yet reaped by it. */
    char path[64], stat[256] = "";
    (void)snprintf(path, sizeof path, "/proc/%d/stat", grandchild);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        assert_true(read(fd, stat, sizeof stat - 1) >= 0);
        (void)close(fd);
        assert_true(stat[0] == '\0' || strstr(stat, ") Z") != NULL);
    }
    peer_deinit(&p);
}

static void grandchildren_get_sigterm(void **state)
{
    (void)state;
    char dir[] = "/tmp/drover-exec-XXXXXX", script[512], path[64];
    struct peer p;

    assert_non_null(mkdtemp(dir));
    /* The leader goes at once when its input ends; the other must be told. */
    (void)snprintf(script, sizeof script,
                   "(trap 'echo > %s/told; exit' TERM; echo ready; "
                   "while :; do sleep 0.05; done) </dev/null 2>/dev/null & cat",
                   dir);
    exec_init_sh(&p, script);
    p.close_when = CLOSE_AT_INPUT;
    peer_start(&p);
    (void)snprintf(path, sizeof path, "%s/told", dir);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(rmdir(dir), 0);
    peer_deinit(&p);
}

static void
the_child_inherits_three_descriptors_and_default_signals(void **state)
{
    (void)state;
    struct peer p;
    int leaky = open("/dev/null", O_RDONLY); /* on purpose without O_CLOEXEC */

    assert_true(leaky >= 0);
    /* `ls` itself has one open: the directory, as 3. */
    exec_init_sh(&p, "ls /proc/self/fd | tr '\\n' ' '; "
                     "grep SigIgn /proc/self/status");
    peer_start(&p);
    assert_true(peer_has(&p.input, "0 1 2 3 SigIgn:\t0000000000000000"));
    (void)close(leaky);
    peer_deinit(&p);
}

static void close_before_start_only_closes(void **state)
{
    (void)state;
    struct peer p;

    exec_init_sh(&p, "cat");
    peer_close(&p);
    peer_run(&p);
    assert_int_equal(p.ups + p.downs, 0);
    peer_deinit(&p);
}

static void close_right_after_start_only_closes(void **state)
{
    (void)state;
    struct peer p;

    exec_init_sh(&p, "cat");
    link_start(p.link);
    peer_close(&p);
    peer_run(&p);
    assert_int_equal(p.ups + p.downs, 0);
    peer_deinit(&p);
}

static void close_inside_any_callback_is_the_last_word(void **state)
{
    (void)state;
    static const enum when whens[] = {CLOSE_AT_UP, CLOSE_AT_FILL,
                                      CLOSE_AT_INPUT, CLOSE_AT_BYTES};

    for (size_t i = 0; i < sizeof whens / sizeof whens[0]; i++) {
        struct peer p;
        exec_init_sh(&p, "echo hello >&2; exec cat");
        p.close_when = whens[i];
        p.close_bytes = 1u << 20; /* with writes in flight */
        p.to_send = 64u << 20;
        peer_start(&p);
        assert_int_equal(p.ups, 1);
        assert_int_equal(p.downs, 0);
        assert_true(gone(child_of(&p)));
        peer_deinit(&p);
    }
}

static void an_empty_command_is_refused(void **state)
{
    (void)state;
    const char *const none[] = {NULL};
    struct peer p = {.to_send = 0};
    struct err err;

    assert_null(link_exec_new(uv_default_loop(), none, &peer_events, &p, &err));
    assert_int_equal(err.code, ERR_INVALID);
    assert_int_equal(uv_loop_close(uv_default_loop()), 0);
}

static void describe_shows_the_command(void **state)
{
    (void)state;
    const char *const argv[] = {"cat", "-u", NULL};
    struct peer p;

    exec_init(&p, argv);
    assert_string_equal(link_describe(p.link), "cat -u");
    peer_close(&p);
    peer_run(&p);
    peer_deinit(&p);
}

int main(void)
{
    (void)signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(echo_returns_every_byte_in_order),
        cmocka_unit_test(kick_on_an_idle_link_fills_before_it_returns),
        cmocka_unit_test(input_before_an_exit_is_delivered_whole),
        cmocka_unit_test(down_names_the_last_stderr_line_printably),
        cmocka_unit_test(down_names_the_line_that_gave_the_reason),
        cmocka_unit_test(long_stderr_lines_are_cut_at_512_bytes),
        cmocka_unit_test(missing_program_is_permanent_and_named),
        cmocka_unit_test(exit_status_127_means_no_receiver),
        cmocka_unit_test(a_login_that_ssh_was_refused_is_a_refused_login),
        cmocka_unit_test(death_by_signal_is_named),
        cmocka_unit_test(a_child_that_reads_no_more_is_down),
        cmocka_unit_test(a_child_that_closes_its_output_is_down),
        cmocka_unit_test(
            a_child_that_ignores_sigterm_is_killed_with_its_children),
        cmocka_unit_test(grandchildren_get_sigterm),
        cmocka_unit_test(
            the_child_inherits_three_descriptors_and_default_signals),
        cmocka_unit_test(close_before_start_only_closes),
        cmocka_unit_test(close_right_after_start_only_closes),
        cmocka_unit_test(close_inside_any_callback_is_the_last_word),
        cmocka_unit_test(an_empty_command_is_refused),
        cmocka_unit_test(describe_shows_the_command),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
