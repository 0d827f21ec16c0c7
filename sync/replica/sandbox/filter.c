/* SPDX-License-Identifier: MIT
 *
 * filter: see filter.h.  A plain BPF program: the list is short, and the
 * library that would write it for us is one more part to trust.
 *
 * Order of the program: the machine; then one test per call of ALLOWED, which
 * is a jump over its answer; then of CHECKED, which look at an argument; for
 * the first program what comes before the second; then of KILLED; then what is
 * younger than the list; then EPERM.  The kernel asks both programs and does
 * what the stricter one says.
 */
#include "sync/replica/sandbox/filter.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__x86_64__) && !defined(__ILP32__)
#define MACHINE AUDIT_ARCH_X86_64
#elif defined(__aarch64__) && defined(__AARCH64EL__)
#define MACHINE AUDIT_ARCH_AARCH64
#endif

#ifndef __has_feature
#define __has_feature(x) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) ||           \
    __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED true
#else
#define SANITIZED false
#endif

/* Calls that Debian 12's headers may lack; the numbers are the same on all
 * machines. */
enum {
    NR_LAST_KNOWN = 462, /* mseal; younger ones get ENOSYS */
    NR_CACHESTAT = 451,
    NR_FCHMODAT2 = 452,
    NR_X32 = 0x40000000,
};

/* What the receiver, its threads and the C library make while it runs: files
 * by directory descriptor or open descriptor, memory, time, locks of threads,
 * and facts about itself.  The frequent ones come first. */
static const int ALLOWED[] = {
    SYS_newfstatat,
    SYS_close,
    SYS_read,
    SYS_write,
    SYS_futex,
    SYS_flock,
    SYS_fchmod,
    SYS_renameat2,
    SYS_openat,
    SYS_lseek,
    SYS_fsync,
    SYS_fstat,
    SYS_openat2,
    SYS_unlinkat,
    SYS_getdents64,
    SYS_getpid,
    /* files */
    SYS_renameat,
    SYS_mkdirat,
    SYS_fchown,
    SYS_ftruncate,
    SYS_fallocate,
    SYS_fdatasync,
    SYS_syncfs,
    SYS_sync_file_range,
    SYS_pread64,
    SYS_pwrite64,
    SYS_readv,
    SYS_writev,
    SYS_fadvise64,
    SYS_copy_file_range,
    SYS_fstatfs,
    SYS_statx,
    SYS_fgetxattr,
    /* waiting and time */
    SYS_ppoll,
    SYS_clock_gettime,
    SYS_clock_getres,
    SYS_clock_nanosleep,
    SYS_nanosleep,
    SYS_gettimeofday,
    SYS_restart_syscall,
    SYS_eventfd2,
    SYS_inotify_rm_watch,
    /* memory */
    SYS_munmap,
    SYS_mremap,
    SYS_madvise,
    SYS_brk,
    /* threads, signals to itself, the end */
    SYS_set_robust_list,
    SYS_rseq,
    SYS_sched_yield,
    SYS_sched_getaffinity,
    SYS_gettid,
    SYS_rt_sigaction,
    SYS_rt_sigprocmask,
    SYS_rt_sigreturn,
    SYS_sigaltstack,
    SYS_signalfd4,
    SYS_exit,
    SYS_exit_group,
    /* itself and the host */
    SYS_getppid,
    SYS_getuid,
    SYS_geteuid,
    SYS_getgid,
    SYS_getegid,
    SYS_uname,
    SYS_sysinfo,
    SYS_getrandom,
    SYS_getrusage,
#ifdef __x86_64__
    SYS_poll,
    SYS_time,
#endif
};

/* Made with one argument only as given: (argument & mask) == value. */
struct checked {
    int nr;
    unsigned arg;
    uint64_t mask, value;
};

enum {
    NEW_THREAD = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND |
                 CLONE_THREAD | CLONE_SYSVSEM | CLONE_SETTLS |
                 CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID,
};

