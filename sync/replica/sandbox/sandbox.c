/* SPDX-License-Identifier: MIT
 *
 * sandbox: see sandbox.h.  Raw system calls with our own constants: the
 * headers of Debian 12 know only the first version of Landlock.  ABI 1 is not
 * used: it forbids every rename between two directories, and a value is
 * renamed from the stage into its table.
 */
#include "sync/replica/sandbox/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "store/base/cleanup.h"

/* Landlock's rights on files; the comment gives the ABI that brought them. */
enum {
    FS_WRITE_FILE = 1 << 1,
    FS_READ_FILE = 1 << 2,
    FS_READ_DIR = 1 << 3,
    FS_REMOVE_DIR = 1 << 4,
    FS_REMOVE_FILE = 1 << 5,
    FS_MAKE_DIR = 1 << 7,
    FS_MAKE_REG = 1 << 8,
    FS_ABI_1 = (1 << 13) - 1, /* all of the first version */
    FS_REFER = 1 << 13,       /* 2 */
    FS_TRUNCATE = 1 << 14,    /* 3 */
    FS_IOCTL_DEV = 1 << 15,   /* 5 */
    NET_TCP = 3,              /* 4: bind and connect */
    SCOPES = 3,               /* 6: abstract sockets and signals */
};

/* All that the receiver does beneath its directory. */
enum {
    FS_RECEIVER = FS_WRITE_FILE | FS_READ_FILE | FS_READ_DIR | FS_REMOVE_DIR |
                  FS_REMOVE_FILE | FS_MAKE_DIR | FS_MAKE_REG | FS_REFER |
                  FS_TRUNCATE,
};

#ifndef __has_feature
#define __has_feature(x) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || __has_feature(address_sanitizer)
#define LEAK_CHECKER true
#else
#define LEAK_CHECKER false
#endif

struct ruleset_attr {
    uint64_t handled_fs;
    uint64_t handled_net; /* ABI 4 */
    uint64_t scoped;      /* ABI 6 */
};

struct path_beneath {
    uint64_t allowed;
    int32_t parent_fd;
} __attribute__((packed));

enum {
    CREATE_RULESET = 444,
    ADD_RULE = 445,
    RESTRICT_SELF = 446,
    RULESET_VERSION = 1,
    RULE_PATH_BENEATH = 1,
};

void sandbox_close_inherited(void)
{
    (void)syscall(SYS_close_range, STDERR_FILENO + 1U, ~0U, 0);
}

void sandbox_limits(void)
{
    (void)umask(0);
    tzset(); /* reads /etc/localtime, for times in messages */
    (void)prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    struct rlimit none = {.rlim_cur = 0, .rlim_max = 0};
    (void)setrlimit(RLIMIT_CORE, &none);
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &files);
    }
}

static int add_rule(int ruleset, int fd, uint64_t allowed)
{
    struct path_beneath rule = {.allowed = allowed, .parent_fd = fd};

    return (int)syscall(ADD_RULE, ruleset, RULE_PATH_BENEATH, &rule, 0);
}

/* Who holds a lock, for messages; without it that is just unknown.  Nothing
 * else of /proc: it tells of other processes.  But the leak checker of test
 * builds lists our own threads there. */
static void add_proc(int ruleset)
{
    const char *path = LEAK_CHECKER ? "/proc" : "/proc/locks";
    CLEANUP(fd_closep) int proc = open(path, O_PATH | O_CLOEXEC);

    if (proc >= 0) {
        (void)add_rule(ruleset, proc,
                       LEAK_CHECKER ? FS_READ_FILE | FS_READ_DIR
                                    : FS_READ_FILE);
    }
}

static int none(char *why, size_t room, const char *what)
{
    (void)snprintf(why, room, "%s: %s", what, strerror(errno));
    return SANDBOX_NONE;
}

long sandbox_abi(void)
{
    return syscall(CREATE_RULESET, NULL, (size_t)0, RULESET_VERSION);
}

int sandbox_enter(int root_fd, char *why, size_t why_room)
{
    long abi = sandbox_abi();

    if (abi < 0) {
        return none(why, why_room, "the kernel has no Landlock");
    }
    if (abi < 2) {
        (void)snprintf(why, why_room,
                       "this kernel's Landlock (ABI %ld) is "
                       "too old",
                       abi);
        return SANDBOX_NONE;
    }
    struct ruleset_attr attr = {.handled_fs = FS_ABI_1 | FS_REFER};
    size_t size = sizeof attr.handled_fs;
    if (abi >= 3) {
        attr.handled_fs |= FS_TRUNCATE;
    }
    if (abi >= 4) {
        attr.handled_net = NET_TCP;
        size = 2 * sizeof(uint64_t);
    }
    if (abi >= 5) {
        attr.handled_fs |= FS_IOCTL_DEV;
    }
    if (abi >= 6) {
        attr.scoped = SCOPES;
        size = sizeof attr;
    }
    CLEANUP(fd_closep)
    int ruleset = (int)syscall(CREATE_RULESET, &attr, size, 0);
    if (ruleset < 0) {
        return none(why, why_room, "landlock_create_ruleset");
    }
    if (add_rule(ruleset, root_fd, FS_RECEIVER & attr.handled_fs) != 0) {
        return none(why, why_room, "landlock_add_rule");
    }
    add_proc(ruleset);
    if (syscall(RESTRICT_SELF, ruleset, 0) != 0) {
        return none(why, why_room, "landlock_restrict_self");
    }
    return 0;
}
