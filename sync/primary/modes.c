/* SPDX-License-Identifier: MIT
 *
 * modes: see modes.h.
 */
#include "sync/primary/modes.h"

#include <inttypes.h>
#include <string.h>

#include "store/base/quote.h"
#include "sync/errors/state.h"
#include "sync/primary/primary_impl.h"

void modes_heard(const struct primary *p, struct repl *r,
                 const struct wire_modes *m)
{
    struct compare *c = compare_current(r);

    r->modes = (struct modes){.unset = m->unset,
                              .sys = m->sys,
                              .is_table = m->is_table,
                              .table_len = m->table.len,
                              .key_len = m->key.len};
    if (m->table.len > 0) {
        memcpy(r->modes.table, m->table.p, m->table.len);
    }
    if (m->key.len > 0) {
        memcpy(r->modes.key, m->key.p, m->key.len);
    }
    if (c != NULL && c->phase == COMPARE_SCANNING && m->id == c->request) {
        heard_answer(p, r);
        c->result.modes_set = m->set;
    }
}

bool modes_describe(const struct repl *r, struct err *err)
{
    const struct modes *m = &r->modes;

    if (m->unset == 0) {
        return false;
    }
    (void)err_set(
        err, ERR_PERM, 0,
        "%" PRIu64 " file%s not of the owner, group or mode of the receiver's "
        "settings, such as: table %s%s%s: %.100s",
        m->unset, m->unset == 1 ? " is" : "s are",
        QUOTED_TABLE(m->table, m->table_len), m->is_table ? "" : " key ",
        m->is_table ? "" : QUOTED(m->key, m->key_len),
        m->sys != 0 ? strerror(m->sys) : "to be set by a verify or resync");
    err->sys = m->sys;
    err->id = DR_REPLICA_MODES;
    return true;
}

void modes_list(const struct repl *r, struct compare *c)
{
    const struct modes *m = &r->modes;
    struct err err;

    /* What was only looked at is nothing that both ends remember. */
    if (c->automatic || (m->sys == 0 && !c->opt.scan) ||
        !modes_describe(r, &err)) {
        return;
    }
    const struct uncompared_key k = {.why = UNCOMPARED_REFUSED,
                                     .is_table = m->is_table,
                                     .table = bytes_of(m->table, m->table_len),
                                     .key = bytes_of(m->key, m->key_len),
                                     .text = bytes_of(err.msg, strlen(err.msg)),
                                     .sys = m->sys,
                                     .id = err.id};
    uncompared_add(&c->uncompared, &k);
    c->uncompared.count += m->unset - 1;
    if (c->result.unread == 0) {
        c->result.unread_err = err;
    }
    c->result.unread += m->unset;
}
