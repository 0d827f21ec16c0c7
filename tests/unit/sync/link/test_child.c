/* SPDX-License-Identifier: MIT
 *
 * child: what a program has that a link starts: it tells of itself, and the
 * test compares.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <inttypes.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/link_peer.h"

static void exec_init_sh(struct peer *p, const char *script)
{
    const char *const argv[] = {"sh", "-c", script, NULL};
    struct err err;

    peer_init(p);
    p->link = link_exec_new(&p->loop, argv, &peer_events, p, &err);
    assert_non_null(p->link);
}

static uint64_t status_bits(const struct peer *p, const char *name)
{
    char head[32];

    (void)snprintf(head, sizeof head, "%s:", name);
    const char *at = strstr((const char *)p->input.data, head);
    assert_non_null(at);
    return strtoull(at + strlen(head), NULL, 16);
}

/* The input of the child that `script` is, as a text. */
static void run_script(struct peer *p, const char *script)
{
    exec_init_sh(p, script);
    peer_start(p);
    buf_u8(&p->input, 0);
    assert_false(p->input.bad);
}

static const uint64_t all_rights = UINT64_MAX;
static const uint64_t read_search = 1u << CAP_DAC_READ_SEARCH;

/* In a process of its own: what it gives away does not come back. */
static void have_no_rights_from(void (*become)(void), uint64_t forbidden)
{
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid != 0) {
        int status = 0;
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(status, 0);
        return;
    }
    become();
    struct peer p;
    run_script(&p, "cat /proc/self/status");
    const char *const sets[] = {"CapInh", "CapPrm", "CapEff", "CapAmb"};
    for (size_t i = 0; i < 4; i++) {
        if ((status_bits(&p, sets[i]) & forbidden) != 0) {
            print_error("%s of a child: %" PRIx64 "\n", sets[i],
                        status_bits(&p, sets[i]));
            _exit(1);
        }
    }
    bool held = status_bits(&p, "NoNewPrivs") == 1;
    peer_deinit(&p);
    _exit(held ? 0 : 2);
}

static void stay(void)
{
}

/* The agent as the shipped unit starts it. */
static void become_service_user(void)
{
    struct __user_cap_header_struct head = {.version =
                                                _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2] = {{0}};

    if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) != 0 || setgid(65534) != 0 ||
        setuid(65534) != 0) {
        _exit(3);
    }
    data[0] = (struct __user_cap_data_struct){
        .effective = (uint32_t)read_search,
        .permitted = (uint32_t)read_search,
        .inheritable = (uint32_t)read_search,
    };
    if (syscall(SYS_capset, &head, data) != 0 ||
        prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_DAC_READ_SEARCH, 0,
              0) != 0) {
        _exit(4);
    }
}

static void a_child_has_no_right_that_its_user_lacks(void **state)
{
    (void)state;
    if (geteuid() == 0) {
        have_no_rights_from(become_service_user, all_rights);
        have_no_rights_from(stay, read_search);
    } else {
        print_message("SKIP: only root can begin with capabilities\n");
        have_no_rights_from(stay, all_rights);
    }
}

static void
a_child_starts_with_no_descriptor_and_no_signal_of_ours(void **state)
{
    (void)state;
    struct peer p;
    const int open_fd = 77; /* not marked: somebody forgot close-on-exec */
    assert_int_equal(dup2(STDERR_FILENO, open_fd), open_fd);
    void (*was)(int) = signal(SIGPIPE, SIG_IGN);
    sigset_t mask, before;
    sigemptyset(&mask);
    sigaddset(&mask, SIGUSR1);
    sigaddset(&mask, SIGTERM);
    assert_int_equal(pthread_sigmask(SIG_BLOCK, &mask, &before), 0);

    run_script(&p, "cat /proc/self/status; for f in /proc/$$/fd/*; do "
                   "echo fd=${f##*/}; done");
    assert_int_equal(status_bits(&p, "SigIgn") & 0x7fffffff, 0);
    assert_int_equal(status_bits(&p, "SigBlk"), 0);
    const char *text = (const char *)p.input.data;
    char held[16];
    (void)snprintf(held, sizeof held, "fd=%d\n", open_fd);
    assert_non_null(strstr(text, "fd=2\n"));
    assert_null(strstr(text, held));
    peer_deinit(&p);
    assert_int_equal(pthread_sigmask(SIG_SETMASK, &before, NULL), 0);
    (void)signal(SIGPIPE, was);
    (void)close(open_fd);
}

static void the_service_manager_does_not_speak_to_a_child(void **state)
{
    (void)state;
    struct peer p;
    assert_int_equal(setenv("NOTIFY_SOCKET", "/run/x", 1), 0);
    assert_int_equal(setenv("WATCHDOG_USEC", "1", 1), 0);
    assert_int_equal(setenv("CREDENTIALS_DIRECTORY", "/run/c", 1), 0);
    assert_int_equal(setenv("SSH_AUTH_SOCK", "/run/agent", 1), 0);

    run_script(&p, "env");
    const char *text = (const char *)p.input.data;
    assert_null(strstr(text, "NOTIFY_SOCKET="));
    assert_null(strstr(text, "WATCHDOG_USEC="));
    assert_null(strstr(text, "CREDENTIALS_DIRECTORY="));
    assert_non_null(strstr(text, "SSH_AUTH_SOCK=/run/agent\n"));
    assert_non_null(strstr(text, "PATH="));
    peer_deinit(&p);
    (void)unsetenv("NOTIFY_SOCKET");
    (void)unsetenv("WATCHDOG_USEC");
    (void)unsetenv("CREDENTIALS_DIRECTORY");
    (void)unsetenv("SSH_AUTH_SOCK");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        /* First: a process that had a child cannot get these rights. */
        cmocka_unit_test(a_child_has_no_right_that_its_user_lacks),
        cmocka_unit_test(
            a_child_starts_with_no_descriptor_and_no_signal_of_ours),
        cmocka_unit_test(the_service_manager_does_not_speak_to_a_child),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
