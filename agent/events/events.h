/* SPDX-License-Identifier: MIT
 *
 * events: what happened, numbered and kept over restarts: what the log says at
 * level info and above, for `drover events`.
 *
 * The newest are in memory, where they are asked for, and in two files of the
 * state directory, a line of JSON each: "events", and "events.1", which is what
 * "events" was when it had grown to EVENTS_FILE_BYTES.  A thread writes them,
 * so that no disk holds up who has something to say.
 *
 * Numbers begin at 1 and are never given twice, so that a number which is
 * missing stands for an event that is: it was written to no disk (which was
 * full, or hung), or is too old.  After a power loss, when nobody knows which
 * were said and not written, EVENTS_SKIPPED numbers are passed over; also where
 * a file has no event any more, which is moved to "events.bad".
 *
 * While they cannot be written (another thing is in the file's place, the disk
 * is full) they are kept in memory, tried again each second, and
 * events_trouble() says why.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/base/log.h"
#include "store/base/err.h"

enum {
    EVENTS_MAX = 5000, /* kept in memory */
    EVENTS_FILE_BYTES = 1 << 20,
    EVENTS_SKIPPED = 1000,
    EVENTS_ANSWER_MAX = 500, /* in one answer */
};

struct events;

/* The record in the state directory, with the thread that writes it.  NULL: out
 * of memory, or no thread.  A record that cannot be read is begun anew. */
struct events *events_open(int state_fd, struct err *err);
/* The same to read only, for when no agent runs; one that is there and has no
 * event that can be read is an error. */
struct events *events_open_to_read(int state_fd, struct err *err);
/* Why they are not written now, or where it is only read, why not all of it
 * could be; false: there is no trouble. */
bool events_trouble(struct events *e, struct err *out);
/* What was there had no event, and is "events.bad" now. */
bool events_was_damaged(const struct events *e);
/* What is not written yet is written first.  NULL is fine. */
void events_close(struct events *e);

/* For log_set_keeper(); `events` is the struct.  Does not wait for a disk. */
void events_add(void *events, const struct log_record *r);

struct events_query {
    uint64_t from;    /* the first number */
    int64_t since_ns; /* by the wall clock */
    uint64_t last;    /* of these, only so many of the newest; 0: all */
    const char *const *replicas;
    size_t count; /* 0: all */
};
/* {"events": [EVENT], "next": the number to go on with, "more": there are more
 * by now}; EVENT: {"n", "time" (RFC 3339), "level", "event", "replica", "dr",
 * "text", "missing" (numbers right before it that are not in the record, where
 * there are some)}, the oldest first, at most EVENTS_ANSWER_MAX.  NULL: no
 * memory. */
json_t *events_answer(struct events *e, const struct events_query *q);
