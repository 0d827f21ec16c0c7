/* SPDX-License-Identifier: MIT
 *
 * host: what a report tells of this host, as text: each function is the `print`
 * of a part (part.h), runs in a child, and may hang.
 */
#pragma once

#include <stdio.h>
#include <sys/types.h>

/* The kernel, the distribution, security modules and limits on inotify. */
int host_print_system(FILE *out, const void *unused);
/* Of a process, whose pid_t is at `arg`: limits, state, number of descriptors.
 */
int host_print_process(FILE *out, const void *arg);
/* Of each of these directories (ends with NULL): its file system, with room and
 * inodes. */
int host_print_space(FILE *out, const void *paths);
/* The names and sizes in a directory, nothing of what is in the files. */
int host_print_list(FILE *out, const void *path);
