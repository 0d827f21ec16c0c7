/* SPDX-License-Identifier: MIT
 *
 * gate: while directories move, deletes wait until all of what moved is known.
 *
 * A table that moves is told of name by name: its keys are gone from the old
 * place, and there in the new one.  Whether the database lost keys by that, and
 * how many (brake.h), is known when the index has looked at all of them.  A
 * gate is the stretch of the log in which such names may stand: open while they
 * are still being told, then closed at the log's tail, and gone when the index
 * has passed that.  Each stands for itself, so moves that never pause hold up
 * no delete for longer than it takes to look at what moved before it.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* More moves at once are not waited for. */
enum { GATES_MAX = 64 };

struct gates {
    struct gate {
        uint64_t id;
        uint64_t from, to; /* sequences; to 0: open */
    } list[GATES_MAX];
    size_t count;
    uint64_t last_id;
};

/* What has a sequence after `tail` waits.  0: there are too many. */
uint64_t gate_open(struct gates *g, uint64_t tail);
/* ... up to `tail`.  An id that is not there (0) is fine. */
void gate_close(struct gates *g, uint64_t id, uint64_t tail);
/* Drop those that are closed and whose end `passed` says the index has passed.
 */
void gate_drop(struct gates *g, bool (*passed)(void *arg, uint64_t to),
               void *arg);
/* Is one open? */
bool gate_any_open(const struct gates *g);
/* Does a change wait?  Its place in the log may be older than the move that
 * made it a delete: then `gate`, the last one that was open when it was told
 * of, says so (0: none). */
bool gate_holds(const struct gates *g, uint64_t seq, uint64_t gate);
