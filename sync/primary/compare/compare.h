/* SPDX-License-Identifier: MIT
 *
 * compare: one comparison with a replica, from its begin to its end: what the
 * files of this room do for each other and for the room above. */
#pragma once

#include "sync/primary/delivery/delivery.h"

/* --- jobs and steps ------------------------------------------------------ */

void compare_connected(struct primary *p, struct repl *r);
void compare_disconnected(struct primary *p, struct repl *r,
                          const struct err *err);
/* Start what may start, go on with what waits for a barrier. */
void compare_step(struct primary *p, struct repl *r);
void compare_free_jobs(struct primary *p, struct repl *r);
void compare_no_memory(struct primary *p, struct compare *c);
/* Begin with the tree's top (compare_diff.c); list the buckets that are still
 * to be looked at; name what differs (compare_names.c); find the primary's
 * names; ask for the next chunk of the replica's; wait for the
 * acknowledgements; the end. */
void compare_narrow(struct primary *p, struct compare *c);
void compare_list(struct primary *p, struct compare *c);
void compare_name_diffs(struct primary *p, struct compare *c);
void compare_walk(struct primary *p, struct compare *c);
void compare_ask_names(struct primary *p, struct compare *c);
/* All names that were found are in the log: wait for the acknowledgements, or
 * fail as the walk did. */
void compare_fed(struct primary *p, struct compare *c);
void compare_drain(struct primary *p, struct compare *c);
void compare_finish(struct primary *p, struct compare *c);
void compare_fail(struct primary *p, struct compare *c, const struct err *err);
int compare_nodes(struct primary *p, struct repl *r,
                  const struct wire_nodes *m);
int compare_listing(struct primary *p, struct repl *r, struct wire_items *m,
                    struct err *err);
int compare_names(struct primary *p, struct repl *r, struct wire_items *m,
                  struct err *err);
int compare_scanned(struct primary *p, struct repl *r,
                    const struct wire_scan_done *m);
void compare_unread(const struct primary *p, struct repl *r,
                    const struct wire_unread *m);

/* --- names on their way into the log (compare_feed.c) ------------------ */

/* So many repairs of this replica may go into the log now, so that a change
 * made meanwhile does not wait behind them for long. */
size_t feed_room(const struct primary *p, const struct repl *r);
/* One went into it. */
void feed_fed(const struct primary *p, struct repl *r);
/* A name for the comparison: into the log, or to those that wait for room. */
void feed_name(struct primary *p, struct compare *c, bool is_table,
               struct bytes table, struct bytes key);
/* As many as there is room for; true when none waits. */
bool feed_step(struct primary *p, struct compare *c);

/* --- the walk (compare_walk.c) ------------------------------------------- */

/* Begin a walk, or count who keeps whom waiting; returns when it wants to be
 * called again. */
int64_t walk_step(struct primary *p);
/* The walk is over: what it has shown of names that are gone is told to the
 * index, and `tell` of each comparison that waited, and whether all of its
 * names were told. */
void walk_finish(struct primary *p, uint64_t id, bool complete,
                 const struct err *err,
                 void (*tell)(struct primary *p, struct compare *c, bool all,
                              const struct err *err));
void walk_unsubscribe(struct primary *p, int replica);
void walk_free(struct primary *p);

/* --- silence (silent.c) -------------------------------------------------- */

/* Give up operators' comparisons with a replica that has been silent for too
 * long; returns when to look again. */
int64_t silent_tick(struct primary *p, struct repl *r);
