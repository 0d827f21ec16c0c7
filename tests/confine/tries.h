/* SPDX-License-Identifier: MIT
 *
 * tries: what an intruder in the receiver would do, one function each.  Each
 * runs in a process of its own, in which the sandbox is in force. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* What an attempt finds.  Paths are absolute. */
struct scene {
    char dir[128];     /* the replica's directory; holds the file "mine" */
    char outside[128]; /* another; holds the file "there", the folder "sub" */
    int dir_fd;
    pid_t victim; /* another process of the same user */
    int terminal; /* a pseudo terminal, or -1 */
    int pipe_fd;  /* can be written to */
    int inotify;  /* as the receiver has one */
};

/* What alone is enough to refuse it. */
enum {
    LANDLOCK = 1,
    FILTER = 2,
    LIMITS = 4,            /* no_new_privs, resource limits */
    LANDLOCK_TRUNCATE = 8, /* Landlock of ABI 3, */
    LANDLOCK_NET = 16,     /* 4, */
    LANDLOCK_SCOPE = 32,   /* 6 */
    FILTER_LAST = 64,      /* the filter, but not the one of before there is a
                              directory */
};

enum { WORKED = 0, REFUSED = 1, NOT_HERE = 2 };

struct
try {
    const char *name;
    int (*run)(const struct scene *s);
    unsigned refused_by;
    bool anyone; /* works for any user where there is no sandbox */
};

extern const struct try tries[];
extern const size_t tries_count;

/* What the receiver needs: 0, or the number of the line that failed. */
int tries_allowed(const struct scene *s);
