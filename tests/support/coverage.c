/* SPDX-License-Identifier: MIT
 *
 * coverage: linked into every program of a coverage build, by name (--wrap).
 *
 * Counters are written to files when a process exits.  Three things of the
 * receiver would prevent that: it leaves through _exit() when its lock is
 * wanted, it is confined to its own directory, and it may not lock files with
 * fcntl(), as several programs that add up their counters do.  So _exit()
 * writes them first, the folder of the counters is added to every Landlock
 * ruleset, and that call to every filter of system calls.  Where the crash
 * tests' calls that fail are in force they end before.  No other build knows
 * this file.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
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
    FILTER_MAX = 1024,
};

__attribute__((destructor)) static void end_faults(void)
{
    void (*use)(void *);

    *(void **)&use = dlsym(RTLD_DEFAULT, "crash_shim_use");
    if (use != NULL) {
        use(NULL);
    }
}

void __wrap__exit(int code)
{
    end_faults();
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

/* The filter with fcntl(.., F_SETLKW, ..) allowed before all else; it looks at
 * the machine itself.  Low halves stand first on every machine we run on. */
static long filter_with_locks(const long *a)
{
    static struct sock_filter code[FILTER_MAX];
    const struct sock_fprog *given = (const struct sock_fprog *)a[2];
    const struct sock_filter first[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_fcntl, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
                 offsetof(struct seccomp_data, args) + sizeof(uint64_t)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, F_SETLKW, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const size_t extra = sizeof first / sizeof first[0];

    if (a[0] != SECCOMP_SET_MODE_FILTER || given->len + extra > FILTER_MAX) {
        return __real_syscall(SYS_seccomp, a[0], a[1], a[2]);
    }
    memcpy(code, first, sizeof first);
    memcpy(code + extra, given->filter, given->len * sizeof code[0]);
    struct sock_fprog prog = {.len = (unsigned short)(given->len + extra),
                              .filter = code};
    return __real_syscall(SYS_seccomp, a[0], a[1], &prog);
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
    if (number == SYS_seccomp) {
        return filter_with_locks(a);
    }
    return __real_syscall(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}
