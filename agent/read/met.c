/* SPDX-License-Identifier: MIT
 *
 * met: see met.h.
 */
#include "agent/read/met.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "store/base/map.h"
#include "store/layout/name.h"

/* A key's name is its table's, a NUL byte, and the key; a table's its own. */
enum { NAME_MAX_BYTES = TABLE_MAX_BYTES + 1 + KEY_MAX_BYTES };

struct moved {
    UT_hash_handle hh;
    uint8_t name[];
};

struct met {
    struct moved *moved;
    bool too_many; /* events: what stood still is not known */
    struct met_name names[MET_NAMES_MAX];
    size_t count;
    uint64_t beyond;
    bool closed;
};

struct met *met_new(void)
{
    return calloc(1, sizeof(struct met));
}

static void forget_moved(struct met *m)
{
    struct moved *e, *next;

    HASH_ITER(hh, m->moved, e, next) {
        HASH_DEL(m->moved, e);
        free(e);
    }
}

static void free_name(struct met_name *n)
{
    free((void *)(uintptr_t)n->table.p);
}

void met_free(struct met *m)
{
    if (m == NULL) {
        return;
    }
    forget_moved(m);
    for (size_t i = 0; i < m->count; i++) {
        free_name(&m->names[i]);
    }
    free(m);
}

static size_t name_of(struct bytes table, const struct bytes *key,
                      uint8_t out[NAME_MAX_BYTES])
{
    size_t n = table.len;

    assert(table.len <= TABLE_MAX_BYTES &&
           (key == NULL || key->len <= KEY_MAX_BYTES));
    if (n > 0) {
        memcpy(out, table.p, n);
    }
    if (key != NULL) {
        out[n++] = '\0';
        if (key->len > 0) {
            memcpy(out + n, key->p, key->len);
        }
        n += key->len;
    }
    return n;
}

static bool has_moved(const struct met *m, struct bytes table,
                      const struct bytes *key)
{
    uint8_t name[NAME_MAX_BYTES];
    size_t n = name_of(table, key, name);
    const struct moved *e;

    HASH_FIND(hh, m->moved, name, n, e);
    return e != NULL;
}

static void note_moved(struct met *m, struct bytes table,
                       const struct bytes *key)
{
    uint8_t name[NAME_MAX_BYTES];
    size_t n = name_of(table, key, name);

    if (m->too_many || has_moved(m, table, key)) {
        return;
    }
    struct moved *e = HASH_COUNT(m->moved) < MET_MOVED_MAX
                          ? calloc(1, sizeof *e + n + 1)
                          : NULL;
    if (e != NULL) {
        memcpy(e->name, name, n);
        HASH_ADD_KEYPTR(hh, m->moved, e->name, n, e);
    }
    if (e == NULL || !map_added(e)) {
        free(e);
        m->too_many = true;
    }
}

void met_moved(struct met *m, struct bytes table, const struct bytes *key)
{
    if (!m->closed) {
        note_moved(m, table, key);
    }
}

void met_found(struct met *m, struct bytes table, const struct bytes *key)
{
    size_t key_len = key != NULL ? key->len : 0;

    if (m->closed || has_moved(m, table, key)) {
        return;
    }
    uint8_t *copy =
        m->count < MET_NAMES_MAX ? malloc(table.len + key_len + 1) : NULL;
    if (copy == NULL) {
        m->beyond++;
        return;
    }
    if (table.len > 0) {
        memcpy(copy, table.p, table.len);
    }
    if (key_len > 0) {
        memcpy(copy + table.len, key->p, key_len);
    }
    m->names[m->count++] =
        (struct met_name){.is_table = key == NULL,
                          .table = bytes_of(copy, table.len),
                          .key = bytes_of(copy + table.len, key_len)};
}

void met_close(struct met *m)
{
    size_t n = 0;

    for (size_t i = 0; i < m->count; i++) {
        struct met_name *e = &m->names[i];
        if (m->too_many ||
            has_moved(m, e->table, e->is_table ? NULL : &e->key)) {
            free_name(e);
        } else {
            m->names[n++] = *e;
        }
    }
    m->count = n;
    m->beyond = m->too_many ? 0 : m->beyond;
    m->closed = true;
    forget_moved(m);
}

size_t met_names(const struct met *m, const struct met_name **names_out,
                 uint64_t *beyond_out)
{
    *names_out = m->names;
    *beyond_out = m->beyond;
    return m->count;
}
