/* SPDX-License-Identifier: MIT
 *
 * mountinfo: see mountinfo.h.
 *
 * Each line begins with the mount's id, its parent's, the device, the root of
 * the mount in its file system, and the mount point, in which spaces and the
 * like are octal: `36 35 98:0 /mnt1 /srv/my\040db rw,noatime`. */
#include "store/layout/mountinfo.h"

#include <string.h>
#include <unistd.h>

#include "store/base/cleanup.h"
#include "store/base/sys.h"

enum {
    FIELDS = 5, /* the last is the mount point */
    READ_BYTES = 64 * 1024,
};

static bool is_octal(const char *p)
{
    return p[0] == '\\' && p[1] >= '0' && p[1] <= '3' && p[2] >= '0' &&
           p[2] <= '7' && p[3] >= '0' && p[3] <= '7';
}

/* Does the field's path begin with `root`, and go on below it if at all? */
static bool is_below(const char *field, size_t len, const char *root)
{
    const char *end = field + len;

    /* "/" is above everything. */
    for (root += strcmp(root, "/") == 0; *root != '\0'; root++) {
        char c = field < end ? *field : '\0';
        size_t n = 1;
        if (end - field >= 4 && is_octal(field)) {
            c = (char)((field[1] - '0') << 6 | (field[2] - '0') << 3 |
                       (field[3] - '0'));
            n = 4;
        }
        if (c != *root) {
            return false;
        }
        field += n;
    }
    return field == end || *field == '/';
}

void mountinfo_below(const char *text, const char *root, struct buf *out)
{
    for (const char *line = text; *line != '\0';) {
        size_t len = strcspn(line, "\n"), at = 0, field = 0;
        for (int i = 0; i < FIELDS; i++) {
            field = at;
            at += strcspn(line + at, " \n");
            at += i + 1 < FIELDS && line[at] == ' ';
        }
        if (at > field && is_below(line + field, at - field, root)) {
            buf_put(out, line, at);
            buf_u8(out, '\n');
        }
        line += len + (line[len] == '\n');
    }
}

/* False: it could not be read. */
static bool read_all(int fd, struct buf *out)
{
    if (lseek(fd, 0, SEEK_SET) != 0) {
        return false;
    }
    for (ssize_t n = 1; n > 0; out->len += n > 0 ? (size_t)n : 0) {
        if (!buf_reserve(out, READ_BYTES)) {
            return false;
        }
        n = sys_read(fd, out->data + out->len, READ_BYTES);
        if (n < 0) {
            return false;
        }
    }
    buf_u8(out, '\0');
    return !out->bad;
}

bool mountinfo_read(int fd, const char *root, struct buf *out)
{
    CLEANUP(buf_deinit) struct buf text = BUF_NULL;

    if (!read_all(fd, &text)) {
        return false;
    }
    mountinfo_below((const char *)text.data, root, out);
    return !out->bad;
}
