/* SPDX-License-Identifier: MIT
 *
 * bundle: files in memory, and the archive that tar(1) makes of them.
 */
#pragma once

#include <stddef.h>

#include "store/base/buf.h"
#include "store/base/err.h"

enum { BUNDLE_FILES_MAX = 40 };

struct bundle {
    const char *root; /* the directory in the archive */
    size_t count;
    struct bundle_file {
        const char *name; /* borrowed */
        struct buf data;
    } files[BUNDLE_FILES_MAX];
};

/* One more; its data, to be filled in. */
struct buf *bundle_add(struct bundle *b, const char *name);
void bundle_deinit(struct bundle *b);
/* ERR_EXISTS when there is something at `path`. */
int bundle_may_write(const char *path, struct err *err) MUSTCHECK;
/* The archive, with gzip, as a new file of mode 0600.  Nothing is there after a
 * failure. */
int bundle_write(const struct bundle *b, const char *path,
                 struct err *err) MUSTCHECK;
