/* SPDX-License-Identifier: MIT
 *
 * fresh_age: how old a replica is, from its freshness file.
 *
 * The file's mtime is a time T on the primary's clock, set there by each
 * heartbeat; its ctime is when that was, on this host's.  By T alone a replica
 * looks too young while this host's clock is behind the primary's, for ever
 * when that is an hour: so its age is at least the time since the last word,
 * which one clock tells.
 *
 * What neither shows: how far T was behind when it was set, where the two
 * clocks differ.  That is what NTP is for.
 */
#pragma once

#include <stdint.h>
#include <sys/stat.h>

/* This host's clock was set back since the last word: nobody knows. */
#define FRESH_AGE_UNKNOWN INT64_MAX

/* `st` is of the freshness file, `now_ns` the wall clock.  0 or more, in ns, or
 * FRESH_AGE_UNKNOWN. */
int64_t fresh_age_ns(const struct stat *st, int64_t now_ns);
