/* SPDX-License-Identifier: MIT
 *
 * no_inotify: preloaded into a receiver whose user has no inotify instance
 * left, so that edits made by hand are not noticed before somebody looks.
 */
#include <errno.h>

__attribute__((visibility("default"))) int inotify_init1(int flags);

int inotify_init1(int flags)
{
    (void)flags;
    errno = EMFILE;
    return -1;
}
