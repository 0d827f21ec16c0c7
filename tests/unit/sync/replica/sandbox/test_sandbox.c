/* SPDX-License-Identifier: MIT
 *
 * sandbox: what is asked of each version of Landlock, and what is said where
 * there is none.  The test stands between the sandbox and the kernel
 * (--wrap=syscall); what the real kernel then refuses: tests/confine. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "sync/replica/sandbox/sandbox.h"

enum { CREATE = 444, ADD = 445, RESTRICT = 446 };

static struct kernel {
    long abi;   /* negative: the errno of every call */
    long fails; /* this call fails with EINVAL */
    uint64_t attr[3];
    size_t attr_size;
    uint64_t allowed[4];
    int rule_fd[4];
    size_t rules;
    bool restricted;
} kernel;

static long create(const void *attr, size_t size, long flags)
{
    if (attr == NULL) {
        assert_int_equal(flags, 1);
        return kernel.abi;
    }
    assert_true(size <= sizeof kernel.attr);

    memcpy(kernel.attr, attr, size);
    kernel.attr_size = size;
    return dup(STDERR_FILENO);
}

static long add(int fd, const void *rule)
{
    size_t n = kernel.rules++;

    assert_true(n < 4);
    memcpy(&kernel.allowed[n], rule, 8);
    memcpy(&kernel.rule_fd[n], (const char *)rule + 8, 4);
    return fd >= 0 ? 0 : -1;
}

/* The linker's name for it. */
long __wrap_syscall(long nr, ...); /* NOLINT */
long __wrap_syscall(long nr, ...)
{
    va_list ap;
    long rc = -1;

    if (kernel.abi < 0) {
        errno = (int)-kernel.abi;
        return -1;
    }
    if (nr == kernel.fails) {
        errno = EINVAL;
        return -1;
    }
    va_start(ap, nr);
    if (nr == CREATE) {
        const void *attr = va_arg(ap, const void *);
        size_t size = va_arg(ap, size_t);
        rc = create(attr, size, va_arg(ap, int));
    } else if (nr == ADD) {
        int fd = va_arg(ap, int);
        (void)va_arg(ap, int);
        rc = add(fd, va_arg(ap, const void *));
    } else if (nr == RESTRICT) {
        kernel.restricted = true;
        rc = 0;
    }
    va_end(ap);
    return rc;
}

static int enter(long abi, char why[160])
{
    kernel = (struct kernel){.abi = abi};
    return sandbox_enter(STDIN_FILENO, why, 160);
}

/* A kernel refuses rights, and sizes, that are newer than it. */
static void each_version_is_asked_for_what_it_knows(void **state)
{
    static const struct {
        long abi;
        size_t size;
        uint64_t fs, net, scoped;
    } rows[] = {
        {2, 8, 0x3fff, 0, 0},   {3, 8, 0x7fff, 0, 0},  {4, 16, 0x7fff, 3, 0},
        {5, 16, 0xffff, 3, 0},  {6, 24, 0xffff, 3, 3}, {7, 24, 0xffff, 3, 3},
        {99, 24, 0xffff, 3, 3},
    };
    char why[160];
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_int_equal(enter(rows[i].abi, why), 0);
        assert_true(kernel.restricted);
        assert_int_equal(kernel.attr_size, rows[i].size);
        assert_true(kernel.attr[0] == rows[i].fs);
        assert_true(kernel.attr[1] == rows[i].net);
        assert_true(kernel.attr[2] == rows[i].scoped);
        /* Nothing is granted that is not handled: the kernel would refuse. */
        for (size_t r = 0; r < kernel.rules; r++) {
            assert_true((kernel.allowed[r] & ~kernel.attr[0]) == 0);
        }
        assert_int_equal(kernel.rule_fd[0], STDIN_FILENO);
    }
}

/* Execute, devices, sockets, pipes, links and ioctl are granted nowhere. */
static void only_what_a_receiver_does_is_granted(void **state)
{
    enum { READ_FILE = 4, WHAT_IT_DOES = 0x61be };
    char why[160];
    (void)state;
    assert_int_equal(enter(7, why), 0);
    assert_int_equal(kernel.rules, 2);
    assert_true(kernel.allowed[0] == WHAT_IT_DOES);
    assert_true((kernel.allowed[1] & ~(uint64_t)(READ_FILE | 8)) == 0);
}

static void a_kernel_without_landlock_is_named(void **state)
{
    char why[160];

    (void)state;
    assert_int_equal(enter(-ENOSYS, why), SANDBOX_NONE);
    assert_string_equal(why, "the kernel has no Landlock: Function not "
                             "implemented");
    assert_int_equal(enter(-EOPNOTSUPP, why), SANDBOX_NONE);
    assert_string_equal(why, "the kernel has no Landlock: Operation not "
                             "supported");
    assert_false(kernel.restricted);
}

static void the_first_version_is_too_old(void **state)
{
    char why[160];

    (void)state;
    assert_int_equal(enter(1, why), SANDBOX_NONE);
    assert_string_equal(why, "this kernel's Landlock (ABI 1) is too old");
    assert_false(kernel.restricted);
}

static void each_failing_call_is_named(void **state)
{
    static const struct {
        long nr;
        const char *text;
    } rows[] = {
        {ADD, "landlock_add_rule: Invalid argument"},
        {RESTRICT, "landlock_restrict_self: Invalid argument"},
    };
    char why[160];
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        kernel = (struct kernel){.abi = 7, .fails = rows[i].nr};
        assert_int_equal(sandbox_enter(STDIN_FILENO, why, sizeof why),
                         SANDBOX_NONE);
        assert_string_equal(why, rows[i].text);
        assert_false(kernel.restricted);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_version_is_asked_for_what_it_knows),
        cmocka_unit_test(only_what_a_receiver_does_is_granted),
        cmocka_unit_test(a_kernel_without_landlock_is_named),
        cmocka_unit_test(the_first_version_is_too_old),
        cmocka_unit_test(each_failing_call_is_named),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