/* The mask of sync/replica/edits/edit_watch.c. */
enum {
    EDITS = IN_MODIFY | IN_ATTRIB | IN_CLOSE_WRITE | IN_MOVED_FROM |
            IN_MOVED_TO | IN_CREATE | IN_DELETE | IN_ONLYDIR | IN_EXCL_UNLINK,
};

static const struct checked CHECKED[] = {
    /* No memory from which new instructions could be run. */
    {SYS_mmap, 2, PROT_EXEC, 0},
    {SYS_mprotect, 2, PROT_EXEC, 0},
    /* A thread, never a process. */
    {SYS_clone, 0, UINT32_MAX & ~(uint64_t)CLONE_DETACHED, NEW_THREAD},
    /* A name for a new file that has none yet, by its descriptor or by that in
     * /proc; or a new name where the filesystem has no RENAME_NOREPLACE. */
    {SYS_linkat, 4, UINT32_MAX, AT_EMPTY_PATH},
    {SYS_linkat, 4, UINT32_MAX, AT_SYMLINK_FOLLOW},
    {SYS_linkat, 4, UINT32_MAX, 0},
    /* Times of an open file, not by path. */
    {SYS_utimensat, 1, UINT64_MAX, 0},
    /* Limits may be read. */
    {SYS_prlimit64, 2, UINT64_MAX, 0},
    {SYS_prctl, 0, UINT32_MAX, PR_SET_NAME},
    /* What changes in a directory, and not who reads there. */
    {SYS_inotify_add_watch, 2, UINT32_MAX, EDITS},
    {SYS_fcntl, 1, UINT32_MAX, F_GETFD},
    {SYS_fcntl, 1, UINT32_MAX, F_SETFD},
    {SYS_fcntl, 1, UINT32_MAX, F_GETFL},
    {SYS_fcntl, 1, UINT32_MAX, F_SETFL},
    {SYS_fcntl, 1, UINT32_MAX, F_DUPFD_CLOEXEC},
};

/* More, until the directory is open and the sandbox is entered. */
enum {
    NR_LANDLOCK_CREATE_RULESET = 444,
    NR_LANDLOCK_ADD_RULE = 445,
    NR_LANDLOCK_RESTRICT_SELF = 446,
};

static const int FIRST[] = {
    NR_LANDLOCK_CREATE_RULESET,
    NR_LANDLOCK_ADD_RULE,
    NR_LANDLOCK_RESTRICT_SELF,
    /* Where the directory is, by its descriptor's link in /proc, and whether it
     * may be written. */
    SYS_readlinkat,
    SYS_faccessat,
    SYS_faccessat2,
    /* Is the user in the readers' group? */
    SYS_getgroups,
#ifdef __x86_64__
    SYS_readlink,
#endif
};

/* The second program is installed. */
static const struct checked FIRST_CHECKED = {SYS_seccomp, 0, UINT64_MAX,
                                             SECCOMP_SET_MODE_FILTER};

/* Nothing here makes these, an intruder would.  `runtime`: a sanitizer makes
 * it. */
struct killed {
    int nr;
    bool runtime;
};

