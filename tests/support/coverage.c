/* SPDX-License-Identifier: MIT
 *
 * coverage: linked into every program of a coverage build, by name (--wrap).
 *
 * Counters are written to files when a process exits.  Two things of the
 * receiver would prevent that: it leaves through _exit() when its lock is
 * wanted, and it is confined to its own directory.  So _exit() writes them
 * first, and the folder of the counters is added to every Landlock ruleset.
 * No other build knows this file.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

void __gcov_dump(void);
_Noreturn void __real__exit(int code);
_Noreturn void __wrap__exit(int code);
long __real_syscall(long number, ...);
long __wrap_syscall(long number, ...);

enum {
    LANDLOCK_ADD_RULE = 445,
    LANDLOCK_RESTRICT_SELF = 446,
    PATH_BENEATH = 1,
    /* Read and write files; and, as of ABI 3, truncate them. */
    RIGHTS = 1 << 1 | 1 << 2,
    TRUNCATE = 1 << 14,
};

void __wrap__exit(int code)
{
    __gcov_dump();
    __real__exit(code);
}

static void let_counters_through(long ruleset)
{
    struct {
        uint64_t allowed;
        int32_t fd;
    } __attribute__((packed)) rule = {.allowed = RIGHTS | TRUNCATE};
    int was = errno;

    rule.fd = open(COVERAGE_DIR, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (rule.fd < 0) {
        errno = was;
        return;
    }
    if (__real_syscall(LANDLOCK_ADD_RULE, ruleset, PATH_BENEATH, &rule, 0) !=
        0) {
        rule.allowed = RIGHTS;
        (void)__real_syscall(LANDLOCK_ADD_RULE, ruleset, PATH_BENEATH, &rule,
                             0);
    }
    (void)close(rule.fd);
    errno = was;
}

long __wrap_syscall(long number, ...)
{
    long a[6];
    va_list args;

    va_start(args, number);
    for (int i = 0; i < 6; i++) {
        a[i] = va_arg(args, long);
    }
    va_end(args);
    if (number == LANDLOCK_RESTRICT_SELF) {
        let_counters_through(a[0]);
    }
    return __real_syscall(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}
