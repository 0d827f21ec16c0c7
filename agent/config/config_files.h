/* SPDX-License-Identifier: MIT
 *
 * config_files: which files a configuration consists of, and their text.
 *
 * For orders.conf they are the file itself and then orders.d/?*.conf beside
 * it, its drop-ins, in byte order of their names; a name that begins with a dot
 * is an editor's or a package manager's, and is left out.  None of them can
 * hold up the agent: only a regular file of a configuration's size is read, and
 * no more than CONFIG_DROPINS_MAX of them.
 */
#pragma once

#include <stddef.h>
#include <sys/types.h>

#include "store/base/err.h"

enum {
    CONFIG_FILE_BYTES = 1 << 20,
    CONFIG_DROPINS_MAX = 1024,
};

/* The file's text, to the new *out (also on an error); its length, or negative:
 * err's message does not name the file. */
ssize_t config_file_read(const char *file, char **out,
                         struct err *err) MUSTCHECK;
/* Its name as a whole path, a link at the end left as it is: that is what a
 * reload is to follow again.  A new string, or NULL with errno. */
char *config_file_whole(const char *file);
/* "/etc/drover/orders.d" for "/etc/drover/orders.conf": a new string; NULL: the
 * name has no ".conf", or out of memory. */
char *config_dropins_dir(const char *file);

/* Whole paths. */
struct config_dropins {
    char **paths;
    size_t count;
};
/* 1: *out has them; 0: there is no such directory; or negative, with a message
 * that does not name the directory.  *out is to be freed in any case. */
int config_dropins_list(const char *dir, struct config_dropins *out,
                        struct err *err) MUSTCHECK;
/* One more path of that directory, in its place; 0 also when it is there. */
int config_dropins_add(struct config_dropins *d, const char *path,
                       struct err *err) MUSTCHECK;
void config_dropins_deinit(struct config_dropins *d);
