/* SPDX-License-Identifier: MIT
 *
 * edit_mounts: see edit_mounts.h.
 *
 * Where containers come and go the file changes all the time, and it is long:
 * it is read now and then, not each time. */
#include "sync/replica/edits/edit_mounts.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "store/base/cleanup.h"
#include "store/base/sys.h"
#include "store/layout/mountinfo.h"

enum { LOOK_MS = 500 };

void edit_mounts_open(struct edit_mounts *m)
{
    *m = (struct edit_mounts){
        .fd = sys_open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC),
        .known = BUF_NULL};
}

void edit_mounts_close(struct edit_mounts *m)
{
    fd_closep(&m->fd);
    free(m->root);
    m->root = NULL;
    buf_deinit(&m->known);
}

void edit_mounts_root(struct edit_mounts *m, const char *dir)
{
    free(m->root);
    m->root = realpath(dir, NULL);
    buf_clear(&m->known);
    if (m->root == NULL || m->fd < 0 ||
        !mountinfo_read(m->fd, m->root, &m->known)) {
        fd_closep(&m->fd);
    }
}

int edit_mounts_fd(const struct edit_mounts *m)
{
    return m->fd;
}

short edit_mounts_events(void)
{
    return POLLPRI;
}

void edit_mounts_told(struct edit_mounts *m)
{
    m->due = true;
}

int edit_mounts_wait_ms(const struct edit_mounts *m, int64_t now_ms)
{
    int64_t left_ms = m->looked_ms + LOOK_MS - now_ms;

    return !m->due ? -1 : left_ms > 0 ? (int)left_ms : 0;
}

bool edit_mounts_changed(struct edit_mounts *m, int64_t now_ms)
{
    CLEANUP(buf_deinit) struct buf now = BUF_NULL;

    if (edit_mounts_wait_ms(m, now_ms) != 0 || m->root == NULL) {
        return false;
    }
    m->due = false;
    m->looked_ms = now_ms;
    if (!mountinfo_read(m->fd, m->root, &now) ||
        (now.len == m->known.len &&
         (now.len == 0 || memcmp(now.data, m->known.data, now.len) == 0))) {
        return false;
    }
    struct buf before = m->known;
    m->known = now;
    now = before;
    return true;
}
