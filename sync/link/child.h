/* SPDX-License-Identifier: MIT
 *
 * child: what a program that a link starts may not have from us.
 *
 * The agent may hold rights that its user does not: the shipped unit gives it
 * CAP_DAC_READ_SEARCH, for reading the database.  The command of a replica is
 * another program, and speaks to another host: it gets what its user would
 * have from a login, and no way to more.
 */
#pragma once

#include "store/base/err.h"

/* Programs that the calling thread starts from here on have no capability that
 * their user lacks, and cannot gain any by what they execute (no_new_privs: no
 * setuid, no file capabilities).  Root's programs stay root's, but for
 * CAP_DAC_READ_SEARCH.  The caller's own rights stay; this cannot be undone.
 * Never blocks. */
int child_give_no_rights(struct err *err) MUSTCHECK;

/* The environment for a child: ours without what the service manager told the
 * agent alone (sockets, watchdog, credentials, directories).  Free the list
 * alone, its strings are environ's; NULL: no memory. */
char **child_environment(void);
