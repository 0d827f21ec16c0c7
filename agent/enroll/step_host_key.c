/* SPDX-License-Identifier: MIT
 *
 * step_host_key: the replica's host key: what the host shows, compared with
 * what is pinned, and pinned when somebody who knows says yes.
 *
 * A key that is pinned and not shown is a failure that names the line: there is
 * no way here to replace it.  The host is asked from this host and over the way
 * that the agent will take. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "agent/enroll/enroll_impl.h"
#include "agent/enroll/pinned.h"
#include "agent/enroll/program.h"
#include "store/base/base64.h"
#include "store/base/cleanup.h"
#include "store/base/sys.h"
#include "sync/errors/state.h"
#include "sync/link/known_hosts.h"

/* Both ends of the comparison. */
struct host_keys {
    char host[PINNED_HOST_BYTES];
    const char *file;
    const char *wanted; /* --fingerprint; NULL: it is asked for */
    struct pinned shown, pinned;
};

static void take_all(struct pinned *out, const char *text)
{
    CLEANUP(freep) char *copy = strdup(text);
    unsigned none = 0;

    for (char *rest = copy, *line; (line = strsep(&rest, "\n")) != NULL;) {
        if (line[0] != '#') {
            pinned_take_line(out, line, &none);
        }
    }
}

static int scan(const struct config_replica *r, struct host_keys *k,
                struct err *err)
{
    char port[16];
    const char *const argv[] = {
        "ssh-keyscan", "-T", "10", "-t",    "ed25519,ecdsa,rsa",
        "-p",          port, "--", r->host, NULL};
    CLEANUP(program_end_deinit) struct program_end end = PROGRAM_END_NULL;
    struct program p = {.argv = argv, .user = (uid_t)-1};
    char last[PROGRAM_LAST_BYTES];

    (void)snprintf(port, sizeof port, "%u", enroll_port(r));
    if (program_run(&p, &end, err) < 0) {
        return err->code;
    }
    take_all(&k->shown, program_text(&end.out));
    if (k->shown.count > 0) {
        return 0;
    }
    (void)err_set(err, ERR_IO, 0, "%s shows no host key: %s", k->host,
                  program_last(&end, last));
    err->id = DR_CONNECT;
    return err->code;
}

/* --- what is pinned ------------------------------------------------------ */

static const struct pinned_key *of_type(const struct pinned *list,
                                        const char *type)
{
    for (size_t i = 0; i < list->count; i++) {
        if (strcmp(list->keys[i].type, type) == 0) {
            return &list->keys[i];
        }
    }
    return NULL;
}

/* Lines that no program could use, and keys that are never to be used. */
static int check_file(const struct host_keys *k, struct err *err)
{
    CLEANUP(known_hosts_deinit) struct known_hosts all = KNOWN_HOSTS_NULL;

    if (access(k->file, F_OK) != 0 && errno == ENOENT) {
        return 0;
    }
    if (known_hosts_load(&all, k->file, err) < 0) {
        return err->code;
    }
    for (size_t i = 0; i < k->shown.count; i++) {
        CLEANUP(buf_deinit) struct buf blob = BUF_NULL;
        const char *key64 = k->shown.keys[i].key64;
        if (!base64_decode(&blob, key64, strlen(key64))) {
            continue;
        }
        const struct known_line *line =
            known_hosts_revoked(&all, blob.data, blob.len);
        if (line != NULL) {
            return err_set(err, ERR_REFUSED, 0,
                           "%s shows a key that is revoked at %s:%u: it is "
                           "never accepted",
                           k->host, k->file, line->number);
        }
    }
    return 0;
}

