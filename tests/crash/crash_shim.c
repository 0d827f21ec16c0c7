/* SPDX-License-Identifier: MIT
 *
 * crash_shim: see crash_shim.h. */
#include "crash_shim.h"

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#pragma GCC visibility push(default)

static struct crash_page *page;
static uintptr_t main_from, main_to;

/* The C library's own syscall(), for this file defines one. */
static long raw(long number, long a, long b, long c, long d, long e, long f)
{
    static long (*real)(long, ...);

    if (real == NULL) {
        *(void **)&real = dlsym(RTLD_NEXT, "syscall");
    }
    return real(number, a, b, c, d, e, f);
}

#define RAW_PICK(n, a, b, c, d, e, f, ...)                                     \
    raw(n, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), (long)(f))
#define RAW(...) RAW_PICK(__VA_ARGS__, 0, 0, 0, 0, 0, 0, 0)

/* --- the page ------------------------------------------------------------ */

static int note_main(struct dl_phdr_info *info, size_t size, void *arg)
{
    (void)size, (void)arg;
    main_from = info->dlpi_addr;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        uintptr_t end = info->dlpi_addr + info->dlpi_phdr[i].p_vaddr +
                        info->dlpi_phdr[i].p_memsz;
        if (info->dlpi_phdr[i].p_type == PT_LOAD && end > main_to) {
            main_to = end;
        }
    }
    return 1; /* the first one is the program */
}

void crash_shim_use(struct crash_page *p)
{
    if (main_to == 0) {
        (void)dl_iterate_phdr(note_main, NULL);
    }
    __atomic_store_n(&page, p, __ATOMIC_RELEASE);
}

#ifdef CRASH_PRELOADED
__attribute__((constructor)) static void from_environment(void)
{
    const char *path = getenv("CRASH_PAGE");

    if (path == NULL) {
        return;
    }
    int fd = (int)RAW(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC);

    if (fd < 0) {
        abort();
    }
    void *p = mmap(NULL, sizeof(struct crash_page), PROT_READ | PROT_WRITE,
                   MAP_SHARED, fd, 0);
    (void)RAW(SYS_close, fd);
    if (p == MAP_FAILED) {
        abort();
    }
    crash_shim_use(p);
}
#endif

/* Where a call came from: an offset in the program, or for a call from inside
 * a library the part of the address that is the same in every run. */
static uint64_t place_of(const void *caller)
{
    uintptr_t at = (uintptr_t)caller;

    if (at >= main_from && at < main_to) {
        return at - main_from;
    }
    return UINT64_C(1) << 40 | (at & 0xfff);
}

static uint32_t count_call(struct crash_page *p, uint32_t fn, uint64_t caller)
{
    uint32_t i = 0;

    while (i < p->n && (p->sites[i].fn != fn || p->sites[i].caller != caller)) {
        i++;
    }
    if (i == CRASH_SITES) {
        p->overflow = 1;
        return 0;
    }
    if (i == p->n) {
        p->sites[i] = (struct crash_site){.fn = fn, .caller = caller};
        p->n++;
    }
    p->calls++;
    return ++p->sites[i].count;
}

/* At once, with all threads and without any tidying.  A sandboxed program may
 * not be allowed to send signals. */
static void die(void)
{
    (void)RAW(SYS_kill, RAW(SYS_getpid, 0), SIGKILL);
    for (;;) {
        (void)RAW(SYS_exit_group, CRASH_DIED);
    }
}

/* Count a call; what is to become of it. */
static enum crash_fault fate(uint32_t fn, const void *caller)
{
    struct crash_page *p = __atomic_load_n(&page, __ATOMIC_ACQUIRE);

    if (p == NULL || !__atomic_load_n(&p->on, __ATOMIC_ACQUIRE)) {
        return FAULT_NONE;
    }
    uint64_t at = place_of(caller);
    while (__atomic_exchange_n(&p->lock, 1, __ATOMIC_ACQUIRE) != 0) {
    }
    uint32_t nth = count_call(p, fn, at);
    bool hit = !p->fired && p->fault != FAULT_NONE && p->fn == fn &&
               p->caller == at && p->nth == nth;

    p->fired |= hit;
    __atomic_store_n(&p->lock, 0, __ATOMIC_RELEASE);
    if (!hit) {
        return FAULT_NONE;
    }
    if (p->fault == FAULT_KILL) {
        die();
    }
    return p->fault;
}

