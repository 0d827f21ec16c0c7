/* SPDX-License-Identifier: MIT
 *
 * term: see term.h. */
#include "sync/identity/term.h"

#include <inttypes.h>
#include <string.h>

#include "store/base/hex.h"
#include "sync/errors/state.h"

static bool is_zero(const uint8_t *p, size_t n)
{
    return n == 0 || (p[0] == 0 && memcmp(p, p + 1, n - 1) == 0);
}

static int refuse_second(const struct term *r, const char *what,
                         const char *then, struct err *err)
{
    (void)err_set(err, ERR_REFUSED, 0,
                  "%s with epoch %" PRIu64 "; if this agent's is the right "
                  "one, %sit needs a higher epoch: drover-replica promote "
                  "--epoch %" PRIu64,
                  what, r->epoch, then, r->epoch + 1);
    err->id = DR_TWO_PRIMARIES;
    return err->code;
}

/* The epoch is the one we follow: is it the same primary's, and is this agent
 * not one whose time was over? */
static int check_primary(const struct term *r, const struct wire_hello *hello,
                         struct err *err)
{
    const size_t n = sizeof r->origin;

    if (!is_zero(r->origin, n) && !is_zero(hello->instance, n) &&
        memcmp(r->origin, hello->instance, n) != 0) {
        return refuse_second(r,
                             "this replica follows another directory with the "
                             "same database id,",
                             "", err);
    }
    for (size_t i = 1; i < TERM_AGENTS; i++) {
        if (!is_zero(r->agents[i], sizeof r->agents[0]) &&
            memcmp(r->agents[i], hello->instance, sizeof r->agents[0]) == 0) {
            return refuse_second(r,
                                 "another agent of this database has taken "
                                 "over this replica since,",
                                 "restart it (same directory); else ", err);
        }
    }
    return 0;
}

bool term_is_near(uint64_t epoch, uint64_t next)
{
    return epoch == 0 ? next <= TERM_FIRST_MAX
                      : next <= epoch || next - epoch <= TERM_JUMP_MAX;
}

static int refuse_jump(const struct term *r, const struct wire_hello *hello,
                       struct err *err)
{
    (void)err_set(err, ERR_REFUSED, 0,
                  "the agent has epoch %" PRIu64 ", this replica has followed "
                  "a primary with epoch %" PRIu64 " and takes at most %" PRIu64,
                  hello->epoch, r->epoch,
                  r->epoch == 0 ? TERM_FIRST_MAX : r->epoch + TERM_JUMP_MAX);
    err->id = DR_EPOCH_JUMP;
    return err->code;
}

int term_check(const struct term *r, const struct wire_hello *hello,
               struct err *err)
{
    if (memcmp(r->db_id, hello->db_id, sizeof r->db_id) != 0) {
        char theirs[2 * sizeof hello->db_id + 1];
        (void)err_set(err, ERR_REFUSED, 0,
                      "this replica is a copy of another database than %s, "
                      "which the agent sends",
                      hex_encode(theirs, hello->db_id, sizeof hello->db_id));
        err->id = DR_OTHER_DATABASE;
        return err->code;
    }
    if (hello->epoch < r->epoch) {
        (void)err_set(err, ERR_REFUSED, 0,
                      "this replica has followed a primary with epoch %" PRIu64
                      ", the agent has epoch %" PRIu64,
                      r->epoch, hello->epoch);
        err->id = DR_OLD_EPOCH;
        return err->code;
    }
    if (!term_is_near(r->epoch, hello->epoch)) {
        return refuse_jump(r, hello, err);
    }
    return hello->epoch == r->epoch ? check_primary(r, hello, err) : 0;
}

enum term_change term_follow(struct term *r, const struct wire_hello *hello)
{
    const size_t one = sizeof r->agents[0];

    if (r->epoch != hello->epoch ||
        memcmp(r->db_id, hello->db_id, sizeof r->db_id) != 0) {
        *r = (struct term){.epoch = hello->epoch};
        memcpy(r->db_id, hello->db_id, sizeof r->db_id);
        memcpy(r->origin, hello->instance, sizeof r->origin);
        memcpy(r->agents[0], hello->instance, one);
        return TERM_NEW;
    }
    if (memcmp(r->agents[0], hello->instance, one) == 0) {
        return TERM_AS_IT_WAS;
    }
    if (is_zero(r->origin, sizeof r->origin)) {
        memcpy(r->origin, hello->instance, sizeof r->origin);
    }
    if (!is_zero(r->agents[0], one)) {
        memmove(r->agents[1], r->agents[0], (TERM_AGENTS - 1) * one);
    }
    memcpy(r->agents[0], hello->instance, one);
    return TERM_NEW_AGENT;
}
