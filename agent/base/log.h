/* SPDX-License-Identifier: MIT
 *
 * log: one line per event on stderr, with a time and a word; when stderr is the
 * journal, an entry with fields (journal.h) instead, or where the journal takes
 * none, the line with systemd's prefix for the priority ("<4>").
 *
 *     2026-01-31 12:00:01.123 warning  link_down replica=eu-1 DR-209 err="..."
 *
 *
 * or as JSON (log_json.h), with "db" in front:
 *
 *     {"db":"orders","time":"2026-01-31T12:00:01.123Z","level":"warning",
 *      "event":"link_down","replica":"eu-1","dr":209,"text":"err=\"...\""}
 *
 * Values are never logged; keys only escaped, and only at debug or on an error.
 * Repeats of one event for one replica are held back: a few lines in ten
 * seconds pass, and the next one tells how many were left out.  Debug lines are
 * not held back.  May be called from any thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <syslog.h> /* LOG_ERR to LOG_DEBUG */

void log_set_level(int level); /* default LOG_INFO */
/* Whose log it is, for the journal's fields; before there are threads. */
void log_set_database(const char *name);
void log_set_json(bool json); /* each line one object; nothing to the journal */
const char *log_level_word(int level);
int log_level_of(const char *word); /* "error".."debug"; -1: none of them */
/* What is said at info and above and not held back, for who keeps it: called
 * under a lock, from the thread that logs, whatever the level is; so it must
 * not block, nor log.  `text`: what follows the names.  NULL: nobody. */
struct log_record {
    int level;
    const char *event, *replica; /* replica NULL: of none */
    int dr;                      /* 0: none */
    const char *text;
    size_t len;
};
void log_set_keeper(void (*keep)(void *arg, const struct log_record *r),
                    void *arg);
/* `event`: a short stable word; `replica` may be NULL; dr: DR number or 0. */
void log_event(int level, const char *event, const char *replica, int dr,
               const char *fmt, ...) __attribute__((format(printf, 5, 6)));
