/* SPDX-License-Identifier: MIT
 *
 * scan_names: find the names behind name hashes.  The index keeps no names, so
 * the walk hashes every name it meets and asks whether that one is wanted;
 * nothing is opened but directories. */
#include "sync/index/scan.h"

struct search {
    const struct index_key *key;
    scan_want_fn want;
    scan_found_fn found;
    void *arg;
};

static int on_table(void *arg, const char *table, size_t len, int dir_fd)
{
    const struct search *q = arg;
    struct digest name = index_name_table(q->key, table, len);

    (void)dir_fd;
    return q->want(q->arg, name)
               ? q->found(q->arg, name, true, table, len, NULL, 0)
               : 0;
}

static int on_key(void *arg, const char *table, size_t len, int dir_fd,
                  const char *key, size_t key_len)
{
    const struct search *q = arg;
    struct digest name = index_name_key(q->key, table, len, key, key_len);

    (void)dir_fd;
    return q->want(q->arg, name)
               ? q->found(q->arg, name, false, table, len, key, key_len)
               : 0;
}

int scan_names(const struct db *db, const struct index_key *key,
               scan_want_fn want, scan_found_fn found, void *arg,
               bool *complete_out, struct err *err)
{
    static const struct walk_ops ops = {.table_begin = on_table, .key = on_key};
    struct search q = {.key = key, .want = want, .found = found, .arg = arg};
    struct walk_counts counts = {.incomplete = 0};

    int rc = walk_db(db, &ops, &q, &counts, err);
    *complete_out = rc == 0 && counts.incomplete == 0;
    return rc;
}
