/* SPDX-License-Identifier: MIT
 *
 * silent: a comparison does not wait for a replica that answers pings and
 * nothing else; see heard.h.  One of our own begins anew after a pause, and the
 * reason is shown until one has ended well.
 */
#include "sync/primary/heard.h"

#include <inttypes.h>

#include "sync/primary/compare/compare.h"

enum { SILENT_MS = 60 * 1000 };

static struct compare *next_one(const struct primary *p, const struct repl *r)
{
    struct compare *c = r->compares.jobs;

    while (c != NULL &&
           (c->phase == COMPARE_ENDED || p->now_ms - c->began_ms < SILENT_MS)) {
        c = c->next;
    }
    return c;
}

static void give_up_all(struct primary *p, struct repl *r, int64_t silent_ms)
{
    struct compare *c;
    struct err err;

    (void)err_set(&err, ERR_TIMEOUT, 0,
                  "not compared: no answer to the comparison for %" PRId64 " s",
                  (silent_ms / 1000));
    err.id = DR_TIMED_OUT;
    while ((c = next_one(p, r)) != NULL) {
        if (c->automatic) {
            r->session.last_error = err;
        }
        compare_fail(p, c, &err);
    }
}

int64_t silent_tick(struct primary *p, struct repl *r)
{
    int64_t since_ms = heard_since(p, r);

    if (since_ms == INT64_MAX) {
        return INT64_MAX;
    }
    if (p->now_ms - since_ms < SILENT_MS) {
        return since_ms + SILENT_MS;
    }
    if (heard_is_waited_for(p, r)) {
        give_up_all(p, r, p->now_ms - since_ms);
    }
    return INT64_MAX;
}
