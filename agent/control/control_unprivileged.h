/* SPDX-License-Identifier: MIT
 *
 * control_strangers: what those who may connect, but neither see key names nor
 * change things, are told, and how much of the loop's time they get.
 *
 * The loop that answers them also carries the links, so their requests are paid
 * for in its time: a user gets a fiftieth of it, all of them together a tenth;
 * who has used up his share waits.  Pure: the caller has the clock.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum { UNPRIVILEGED_USERS = 64 };

struct unprivileged {
    struct {
        uid_t uid;
        uint64_t paid_ns; /* when all its requests so far are paid for */
    } users[UNPRIVILEGED_USERS];
    uint64_t all_paid_ns;
};

/* May this user's next request run now? */
bool unprivileged_may(const struct unprivileged *s, uid_t uid, uint64_t now_ns);
/* It ran and took so long. */
void unprivileged_pay(struct unprivileged *s, uid_t uid, uint64_t now_ns,
                      uint64_t took_ns);

/* A copy of an answer without what names a table or key of the database: no
 * names, and of each error its number and what that means, not the text made
 * for this case.  Takes `answer`; NULL: no memory. */
json_t *unprivileged_view(json_t *answer);
