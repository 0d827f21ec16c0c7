/* SPDX-License-Identifier: MIT
 *
 * first: an agent's first word, heard before anything is made.
 *
 * Where there is no replica yet, a receiver could not tell an empty disk from
 * one that is not mounted.  The agent can (sync/identity/dirid.h), and says so
 * in its hello.  So in that one case the hello is read before the directory is
 * opened to be written, with nothing made, no thread started and no lock held;
 * then it is decided, and what was read goes to the core as if it came now.  It
 * is the only thing that is decoded outside of the sandbox, which needs the
 * directory.
 *
 * Blocking; bounded in bytes and time.
 */
#pragma once

#include <stdbool.h>

#include "store/base/buf.h"
#include "store/base/err.h"
#include "sync/wire/wire.h"

/* Is there no replica in `dir`, or no directory at all? */
bool first_is_due(const char *dir);

/* FIRST_ASKED: it asks how things stand and for no session (*hello_out, whose
 * texts are gone); err->code tells whether it would be refused. */
enum { FIRST_ASKED = 1 };
/* Read from stdin until the hello is there, to `raw` (from BUF_NULL), and check
 * that it lets `dir` become a replica.  On failure err->id is what the agent is
 * to be told. */
int first_hear(const char *dir, struct buf *raw, struct wire_hello *hello_out,
               struct err *err) MUSTCHECK;
/* The input ended without a hello. */
int first_no_hello(struct err *err);
