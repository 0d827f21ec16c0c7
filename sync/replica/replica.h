/* SPDX-License-Identifier: MIT
 *
 * replica: what drover-replica receive is given, and what all commands of
 * drover-replica say.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sysexits.h>

#include "store/base/err.h"
#include "sync/receiver/receiver.h"
#include "sync/replica/meta/meta.h"
#include "sync/replica/trash/trash.h"

struct replica_settings {
    const char *dir;
    struct meta_modes modes;
    enum lock_policy policy;
    int64_t lock_timeout_ms;
    bool sandbox;
    struct trash_settings trash;
};

/* Serve one agent on stdin and stdout until it ends. */
int receive_run(const struct replica_settings *settings);

/* The directory that hints speak of; stays. */
void replica_serves(const char *dir);
/* One line on stderr, with the program's name in front. */
void replica_say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* What to do about it, with the names that are known here; HINT_ROOM bytes. */
void replica_hint(char *out, const struct err *err);
/* The error, its number and what to do, on stderr. */
void replica_say_error(const struct err *err);
/* The exit code that fits a failure. */
int replica_exit_of(const struct err *err);
