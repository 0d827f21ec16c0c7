/* SPDX-License-Identifier: MIT
 *
 * enroll_impl: the steps of enroll.c, one file each.
 *
 * A step returns 0 with its state and text set, or negative.  Its undo is
 * called only when the step had been begun; it undoes what the struct says was
 * done. */
#pragma once

#include "agent/enroll/enroll.h"

/* The port of a replica: an ad hoc one has 0 for ssh's own. */
static inline unsigned enroll_port(const struct config_replica *r)
{
    return r->port != 0 ? r->port : 22;
}

int step_key(struct enroll *e, struct enroll_step *s, struct err *err);
bool undo_key(struct enroll *e);
int step_host_key(struct enroll *e, struct enroll_step *s, struct err *err);
bool undo_host_key(struct enroll *e);
int step_there(struct enroll *e, struct enroll_step *s, struct err *err);
bool undo_there(struct enroll *e);
int step_dropin(struct enroll *e, struct enroll_step *s, struct err *err);
bool undo_dropin(struct enroll *e);

void step_is(struct enroll_step *s, enum enroll_state state, const char *fmt,
             ...) __attribute__((format(printf, 3, 4)));
