/* SPDX-License-Identifier: MIT
 *
 * role_demote: a primary becomes a replica (see role.h).
 *
 * It stores its own epoch together with its own origin, which no other
 * directory has: so only a primary with a higher epoch can feed it. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "store/base/cleanup.h"
#include "store/base/sys.h"
#include "sync/replica/role/role.h"

/* What a primary has and a replica has not. */
static int clean_up(int meta_fd, struct err *err)
{
    static const char *const names[] = {META_FILE_PRIMARY, META_FILE_EPOCH,
                                        META_FILE_PROMOTED, META_FILE_AGENT};

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (unlinkat(meta_fd, names[i], 0) != 0 && errno != ENOENT) {
            return err_sys(err, errno, "remove " META_DIR "/%s", names[i]);
        }
    }
    if (sys_fsync(meta_fd) != 0) {
        return err_sys(err, errno, "sync " META_DIR);
    }
    return 0;
}

static int become_replica(struct meta *m, const struct role_facts *f,
                          struct err *err)
{
    struct meta_ident ident = {.epoch = f->epoch};

    memcpy(ident.db_id, f->db_id, sizeof ident.db_id);
    /* The all-ones origin is no directory's: nobody continues this term. */
    memset(ident.origin, 0xff, sizeof ident.origin);
    return meta_ident_write_as_owner(m->fd, &ident, err);
}

int role_demote(struct meta *m, bool discard, struct role_demoted *out,
                struct err *err)
{
    struct role_facts f;
    CLEANUP(role_hold_end)
    struct role_hold hold = {.agent_fd = -1, .id_fd = -1};

    *out = (struct role_demoted){.epoch = 0};
    int rc = role_inspect(m->fd, &f, err);
    if (rc != 0) {
        return rc;
    }
    out->epoch = f.epoch;
    if (f.role == ROLE_NONE) {
        return err_set(err, ERR_REFUSED, 0,
                       "it is neither a primary nor a replica (a copy that is "
                       "to become a replica: drover-replica adopt)");
    }
    if (f.role == ROLE_REPLICA) {
        rc = clean_up(m->fd, err);
        return rc != 0 ? rc : ROLE_THERE;
    }
    rc = role_hold_primary(m, &hold, err);
    if (rc == 0 && !discard) {
        rc = role_keep(m, f.epoch, &out->kept, err);
    }
    if (rc == 0) {
        rc = become_replica(m, &f, err);
    }
    if (rc == 0) {
        rc = clean_up(m->fd, err);
    }
    return rc;
}
