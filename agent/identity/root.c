/* SPDX-License-Identifier: MIT
 *
 * root: see root.h.
 */
#include "agent/identity/root.h"

#include <assert.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/base/cleanup.h"

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

    r->hold_fd = r->claim_fd = -1;
    return r;
}

/* A lock on a file that was removed keeps nobody out. */
static bool is_held(int fd)
{
    struct stat st;

    return fd >= 0 && fstat(fd, &st) == 0 && st.st_nlink > 0;
}

void root_hold(struct root *r)
{
    struct err err;

    if (!is_held(r->claim_fd)) {
        fd_closep(&r->claim_fd);
        r->claim_fd = identity_claim(&r->db, &err);
    }
    if (!is_held(r->hold_fd)) {
        fd_closep(&r->hold_fd);
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
    if (r == NULL || --r->refs > 0) {
        return;
    }
    fd_closep(&r->claim_fd);

    fd_closep(&r->hold_fd);
    db_close(&r->db);
    free(r);
}