static const struct killed KILLED[] = {
    {SYS_execve, true},
    {SYS_execveat, false},
    {SYS_ptrace, true},
    {SYS_process_vm_readv, false},
    {SYS_process_vm_writev, false},
    {SYS_socket, false},
    {SYS_socketpair, true},
    {SYS_bind, false},
    {SYS_connect, false},
    {SYS_listen, false},
    {SYS_accept, false},
    {SYS_accept4, false},
    {SYS_sendto, false},
    {SYS_sendmsg, false},
    {SYS_sendmmsg, false},
    {SYS_mount, false},
    {SYS_umount2, false},
    {SYS_pivot_root, false},
    {SYS_chroot, false},
    {SYS_unshare, false},
    {SYS_setns, false},
    {SYS_bpf, false},
    {SYS_perf_event_open, false},
    {SYS_userfaultfd, false},
    {SYS_io_uring_setup, false},
    {SYS_io_uring_enter, false},
    {SYS_io_uring_register, false},
    {SYS_add_key, false},
    {SYS_request_key, false},
    {SYS_keyctl, false},
    {SYS_init_module, false},
    {SYS_finit_module, false},
    {SYS_delete_module, false},
    {SYS_kexec_load, false},
    {SYS_reboot, false},
    {SYS_swapon, false},
    {SYS_swapoff, false},
    {SYS_name_to_handle_at, false},
    {SYS_open_by_handle_at, false},
    {SYS_memfd_create, false},
    {SYS_pidfd_open, false},
    {SYS_pidfd_getfd, false},
    {SYS_pidfd_send_signal, false},
    {SYS_setuid, false},
    {SYS_setgid, false},
    {SYS_setreuid, false},
    {SYS_setregid, false},
    {SYS_setresuid, false},
    {SYS_setresgid, false},
    {SYS_setgroups, false},
    {SYS_setfsuid, false},
    {SYS_setfsgid, false},
    {SYS_capset, false},
    {SYS_mknodat, false},
    {SYS_symlinkat, false},
    {SYS_fsopen, false},
    {SYS_fsmount, false},
    {SYS_open_tree, false},
    {SYS_move_mount, false},
    {SYS_mount_setattr, false},
    {SYS_fanotify_init, false},
    {SYS_personality, true},
#ifdef __x86_64__
    {SYS_fork, true},
    {SYS_vfork, true},
    {SYS_mknod, false},
    {SYS_symlink, false},
    {SYS_link, false},
    {SYS_iopl, false},
    {SYS_ioperm, false},
    {SYS_modify_ldt, false},
    {SYS_kexec_file_load, false},
#endif
};

#ifdef MACHINE

enum { PROGRAM_MAX = 512 };

struct program {
    struct sock_filter code[PROGRAM_MAX];
    size_t len;
};

static void put(struct program *p, uint16_t op, uint8_t yes, uint8_t no,
                uint32_t k)
{
    if (p->len < PROGRAM_MAX) {
        p->code[p->len] =
            (struct sock_filter){.code = op, .jt = yes, .jf = no, .k = k};
    }
    p->len++;
}

static void load(struct program *p, size_t offset)
{
    put(p, BPF_LD | BPF_W | BPF_ABS, 0, 0, (uint32_t)offset);
}

static void answer(struct program *p, uint32_t what)
{
    put(p, BPF_RET | BPF_K, 0, 0, what);
}

/* The number is loaded: `what` when it is `nr`. */
static void put_call(struct program *p, int nr, uint32_t what)
{
    put(p, BPF_JMP | BPF_JEQ | BPF_K, 0, 1, (uint32_t)nr);
    answer(p, what);
}

/* The number is loaded, before and after: allowed when it is the call and both
 * halves of its argument are right.  Both machines have the low half first. */
static void put_checked(struct program *p, const struct checked *c)
{
    uint32_t at = (uint32_t)offsetof(struct seccomp_data, args) + c->arg * 8U;

    put(p, BPF_JMP | BPF_JEQ | BPF_K, 0, 8, (uint32_t)c->nr);
    load(p, at);
    put(p, BPF_ALU | BPF_AND | BPF_K, 0, 0, (uint32_t)c->mask);
    put(p, BPF_JMP | BPF_JEQ | BPF_K, 0, 4, (uint32_t)c->value);
    load(p, at + 4);
    put(p, BPF_ALU | BPF_AND | BPF_K, 0, 0, (uint32_t)(c->mask >> 32));
    put(p, BPF_JMP | BPF_JEQ | BPF_K, 0, 1, (uint32_t)(c->value >> 32));
    answer(p, SECCOMP_RET_ALLOW);
    load(p, offsetof(struct seccomp_data, nr));
}

/* Signals reach only the process itself: abort() in a failed assertion. */
static void put_own_signals(struct program *p)
{
    const struct checked own = {SYS_tgkill, 0, UINT32_MAX, (uint64_t)getpid()};

    put_checked(p, &own);
}

