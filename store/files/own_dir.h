/* SPDX-License-Identifier: MIT
 *
 * own_dir: directories of ours in places where others may rename things.
 *
 * Root is asked to work in an application's database: drover init, promote,
 * demote, adopt.  Whoever owns that directory can put a link, another directory
 * or a file in the place of any name in it, at any moment.  Two rules keep that
 * harmless:
 *
 *     - a path is followed to the database only through links of root, or of
 *       the very user who owns the directory at its end;
 *     - what lies below is reached by descriptor and never through a link, and
 *       owner and mode are changed only of what is proven to be ours: made by
 *       this call and still empty, or its owner's own doing anyway.
 *
 * Where nobody else has a hand in it, the rules cost nothing and forbid
 * nothing.
 */
#pragma once

#include <stdbool.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "store/base/err.h"

/* May somebody but root rename things in this directory? */
bool own_dir_is_shared(const struct stat *dir);

/* Open the directory at `path`, links followed (see above); with `create`
 * missing directories are made (0755 less umask), and what was made is synced.
 * Returns a descriptor (O_RDONLY | O_DIRECTORY), which the caller closes.
 * Failures: ERR_REFUSED (somebody's link to somebody else's directory; only for
 * root), ERR_NOTFOUND, ERR_NOTTABLE, ERR_PERM, ERR_IO. */
int own_dir_open_path(const char *path, bool create, struct err *err) MUSTCHECK;

/* mkdir -p, for a path that the configuration names: whoever's links are in it
 * are followed.  What is missing gets `mode` less umask, what is there keeps
 * its own; nothing is synced. */
int own_dir_make_path(const char *path, mode_t mode, struct err *err) MUSTCHECK;

struct own_dir {
    mode_t mode; /* exactly, whatever the umask */
    gid_t group; /* (gid_t)-1: leave */
    bool renew;  /* give mode and group to one that was there, too */
    bool fresh;  /* it must not have been there: ERR_EXISTS */
    bool give;   /* made by root: it belongs to the owner of the one above */
};

/* Open directory `name` (one component) in `at`, made when it is missing.
 * *made_out (may be NULL): it was made by this call; syncing `at` is the
 * caller's.  Returns a descriptor as above.  ERR_REFUSED: something else came
 * into its place while it was made. */
int own_dir_open(int at, const char *name, const struct own_dir *how,
                 bool *made_out, struct err *err) MUSTCHECK;

/* The same at the end of a path whose other directories must be there. */
int own_dir_open_at(const char *path, const struct own_dir *how,
                    struct err *err) MUSTCHECK;

/* Is the directory behind the descriptor, just made by this process in `at`,
 * the one that was made?  Tells apart only where it matters: for root, in a
 * directory that others may write to. */
bool own_dir_is_made(int at, int fd);

/* Is it this user's, with nothing in it? */
bool own_dir_is_blank(int fd);

/* May root change owner or mode of `st`, found in directory `at`, because
 * whoever could have put it there could do so himself? */
bool own_dir_may_change(int at, const struct stat *st);

/* Open a private file of ours (mode 0600) in `dir_fd` to write to or to lock;
 * it is made when it is missing, and then given to the directory's owner.
 * `flags`: O_RDWR, O_APPEND and so on.  Refused (ERR_REFUSED) is what is no
 * regular file, and for root what has another name somewhere or belongs to
 * somebody else than the directory's owner and root. */
int own_file_open(int dir_fd, const char *name, int flags,
                  struct err *err) MUSTCHECK;
