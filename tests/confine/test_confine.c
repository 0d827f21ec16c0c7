/* SPDX-License-Identifier: MIT
 *
 * confine: what the receiver's sandbox refuses and allows, by trying it.  Each
 * attempt of tries.c runs in a process of its own: without any sandbox, where
 * it must work (so that a refusal means something), in the whole one, and in
 * each part of it alone, for a kernel that lacks the other.
 *
 * Built without sanitizers, whose runtimes need what is refused here. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "sync/replica/sandbox/filter.h"
#include "sync/replica/sandbox/sandbox.h"
#include "tries.h"

enum { NOTHING = 0, ALL = LANDLOCK | FILTER | LIMITS, BROKEN = 99 };
/* The filter that is in force before there is a directory. */
enum { FIRST = 1 << 10 };

static struct scene scene;
static char base[100];
static long abi;             /* of Landlock; 0: none */
static unsigned worked_here; /* attempts that work without a sandbox */

/* --- the scene ----------------------------------------------------------- */

static void put_file(const char *folder, const char *name)
{
    char path[300];

    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "text", 4), 4);
    (void)close(fd);
}

/* A process of the same user, which listens on an abstract socket. */
static pid_t start_victim(void)
{
    int ready[2];
    char c;

    assert_int_equal(pipe(ready), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        struct sockaddr_un a = {.sun_family = AF_UNIX};
        int n = snprintf(a.sun_path + 1, sizeof a.sun_path - 1,
                         "drover-confine-%d", (int)getpid());
        socklen_t len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) +
                                    1U + (unsigned)n);
        int fd = socket(AF_UNIX, SOCK_STREAM, 0);
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (fd < 0 || bind(fd, (void *)&a, len) != 0 || listen(fd, 50) != 0 ||
            write(ready[1], "r", 1) != 1) {
            _exit(1);
        }
        for (;;) {
            pause();
        }
    }
    (void)close(ready[1]);
    assert_int_equal(read(ready[0], &c, 1), 1);
    (void)close(ready[0]);
    return pid;
}

static int setup(void **state)
{
    const char *tmp = getenv("TMPDIR");

    (void)state;
    (void)snprintf(base, sizeof base, "%s/confine.XXXXXX",
                   tmp != NULL ? tmp : "/tmp");
    assert_non_null(mkdtemp(base));
    (void)snprintf(scene.dir, sizeof scene.dir, "%s/db", base);
    (void)snprintf(scene.outside, sizeof scene.outside, "%s/outside", base);
    scene.victim = start_victim();
    scene.terminal = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    scene.pipe_fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
    scene.inotify = inotify_init1(IN_CLOEXEC);
    abi = syscall(444 /* landlock_create_ruleset */, NULL, (size_t)0, 1);
    abi = abi < 0 ? 0 : abi;
    return 0;
}

static void remove_all(void)
{
    char command[300];

    (void)umount2(scene.dir, MNT_DETACH); /* where an attempt mounted */
    (void)snprintf(command, sizeof command, "chmod -R u+rwx %s; rm -rf %s",
                   base, base);
    assert_int_equal(system(command), 0);
}

static int teardown(void **state)
{
    (void)state;
    (void)kill(scene.victim, SIGKILL);
    (void)waitpid(scene.victim, NULL, 0);
    remove_all();
    return 0;
}

