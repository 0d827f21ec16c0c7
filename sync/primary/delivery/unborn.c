/* SPDX-License-Identifier: MIT
 *
 * unborn: new files with a key's name that are no change yet, for they may be
 * flockd's temporaries of a key with '*' in its name (store/layout/startemp.h).
 *
 * Such a file is locked by its writer from the moment it is made until it is
 * renamed, and the rename is the change, of another key.  So a file is left
 * out of the log as long as all of this holds: the watch told that it was made
 * (when nobody was waiting for that key, so the replicas and the index have
 * none) and nothing since; it is exclusively locked; its stat and its name are
 * those of a temporary; the key that it would be of is known, or, as that may
 * be new, its digits are as many as nearly all are; and all that for no longer
 * than UNBORN_MAX_MS.  Little is lost by that if it is a key all the same: no
 * writer has closed it or renamed it, and one that gave its lock back and took
 * it again between two reads is shown as blocked when that time is over.
 *
 * What it had in the log ends, and the file is remembered here.  Any event of
 * it makes it a key like others: a rename and a removal look at it, as does its
 * writer's closing it.  Since giving back a lock raises no event, it is looked
 * at ever more rarely, and once more before a barrier: a read that finds it
 * anything but locked is news to everybody.  When events were lost it is not
 * known any more that there were none, and it is a key, too.
 *
 * Failures: without memory or beyond UNBORN_MAX files it is a key that is
 * locked, which costs its place in the log and a line in the status. */
#include <stdlib.h>
#include <string.h>

#include "store/base/backoff.h"
#include "store/layout/startemp.h"
#include "sync/primary/delivery/delivery.h"

enum {
    UNBORN_MAX = 1024,
    UNBORN_MAX_MS = 60000,
    PAUSE_FIRST_MS = 20,
    PAUSE_MAX_MS = 1000,
};

struct unborn {
    UT_hash_handle hh; /* in primary.unborn, by `name` */
    struct digest name;
    int64_t since_ms, next_ms, pause_ms;
    uint32_t pid; /* who holds it, as far as known */
    char comm[16];
    size_t table_len, key_len;
    char names[]; /* table, then key */
};

static struct unborn *find(const struct primary *p, struct digest name)
{
    struct unborn *u = NULL;

    HASH_FIND(hh, p->unborn, &name, sizeof name, u);
    return u;
}

static struct unborn *add(struct primary *p, const struct record *rec)
{
    size_t len = (size_t)rec->table_len + rec->key_len;
    struct unborn *u =
        HASH_COUNT(p->unborn) < UNBORN_MAX ? calloc(1, sizeof *u + len) : NULL;

    if (u == NULL) {
        return NULL;
    }
    u->name = rec->name;
    u->table_len = rec->table_len;
    u->key_len = rec->key_len;
    if (len > 0) {
        memcpy(u->names, rec->names, len);
    }
    HASH_ADD(hh, p->unborn, name, sizeof u->name, u);
    if (!map_added(u)) {
        free(u);
        return NULL;
    }
    u->since_ms = p->now_ms;
    u->pause_ms = PAUSE_FIRST_MS;
    return u;
}

static void forget(struct primary *p, struct unborn *u)
{
    HASH_DEL(p->unborn, u);
    free(u);
}

void unborn_forget(struct primary *p, struct digest name)
{
    struct unborn *u = find(p, name);

    if (u != NULL) {
        forget(p, u);
    }
}

void unborn_free(struct primary *p)
{
    struct unborn *u, *next;

    HASH_ITER(hh, p->unborn, u, next) {
        forget(p, u);
    }
}

/* --- which they are ------------------------------------------------------ */

static bool nobody_waits(const struct record *rec)
{
    return rec->flights == NULL && rec->nodes == NULL && rec->read.id == 0;
}

bool unborn_is_made(const struct primary *p, const struct record *rec,
                    enum hint why)
{
    if (why == HINT_CREATED) {
        return nobody_waits(rec);
    }
    /* A scan has met it: that is no event of it. */
    return why == HINT_FOUND &&
           (rec->made || (nobody_waits(rec) && find(p, rec->name) != NULL));
}

static bool is_known(struct primary *p, const struct record *rec,
                     const char *key, size_t len)
{
    struct digest name = index_name_key(index_key(p->ix), record_table(rec).p,
                                        rec->table_len, key, len);
    struct index_entry e;

    return index_get(p->ix, name, &e) || changelog_find(&p->log, name) != NULL;
}

enum likeness { NO_TEMP, NEW_KEYS_TEMP, KNOWN_KEYS_TEMP };

static enum likeness likeness_of(struct primary *p, const struct record *rec)
{
    struct startemp s = {.key = (const char *)record_key(rec).p,
                         .len = rec->key_len};
    enum likeness like = NO_TEMP;
    char key[KEY_MAX_BYTES];
    size_t len;

