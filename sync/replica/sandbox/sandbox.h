/* SPDX-License-Identifier: MIT
 *
 * sandbox: give up, before the first byte from the network is read, whatever
 * the receiver does not need.  Where there is no replica yet (see first.h), the
 * hello is read with the system call filter alone, and Landlock follows as soon
 * as there is a directory.
 *
 * With Landlock (kernel 5.19 or newer) the process can afterwards open, make,
 * rename and remove files only beneath the replica's directory, and read
 * /proc/locks (who holds a lock).  filter.h bounds the system calls.  Best
 * effort: where the kernel lacks either the receiver runs on, confined by the
 * other and by openat2 beneath the directory, and says so in one line.
 */
#pragma once

#include <stddef.h>

#include "store/base/err.h"

/* Close every descriptor but the first three: what the parent left open would
 * be out of Landlock's reach.  Before anything is opened. */
void sandbox_close_inherited(void);

/* no_new_privs, no core dumps, as many descriptors as allowed; the file mode
 * mask is cleared, for modes are always given in full. */
void sandbox_limits(void);

/* Which Landlock the kernel has: its ABI's number, below 0: none. */
long sandbox_abi(void);

/* Confine the whole process (call before threads are started).  0 = confined,
 * SANDBOX_NONE = not, with the reason in `why`. */
enum { SANDBOX_NONE = 1 };
int sandbox_enter(int root_fd, char *why, size_t why_room);
