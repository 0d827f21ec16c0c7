/* SPDX-License-Identifier: MIT
 *
 * crash_shim: comes between a program and the C library, counts the calls that
 * can fail, and lets one of them fail.
 *
 * A call is known by its function, by where it is called from (an offset in
 * the program, the same in every run) and by how often it came from there.  So
 * the calls of a program with several threads are all reached, although their
 * order differs from run to run.
 *
 * The same source is a library for LD_PRELOAD (the page is the file named by
 * CRASH_PAGE) and a part of a test program (which calls crash_shim_use()).
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum crash_fault {
    FAULT_NONE = 0,
    FAULT_EIO,
    FAULT_ENOSPC,
    FAULT_EINTR,
    FAULT_EMFILE,
    FAULT_ENOMEM,
    FAULT_SHORT, /* half of it is read or written */
    FAULT_KILL,  /* the program dies instead of the call */
    FAULTS
};

/* What pretends to be done: page->swallow. */
enum {
    SWALLOW_FILE = 1, /* fsync of a file */
    SWALLOW_DIR = 2,  /* fsync of a directory */
    SWALLOW_FS = 4,   /* syncfs */
    SWALLOW_ALL = 7,
};

enum { CRASH_SITES = 4096, CRASH_NAME = 20, CRASH_DIED = 99 };

struct crash_site {
    uint32_t fn;
    uint32_t count;
    uint64_t caller;
};

struct crash_page {
    uint32_t on; /* count, and fail what is asked for */
    uint32_t fault;
    uint32_t fn;
    uint32_t nth; /* 1: the first call of fn from caller */
    uint64_t caller;
    uint32_t swallow;
    /* what came of it */
    uint32_t fired;
    uint32_t swallowed;
    uint32_t lock;
    uint32_t overflow; /* more sites than fit */
    uint32_t calls;
    uint32_t n;
    struct crash_site sites[CRASH_SITES];
};

enum crash_fn {
    FN_OPEN,
    FN_OPENAT,
    FN_OPENAT2,
    FN_READ,
    FN_PREAD,
    FN_WRITE,
    FN_PWRITE,
    FN_FSYNC,
    FN_FDATASYNC,
    FN_SYNCFS,
    FN_FALLOCATE,
    FN_FTRUNCATE,
    FN_RENAMEAT,
    FN_RENAMEAT2,
    FN_LINKAT,
    FN_UNLINKAT,
    FN_MKDIR,
    FN_MKDIRAT,
    FN_FLOCK,
    FN_STAT,
    FN_FSTAT,
    FN_FSTATAT,
    FN_FCHMOD,
    FN_FCHOWN,
    FN_FCHMODAT,
    FN_FUTIMENS,
    FN_UTIMENSAT,
    FN_FACCESSAT,
    FN_READDIR,
    FN_GETDENTS,
    FN_FDOPENDIR,
    FN_GETRANDOM,
    FN_PTHREAD_CREATE,
    FN_EVENTFD,
    FN_SIGNALFD,
    FN_POLL,
    FN_FOPEN,
    FN_CLOSE,
    FN_LSEEK,
    FN_MALLOC,
    FN_CALLOC,
    FN_REALLOC,
    FN_ALIGNED_ALLOC,
    FN_COUNT
};

/* The functions that are watched, and what may become of each. */
struct crash_function {
    char name[CRASH_NAME];
    uint32_t faults; /* bits 1 << enum crash_fault */
    bool changes;    /* it may change what is on disk: power loss matters */
};
extern const struct crash_function crash_functions[FN_COUNT];
extern const char *const crash_fault_names[FAULTS];

/* In a test program; NULL: watch no more. */
void crash_shim_use(struct crash_page *page);
