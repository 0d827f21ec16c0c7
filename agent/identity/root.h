/* SPDX-License-Identifier: MIT
 *
 * root: an opened database root that work on other threads may still be using
 * when the daemon opens another one in its place.  References are counted on
 * the loop thread alone: take one before handing work out, give it back in its
 * completion.
 */
#pragma once

#include <stdint.h>

#include "agent/identity/identity.h"
#include "store/layout/db.h"

struct root {
    struct db db;
    uint8_t id[IDENTITY_BYTES]; /* of the database that belongs here */
    int hold_fd;                /* identity_hold(), -1: not held */
    int claim_fd;               /* identity_claim(), the same */
    unsigned refs;
};

/* Open the database at `path`; one reference.  Failures as db_open(). */
struct root *root_open(const char *path, struct err *err);
/* Keep a demotion out while the root is in use; failing that is no reason not
 * to go on, because every check of the identity sees a demotion, too. */
void root_hold(struct root *r);
struct root *root_ref(struct root *r);
void root_unref(struct root *r); /* accepts NULL */
