/* SPDX-License-Identifier: MIT
 *
 * reads: the reads of keys that the core asks its host for (ACT_READ): which
 * record's turn it is, and when one that told nothing is tried again.  What a
 * read told is taken in answers.c.
 *
 * A busy lock or an error is retried, ever more rarely; a record whose reads go
 * on failing stalls its flights (stalled.c).
 */
#pragma once

#include <stdint.h>

struct read_answer;
struct primary;
struct record;

/* Its content is to be read; in a while. */
void read_want(struct primary *p, struct record *rec);
void read_later(struct primary *p, struct record *rec, int64_t in_ms);
/* The next record to look at, or NULL. */
struct record *read_next(struct primary *p);
/* Whatever was read or is being read does not account for a hint of now. */
void read_missed(struct primary *p, struct record *rec, int64_t now_us);
/* The key was read. */
void read_found(struct primary *p, const struct record *key);
/* The answer was used: the next look begins anew. */
void read_done(struct primary *p, struct record *rec);
/* It told nothing: what was known before counts for the next. */
void read_told_nothing(struct record *rec);
/* ... which is due in a while; the same with what made it fail. */
void read_again(struct primary *p, struct record *rec, int64_t in_ms);
void read_failed(struct primary *p, struct record *rec,
                 const struct read_answer *l);
/* Queue what is to be tried again now; returns when the next one is. */
int64_t read_tick(struct primary *p);
