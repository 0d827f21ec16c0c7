/* SPDX-License-Identifier: MIT
 *
 * redact: what Drover's programs print as JSON, without a name of a table or
 * key.
 *
 * A name stands as a short hash of it: with a key that this host alone has, so
 * that one name has one hash in all reports of it, and nobody finds the name by
 * trying likely ones.  Sentences are made for people and may hold names
 * anywhere; in their place comes what their number means.
 */
#pragma once

#include <jansson.h>

#include "store/base/buf.h"
#include "store/base/bytes.h"
#include "store/base/hash.h"

enum { REDACT_HEX_BYTES = 13 }; /* with NUL */

struct redact {
    struct hash_key key;
};

/* With this host's key; one made at random where it has none. */
void redact_begin(struct redact *r);
/* "3f9c47d5aa0e"; returns `out`. */
char *redact_name(const struct redact *r, struct bytes name,
                  char out[REDACT_HEX_BYTES]);
/* In place.  False: out of memory, it must not be used. */
bool redact_object(const struct redact *r, json_t *object);
/* One object per line, appended to `out`; what is none is left out.  False as
 * above. */
bool redact_lines(const struct redact *r, struct bytes text, struct buf *out);
