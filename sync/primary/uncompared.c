/* SPDX-License-Identifier: MIT
 *
 * uncompared: see uncompared.h.  Found by going through what is under way, so
 * it costs nothing until somebody asks.
 */
#include "sync/primary/uncompared.h"

#include <stdlib.h>
#include <string.h>

#include "store/base/quote.h"
#include "sync/primary/primary_impl.h"

/* Copies of names and text in one block; false: no memory. */
static bool copy_key(struct uncompared_key *out, const struct uncompared_key *k)
{
    struct bytes *parts[] = {&out->table, &out->key, &out->text};
    uint8_t *at = malloc(k->table.len + k->key.len + k->text.len + 1);

    if (at == NULL) {
        return false;
    }
    *out = *k;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        if (parts[i]->len > 0) {
            memcpy(at, parts[i]->p, parts[i]->len);
        }
        parts[i]->p = at;
        at += parts[i]->len;
    }
    return true;
}

static bool is_same(struct bytes a, struct bytes b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.p, b.p, a.len) == 0);
}

bool uncompared_lists(const struct uncompared *u, bool is_table,
                      struct bytes table, struct bytes key)
{
    for (size_t i = 0; i < u->n; i++) {
        const struct uncompared_key *o = &u->keys[i];
        if (o->is_table == is_table && is_same(o->table, table) &&
            (is_table || is_same(o->key, key))) {
            return true;
        }
    }
    return false;
}

void uncompared_add(struct uncompared *u, const struct uncompared_key *k)
{
    if (uncompared_lists(u, k->is_table, k->table, k->key)) {
        return;
    }
    u->count++;

    if (u->n >= u->max) {
        return;
    }
    if (u->n == u->cap) {
        size_t cap = u->cap > 0 ? 2 * u->cap : 16;
        struct uncompared_key *keys = realloc(u->keys, cap * sizeof *keys);
        if (keys == NULL) {
            return;
        }
        u->keys = keys;
        u->cap = cap;
    }
    if (copy_key(&u->keys[u->n], k)) {
        u->n++;
    }
}

void uncompared_free(struct uncompared *u)
{
    for (size_t i = 0; i < u->n; i++) {
        free((void *)(uintptr_t)u->keys[i].table.p);
    }
    free(u->keys);

    u->keys = NULL;
    u->n = u->cap = 0;
    u->count = 0;
}

/* --- what is under way --------------------------------------------------- */

static bool counts(const struct flight *f, uint64_t barrier)
{
    return f->seq <= barrier || f->stalled;
}

/* The oldest flight of the record to this replica that counts, or NULL. */
const struct flight *uncompared_oldest(const struct record *rec, int replica,
                                       uint64_t barrier)
{
    const struct flight *found = NULL;

    for (const struct flight *f = rec->flights; f != NULL; f = f->rec_next) {
        if (f->replica == replica && counts(f, barrier) &&
            (found == NULL || f->seq < found->seq)) {
            found = f;
        }
    }
    return found;
}

static bool has_place(const struct record *rec, int replica, uint64_t barrier)
{
    for (const struct log_node *n = rec->nodes; n != NULL; n = n->rec_next) {
        if (((n->mask >> replica) & 1) != 0 && n->seq <= barrier) {
            return true;
        }
    }
    return false;
}

static bool is_open(const struct record *rec, int replica, uint64_t barrier)
{
    return uncompared_oldest(rec, replica, barrier) != NULL ||
           has_place(rec, replica, barrier);
}

static void set_why(struct uncompared_key *k, enum stuck why)
{
    static const struct {
        enum uncompared_why why;
        bool on_primary;
    } WHYS[] = {
        [STUCK_NOT] = {UNCOMPARED_PENDING, false},
        [STUCK_REFUSED] = {UNCOMPARED_REFUSED, false},
        [STUCK_LOCKED_THERE] = {UNCOMPARED_LOCKED, false},
        [STUCK_LOCKED_HERE] = {UNCOMPARED_LOCKED, true},
        [STUCK_CHANGING] = {UNCOMPARED_CHANGING, true},
        [STUCK_UNREADABLE] = {UNCOMPARED_UNREADABLE, true},
    };

    k->why = WHYS[why].why;
    k->on_primary = WHYS[why].on_primary;
}

