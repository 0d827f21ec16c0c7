/* SPDX-License-Identifier: MIT
 *
 * modes: files on a replica that have not the owner, group and mode which its
 * receiver's settings say, because the receiver may not set them.
 *
 * Their digests are equal, and their readers are told EACCES.  So it is a
 * state: told by each scan of the replica, until one says that there are none.
 * Such a replica does not keep up, and no comparison calls it equal.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "store/base/err.h"
#include "sync/wire/wire.h"

struct compare;
struct primary;
struct repl;

struct modes {
    uint64_t unset; /* files and directories, 0: none */
    int sys;        /* why, of this one; 0: it was only looked at */
    bool is_table;
    size_t table_len, key_len;
    char table[TABLE_MAX_BYTES], key[KEY_MAX_BYTES];
};

/* A scan's word. */
void modes_heard(const struct primary *p, struct repl *r,
                 const struct wire_modes *m);
/* false: there are none.  Else DR_REPLICA_MODES, in a sentence. */
bool modes_describe(const struct repl *r, struct err *err);
/* The comparison that ends must not be taken for equal. */
void modes_list(const struct repl *r, struct compare *c);
