/* SPDX-License-Identifier: MIT
 *
 * role: see role.h. */
#include "sync/replica/role/role.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "store/base/cleanup.h"
#include "store/base/sys.h"
#include "store/files/own_dir.h"
#include "store/layout/lock.h"

static int read_id(int meta_fd, uint8_t out[META_ID_BYTES], struct err *err)
{
    char text[META_TEXT_MAX];
    int rc =
        meta_read(meta_fd, META_FILE_PRIMARY, text, sizeof text, NULL, err);

    if (rc != 0) {
        return rc;
    }
    text[strcspn(text, "\n")] = '\0';
    if (!meta_id_parse(text, out)) {
        return err_set(err, ERR_CORRUPT, 0,
                       META_DIR "/" META_FILE_PRIMARY
                                " does not hold 32 hexadecimal digits");
    }
    return 0;
}

static int read_epoch(int meta_fd, uint64_t *out, struct err *err)
{
    char text[META_TEXT_MAX], *end;

    *out = 1;
    int rc = meta_read(meta_fd, META_FILE_EPOCH, text, sizeof text, NULL, err);
    if (rc != 0) {
        return rc == ERR_NOTFOUND ? 0 : rc;
    }
    errno = 0;
    unsigned long long n = strtoull(text, &end, 10);
    if (errno != 0 || n == 0 || text[0] < '0' || text[0] > '9' ||
        strcmp(end, "\n") != 0) {
        return err_set(err, ERR_CORRUPT, 0,
                       META_DIR "/" META_FILE_EPOCH
                                " does not hold a number above 0");
    }
    *out = n;
    return 0;
}

int role_inspect(int meta_fd, struct role_facts *out, struct err *err)
{
    struct role_facts f = {.role = ROLE_NONE};
    int rc = meta_ident_read(meta_fd, &f.ident, err);

    if (rc == 0) {
        f.role = ROLE_REPLICA;
        f.epoch = f.ident.epoch;
        memcpy(f.db_id, f.ident.db_id, sizeof f.db_id);
    } else if (rc == ERR_NOTFOUND) {
        rc = read_id(meta_fd, f.db_id, err);
        if (rc == 0) {
            f.role = ROLE_PRIMARY;
            rc = read_epoch(meta_fd, &f.epoch, err);
        }
    }
    if (rc != 0 && rc != ERR_NOTFOUND) {
        return rc;
    }
    *out = f;

    return 0;
}

int role_open(struct meta *m, const char *dir, struct err *err)
{
    int rc = meta_inspect(m, dir, err);

    if (rc == ERR_NOTFOUND) {
        return err_wrap(err, "%s is neither a primary nor a replica", dir);
    }
    if (rc != 0) {
        return rc;
    }
    struct stat st;
    if (fstat(m->fd, &st) != 0) {
        rc = err_sys(err, errno, "stat %s/" META_DIR, dir);
    } else if (geteuid() != 0 && geteuid() != st.st_uid) {
        const struct passwd *user = getpwuid(st.st_uid);
        char number[24];
        (void)snprintf(number, sizeof number, "#%ju", (uintmax_t)st.st_uid);
        const char *name = user != NULL ? user->pw_name : number;
        rc = err_set(err, ERR_PERM, 0,
                     "%s/" META_DIR " belongs to user %s: run this as root or "
                     "as that user (runuser -u %s -- drover-replica ...)",
                     dir, name, name);
    }
    if (rc != 0) {
        meta_close(m);
    }
    return rc;
}

/* --- keeping agents out -------------------------------------------------- */

/* Who could have opened a private file of the database's owner? */
struct trusted {
    uid_t meta, root;
};

enum { CAPS_READ_ALL = 1 << 1 | 1 << 2 }; /* DAC_OVERRIDE, DAC_READ_SEARCH */

/* Of a process that took a lock.  Its own user only: whoever starts a setuid
 * program after locking does not become root for it. */
static bool is_trusted(void *arg, pid_t pid)
{
    const struct trusted *t = arg;
    char path[40], line[256];
    unsigned long caps = 0;
    uid_t uid[3] = {1, 2, 3};

    (void)snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
    FILE *f = fopen(path, "re");
    if (f == NULL) {
        return false; /* it ended; what it left holds the lock */
    }
    while (fgets(line, sizeof line, f) != NULL) {
        (void)sscanf(line, "Uid: %u %u %u", &uid[0], &uid[1], &uid[2]);
        (void)sscanf(line, "CapEff: %lx", &caps);
    }
    (void)fclose(f);
    return uid[0] == uid[1] && uid[0] == uid[2] &&
           (uid[0] == 0 || uid[0] == t->meta || uid[0] == t->root ||
            (caps & CAPS_READ_ALL) != 0);
}

static int agent_runs(pid_t pid, const char *comm, struct err *err)
{
    char who[64] = "";

    if (pid != 0) {
        (void)snprintf(who, sizeof who, ", pid %d (%s),", (int)pid, comm);
    }
    return err_set(
        err, ERR_TIMEOUT, 0,
        "an agent%s runs on it: stop the application, let drover "
        "wait end, then stop that agent (systemctl stop drover@NAME)",
        who);
}

static int hold_agent(const struct meta *m, struct role_hold *h,
                      struct err *err)
{
    struct stat st;
    char comm[16] = "";

    h->agent_fd = own_file_open(m->fd, META_FILE_AGENT, O_RDWR, err);
    if (h->agent_fd < 0) {
        return err_wrap(err, META_DIR);
    }
    if (sys_flock(h->agent_fd, LOCK_EX) == 0) {
        return 0;
    }
    if (errno != EWOULDBLOCK || fstat(h->agent_fd, &st) != 0) {
        return err_sys(err, errno, "lock " META_DIR "/" META_FILE_AGENT);
    }
    pid_t pid = lock_holder(&st, 0, comm);
    return agent_runs(pid, comm, err);
}

static int hold_id(const struct meta *m, struct role_hold *h, struct err *err)
{
    struct stat st, meta, root;
    char comm[16] = "";

    h->id_fd = sys_open_file(m->fd, META_FILE_PRIMARY);
    if (h->id_fd < 0 || fstat(h->id_fd, &st) != 0 || fstat(m->fd, &meta) != 0 ||
        fstat(m->db.root_fd, &root) != 0) {
        return err_sys(err, errno, "open " META_DIR "/" META_FILE_PRIMARY);
    }
    if (sys_flock(h->id_fd, LOCK_EX) == 0) {
        return 0;
    }
    if (errno != EWOULDBLOCK) {
        return err_sys(err, errno, "lock " META_DIR "/" META_FILE_PRIMARY);
    }
    struct trusted t = {.meta = meta.st_uid, .root = root.st_uid};
    pid_t pid = lock_holder_if(&st, 0, is_trusted, &t, comm);
    return pid != 0 ? agent_runs(pid, comm, err) : 0;
}

int role_hold_primary(const struct meta *m, struct role_hold *out,
                      struct err *err)
{
    *out = (struct role_hold){.agent_fd = -1, .id_fd = -1};
    int rc = hold_agent(m, out, err);
    if (rc == 0) {
        rc = hold_id(m, out, err);
    }
    if (rc != 0) {
        role_hold_end(out);
    }
    return rc;
}

void role_hold_end(struct role_hold *h)
{
    fd_closep(&h->agent_fd);
    fd_closep(&h->id_fd);
}
