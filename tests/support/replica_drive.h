/* SPDX-License-Identifier: MIT
 *
 * replica_drive: plays the agent to a real `drover-replica receive` over pipes.
 *
 * Frames are made by wire.c and sent when drive_flush() or a wait asks for it.
 * Every wait ends after a minute, which no healthy run comes near.  A failed
 * expectation fails the cmocka test and prints what the program said on stderr.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "store/base/buf.h"
#include "sync/wire/wire.h"

enum { DRIVE_SEQS = 32768, DRIVE_ARGS = 16 };

struct drive {
    char dir[256];     /* the replica */
    char errfile[300]; /* the program's stderr */
    pid_t pid;         /* 0: not running */
    int in, out;       /* to its stdin, from its stdout; -1: closed */
    struct wire_in rx;
    struct buf tx;
    uint64_t seq; /* last one used */
    uint8_t acked[DRIVE_SEQS];
    uint8_t naked[DRIVE_SEQS];
    char nak_text[1100]; /* of the last NAK */
    int32_t nak_sys;
    uint64_t blocked_seq; /* of the last BLOCKED */
    uint32_t blocked_pid;
    char blocked_comm[WIRE_COMM_MAX + 1];
    bool ready;
    uint64_t ready_keys;
    bool was_empty;
    uint16_t error_id; /* of an ERROR frame */
    char error_text[1100];
    struct wire_pong pong;
    uint64_t scan_done; /* id of the last SCAN_DONE */
    uint64_t scan_reread, scan_errors;
    uint32_t features; /* asked for beside MODES, by the next HELLO */
    unsigned modes;    /* MODES so far */
    uint64_t modes_set, modes_unset; /* of the last one */
    int32_t modes_sys;
    char modes_name[600]; /* "table/key" of its example */
    uint64_t names_done;  /* id of the last complete NAMES answer */
    size_t names;         /* items of NAMES so far */
    char name[600];       /* "table/key" of the last one */
    bool eof;
};

/* The program under test. */
const char *drive_program(void);

/* Start the program on `dir` with more options (NULL-terminated, may be
 * NULL); greets nobody. */
void drive_start(struct drive *d, const char *dir, const char *const *options);
/* HELLO with ids of one repeated byte, then wait for HELLO_OK. */
/* `instance` is a process of one primary; from DRIVE_OTHER_ORIGIN on each is of
 * a primary of its own. */
enum { DRIVE_ORIGIN = 99, DRIVE_OTHER_ORIGIN = 100 };
void drive_hello(struct drive *d, uint8_t db, uint8_t instance, uint64_t epoch);
/* Only queue the HELLO. */
void drive_put_hello(struct drive *d, uint8_t db, uint8_t instance,
                     uint64_t epoch, uint32_t heartbeat_ms);
void drive_wait_ready(struct drive *d);

/* Each queues one change and returns its sequence. */
uint64_t drive_set(struct drive *d, const char *table, const void *key,
                   size_t key_len, const void *value, size_t len);
uint64_t drive_set_text(struct drive *d, const char *table, const char *key,
                        const char *value);
uint64_t drive_change(struct drive *d, enum wire_type type, const char *table,
                      const char *key);

/* Send what is queued while reading what comes. */
void drive_flush(struct drive *d);
/* Wait until `done` says so. */
void drive_until(struct drive *d,
                 bool (*done)(const struct drive *d, uint64_t seq),
                 uint64_t seq);
bool drive_is_acked(const struct drive *d, uint64_t seq);
bool drive_is_naked(const struct drive *d, uint64_t seq);
bool drive_is_eof(const struct drive *d, uint64_t seq);
bool drive_is_blocked(const struct drive *d, uint64_t seq);
/* All sequences up to this one are acknowledged. */
void drive_wait_all_acked(struct drive *d, uint64_t seq);
/* One PING, answered; afterwards everything sent before was read. */
void drive_ping(struct drive *d, int64_t fresh_ns, uint8_t state);

bool drive_is_scanned(const struct drive *d, uint64_t id);
bool drive_is_named(const struct drive *d, uint64_t id);

/* Close the program's stdin, read to the end, reap: its exit code, or -signal.
 */
int drive_end(struct drive *d);
/* BYE first. */
int drive_bye(struct drive *d);
void drive_kill(struct drive *d, int signal);
/* Values that it is holding: files without a name, and their space on disk. */
size_t drive_held(const struct drive *d, uint64_t *bytes_out);
/* Temporary names in the root and in the tables directly below it. */
size_t drive_temporaries(int dir_fd);
/* What it wrote to stderr, NUL-terminated. */
void drive_stderr(struct drive *d, char *out, size_t room);
