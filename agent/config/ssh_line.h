/* SPDX-License-Identifier: MIT
 *
 * ssh_line: the command line of OpenSSH's client that leads to a replica: made
 * of the settings beside its host, or read from its command = ssh ... */
#pragma once

#include <stdbool.h>

#include "store/base/buf.h"

struct config_replica;

struct ssh_line {
    struct buf host, user, port, identity, known_hosts; /* "": not known */
    struct buf client; /* ssh, its options and the host, as shell words */
    struct buf remote; /* what it asks for there; "": nothing */
};
#define SSH_LINE_NULL                                                          \
    {                                                                          \
        BUF_NULL, BUF_NULL, BUF_NULL, BUF_NULL, BUF_NULL, BUF_NULL, BUF_NULL   \
    }

/* false: the replica is not reached by ssh, or out of memory; `out` is to be
 * freed all the same.  All of them end in NUL. */
bool ssh_line_of(struct ssh_line *out, const struct config_replica *r);
void ssh_line_deinit(struct ssh_line *l);
/* transport = openssh: the words of a command that leads to the receiver, NULL
 * at the end, for config_free_words().  NULL: out of memory. */
char **ssh_line_argv(const struct config_replica *r);
/* The text, or NULL where it is not known. */
const char *ssh_line_text(const struct buf *b);
/* The directory that the remote command gives to drover-replica receive: a new
 * string, or NULL when it cannot be told. */
char *ssh_line_dir(const struct ssh_line *l);
