/* SPDX-License-Identifier: MIT
 *
 * look_copy: what META_DIR tells: whose copy it is and whether the agent that
 * asks may feed it, how fresh it is, who writes it, and what is kept aside. */
#include <dirent.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "store/base/cleanup.h"
#include "store/base/clock.h"
#include "store/base/quote.h"
#include "store/base/sys.h"
#include "store/base/units.h"
#include "store/base/utc.h"
#include "store/layout/fresh_age.h"
#include "sync/errors/state.h"
#include "sync/replica/check/look.h"
#include "sync/replica/meta/session.h"
#include "sync/replica/role/role.h"
#include "sync/replica/trash/trash.h"

enum { STALE_S = 60, AHEAD_S = 1 };

/* --- whose ------------------------------------------------------------------- */

static bool asks(const struct look *l)
{
    static const uint8_t NONE[META_ID_BYTES];

    return l->hello != NULL && memcmp(l->hello->db_id, NONE, sizeof NONE) != 0;
}

/* May that agent feed it? */
static bool is_refused(const struct look *l, const struct meta *m,
                       struct findings *out)
{
    struct meta_ident ident;
    struct err err = {0};
    int rc = asks(l) ? session_check(m, l->hello, &ident, &err) : 0;

    if (rc < 0) {
        look_err(l, out, FINDING_FAIL, "copy", &err);
    }
    return rc < 0;
}

/* The first entry of the directory that no database has; "": none. */
static void find_other(int root_fd, char *out, size_t room)
{
    int fd = sys_open_dir(root_fd, ".");
    DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
    const struct dirent *e;

    out[0] = '\0';
    if (d == NULL) {
        fd_closep(&fd);
        return;
    }
    while (out[0] == '\0' && (e = readdir(d)) != NULL) {
        const char *dot = strrchr(e->d_name, '.');
        bool ours = strcmp(e->d_name, ".") == 0 ||
                    strcmp(e->d_name, "..") == 0 ||
                    strcmp(e->d_name, META_DIR) == 0 ||
                    strcmp(e->d_name, "lost+found") == 0 ||
                    (dot != NULL &&
                     (strcmp(dot, ".tbl") == 0 || strncmp(dot, ".kv", 3) == 0));
        if (!ours) {
            (void)snprintf(out, room, "%s", e->d_name);
        }
    }
    (void)closedir(d);
}

/* No copy of ours: is there nothing at all? */
static void look_strange(const struct look *l, const struct meta *m,
                         struct findings *out)
{
    struct err err = {0};
    char other[NAME_MAX + 1];

    if (meta_holds_data(&m->db, &err) == 1) {
        (void)err_set(&err, ERR_REFUSED, 0,
                      "%s holds keys or tables, but no database id: an agent "
                      "that connects is refused",
                      m->db.path);
        err.id = DR_REPLICA_NOT_EMPTY;
        look_err(l, out, FINDING_WARN, "copy", &err);
        return;
    }
    find_other(m->db.root_fd, other, sizeof other);
    if (other[0] != '\0') {
        finding_warn(out, "copy", 0, "",
                     "none yet, but other files, such as %s: is the path "
                     "right?",
                     QUOTED_STR(other));
    } else {
        finding_ok(out, "copy", "none yet");
    }
}

static void say_role(const struct look *l, const struct meta *m,
                     const struct role_facts *f, struct findings *out)
{
    char id[META_ID_TEXT];

    switch (f->role) {
    case ROLE_NONE:
        look_strange(l, m, out);
        break;
    case ROLE_PRIMARY:
        meta_id_text(f->db_id, id);
        finding_ok(out, "copy", "a primary: database %s, epoch %" PRIu64, id,
                   f->epoch);
        break;
    case ROLE_REPLICA:
        meta_id_text(f->ident.db_id, id);
        finding_ok(out, "copy", "of database %s, epoch %" PRIu64 "%s", id,
                   f->ident.epoch,
                   asks(l) ? ", which is the one that asks" : "");
        break;
    }
}

static bool look_role(const struct look *l, const struct meta *m,
                      struct role_facts *f, struct findings *out)
{
    struct err err = {0};
    bool refused = is_refused(l, m, out);

