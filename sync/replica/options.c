/* SPDX-License-Identifier: MIT
 *
 * options: see options.h. */
#include "sync/replica/options.h"

#include <errno.h>
#include <grp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int options_mode(const char *text, mode_t must, mode_t *out, struct err *err)
{
    unsigned mode = 0;
    size_t n = strlen(text);
    bool octal = n > 0 && n <= 5;

    for (size_t i = 0; octal && i < n; i++) {
        octal = text[i] >= '0' && text[i] <= '7';
        mode = mode * 8 + (unsigned)(text[i] - '0');
    }
    if (!octal || mode > 07777) {
        return err_set(err, ERR_INVALID, 0,
                       "%s is not an octal mode such as 0640", text);
    }
    if ((mode & must) != must) {
        return err_set(err, ERR_INVALID, 0,
                       "mode %s would lock the receiver out: it needs %#o",
                       text, (unsigned)must);
    }
    *out = (mode_t)mode;

    return 0;
}

int options_group(const char *text, gid_t *out, struct err *err)
{
    size_t n = strlen(text);

    if (n > 0 && strspn(text, "0123456789") == n) {
        errno = 0;
        unsigned long id = strtoul(text, NULL, 10);
        if (errno != 0 || id >= UINT32_MAX) {
            return err_set(err, ERR_INVALID, 0, "group %s: number too large",
                           text);
        }
        *out = (gid_t)id;
        return 0;
    }
    errno = 0;
    const struct group *g = getgrnam(text);
    if (g == NULL) {
        return err_set(err, ERR_INVALID, 0,
                       "there is no group %s; make it: groupadd --system %s",
                       text, text);
    }
    *out = g->gr_gid;
    return 0;
}

int options_policy(const char *text, enum lock_policy *out, struct err *err)
{
    if (strcmp(text, "wait") == 0) {
        *out = LOCK_POLICY_WAIT;
    } else if (strcmp(text, "replace") == 0) {
        *out = LOCK_POLICY_REPLACE;
    } else {
        return err_set(err, ERR_INVALID, 0,
                       "--on-lock-timeout is wait or replace, not %s", text);
    }
    return 0;
}