/* For what waits for its turn. */
static void say(const struct record *rec, struct err *err)
{
    const char *table = QUOTED_TABLE(record_table(rec).p, rec->table_len);
    const char *key = QUOTED(record_key(rec).p, rec->key_len);

    (void)err_set(err, ERR_TIMEOUT, 0,
                  "table %s%s%s is on its way and not acknowledged", table,
                  rec->is_table ? "" : " key ", rec->is_table ? "" : key);
}

void uncompared_explain(const struct primary *p, const struct record *rec,
                        const struct flight *f, struct uncompared_key *out,
                        struct err *said)
{
    enum stuck why = f != NULL ? stuck_why(f) : STUCK_NOT;

    set_why(out, why);
    if (why == STUCK_NOT) {
        say(rec, said);
    } else {
        stuck_describe(p, f, 0, said);
    }
    out->sys = why == STUCK_REFUSED ? f->refusal.sys : said->sys;
    out->id = said->id;
}

/* `f`: NULL when it is still in the log. */
static void add(const struct primary *p, const struct record *rec,
                const struct flight *f, struct uncompared *out)
{
    struct uncompared_key k = {.is_table = rec->is_table,
                               .table = record_table(rec),
                               .key = record_key(rec)};
    struct err said = {0};

    if (out->n >= out->max) { /* counted only: there may be very many */
        out->count++;
        return;
    }
    uncompared_explain(p, rec, f, &k, &said);
    k.text = bytes_of(said.msg, strlen(said.msg));
    uncompared_add(out, &k);
}

/* Of one member of the log; `but` (may be NULL) has been gone through. */
static void gather(struct primary *p, const struct repl *r,
                   const struct repl *but, uint64_t barrier,
                   struct uncompared *out)
{
    const struct flight *f;
    const struct log_node *n;

    DL_FOREACH(r->flights.list, f) {
        if (f == uncompared_oldest(f->rec, r->id, barrier) &&
            (but == NULL || !is_open(f->rec, but->id, barrier))) {
            add(p, f->rec, f, out);
        }
    }
    for (n = changelog_next(&p->log, r->id); n != NULL && n->seq <= barrier;
         n = n->next) {
        if ((n->mask & repl_bit(r)) != 0 &&
            uncompared_oldest(n->rec, r->id, barrier) == NULL &&
            (but == NULL || !is_open(n->rec, but->id, barrier))) {
            add(p, n->rec, NULL, out);
        }
    }
}

void uncompared_gather(struct primary *p, const struct repl *r,
                       uint64_t barrier, struct uncompared *out)
{
    gather(p, r, NULL, barrier, out);
    gather(p, p->repl[p->index_id], r, barrier, out);
}

bool uncompared_has(struct primary *p, const struct repl *r, uint64_t barrier,
                    struct digest name)
{
    const struct record *rec = changelog_find(&p->log, name);

    return rec != NULL &&
           (is_open(rec, r->id, barrier) || is_open(rec, p->index_id, barrier));
}

/* --- in words ------------------------------------------------------------ */

const char *uncompared_word(enum uncompared_why why)
{
    switch (why) {
    case UNCOMPARED_LOCKED:
        return "locked";
    case UNCOMPARED_CHANGING:
        return "changing";
    case UNCOMPARED_UNREADABLE:
        return "unreadable";
    case UNCOMPARED_REFUSED:
        return "refused";
    case UNCOMPARED_PENDING:
        break;
    }
    return "pending";
}

void uncompared_err(const struct uncompared_key *k, struct err *err)
{
    (void)err_set(err, ERR_TIMEOUT, 0, "%.*s", (int)k->text.len,
                  (const char *)k->text.p);
    err->sys = k->sys;
    err->id = k->id;
}