static int error_of(enum crash_fault f)
{
    static const int numbers[FAULTS] = {
        [FAULT_EIO] = EIO,       [FAULT_ENOSPC] = ENOSPC, [FAULT_EINTR] = EINTR,
        [FAULT_EMFILE] = EMFILE, [FAULT_ENOMEM] = ENOMEM,
    };

    return numbers[f];
}

static bool fails(uint32_t fn, const void *caller)
{
    enum crash_fault f = fate(fn, caller);

    if (f == FAULT_NONE) {
        return false;
    }
    errno = error_of(f);

    return true;
}

#define CALLER __builtin_return_address(0)
#define REAL(name)                                                             \
    static __typeof__(&name) real;                                             \
    if (real == NULL) {                                                        \
        *(void **)&real = dlsym(RTLD_NEXT, #name);                             \
    }

/* --- opening ------------------------------------------------------------- */

static mode_t mode_of(int flags, va_list ap)
{
    return (flags & (O_CREAT | __O_TMPFILE)) != 0 ? va_arg(ap, mode_t) : 0;
}

int open(const char *path, int flags, ...)
{
    va_list ap;

    va_start(ap, flags);
    mode_t mode = mode_of(flags, ap);
    va_end(ap);
    if (fails(FN_OPEN, CALLER)) {
        return -1;
    }
    return (int)RAW(SYS_openat, AT_FDCWD, path, flags, mode);
}

int openat(int dir, const char *path, int flags, ...)
{
    va_list ap;

    va_start(ap, flags);
    mode_t mode = mode_of(flags, ap);
    va_end(ap);
    if (fails(FN_OPENAT, CALLER)) {
        return -1;
    }
    return (int)RAW(SYS_openat, dir, path, flags, mode);
}

int __open_2(const char *path, int flags);
int __open_2(const char *path, int flags)
{
    if (fails(FN_OPEN, CALLER)) {
        return -1;
    }
    return (int)RAW(SYS_openat, AT_FDCWD, path, flags, 0);
}

int __openat_2(int dir, const char *path, int flags);
int __openat_2(int dir, const char *path, int flags)
{
    if (fails(FN_OPENAT, CALLER)) {
        return -1;
    }
    return (int)RAW(SYS_openat, dir, path, flags, 0);
}

FILE *fopen(const char *path, const char *how)
{
    REAL(fopen)
    return fails(FN_FOPEN, CALLER) ? NULL : real(path, how);
}

DIR *fdopendir(int fd)
{
    REAL(fdopendir)
    return fails(FN_FDOPENDIR, CALLER) ? NULL : real(fd);
}

int close(int fd)
{
    enum crash_fault f = fate(FN_CLOSE, CALLER);
    int rc = (int)RAW(SYS_close, fd);

    if (f == FAULT_NONE) {
        return rc;
    }
    errno = error_of(f);

    return -1;
}

int eventfd(unsigned int n, int flags)
{
    return fails(FN_EVENTFD, CALLER) ? -1 : (int)RAW(SYS_eventfd2, n, flags);
}

int signalfd(int fd, const sigset_t *set, int flags)
{
    REAL(signalfd)
    return fails(FN_SIGNALFD, CALLER) ? -1 : real(fd, set, flags);
}

/* --- reading and writing ------------------------------------------------- */

/* How many bytes to move, or -1 with errno. */
static ssize_t amount(uint32_t fn, const void *caller, size_t n)
{
    enum crash_fault f = fate(fn, caller);

    if (f == FAULT_SHORT) {
        return (ssize_t)(n < 2 ? n : n / 2);
    }
    if (f != FAULT_NONE) {
        errno = error_of(f);
        return -1;
    }
    return (ssize_t)n;
}

ssize_t read(int fd, void *p, size_t n)
{
    ssize_t m = amount(FN_READ, CALLER, n);

    return m < 0 ? -1 : RAW(SYS_read, fd, p, m);
}

ssize_t __read_chk(int fd, void *p, size_t n, size_t room);
ssize_t __read_chk(int fd, void *p, size_t n, size_t room)
{
    ssize_t m = amount(FN_READ, CALLER, n);

    if (n > room) {
        abort();
    }
    return m < 0 ? -1 : RAW(SYS_read, fd, p, m);
}

ssize_t pread(int fd, void *p, size_t n, off_t at)
{
    ssize_t m = amount(FN_PREAD, CALLER, n);

    return m < 0 ? -1 : RAW(SYS_pread64, fd, p, m, at);
}

ssize_t write(int fd, const void *p, size_t n)
{
    ssize_t m = amount(FN_WRITE, CALLER, n);

    return m < 0 ? -1 : RAW(SYS_write, fd, p, m);
}

ssize_t pwrite(int fd, const void *p, size_t n, off_t at)
{
    ssize_t m = amount(FN_PWRITE, CALLER, n);

    return m < 0 ? -1 : RAW(SYS_pwrite64, fd, p, m, at);
}

ssize_t getrandom(void *p, size_t n, unsigned int flags)
{
    ssize_t m = amount(FN_GETRANDOM, CALLER, n);

    return m < 0 ? -1 : RAW(SYS_getrandom, p, m, flags);
}

off_t lseek(int fd, off_t to, int whence)
{
    return fails(FN_LSEEK, CALLER) ? -1 : RAW(SYS_lseek, fd, to, whence);
}

int poll(struct pollfd *fds, nfds_t n, int ms)
{
    REAL(poll)
    return fails(FN_POLL, CALLER) ? -1 : real(fds, n, ms);
}

/* --- durability ---------------------------------------------------------- */

static bool swallowed(int fd, uint32_t what)
{
    struct crash_page *p = __atomic_load_n(&page, __ATOMIC_ACQUIRE);

    if (p == NULL || p->swallow == 0) {
        return false;
    }
    struct stat st;
    if (what == SWALLOW_FILE &&
        RAW(SYS_newfstatat, fd, "", &st, AT_EMPTY_PATH) == 0 &&
        S_ISDIR(st.st_mode)) {
        what = SWALLOW_DIR;
    }
    if ((p->swallow & what) == 0) {
        return false;
    }
    (void)__atomic_add_fetch(&p->swallowed, 1, __ATOMIC_RELAXED);

    return true;
}

int fsync(int fd)
{
    if (fails(FN_FSYNC, CALLER)) {
        return -1;
    }
    return swallowed(fd, SWALLOW_FILE) ? 0 : (int)RAW(SYS_fsync, fd);
}

int fdatasync(int fd)
{
    if (fails(FN_FDATASYNC, CALLER)) {
        return -1;
    }
    return swallowed(fd, SWALLOW_FILE) ? 0 : (int)RAW(SYS_fdatasync, fd);
}

int syncfs(int fd)
{
    if (fails(FN_SYNCFS, CALLER)) {
        return -1;
    }
    return swallowed(fd, SWALLOW_FS) ? 0 : (int)RAW(SYS_syncfs, fd);
}

int fallocate(int fd, int mode, off_t at, off_t n)
{
    return fails(FN_FALLOCATE, CALLER)
               ? -1
               : (int)RAW(SYS_fallocate, fd, mode, at, n);
}

int ftruncate(int fd, off_t n)
{
    return fails(FN_FTRUNCATE, CALLER) ? -1 : (int)RAW(SYS_ftruncate, fd, n);
}

/* --- names --------------------------------------------------------------- */

int renameat(int a, const char *from, int b, const char *to)
{
    return fails(FN_RENAMEAT, CALLER)
               ? -1
               : (int)RAW(SYS_renameat2, a, from, b, to, 0);
}

int renameat2(int a, const char *from, int b, const char *to, unsigned int how)
{
    return fails(FN_RENAMEAT2, CALLER)
               ? -1
               : (int)RAW(SYS_renameat2, a, from, b, to, how);
}

int linkat(int a, const char *from, int b, const char *to, int flags)
{
    return fails(FN_LINKAT, CALLER)
               ? -1
               : (int)RAW(SYS_linkat, a, from, b, to, flags);
}

int unlinkat(int dir, const char *name, int flags)
{
    return fails(FN_UNLINKAT, CALLER)
               ? -1
               : (int)RAW(SYS_unlinkat, dir, name, flags);
}

int mkdir(const char *path, mode_t mode)
{
    return fails(FN_MKDIR, CALLER)
               ? -1
               : (int)RAW(SYS_mkdirat, AT_FDCWD, path, mode);
}

int mkdirat(int dir, const char *path, mode_t mode)
{
    return fails(FN_MKDIRAT, CALLER) ? -1
                                     : (int)RAW(SYS_mkdirat, dir, path, mode);
}

struct dirent *readdir(DIR *dir)
{
    REAL(readdir)
    return fails(FN_READDIR, CALLER) ? NULL : real(dir);
}

ssize_t getdents64(int fd, void *p, size_t n)
{
    return fails(FN_GETDENTS, CALLER) ? -1 : RAW(SYS_getdents64, fd, p, n);
}

/* --- what files are ------------------------------------------------------ */

int flock(int fd, int how)
{
    return fails(FN_FLOCK, CALLER) ? -1 : (int)RAW(SYS_flock, fd, how);
}

int stat(const char *path, struct stat *st)
{
    return fails(FN_STAT, CALLER)
               ? -1
               : (int)RAW(SYS_newfstatat, AT_FDCWD, path, st, 0);
}

int fstat(int fd, struct stat *st)
{
    return fails(FN_FSTAT, CALLER)
               ? -1
               : (int)RAW(SYS_newfstatat, fd, "", st, AT_EMPTY_PATH);
}

int fstatat(int dir, const char *path, struct stat *st, int flags)
{
    return fails(FN_FSTATAT, CALLER)
               ? -1
               : (int)RAW(SYS_newfstatat, dir, path, st, flags);
}

int faccessat(int dir, const char *path, int how, int flags)
{
    REAL(faccessat)
    return fails(FN_FACCESSAT, CALLER) ? -1 : real(dir, path, how, flags);
}

int fchmod(int fd, mode_t mode)
{
    return fails(FN_FCHMOD, CALLER) ? -1 : (int)RAW(SYS_fchmod, fd, mode);
}

int fchmodat(int dir, const char *path, mode_t mode, int flags)
{
    REAL(fchmodat)
    return fails(FN_FCHMODAT, CALLER) ? -1 : real(dir, path, mode, flags);
}

int fchown(int fd, uid_t user, gid_t group)
{
    return fails(FN_FCHOWN, CALLER) ? -1
                                    : (int)RAW(SYS_fchown, fd, user, group);
}

int futimens(int fd, const struct timespec t[2])
{
    return fails(FN_FUTIMENS, CALLER) ? -1
                                      : (int)RAW(SYS_utimensat, fd, NULL, t, 0);
}

int utimensat(int dir, const char *path, const struct timespec t[2], int flags)
{
    return fails(FN_UTIMENSAT, CALLER)
               ? -1
               : (int)RAW(SYS_utimensat, dir, path, t, flags);
}

/* --- threads ------------------------------------------------------------- */

int pthread_create(pthread_t *out, const pthread_attr_t *attr,
                   void *(*run)(void *), void *arg)
{
    REAL(pthread_create)
    if (fate(FN_PTHREAD_CREATE, CALLER) != FAULT_NONE) {
        return EAGAIN;
    }
    return real(out, attr, run, arg);
}

/* --- memory: not under a sanitizer, which has an allocator of its own ---- */

#ifndef CRASH_NO_ALLOC
void *__libc_malloc(size_t n);
void *__libc_calloc(size_t n, size_t each);
void *__libc_realloc(void *p, size_t n);
void *__libc_memalign(size_t align, size_t n);

void *malloc(size_t n)
{
    return fails(FN_MALLOC, CALLER) ? NULL : __libc_malloc(n);
}

void *calloc(size_t n, size_t each)
{
    return fails(FN_CALLOC, CALLER) ? NULL : __libc_calloc(n, each);
}

void *realloc(void *p, size_t n)
{
    return fails(FN_REALLOC, CALLER) ? NULL : __libc_realloc(p, n);
}

void *aligned_alloc(size_t align, size_t n)
{
    return fails(FN_ALIGNED_ALLOC, CALLER) ? NULL : __libc_memalign(align, n);
}
#endif

/* --- calls the C library has no name for --------------------------------- */

long syscall(long number, ...)
{
    va_list ap;

    va_start(ap, number);
    long a = va_arg(ap, long), b = va_arg(ap, long), c = va_arg(ap, long),
         d = va_arg(ap, long), e = va_arg(ap, long), f = va_arg(ap, long);
    va_end(ap);
    if (number == SYS_openat2 && fails(FN_OPENAT2, CALLER)) {
        return -1;
    }
    return raw(number, a, b, c, d, e, f);
}