/* As new for each attempt: one may have removed what the next one looks for. */
static void set_scene(void)
{
    char path[300];
    int pipes[2];

    remove_all();
    assert_int_equal(mkdir(base, 0700), 0);
    assert_int_equal(mkdir(scene.dir, 0700), 0);
    assert_int_equal(mkdir(scene.outside, 0700), 0);
    (void)snprintf(path, sizeof path, "%s/sub", scene.outside);
    assert_int_equal(mkdir(path, 0700), 0);
    put_file(scene.outside, "there");
    put_file(scene.dir, "mine");
    scene.dir_fd = open(scene.dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(scene.dir_fd >= 0);
    assert_int_equal(pipe(pipes), 0);
    scene.pipe_fd = pipes[1];
}

static void leave_scene(void)
{
    (void)close(scene.dir_fd);
    (void)close(scene.pipe_fd);
}

/* --- one attempt --------------------------------------------------------- */

static bool enter(unsigned parts)
{
    char why[160];

    if (parts != NOTHING) {
        sandbox_limits(); /* the others need it */
    }
    if ((parts & FIRST) && filter_first(why, sizeof why) != 0) {
        (void)dprintf(STDERR_FILENO, "no first filter: %s\n", why);
        return false;
    }
    if ((parts & LANDLOCK) &&
        sandbox_enter(scene.dir_fd, why, sizeof why) != 0) {
        (void)dprintf(STDERR_FILENO, "no Landlock: %s\n", why);
        return false;
    }
    if ((parts & FILTER) && filter_enter(why, sizeof why) != 0) {
        (void)dprintf(STDERR_FILENO, "no filter: %s\n", why);
        return false;
    }
    return true;
}

/* A child's status: WORKED, REFUSED (also when it was killed for it), or else
 * what went wrong. */
static int run_child(const struct try *t, unsigned parts)
{
    int status;

    set_scene();
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        /* Signals to the group must not reach the test. */
        (void)setpgid(0, 0);
        if (!enter(parts)) {
            _exit(BROKEN);
        }
        _exit(t->run(&scene));
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    leave_scene();
    if (WIFSIGNALED(status)) {
        return WTERMSIG(status) == SIGSYS ? REFUSED : BROKEN;
    }
    return WEXITSTATUS(status);
}

/* Which of the marks hold on this kernel. */
static unsigned marks_of(unsigned parts)
{
    unsigned marks = parts & (unsigned)ALL;

    marks |= parts & FIRST ? FILTER : 0U;
    marks |= parts & FILTER ? FILTER_LAST : 0U;

    if (parts & LANDLOCK) {
        marks |= abi >= 3 ? LANDLOCK_TRUNCATE : 0U;
        marks |= abi >= 4 ? LANDLOCK_NET : 0U;
        marks |= abi >= 6 ? LANDLOCK_SCOPE : 0U;
    }
    return marks;
}

/* Everything that these parts are said to refuse is refused. */
static void all_are_refused(unsigned parts)
{
    unsigned bad = 0, n = 0;

    if ((parts & LANDLOCK) && abi < 2) {
        print_message("skipped: this kernel has no Landlock (ABI 2)\n");
        skip();
    }
    for (size_t i = 0; i < tries_count; i++) {
        if ((tries[i].refused_by & marks_of(parts)) == 0) {
            continue;
        }
        int got = run_child(&tries[i], parts);
        n++;
        if (got != REFUSED && got != NOT_HERE) {
            print_message("%s: %s\n", tries[i].name,
                          got == WORKED ? "worked" : "went wrong");
            bad++;
        }
    }
    print_message("%u of %zu attempts, all refused but %u\n", n, tries_count,
                  bad);
    assert_int_equal(bad, 0);
    assert_true(n > 0);
}

/* --- tests --------------------------------------------------------------- */

static void without_a_sandbox_the_attempts_work(void **state)
{
    unsigned bad = 0;

    (void)state;
    for (size_t i = 0; i < tries_count; i++) {
        int got = run_child(&tries[i], NOTHING);
        if (got == WORKED) {
            worked_here++;
        } else if (tries[i].anyone) {
            print_message("%s does not work here\n", tries[i].name);
            bad++;
        } else {
            print_message("%s cannot be tried by this user and kernel\n",
                          tries[i].name);
        }
    }
    print_message("%u of %zu attempts work without a sandbox\n", worked_here,
                  tries_count);
    assert_int_equal(bad, 0);
}

static void the_sandbox_refuses_every_attempt(void **state)
{
    (void)state;
    all_are_refused(ALL);
    for (size_t i = 0; i < tries_count; i++) {
        assert_true(tries[i].refused_by & ((unsigned)ALL | FILTER_LAST));
    }
}

static void landlock_alone_refuses_its_share(void **state)
{
    (void)state;
    all_are_refused(LANDLOCK | LIMITS);
}

static void the_filter_alone_refuses_its_share(void **state)
{
    (void)state;
    all_are_refused(FILTER | LIMITS);
}

/* What decodes the first frame of an agent, where there is no replica yet. */
static void the_first_filter_refuses_its_share(void **state)
{
    (void)state;
    all_are_refused(FIRST | LIMITS);
}

static void both_filters_and_landlock_refuse_every_attempt(void **state)
{
    (void)state;
    all_are_refused(FIRST | ALL);
}

static int need_allowed(unsigned parts)
{
    int status;

    set_scene();
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        int line = enter(parts) ? tries_allowed(&scene) : -1;
        if (line != 0) {
            (void)dprintf(STDERR_FILENO, "tries.c:%d: refused: %s\n", line,
                          strerror(errno));
        }
        _exit(line != 0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    leave_scene();
    return status;
}

static void the_sandbox_allows_what_a_receiver_does(void **state)
{
    (void)state;
    if (abi >= 2) {
        assert_int_equal(need_allowed(ALL), 0);
        assert_int_equal(need_allowed(FIRST | ALL), 0);
    }
    assert_int_equal(need_allowed(FIRST | LIMITS), 0);
    assert_int_equal(need_allowed(FIRST | FILTER | LIMITS), 0);
    assert_int_equal(need_allowed(FILTER | LIMITS), 0);
}

/* A call that is on the list of what only an intruder makes ends the process;
 * another one that is not allowed fails. */
static void ends_an_intruder(unsigned parts, long nr)
{
    int status;

    set_scene();
    pid_t pid = fork();
    if (pid == 0) {
        if (!enter(parts) || syscall(SYS_epoll_create1, 0) != -1 ||
            errno != EPERM || syscall(100000) != -1 || errno != ENOSYS) {
            _exit(1);
        }
        (void)syscall(nr, -1, -1, -1, -1, -1);
        _exit(2);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    leave_scene();
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGSYS);
}

static void an_intruders_call_ends_the_process(void **state)
{
    static const long CALLS[] = {SYS_socket, SYS_execve, SYS_ptrace, SYS_bpf,
                                 SYS_mount};

    (void)state;
    for (size_t i = 0; i < sizeof CALLS / sizeof *CALLS; i++) {
        ends_an_intruder(FILTER | LIMITS, CALLS[i]);
        ends_an_intruder(FIRST | LIMITS, CALLS[i]);
        ends_an_intruder(FIRST | FILTER | LIMITS, CALLS[i]);
    }
}

/* The first one leaves the way open to the second, and that one closes it. */
static void the_second_filter_is_the_last(void **state)
{
    int status;

    (void)state;
    set_scene();
    pid_t pid = fork();
    if (pid == 0) {
        char why[160];
        bool open = enter(FIRST | FILTER | LIMITS) &&
                    filter_enter(why, sizeof why) == 0;
        _exit(open);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    leave_scene();
    assert_int_equal(status, 0);
}

static int go[2];

static void *early_thread(void *arg)
{
    char c;

    if (read(go[0], &c, 1) == 1) {
        (void)socket(AF_INET, SOCK_STREAM, 0);
    }
    return arg;
}

/* Threads that run already are bound by the filter as well. */
static void the_filter_reaches_earlier_threads(void **state)
{
    int status;

    (void)state;
    set_scene();
    pid_t pid = fork();
    if (pid == 0) {
        pthread_t t;
        if (pipe(go) != 0 ||
            pthread_create(&t, NULL, early_thread, NULL) != 0 ||
            !enter(FILTER | LIMITS) || write(go[1], "g", 1) != 1) {
            _exit(1);
        }
        (void)pthread_join(t, NULL);
        _exit(2);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    leave_scene();
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGSYS);
}

/* A failed assertion still ends as one, and leaves no core. */
static void an_assertion_that_fails_aborts_without_a_core(void **state)
{
    int status;

    (void)state;
    set_scene();
    pid_t pid = fork();
    if (pid == 0) {
        if (!enter(FILTER | LIMITS)) {
            _exit(1);
        }
        abort();
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    leave_scene();
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGABRT);
    assert_false(WCOREDUMP(status));
}

static void what_the_parent_left_open_is_closed(void **state)
{
    int status;

    (void)state;
    set_scene();
    pid_t pid = fork();
    if (pid == 0) {
        int kept = fcntl(scene.dir_fd, F_DUPFD, 200);
        sandbox_close_inherited();
        _exit(kept < 200 || fcntl(kept, F_GETFD) != -1 ||
              fcntl(scene.dir_fd, F_GETFD) != -1 ||
              fcntl(STDERR_FILENO, F_GETFD) == -1);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    leave_scene();
    assert_int_equal(status, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_a_sandbox_the_attempts_work),
        cmocka_unit_test(the_sandbox_refuses_every_attempt),
        cmocka_unit_test(landlock_alone_refuses_its_share),
        cmocka_unit_test(the_filter_alone_refuses_its_share),
        cmocka_unit_test(the_first_filter_refuses_its_share),
        cmocka_unit_test(both_filters_and_landlock_refuse_every_attempt),
        cmocka_unit_test(the_second_filter_is_the_last),
        cmocka_unit_test(the_sandbox_allows_what_a_receiver_does),
        cmocka_unit_test(an_intruders_call_ends_the_process),
        cmocka_unit_test(the_filter_reaches_earlier_threads),
        cmocka_unit_test(an_assertion_that_fails_aborts_without_a_core),
        cmocka_unit_test(what_the_parent_left_open_is_closed),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
