/* SPDX-License-Identifier: MIT
 *
 * edit_names: see edit_names.h.
 */
#include "sync/replica/edits/edit_names.h"

#include <stdlib.h>
#include <string.h>

enum { RESTLESS = 10 /* rounds */ };

size_t edit_names_text(char out[EDIT_TEXT_BYTES], const char *table,
                       size_t table_len, const char *key, size_t key_len)
{
    if (table_len > TABLE_MAX_BYTES || key_len > KEY_MAX_BYTES) {
        return 0;
    }
    if (table_len > 0) {
        memcpy(out, table, table_len);
    }
    out[table_len] = key != NULL ? 'k' : 't';
    if (key != NULL && key_len > 0) {
        memcpy(out + table_len + 1, key, key_len);
    }
    return table_len + 1 + key_len;
}

struct edit_name *edit_names_add(struct edit_names *n, const char *table,
                                 size_t table_len, const char *key,
                                 size_t key_len)
{
    char text[EDIT_TEXT_BYTES];
    size_t len = edit_names_text(text, table, table_len, key, key_len);
    struct edit_name *name;

    if (len == 0) {
        return NULL;
    }
    HASH_FIND(hh, n->all, text, len, name);
    if (name != NULL || HASH_COUNT(n->all) >= EDIT_NAMES_MAX) {
        return name;
    }
    name = calloc(1, sizeof *name + len);
    if (name == NULL) {
        return NULL;
    }
    name->is_table = key == NULL;
    name->table_len = table_len;
    name->key_len = key_len;
    memcpy(name->text, text, len);
    HASH_ADD(hh, n->all, text, len, name);
    if (!map_added(name)) {
        free(name);
        return NULL;
    }
    return name;
}

void edit_names_take(struct edit_names *n, struct edit_name *name)
{
    HASH_DEL(n->all, name);
}

void edit_names_drop(struct edit_names *n, struct edit_name *name)
{
    edit_names_take(n, name);
    free(name);
}

void edit_names_clear(struct edit_names *n)
{
    struct edit_name *name, *next;

    HASH_ITER(hh, n->all, name, next) {
        edit_names_drop(n, name);
    }
}

void edit_names_merge(struct edit_name *to, const struct edit_name *from)
{
    to->written = to->written || from->written;
    to->tries = from->tries > to->tries ? from->tries : to->tries;
    if (from->evidence.read) {
        to->evidence = from->evidence;
    }
}

/* Neither rests. */
static enum edit_verdict restless(struct edit_name *name)
{
    if (name->is_table || name->evidence.read || ++name->turns < RESTLESS) {
        return EDIT_WAIT;
    }
    name->turns = 0;
    return EDIT_READ;
}

enum edit_verdict edit_names_judge(struct edit_name *name, bool known,
                                   struct vstat now, uint64_t begun,
                                   uint64_t told, bool same)
{
    if (known && !name->force) {
        return EDIT_OURS;
    }
    name->evidence.read = name->evidence.read && same;
    if (name->evidence.read && told >= name->evidence.commit) {
        return EDIT_RESTLESS;
    }
    bool changed = !vstat_equal(name->stat, now);
    if (!name->suspect || (changed && begun != name->commit)) {
        bool first = !name->suspect;
        name->suspect = true;
        name->stat = now;
        name->commit = begun;
        return first ? EDIT_WAIT : restless(name);
    }
    name->stat = now; /* no commit of ours began: that was somebody else */
    return told >= name->commit ? EDIT_FOREIGN : EDIT_WAIT;
}
