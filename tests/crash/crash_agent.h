/* SPDX-License-Identifier: MIT
 *
 * crash_agent: plays the agent to a real `drover-replica receive` that may
 * fail, die or leave at any moment.
 *
 * A session ends when the receiver does; whatever was not answered by then
 * simply was not.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "store/base/buf.h"
#include "sync/wire/wire.h"

enum { AGENT_SEQS = 4096, AGENT_TEXT = 1100, AGENT_ENV = 4 };

enum answer { ANSWER_NONE = 0, ANSWER_ACK, ANSWER_NAK };

struct agent {
    const char *program;
    pid_t pid;
    int in, out;
    struct wire_in rx;
    struct buf tx;
    uint64_t seq;
    uint8_t answers[AGENT_SEQS]; /* enum answer */
    uint64_t answered;
    uint64_t naked;
    char nak_text[AGENT_TEXT];
    char error_text[AGENT_TEXT]; /* of an ERROR frame */
    bool greeted, ready, eof;
    struct wire_ready ready_frame;
    struct wire_pong pong;
    int status; /* of waitpid(), after agent_end() */
    char errfile[512];
};

/* Start the receiver on `dir` with more of an environment (NULL-terminated)
 * and say hello. */
void agent_begin(struct agent *a, const char *program, const char *dir,
                 const char *const *env, uint8_t durability);
/* Queue one change; its sequence. */
uint64_t agent_set(struct agent *a, const char *table, const char *key,
                   const void *value, size_t len);
/* In pieces; announced as larger than it is. */
uint64_t agent_set_large(struct agent *a, const char *table, const char *key,
                         const void *value, size_t len);
uint64_t agent_change(struct agent *a, enum wire_type type, const char *table,
                      const char *key);
/* Send, and take what comes, until all is answered (and READY came).  False:
 * the receiver left. */
bool agent_settle(struct agent *a);
/* PING; false: the receiver left. */
bool agent_ping(struct agent *a, int64_t fresh_ns);
/* BYE, then read to the end and reap. */
void agent_end(struct agent *a);
/* What it said on stderr, and in ERROR and NAK. */
const char *agent_said(struct agent *a);
