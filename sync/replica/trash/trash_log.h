/* SPDX-License-Identifier: MIT
 *
 * trash_log: the trash's record of names (trash.h).  Records are appended; a
 * damaged one, and what follows it, counts for nothing.
 *
 *     u32 length of the rest | u64 id | i64 time of the delete, seconds |
 *     u64 size | u8 1: named, 0: not | u16 length, table | u8 length, key |
 *     u64 low half of the digest of all before it
 *
 * Integers are little-endian. */
#pragma once

#include "sync/replica/trash/trash.h"

/* Open the log to append, making it.  ERR_*. */
int trash_log_open(int dir_fd, struct err *err) MUSTCHECK;
/* false: it could not be appended, and the log is as before. */
bool trash_log_add(int log_fd, const struct trash_entry *e);
/* Write it anew, with the records of files that are there and those files that
 * have none.  *records_out: how many. */
int trash_log_rewrite(int dir_fd, uint64_t *records_out,
                      struct err *err) MUSTCHECK;
