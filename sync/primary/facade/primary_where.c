/* SPDX-License-Identifier: MIT
 *
 * primary_where: what is known of one key on one replica.
 *
 * The core keeps no list of what each replica has.  It has a log of what is not
 * acknowledged, the names that the brake holds, and what comparisons found.
 * Who is in none of these has the key as it is here, unless something says that
 * the log does not tell all: then the answer is that it is not known, and why.
 * Costs a look-up, and a walk of the changes that come first, which is bounded.
 */
#include <inttypes.h>
#include <string.h>

#include "sync/primary/facade/facade.h"

enum { AHEAD_MAX = 10000 }; /* counted so far */

/* --- on its way ---------------------------------------------------------- */

static const struct log_node *place_of(const struct record *rec, int replica)
{
    const struct log_node *n = rec->nodes;

    while (n != NULL && ((n->mask >> replica) & 1) == 0) {
        n = n->rec_next;
    }
    return n;
}

/* How many of the replica's changes come before this sequence; -1: very many.
 */
static int64_t ahead_of(struct primary *p, const struct repl *r, uint64_t seq)
{
    const struct log_node *n = changelog_next(&p->log, r->id);
    const struct flight *f = r->flights.list;
    int64_t ahead = 0;

    for (int64_t met = 0; f != NULL && f->seq < seq; f = f->next) {
        ahead++;
        if (++met > AHEAD_MAX) {
            return -1;
        }
    }
    for (int64_t met = 0; n != NULL && n->seq < seq; n = n->next) {
        ahead += (n->mask & repl_bit(r)) != 0;
        if (++met > AHEAD_MAX) {
            return -1;
        }
    }
    return ahead;
}

static bool is_pending(struct primary *p, const struct repl *r,
                       const struct record *rec, struct primary_where *out)
{
    const struct flight *f = uncompared_oldest(rec, r->id, UINT64_MAX);
    const struct log_node *n = place_of(rec, r->id);
    struct uncompared_key k = {0};

    if (f == NULL && n == NULL) {
        return false;
    }
    uncompared_explain(p, rec, f, &k, &out->err);
    out->state = WHERE_PENDING;
    out->why = k.why;
    out->on_primary = k.on_primary;
    out->sys = k.sys;
    out->pending_ms = p->now_ms - (f != NULL ? f->time_ms : n->time_ms);
    out->waits_ms = out->pending_ms;
    out->ahead = ahead_of(p, r, f != NULL ? f->seq : n->seq);
    if (f != NULL) {
        out->sent = f->state == FLIGHT_SENT;
        out->waits_ms = stuck_for_ms(p, f);
        out->pid = stuck_holder(f, out->comm);
    }
    return true;
}

/* --- found by a comparison ----------------------------------------------- */

static void is_different(struct primary_where *out, const char *what)
{
    out->state = WHERE_DIFFERS;
    (void)err_set(&out->err, ERR_REFUSED, 0, "%s", what);
    out->err.id = DR_DIFFERENT;
}

/* One under way has named what differs, and has not begun to repair it. */
static bool is_found(struct repl *r, struct digest name,
                     struct primary_where *out)
{
    static const char *const HOW[] = {
        [DIFF_MISSING] = "a comparison found it missing there",
        [DIFF_EXTRA] = "a comparison found it there, and not here",
        [DIFF_VALUE] = "a comparison found another value there"};
    const struct compare *c = compare_current(r);
    const struct diff *d = c != NULL && (c->phase == COMPARE_RESOLVING ||
                                         c->phase == COMPARE_WALKING)
                               ? compare_find(c, name)
                               : NULL;

    if (d != NULL) {
        is_different(out, HOW[d->kind]);
    }
    return d != NULL;
}

static bool is_held(const struct primary *p, const struct repl *r,
                    struct digest name, struct primary_where *out)
{
    struct index_entry here;

    if (r->held == 0 || !brake_holds(r, name) ||
        index_get(p->ix, name, &here)) {
        return false;
    }
    out->state = WHERE_HELD;
    (void)err_set(&out->err, ERR_REFUSED, 0,
                  "its delete is one of %" PRIu64 " that are held", r->held);
    out->err.id = DR_BRAKE;
    return true;
}

/* --- not known ----------------------------------------------------------- */

static bool say_unknown(struct primary_where *out, int dr, const char *why)
{
    out->state = WHERE_UNKNOWN;
    (void)err_set(&out->err, ERR_TIMEOUT, 0, "%s", why);
    out->err.id = dr;
    return true;
}

/* Something may be missing there that is not in the log for it.  What the brake
 * holds has names; and without a session a comparison is always due, but what
 * it had is known. */
static bool lacks_untold(const struct repl *r)
{
    bool live = r->session.state == SESSION_LIVE;

    return r->forgotten || (live && (r->due.now || r->due.soon)) ||
           (r->due.lag_unknown && r->held == 0);
}

/* What is known here does not tell all of what it has. */
static bool is_unknown(struct primary *p, struct repl *r, struct digest name,
                       struct primary_where *out)
{
    struct index_entry here;
    const struct record *rec = changelog_find(&p->log, name);

    if (p->lost) {
        return say_unknown(out, DR_NOT_OUR_DATABASE, p->lost_why);
    }
    if (!p->index_ready) {
        return say_unknown(out, DR_NONE,
                           "the agent has not seen all of the database yet");
    }
    if (rec != NULL && uncompared_has(p, r, UINT64_MAX, name)) {
        return say_unknown(out, DR_NONE, "it is being read on the primary");
    }
    if (r->held > r->brake.count && !index_get(p->ix, name, &here)) {
        return say_unknown(out, DR_BRAKE,
                           "deletes are held; whether this one is was not "
                           "compared yet");
    }
    if (lacks_untold(r)) {
        return say_unknown(out, DR_LAG,
                           "what it lacks is not known before it was compared");
    }
    if (differs_describe(p, r, &out->err) || unread_describe(r, &out->err)) {
        out->state = WHERE_UNKNOWN;
        (void)err_wrap(&out->err, "perhaps this key, too");
        return true;
    }
    return false;
}

/* --- all of it ----------------------------------------------------------- */

void primary_where(struct primary *p, int replica, struct bytes table,
                   struct bytes key, int64_t now_ms, struct primary_where *out)
{
    struct repl *r =
        replica < 0 ? p->repl[p->index_id] : primary_repl(p, replica);
    struct digest name =
        index_name_key(index_key(p->ix), table.p, table.len, key.p, key.len);
    const struct record *rec = changelog_find(&p->log, name);

    p->now_ms = now_ms;
    *out = (struct primary_where){
        .state = WHERE_SAME,
        .connected = r->is_index || r->session.state == SESSION_LIVE};
    if ((rec != NULL && is_pending(p, r, rec, out)) || r->is_index ||
        is_held(p, r, name, out) || is_found(r, name, out)) {
        return;
    }
    if (differs_names(r, table, key)) {
        is_different(out, r->differs.example);
        return;
    }
    if (!is_unknown(p, r, name, out) && !out->connected) {
        out->state = WHERE_WAS_SAME;
    }
}
