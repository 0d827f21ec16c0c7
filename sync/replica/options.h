/* SPDX-License-Identifier: MIT
 *
 * options: command line values of drover-replica.  Each returns 0 or
 * ERR_INVALID with a message that shows what would be right.
 */
#pragma once

#include <sys/types.h>

#include "store/base/err.h"
#include "sync/receiver/receiver.h"

/* An octal mode such as 0640 or 2750.  `must` are bits it has to have. */
int options_mode(const char *text, mode_t must, mode_t *out,
                 struct err *err) MUSTCHECK;
/* A group by name or number. */
int options_group(const char *text, gid_t *out, struct err *err) MUSTCHECK;
int options_policy(const char *text, enum lock_policy *out,
                   struct err *err) MUSTCHECK;
