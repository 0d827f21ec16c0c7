/* SPDX-License-Identifier: MIT
 *
 * events_impl: what the two files of events share: events.c, the list in
 * memory, and events_file.c, the files and the thread. */
#pragma once

#include <pthread.h>
#include <stdbool.h>

#include "agent/events/events.h"
#include "store/base/buf.h"

struct kept {
    struct kept *prev, *next; /* utlist */
    uint64_t number;
    int64_t time_ns;
    size_t len;
    char line[]; /* JSON and a newline */
};

struct events {
    pthread_mutex_t mutex; /* of all but the thread's own */
    pthread_cond_t changed;
    struct kept *list; /* the oldest first */
    size_t count;
    uint64_t next;        /* the next number */
    uint64_t written;     /* the last number that is on the disk, or was lost */
    struct err write_err; /* why it is not written now; code 0: it is */
    bool closing;
    struct err read_err; /* why a file could not be read; code 0: they were */
    bool damaged;        /* a file had no event and was moved aside */
    /* the thread's */
    bool started;
    pthread_t thread;
    int dir_fd;
    int fd; /* of the file, or -1 */
    size_t file_bytes;
    bool torn; /* the file may end in half a line */
};

/* With the mutex held, or before there are threads.  false: out of memory. */
bool events_keep(struct events *e, uint64_t number, int64_t time_ns,
                 const void *line, size_t len);

/* What the files have, into the list; `to_write`: a file that has no event is
 * moved out of the way. */
void events_load(struct events *e, bool to_write);
/* 0 or an errno. */
int events_start(struct events *e);
void events_stop(struct events *e);
