/* SPDX-License-Identifier: MIT
 *
 * edit_names: the names that events told of and that are not yet settled, each
 * once; bounded.
 *
 * Most are the receiver's own doing: what it installs is on the disk some time
 * before it is in the index.  So a name whose file is not as the index says is
 * only *suspect*, until every commit that was under way when it was first seen
 * so has told the index, and the file is still the same or was changed while no
 * other commit began.
 *
 * A file that changes all the time, while commits begin all the time, is never
 * that.  After some rounds it is read for evidence: a value that the index does
 * not have.  When the index has heard of every commit that may have made it,
 * and its entry is the same as before the read, then none has.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/base/map.h"
#include "store/layout/name.h"
#include "store/layout/value.h"

enum {
    EDIT_NAMES_MAX = 8192,
    EDIT_TEXT_BYTES = TABLE_MAX_BYTES + 1 + KEY_MAX_BYTES
};

/* A table's name or a key's as one text, by which sets find it: table, 'k' or
 * 't', key.  Its length; 0: too long for a name of ours. */
size_t edit_names_text(char out[EDIT_TEXT_BYTES], const char *table,
                       size_t table_len, const char *key, size_t key_len);

/* What a look at a name says. */
enum edit_verdict {
    EDIT_OURS = 1, /* forget it */
    EDIT_WAIT,     /* look again */
    EDIT_FOREIGN,
    EDIT_READ,     /* it never rests: read it for evidence */
    EDIT_RESTLESS, /* the evidence holds: foreign, but not to be read */
};

/* A value that was read is not that of the index' entry. */
struct edit_evidence {
    bool read;
    uint64_t commit; /* the last one begun by the end of the read */
    bool had;        /* an entry, which was, before the read: */
    struct vstat stat;
    struct digest digest;
};

struct edit_name {
    UT_hash_handle hh;
    bool written;   /* the stat need not show it */
    bool force;     /* whatever the index says: rights may have changed */
    unsigned tries; /* it was locked, or changed under the read, so often */
    bool suspect;
    struct vstat stat; /* when it became suspect */
    uint64_t commit;   /* the last one begun by then */
    unsigned turns;    /* rounds in which neither it nor the commits rested */
    struct edit_evidence evidence;
    struct edit_name *next;
    enum edit_verdict verdict; /* why it is in a job */
    bool is_table;
    size_t table_len, key_len;
    char text[]; /* table, NUL, key */
};

struct edit_names {
    struct edit_name *all;
};

/* The one of this name, new or not; key NULL: of the table.  NULL: there are
 * too many, or no memory. */
struct edit_name *edit_names_add(struct edit_names *n, const char *table,
                                 size_t table_len, const char *key,
                                 size_t key_len);
void edit_names_drop(struct edit_names *n, struct edit_name *name);
/* Out of the set; the caller frees it. */
void edit_names_take(struct edit_names *n, struct edit_name *name);
void edit_names_clear(struct edit_names *n);

/* What is known of `from` holds for `to`, which has the same name. */
void edit_names_merge(struct edit_name *to, const struct edit_name *from);

/* What a look at it says.  `known`: it is as the index says.  `begun`: the last
 * commit that may have made what was read; `told`: of all up to this one the
 * index has heard; `same`: its entry is that of the evidence. */
enum edit_verdict edit_names_judge(struct edit_name *name, bool known,
                                   struct vstat now, uint64_t begun,
                                   uint64_t told, bool same);
