/* SPDX-License-Identifier: MIT
 *
 * plan: what setting up one replica comes to: from what was typed and the
 * database's configuration to the steps, the drop-in's text and the line that
 * lets the agent in on the other host.
 *
 * Pure: no file is read and no host asked, so that all of it can be shown
 * before anything is done.  Every name is checked here once; what is written
 * for a shell is quoted by enroll_quote() all the same.
 */
#pragma once

#include <stdbool.h>

#include "agent/config/config.h"
#include "store/base/buf.h"
#include "store/base/err.h"

/* As typed; NULL: not given. */
struct enroll_request {
    const char *name;
    const char *target; /* [USER@]HOST[:PORT][:DIR]; [ADDRESS] for IPv6 */
    const char *group, *dir_mode, *file_mode; /* of the copy, there */
    const char *identity, *known_hosts;       /* whole paths, here */
    const char *via;                          /* what ssh(1) logs in to */
    const char *fingerprint;                  /* "SHA256:..." of the host key */
    const char *authorized_keys, *receiver;   /* there */
    bool removing; /* of one that is defined: whose name is not asked about */
};

enum enroll_step_id {
    ENROLL_KEY,
    ENROLL_HOST_KEY,
    ENROLL_THERE,
    ENROLL_DROPIN,
    ENROLL_RELOAD,
    ENROLL_COPY,
    ENROLL_CHECK,
    ENROLL_STEPS,
};

struct enroll_plan {
    const struct enroll_request *request;
    const struct config *config;
    struct config_replica replica; /* as it will be defined */
    char *group;                   /* there */
    const char *receiver;          /* drover-replica, there */
    char *dropin_dir, *dropin;     /* whole paths */
    char *dropin_text;
    /* The same replica is defined already, here; NULL: it is not. */
    const struct config_replica *defined;
};

/* Failures: ERR_INVALID (what was typed), ERR_EXISTS (the name is another
 * replica's; says where that is defined), ERR_NOMEM.  *out is to be ended in
 * any case; it borrows the request and the configuration. */
int enroll_plan_make(const struct enroll_request *request,
                     const struct config *config, struct enroll_plan *out,
                     struct err *err) MUSTCHECK;
void enroll_plan_deinit(struct enroll_plan *plan);

/* "login key" and the like, the same in text and JSON. */
const char *enroll_step_name(enum enroll_step_id id);
/* What the step brings about: a new string, or NULL. */
char *enroll_step_goal(const struct enroll_plan *plan, enum enroll_step_id id);

/* One word for any POSIX shell: bare where it can be, else in '...'. */
void enroll_quote(struct buf *out, const char *text);
/* "drover-replica receive DIR --group GROUP" for the shell there: a new
 * string, or NULL. */
char *enroll_forced_command(const struct enroll_plan *plan);
/* That as a line of authorized_keys, up to and with the key; `key` is "TYPE
 * BASE64": a new string, or NULL. */
char *enroll_authorized_line(const struct enroll_plan *plan, const char *key);
/* No line break or other control character, no '-' in front. */
int enroll_check_word(const char *what, const char *text,
                      struct err *err) MUSTCHECK;
