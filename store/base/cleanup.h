/* SPDX-License-Identifier: MIT
 *
 * cleanup: scope-bound ownership of descriptors and memory.
 *
 *     CLEANUP(fd_closep) int fd = open(...);
 *     ...every early return closes it...
 *     return TAKE_FD(fd);           hand it over: the local forgets it
 *
 * With this there is no `goto out` in the project and an early return is safe.
 */
#pragma once

#include <stdlib.h>
#include <unistd.h>

#define CLEANUP(fn) __attribute__((cleanup(fn)))

static inline void fd_closep(int *fd)
{
    if (*fd >= 0) {
        (void)close(*fd);
        *fd = -1;
    }
}

static inline void freep(void *p)
{
    void **pp = (void **)p;

    free(*pp);
    *pp = NULL;
}

static inline int take_fd(int *fd)
{
    int was = *fd;

    *fd = -1;
    return was;
}

static inline void *take_ptr(void **p)
{
    void *was = *p;

    *p = NULL;
    return was;
}

#define TAKE_FD(fd) take_fd(&(fd))
#define TAKE_PTR(p) take_ptr((void **)&(p))
