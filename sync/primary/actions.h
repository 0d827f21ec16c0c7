/* SPDX-License-Identifier: MIT
 *
 * actions: what the core asks of its host, in a queue; primary_next_action()
 * hands them out.
 */
#pragma once

#include <stdint.h>
#include <syslog.h> /* levels */

struct action;
struct primary;
struct repl;

/* Queue an action; a full heap drops only log lines. */
void primary_act(struct primary *p, const struct action *a);
void primary_log(struct primary *p, int replica, int level, int dr,
                 const char *fmt, ...) __attribute__((format(printf, 5, 6)));
uint64_t primary_id(struct primary *p);
struct repl *primary_repl(struct primary *p, int replica);