    while (startemp_next(&s, key, &len)) {
        if (is_known(p, rec, key, len)) {
            return KNOWN_KEYS_TEMP;
        }
        if (s.digits >= STARTEMP_DRAW_DIGITS) {
            like = NEW_KEYS_TEMP;
        }
    }
    return like;
}

static bool is_unborn(struct primary *p, const struct record *rec,
                      const struct read_answer *l)
{
    struct index_entry e;
    const struct unborn *u = find(p, rec->name);

    if (!rec->made || l->result != READ_BUSY || !l->reading.startemp ||
        index_get(p->ix, rec->name, &e)) {
        return false;
    }
    return likeness_of(p, rec) != NO_TEMP &&
           (u == NULL || p->now_ms - u->since_ms < UNBORN_MAX_MS);
}

/* --- out of the log, and back -------------------------------------------- */

static void take_out(struct primary *p, struct record *rec, struct unborn *u,
                     const struct read_answer *l)
{
    if (l->pid != 0) {
        u->pid = l->pid;
        memcpy(u->comm, l->comm, sizeof u->comm);
    }
    u->next_ms = p->now_ms + u->pause_ms;
    if (u->next_ms < p->retry_ms) {
        p->retry_ms = u->next_ms;
    }
    u->pause_ms = backoff_doubled(u->pause_ms, 1, PAUSE_MAX_MS);
    rec->read.tries = 0;
    rec->read.blocked_ms = 0;
    sender_end_waiting(p, rec);
}

bool unborn_read(struct primary *p, struct record *rec,
                 const struct read_answer *l)
{
    struct unborn *u = find(p, rec->name);

    if (l->result == READ_ROOT_LOST) {
        return false;
    }
    if (is_unborn(p, rec, l)) {
        u = u != NULL ? u : add(p, rec);
        if (u != NULL) {
            take_out(p, rec, u, l);
        }
        return u != NULL;
    }
    if (u == NULL) {
        return false;
    }
    forget(p, u);
    (void)sender_hint_all(p, rec, HINT_FOUND);
    read_want(p, rec);
    return true;
}

/* --- looking again ------------------------------------------------------- */

static void read_once_more(struct primary *p, const struct unborn *u,
                           bool for_all)
{
    struct record *rec =
        changelog_record(&p->log, false, u->names, u->table_len,
                         u->names + u->table_len, u->key_len);

    if (rec == NULL) {
        return;
    }
    bool made = unborn_is_made(p, rec, HINT_FOUND);
    if (for_all) {
        (void)sender_hint_all(p, rec, HINT_FOUND);
    } else if (nobody_waits(rec)) {
        (void)sender_hint(p, rec, UINT64_C(1) << p->index_id, HINT_FOUND);
    }
    rec->made = made;
    flight_release(p, rec);
}

void unborn_ask(struct primary *p)
{
    struct unborn *u, *next;

    HASH_ITER(hh, p->unborn, u, next) {
        read_once_more(p, u, true);
    }
}

void unborn_invalidate(struct primary *p)
{
    struct unborn *u, *next;

    HASH_ITER(hh, p->unborn, u, next) {
        struct record *rec =
            changelog_record(&p->log, false, u->names, u->table_len,
                             u->names + u->table_len, u->key_len);
        if (rec != NULL) {
            (void)sender_hint_all(p, rec, HINT_FOUND);
            forget(p, u);
        }
    }
}

int64_t unborn_tick(struct primary *p)
{
    int64_t soonest = INT64_MAX;
    struct unborn *u, *next;

    HASH_ITER(hh, p->unborn, u, next) {
        if (u->next_ms <= p->now_ms && !p->lost) {
            u->next_ms = p->now_ms + u->pause_ms;
            read_once_more(p, u, false);
        }
        soonest = u->next_ms < soonest ? u->next_ms : soonest;
    }
    return soonest;
}

/* --- status -------------------------------------------------------------- */

size_t primary_unborn(struct primary *p, int64_t now_ms,
                      struct blocked_key *out, size_t max)
{
    size_t n = 0;
    const struct unborn *u;

    for (u = p->unborn; u != NULL && n < max; u = u->hh.next) {
        struct blocked_key *b = &out[n++];
        *b = (struct blocked_key){.on_primary = true,
                                  .pid = u->pid,
                                  .waited_ms = now_ms - u->since_ms};
        b->table = (struct bytes){(const uint8_t *)u->names, u->table_len};
        b->key = (struct bytes){(const uint8_t *)u->names + u->table_len,
                                u->key_len};
        memcpy(b->comm, u->comm, sizeof b->comm);
    }
    return HASH_COUNT(p->unborn);
}