static int changed(const struct host_keys *k, const struct pinned_key *pin,
                   const struct pinned_key *shown, struct err *err)
{
    char was[SSHKEY_FINGERPRINT_BYTES];
    char is[SSHKEY_FINGERPRINT_BYTES] = "no key of that type";

    pinned_fingerprint(pin, was);
    if (shown != NULL) {
        pinned_fingerprint(shown, is);
    }
    (void)err_set(err, ERR_REFUSED, 0,
                  "the host key of %s differs from the one that is pinned at "
                  "%s:%u: pinned %s (%s), shown %s",
                  k->host, k->file, pin->line, was, pin->type, is);
    err->id = DR_HOST_KEY_CHANGED;
    return err->code;
}

/* 1: a pinned key is shown, in *out; 0: none is pinned. */
static int compare(const struct host_keys *k, const struct pinned_key **out,
                   struct err *err)
{
    const struct pinned_key *good = NULL;

    for (size_t i = 0; i < k->pinned.count; i++) {
        const struct pinned_key *known = &k->pinned.keys[i];
        const struct pinned_key *shown = of_type(&k->shown, known->type);
        if (known->revoked) {
            continue;
        }
        if (shown == NULL || strcmp(shown->key64, known->key64) != 0) {
            return changed(k, known, shown, err);
        }
        good = good != NULL ? good : known;
    }
    *out = good;
    return good != NULL ? 1 : 0;
}

/* --- which one to pin ---------------------------------------------------- */

static int not_wanted(const struct host_keys *k, const struct pinned *list,
                      struct err *err)
{
    CLEANUP(buf_deinit) struct buf b = BUF_NULL;

    for (size_t i = 0; i < list->count; i++) {
        char print[SSHKEY_FINGERPRINT_BYTES];
        pinned_fingerprint(&list->keys[i], print);
        buf_printf(&b, "%s%s (%s)", i > 0 ? ", " : "", print,
                   list->keys[i].type);
    }
    buf_u8(&b, '\0');
    return err_set(err, ERR_REFUSED, 0,
                   "%s shows %s, none of which is %s; compare on its console: "
                   "ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub",
                   k->host, b.bad ? "other keys" : (const char *)b.data,
                   k->wanted);
}

static const struct pinned_key *with_fingerprint(const struct pinned *list,
                                                 const char *wanted)
{
    for (size_t i = 0; i < list->count; i++) {
        char print[SSHKEY_FINGERPRINT_BYTES];
        pinned_fingerprint(&list->keys[i], print);
        if (strcmp(print, wanted) == 0) {
            return &list->keys[i];
        }
    }
    return NULL;
}

/* The one that the operator names, else the first of these that is shown. */
static const struct pinned_key *choose(const struct host_keys *k)
{
    const struct pinned_key *key = of_type(&k->shown, "ssh-ed25519");

    if (k->wanted != NULL) {
        return with_fingerprint(&k->shown, k->wanted);
    }
    for (size_t i = 0; key == NULL && i < k->shown.count; i++) {
        if (strncmp(k->shown.keys[i].type, "ecdsa-", 6) == 0) {
            key = &k->shown.keys[i];
        }
    }
    return key != NULL ? key : &k->shown.keys[0];
}

/* --- the file ------------------------------------------------------------ */

/* 1: its last line has no end; 0; or -1 with errno. */
static int lacks_end(int fd, off_t size)
{
    char last = '\n';

    if (size > 0 && sys_pread_full(fd, &last, 1, size - 1) != 1) {
        return -1;
    }
    return last != '\n' ? 1 : 0;
}

