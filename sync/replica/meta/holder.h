/* SPDX-License-Identifier: MIT
 *
 * holder: who has a replica's lock, as its file says: for the words that a
 * newcomer is refused with. */
#pragma once

#include "sync/replica/meta/session.h"

/* A name from the wire, made fit for a line of text. */
void holder_printable(struct bytes b, char *out, size_t room);
/* `s` has just taken the lock. */
void holder_write(const struct session *s);
/* pid 0: not known. */
void holder_read(int meta_fd, struct session_holder *out);
/* `s` did not get the lock: whose it is, by DR_RECEIVER_BUSY or
 * DR_REPLICA_TWICE.  Returns ERR_REFUSED. */
int holder_refuse(const struct session *s, struct err *err);
