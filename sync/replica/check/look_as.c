/* SPDX-License-Identifier: MIT
 *
 * look_as: whose rights count.  They are the receiver's: its user's, who owns
 * the directory.  Root asks as that user, for root may what the receiver may
 * not; anybody else who asks is told that only the receiver's user can tell. */
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/base/quote.h"
#include "sync/replica/check/look.h"

/* Is this user the account that receivers usually log in as? */
static bool is_account(const struct look *l, uid_t uid)
{
    const struct passwd *pw = l->account != NULL ? getpwnam(l->account) : NULL;

    return pw != NULL && pw->pw_uid == uid;
}

bool look_is_receiver(const struct look *l, int root_fd)
{
    struct stat st;

    if (l->confined != NULL) {
        return true;
    }
    return (fstat(root_fd, &st) == 0 && st.st_uid == geteuid()) ||
           is_account(l, geteuid());
}

/* The effective ids, with the groups of a login; this process ends soon. */
static int become(uid_t uid)
{
    const struct passwd *pw = getpwuid(uid);
    int rc =
        pw != NULL ? initgroups(pw->pw_name, pw->pw_gid) : setgroups(0, NULL);

    return rc != 0 || setegid(pw != NULL ? pw->pw_gid : getegid()) != 0 ||
                   seteuid(uid) != 0
               ? -1
               : 0;
}

static void say_owner(const struct look *l, struct findings *out)
{
    char hint[2 * QUOTE_MSG_BYTES + 60];

    if (l->account != NULL && getpwnam(l->account) != NULL) {
        (void)snprintf(hint, sizeof hint, "ls -ld %s; chown -Rh %.40s: %s",
                       QUOTED_STR(l->dir), l->account, QUOTED_STR(l->dir));
        finding_warn(out, "owner", 0, hint,
                     "owned by root: a receiver that logs in as %.40s cannot "
                     "write there",
                     l->account);
    }
}

void look_become(const struct look *l, struct findings *out)
{
    struct stat st;

    if (geteuid() != 0 || stat(l->dir, &st) != 0) {
        return;
    }
    if (st.st_uid == 0) {
        say_owner(l, out);
    } else if (become(st.st_uid) != 0) {
        finding_warn(out, "owner", 0, "",
                     "looked at as root: becoming user %u, who owns it: %s",
                     (unsigned)st.st_uid, strerror(errno));
    } else {
        const struct passwd *pw = getpwuid(st.st_uid);
        finding_ok(out, "owner", "looked at as user %.40s (%u), who owns it",
                   pw != NULL ? pw->pw_name : "without an account",
                   (unsigned)st.st_uid);
    }
}
