/* SPDX-License-Identifier: MIT
 *
 * filter: the receiver's list of system calls (seccomp).
 *
 * Landlock says which files may be reached; the filter says what may be asked
 * of the kernel at all, and covers what Landlock leaves open or a kernel
 * without it cannot refuse: other processes, sockets, links, modes and times
 * of files by path, new programs, writable memory that is executed.
 *
 * A call that is on the list is made.  One that no part of this program makes
 * and only an intruder would (exec, sockets, ptrace, mounts ...) ends the
 * process at once with SIGSYS: what broke in gets no second try, and the agent
 * and the kernel's log name the signal.  Everything else fails with EPERM, or
 * ENOSYS when it is younger than this list, so that a C library that tries a
 * newer call first falls back to one that is on it.  Another machine's calls
 * (32 bit, x32) end the process.
 *
 * The list was made from traces of every test; drover-replica(1) shows it in
 * words.  Builds with a sanitizer have a shorter one of calls that are refused
 * instead of the list of allowed ones: their runtimes start processes and
 * trace threads.
 */
#pragma once

#include <stddef.h>

/* All threads of the process, for good.  0 = in force; FILTER_NONE = not, with
 * the reason in `why`.  Needs no_new_privs.  Blocks: no. */
enum { FILTER_NONE = 1 };
int filter_enter(char *why, size_t why_room);

/* The same before the first byte is read where there is no replica yet, so no
 * directory that Landlock could be told of: besides, it allows what makes and
 * opens the directory, Landlock, and filter_enter(), which must follow. */
int filter_first(char *why, size_t why_room);