static void put_machine(struct program *p)
{
    load(p, offsetof(struct seccomp_data, arch));
    put(p, BPF_JMP | BPF_JEQ | BPF_K, 1, 0, MACHINE);
    answer(p, SECCOMP_RET_KILL_PROCESS);
    load(p, offsetof(struct seccomp_data, nr));
#ifdef __x86_64__
    put(p, BPF_JMP | BPF_JGE | BPF_K, 0, 1, NR_X32);
    answer(p, SECCOMP_RET_KILL_PROCESS);
#endif
}

static void put_killed(struct program *p)
{
    for (size_t i = 0; i < sizeof KILLED / sizeof KILLED[0]; i++) {
        if (!SANITIZED || !KILLED[i].runtime) {
            put_call(p, KILLED[i].nr, SECCOMP_RET_KILL_PROCESS);
        }
    }
}

static void put_allowed(struct program *p)
{
    for (size_t i = 0; i < sizeof ALLOWED / sizeof ALLOWED[0]; i++) {
        put_call(p, ALLOWED[i], SECCOMP_RET_ALLOW);
    }
    for (size_t i = 0; i < sizeof CHECKED / sizeof CHECKED[0]; i++) {
        put_checked(p, &CHECKED[i]);
    }
    put_own_signals(p);
}

static void put_first(struct program *p)
{
    for (size_t i = 0; i < sizeof FIRST / sizeof FIRST[0]; i++) {
        put_call(p, FIRST[i], SECCOMP_RET_ALLOW);
    }
    put_checked(p, &FIRST_CHECKED);
}

static void build(struct program *p, bool first)
{
    p->len = 0;
    put_machine(p);
    if (SANITIZED) {
        put_killed(p);
        answer(p, SECCOMP_RET_ALLOW);
        return;
    }
    put_allowed(p);
    if (first) {
        put_first(p);
    }
    put_killed(p);
    /* Its flags are behind a pointer; clone() serves as well. */
    put_call(p, SYS_clone3, SECCOMP_RET_ERRNO | ENOSYS);
    /* The C library tries these first and has another way. */
    put_call(p, SYS_faccessat2, SECCOMP_RET_ERRNO | ENOSYS);
    put_call(p, NR_FCHMODAT2, SECCOMP_RET_ERRNO | ENOSYS);
    put_call(p, NR_CACHESTAT, SECCOMP_RET_ERRNO | ENOSYS);
    put(p, BPF_JMP | BPF_JGT | BPF_K, 0, 1, NR_LAST_KNOWN);
    answer(p, SECCOMP_RET_ERRNO | ENOSYS);
    answer(p, SECCOMP_RET_ERRNO | EPERM);
}

static int enter(bool first, char *why, size_t why_room)
{
    struct program p;

    build(&p, first);
    if (p.len > PROGRAM_MAX) {
        (void)snprintf(why, why_room, "%zu instructions are too many", p.len);
        return FILTER_NONE;
    }
    struct sock_fprog prog = {.len = (unsigned short)p.len, .filter = p.code};
    long rc = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER,
                      SECCOMP_FILTER_FLAG_TSYNC, &prog);
    if (rc == 0) {
        return 0;
    }
    if (rc > 0) {
        (void)snprintf(why, why_room, "thread %ld has a filter of its own", rc);
    } else {
        (void)snprintf(why, why_room, "seccomp: %s", strerror(errno));
    }
    return FILTER_NONE;
}

#else /* no MACHINE */

static int enter(bool first, char *why, size_t why_room)
{
    (void)ALLOWED, (void)CHECKED, (void)KILLED, (void)FIRST,
        (void)FIRST_CHECKED, (void)first;
    (void)snprintf(why, why_room, "no list of system calls for this machine");
    return FILTER_NONE;
}

#endif

int filter_first(char *why, size_t why_room)
{
    return enter(true, why, why_room);
}

int filter_enter(char *why, size_t why_room)
{
    return enter(false, why, why_room);
}
