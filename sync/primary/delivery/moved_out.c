/* SPDX-License-Identifier: MIT
 *
 * leaving: names that may be gone, and names whose place something else has.
 *
 * A table or a key that was moved away and linked back to its old name is still
 * there for every program on the primary, though not for us.  That takes two
 * system calls, and a read between them finds nothing.  So what was *moved* (a
 * removal is what it seems) and is known to the index counts as gone only when
 * it is missing settle_ms later, too; and a read is what decides, made just
 * before the delete is sent.
 *
 * And nothing but a name that leads nowhere (or to a directory with others
 * below it, which tables need) is evidence of a removal.  A link, a FIFO or an
 * empty directory in a key's place is what a mount or a file is in a table's
 * (DR_COVERED, found by the shell): the key cannot be read, is tried again, and
 * stays on the replicas as it was.  Where nobody ever had a key or a table of
 * that name nobody lacks anything, as what is there is no mount; but a
 * comparison that found one on a replica gets the same answer, not a delete. */
#include "sync/primary/delivery/delivery.h"

#include <errno.h>

#include "store/base/quote.h"
#include "sync/errors/state.h"

void moved_out_note(struct record *rec, int64_t now_ms)
{
    if (rec->moved_out_ms == 0) {
        rec->moved_out_ms = now_ms != 0 ? now_ms : 1;
    }
}

static bool is_indexed(const struct primary *p, const struct record *rec)
{
    struct index_entry e;

    return index_get(p->ix, rec->name, &e);
}

bool moved_out_is_unproven(struct primary *p, struct record *rec)
{
    int64_t wait_ms = rec->moved_out_ms + p->config.settle_ms - p->now_ms;

    if (rec->moved_out_ms == 0 || wait_ms <= 0 || !is_indexed(p, rec)) {
        return false;
    }
    read_again(p, rec, wait_ms);
    return true;
}

/* The index waits for it, as for every event. */
static bool was_told_to_all(const struct primary *p, const struct record *rec)
{
    const struct flight *f = rec->flights;

    while (f != NULL && f->replica != p->index_id) {
        f = f->rec_next;
    }
    return f != NULL;
}

static bool is_nobodys(struct primary *p, struct record *rec)
{
    if (!was_told_to_all(p, rec) || is_indexed(p, rec)) {
        return false;
    }
    read_done(p, rec);
    sender_end_waiting(p, rec);
    return true;
}

void leaving_unread(struct primary *p, struct record *rec,
                    const struct read_answer *l)
{
    bool is_file =
        l->err != NULL && l->err->id == DR_COVERED && l->err->sys == ENOTDIR;

    if (!is_file || !is_nobodys(p, rec)) {
        read_failed(p, rec, l);
    }
}

void moved_out_covered(struct primary *p, struct record *rec)
{
    struct err err = {0};
    struct read_answer l = {.result = READ_ERROR, .err = &err};

    if (is_nobodys(p, rec)) {
        return;
    }
    (void)err_set(&err, ERR_NOTTABLE, 0,
                  "table %s, key %s: a link, a directory or the like is in a "
                  "key's place",
                  QUOTED_TABLE(record_table(rec).p, rec->table_len),
                  QUOTED(record_key(rec).p, rec->key_len));
    err.id = DR_PASSED_OVER;
    read_failed(p, rec, &l);
}