    *f = (struct role_facts){.role = ROLE_NONE};
    if (m->fd >= 0 && role_inspect(m->fd, f, &err) != 0) {
        look_err(l, out, FINDING_FAIL, "copy", &err);
        return false;
    }
    if (!refused) {
        say_role(l, m, f, out);
    }
    return f->role == ROLE_REPLICA;
}

/* --- how fresh --------------------------------------------------------------- */

static void say_age(const struct look *l, const struct meta_freshness *f,
                    bool live, struct findings *out)
{
    int64_t ahead_ns = f->fresh_ns - clock_real_ns();
    bool differs = strcmp(f->state, replica_state_word(REPLICA_DIFFERS)) == 0;
    /* Who is asked from there need not send anybody back. */
    const char *hint =
        l->host == NULL ? "on the primary's host: drover check" : "";

    if (f->age_ns == FRESH_AGE_UNKNOWN) {
        finding_warn(out, "freshness", 0, "",
                     "of unknown age: this host's clock was set back since the "
                     "primary's last word");
    } else if (ahead_ns > AHEAD_S * NS_PER_S) {
        finding_warn(out, "freshness", 0, "timedatectl; chronyc tracking",
                     "%s old by the primary's last word, whose clock is %s "
                     "ahead, %s",
                     DURATION_TEXT(f->age_ns), DURATION_TEXT(ahead_ns),
                     f->state);
    } else if (differs || f->age_ns > STALE_S * NS_PER_S) {
        finding_warn(out, "freshness", 0, hint, "%s old, %s%s",
                     DURATION_TEXT(f->age_ns), f->state,
                     live ? "" : ", and no receiver runs");
    } else {
        finding_ok(out, "freshness", "%s old, %s", DURATION_TEXT(f->age_ns),
                   f->state);
    }
}

static void look_fresh(const struct look *l, const struct meta *m, bool live,
                       struct findings *out)
{
    struct meta_freshness f = {.fresh_ns = 0};
    struct err err = {0};
    int rc = meta_freshness_read(m->fd, &f, &err);

    if (rc == 0 && f.fresh_ns > 0) {
        say_age(l, &f, live, out);
    } else if (rc == 0 || rc == ERR_NOTFOUND) {
        finding_warn(out, "freshness", 0,
                     l->host == NULL ? "on the primary's host: drover check"
                                     : "",
                     "never synced");
    } else {
        look_err(l, out, FINDING_WARN, "freshness", &err);
    }
}

/* --- who writes it ------------------------------------------------------------ */

static bool look_receiver(const struct look *l, const struct meta *m,
                          struct findings *out)
{
    struct session_holder holder;
    struct err err = {0};
    int live = session_live(m->fd, &holder, &err);

    if (live < 0) {
        look_err(l, out, FINDING_WARN, "writer", &err);
    } else if (live > 0) {
        finding_ok(out, "writer", "a receiver is live: pid %d since %s, for %s",
                   holder.pid, UTC_TEXT(holder.since_s * NS_PER_S),
                   holder.replica);
    } else {
        finding_ok(out, "writer", "no receiver is live");
    }
    return live > 0;
}

/* --- what is kept ------------------------------------------------------------- */

static void look_kept(const struct look *l, const struct meta *m,
                      struct findings *out)
{
    int64_t trash = trash_count(m->fd, TRASH_DIR);
    int64_t undone = trash_count(m->fd, UNDONE_DIR);
    char hint[QUOTE_MSG_BYTES + 60];

    if (trash > 0) {
        finding_ok(out, "trash", "%s deleted value%s kept",
                   COUNT_TEXT((uint64_t)trash), trash == 1 ? " is" : "s are");
    }
    if (undone > 0) {
        (void)snprintf(hint, sizeof hint, "drover-replica undone list %s",
                       QUOTED_STR(l->dir));
        finding_warn(out, "undone", DR_UNDONE, hint,
                     "%s value%s kept that the primary undid after it had lost "
                     "its last changes",
                     COUNT_TEXT((uint64_t)undone),
                     undone == 1 ? " is" : "s are");
    }
}

void look_copy(const struct look *l, const struct meta *m, struct findings *out)
{
    struct role_facts f;

    if (!look_role(l, m, &f, out)) {
        return;
    }
    bool live = look_receiver(l, m, out);
    look_fresh(l, m, live, out);
    look_kept(l, m, out);
}
