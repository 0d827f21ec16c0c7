/* SPDX-License-Identifier: MIT
 *
 * journal: lines of the log as entries of systemd's journal, with fields:
 *
 *   DROVER_EVENT, DROVER_DB, DROVER_REPLICA   as in the line
 *   DROVER_ERROR_ID   "DR-203"
 *   MESSAGE_ID        one for each number of drover-errors(7), with a text in
 * the catalog, which `journalctl -x` shows (journal_catalog.c)
 *
 *   journalctl -u drover@orders DROVER_REPLICA=eu-1
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* Begins the MESSAGE_ID of all numbers; the number follows in four digits. Made
 * once at random, and never to change. */
#define JOURNAL_ID_BASE "6b1f8c0a52e94d3f9c47d5aa0e71"

struct journal_entry {
    int level; /* LOG_ERR to LOG_DEBUG */
    const char *event;
    const char *database, *replica; /* NULL: of none */
    int dr;                         /* 0: none */
    const char *message;
    size_t len;
};

/* Is standard error the journal's?  systemd tells in JOURNAL_STREAM. */
bool journal_has_stderr(void);
/* false: the journal does not take it now.  May be called from any thread. */
bool journal_send(const struct journal_entry *e);
