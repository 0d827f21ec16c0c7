/* SPDX-License-Identifier: MIT
 *
 * crash_script: changes as data: what the tests send to a receiver, and what
 * must be on its disk afterwards. */
#pragma once

#include "crash_agent.h"
#include "crash_lab.h"
#include "store/layout/value.h"

enum step_kind { STEP_SET, STEP_LARGE, STEP_DELETE, STEP_TABLE, STEP_DROP };

struct step {
    enum step_kind kind;
    const char *table, *key;
    const char *value; /* STEP_LARGE: its size in decimal */
};

/* Send it; its sequence. */
uint64_t step_send(struct agent *a, const struct step *s);
/* Is what it asks for on the disk of the replica at `dir`? */
bool step_is_done(const char *dir, const struct step *s);
/* "set t/k" */
const char *step_text(const struct step *s);
/* The bytes of a large value. */
const uint8_t *step_large(const struct step *s, size_t *len_out);
/* The digest of everything in the database, as both ends compute it. */
struct digest script_root(const char *dir);
/* Nothing of ours is left in DIR/.drover but what belongs there. */
bool script_is_swept(const char *dir, char *what, size_t room);
