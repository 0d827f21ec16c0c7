/* SPDX-License-Identifier: MIT
 *
 * scan_rekey: an index under another key, without reading the values again.
 *
 * The index keeps no names, so a walk finds them; each is looked up as the old
 * key hashes it and put as the new one does.  A replica needs this when another
 * host's agent becomes its primary. */
#include "sync/index/scan.h"

struct rekey {
    struct index *from, *to;
    struct err *err;
};

/* Names come hashed under the old key. */
static bool on_want(void *arg, struct digest name)
{
    const struct rekey *k = arg;
    struct index_entry e;

    return index_get(k->from, name, &e);
}

static int on_found(void *arg, struct digest name, bool is_table,
                    const char *table, size_t table_len, const char *key,
                    size_t key_len)
{
    const struct rekey *k = arg;
    const struct index_key *to = index_key(k->to);
    struct index_entry e;

    if (!index_get(k->from, name, &e)) {
        return 0;
    }
    e.name = is_table ? index_name_table(to, table, table_len)
                      : index_name_key(to, table, table_len, key, key_len);
    e.table = is_table ? index_top_of(to, table, table_len)
                       : index_table_tag(to, table, table_len);
    int rc = index_put_if(k->to, NULL, &e, k->err);
    return rc < 0 ? rc : 0;
}

int scan_rekey(const struct db *db, struct index *from, struct index *to,
               struct err *err)
{
    struct rekey k = {.from = from, .to = to, .err = err};
    bool complete;

    return scan_names(db, index_key(from), on_want, on_found, &k, &complete,
                      err);
}
