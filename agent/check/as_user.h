/* SPDX-License-Identifier: MIT
 *
 * as_user: look at something with another user's rights: in a child that has
 * become that user, whose findings come back through a pipe. */
#pragma once

#include <sys/types.h>

#include "store/base/err.h"
#include "sync/check/finding.h"

typedef void (*as_user_look)(void *arg, struct findings *out);

/* Append to `out` what `look` finds as user `uid`; in this process where it is
 * that user already.  Fails where the child cannot be had or was lost. */
int as_user(uid_t uid, as_user_look look, void *arg, struct findings *out,
            struct err *err) MUSTCHECK;
