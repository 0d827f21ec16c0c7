/* SPDX-License-Identifier: MIT
 *
 * lab_account: a preloaded library that gives a throwaway sshd the account
 * "sshd" on hosts that lack it.
 *
 * An sshd that runs as root insists on that account for its unprivileged part.
 * It comes with the package that is deliberately not installed, and a test must
 * not add accounts to the host; so only this one process sees one, with the
 * numbers of "nobody".  Used by tests/integration/ssh_lab.sh.
 */
#include <dlfcn.h>
#include <pwd.h>
#include <stddef.h>
#include <string.h>

struct passwd *getpwnam(const char *name);

struct passwd *getpwnam(const char *name)
{
    static struct passwd *(*real)(const char *);
    static struct passwd sshd;

    if (real == NULL) {
        void *found = dlsym(RTLD_NEXT, "getpwnam");
        memcpy(&real, &found, sizeof real);
    }
    struct passwd *p = real(name);
    if (p == NULL && strcmp(name, "sshd") == 0) {
        p = real("nobody");
        if (p != NULL) {
            sshd = *p;
            return &sshd;
        }
    }
    return p;
}
