/* SPDX-License-Identifier: MIT
 *
 * crash_calls: the functions that crash_shim watches. */
#include "crash_shim.h"

#define F(x) (1u << FAULT_##x)

const struct crash_function crash_functions[FN_COUNT] = {
    [FN_OPEN] = {"open", F(EIO) | F(EINTR) | F(EMFILE) | F(KILL), false},
    [FN_OPENAT] = {"openat",
                   F(EIO) | F(ENOSPC) | F(EINTR) | F(EMFILE) | F(KILL), true},
    [FN_OPENAT2] = {"openat2", F(EIO) | F(EINTR) | F(EMFILE) | F(KILL), false},
    [FN_READ] = {"read", F(EIO) | F(EINTR) | F(SHORT) | F(KILL), false},
    [FN_PREAD] = {"pread", F(EIO) | F(EINTR) | F(SHORT) | F(KILL), false},
    [FN_WRITE] = {"write", F(EIO) | F(ENOSPC) | F(EINTR) | F(SHORT) | F(KILL),
                  true},
    [FN_PWRITE] = {"pwrite", F(EIO) | F(ENOSPC) | F(EINTR) | F(SHORT) | F(KILL),
                   true},
    [FN_FSYNC] = {"fsync", F(EIO) | F(ENOSPC) | F(EINTR) | F(KILL), true},
    [FN_FDATASYNC] = {"fdatasync", F(EIO) | F(ENOSPC) | F(EINTR) | F(KILL),
                      true},
    [FN_SYNCFS] = {"syncfs", F(EIO) | F(ENOSPC) | F(EINTR) | F(KILL), true},
    [FN_FALLOCATE] = {"fallocate", F(EIO) | F(ENOSPC) | F(EINTR) | F(KILL),
                      true},
    [FN_FTRUNCATE] = {"ftruncate", F(EIO) | F(EINTR) | F(KILL), true},
    [FN_RENAMEAT] = {"renameat", F(EIO) | F(ENOSPC) | F(KILL), true},
    [FN_RENAMEAT2] = {"renameat2", F(EIO) | F(ENOSPC) | F(KILL), true},
    [FN_LINKAT] = {"linkat", F(EIO) | F(ENOSPC) | F(KILL), true},
    [FN_UNLINKAT] = {"unlinkat", F(EIO) | F(KILL), true},
    [FN_MKDIR] = {"mkdir", F(EIO) | F(ENOSPC) | F(KILL), true},
    [FN_MKDIRAT] = {"mkdirat", F(EIO) | F(ENOSPC) | F(KILL), true},
    [FN_FLOCK] = {"flock", F(EIO) | F(EINTR) | F(KILL), false},
    [FN_STAT] = {"stat", F(EIO), false},
    [FN_FSTAT] = {"fstat", F(EIO), false},
    [FN_FSTATAT] = {"fstatat", F(EIO), false},
    [FN_FCHMOD] = {"fchmod", F(EIO) | F(KILL), true},
    [FN_FCHOWN] = {"fchown", F(EIO) | F(KILL), true},
    [FN_FCHMODAT] = {"fchmodat", F(EIO) | F(KILL), true},
    [FN_FUTIMENS] = {"futimens", F(EIO) | F(KILL), true},
    [FN_UTIMENSAT] = {"utimensat", F(EIO) | F(KILL), true},
    [FN_FACCESSAT] = {"faccessat", F(EIO), false},
    [FN_READDIR] = {"readdir", F(EIO) | F(KILL), false},
    [FN_GETDENTS] = {"getdents64", F(EIO) | F(EINTR) | F(KILL), false},
    [FN_FDOPENDIR] = {"fdopendir", F(ENOMEM), false},
    [FN_GETRANDOM] = {"getrandom", F(EIO) | F(EINTR) | F(SHORT), false},
    [FN_PTHREAD_CREATE] = {"pthread_create", F(EMFILE), false},
    [FN_EVENTFD] = {"eventfd", F(EMFILE), false},
    [FN_SIGNALFD] = {"signalfd", F(EMFILE), false},
    [FN_POLL] = {"poll", F(EINTR), false},
    [FN_FOPEN] = {"fopen", F(EMFILE) | F(EIO), false},
    [FN_CLOSE] = {"close", F(EINTR) | F(EIO), false},
    [FN_LSEEK] = {"lseek", F(EIO), false},
    [FN_MALLOC] = {"malloc", F(ENOMEM), false},
    [FN_CALLOC] = {"calloc", F(ENOMEM), false},
    [FN_REALLOC] = {"realloc", F(ENOMEM), false},
    [FN_ALIGNED_ALLOC] = {"aligned_alloc", F(ENOMEM), false},
};

const char *const crash_fault_names[FAULTS] = {
    "none", "EIO", "ENOSPC", "EINTR", "EMFILE", "ENOMEM", "short", "kill"};