/* One line more.  The file keeps its owner and mode. */
static int pin(struct enroll *e, const struct host_keys *k,
               const struct pinned_key *key, struct err *err)
{
    CLEANUP(buf_deinit) struct buf b = BUF_NULL;
    CLEANUP(fd_closep)
    int fd =
        sys_openat(AT_FDCWD, k->file,
                   O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NONBLOCK, 0644);
    struct stat st;

    if (fd < 0 || sys_flock(fd, LOCK_EX) != 0 || fstat(fd, &st) != 0) {
        return err_sys(err, errno, "%s", k->file);
    }
    if (!S_ISREG(st.st_mode)) {
        return err_set(err, ERR_NOTTABLE, 0, "%s is not a file", k->file);
    }
    int end = lacks_end(fd, st.st_size);
    buf_printf(&b, "%s%s %s %s\n", end > 0 ? "\n" : "", k->host, key->type,
               key->key64);
    if (b.bad || end < 0 || (st.st_size == 0 && fchmod(fd, 0644) != 0) ||
        sys_write_all(fd, b.data, b.len) != 0 || sys_fsync(fd) != 0) {
        return err_sys(err, b.bad ? ENOMEM : errno, "%s", k->file);
    }
    e->pinned = true;
    e->pinned_from = st.st_size;
    e->pinned_to = st.st_size + (off_t)b.len;
    return 0;
}

bool undo_host_key(struct enroll *e)
{
    const char *file = e->plan->replica.known_hosts;
    struct stat st;

    if (!e->pinned) {
        return true;
    }
    e->pinned = false;
    CLEANUP(fd_closep) int fd = sys_open(file, O_RDWR | O_CLOEXEC);
    /* Not when somebody wrote behind it meanwhile. */
    if (fd < 0 || sys_flock(fd, LOCK_EX) != 0 || fstat(fd, &st) != 0 ||
        st.st_size != e->pinned_to) {
        return false;
    }
    return e->pinned_from > 0 ? sys_ftruncate(fd, e->pinned_from) == 0
                              : unlink(file) == 0;
}

/* --- the step ------------------------------------------------------------ */

static int pin_chosen(struct enroll *e, const struct host_keys *k,
                      struct enroll_step *s, struct err *err)
{
    const struct pinned_key *key = choose(k);
    char print[SSHKEY_FINGERPRINT_BYTES] = "";

    if (key == NULL) {
        return not_wanted(k, &k->shown, err);
    }
    pinned_fingerprint(key, print);
    if (e->dry_run) {
        step_is(s, ENROLL_WOULD, "pin %s of %s in %s", print, k->host, k->file);
        return 0;
    }
    if (k->wanted == NULL &&
        e->ops->confirm(e->ops->arg, k->host, key, print, err) < 0) {
        return err->code;
    }
    if (pin(e, k, key, err) < 0) {
        return err->code;
    }
    step_is(s, ENROLL_DONE, "%s of %s, pinned in %s", print, k->host, k->file);
    return 0;
}

static int look(struct enroll *e, struct host_keys *k, struct enroll_step *s,
                struct err *err)
{
    const struct config_replica *r = &e->plan->replica;
    const struct pinned_key *key = NULL;
    unsigned port = enroll_port(r);
    char print[SSHKEY_FINGERPRINT_BYTES];

    pinned_host(r->host, port, k->host);
    if (scan(r, k, err) < 0 || check_file(k, err) < 0 ||
        pinned_find(k->file, r->host, port, &k->pinned, err) < 0) {
        return err->code;
    }
    int rc = compare(k, &key, err);
    if (rc <= 0 || key == NULL) {
        return rc < 0 ? rc : pin_chosen(e, k, s, err);
    }
    if (k->wanted != NULL && with_fingerprint(&k->pinned, k->wanted) == NULL) {
        return not_wanted(k, &k->pinned, err);
    }
    pinned_fingerprint(key, print);
    step_is(s, ENROLL_SO, "%s of %s, pinned at %s:%u", print, k->host, k->file,
            key->line);
    return 0;
}

int step_host_key(struct enroll *e, struct enroll_step *s, struct err *err)
{
    CLEANUP(freep) struct host_keys *k = calloc(1, sizeof *k);

    if (k == NULL) {
        return err_set(err, ERR_NOMEM, 0, "out of memory");
    }
    k->file = e->plan->replica.known_hosts;
    k->wanted = e->plan->request->fingerprint;
    return look(e, k, s, err);
}
