/* SPDX-License-Identifier: MIT
 *
 * root: see root.h.
 */
#include "agent/root.h"

#include <assert.h>
#include <stdlib.h>
#include <unistd.h>

struct root *root_open(const char *path, struct err *err)
{
    struct root *r = calloc(1, sizeof *r);
    if (r == NULL) {
        (void)err_set(err, ERR_NOMEM, 0, "out of memory");
        return NULL;
    }
    if (db_open(&r->db, path, false, err) < 0) {
        free(r);
        return NULL;
    }
    r->refs = 1;
    r->hold_fd = -1;
    return r;
}

void root_hold(struct root *r)
{
    struct err err;
    if (r->hold_fd < 0) {
        r->hold_fd = identity_hold(&r->db, &err);
    }
}

struct root *root_ref(struct root *r)
{
    assert(r->refs > 0);
    r->refs++;
    return r;
}

void root_unref(struct root *r)
{
    if (r == NULL || --r->refs > 0)
        return;
    if (r->hold_fd >= 0)
        (void)close(r->hold_fd);
    db_close(&r->db);
    free(r);
}
