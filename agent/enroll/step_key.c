/* SPDX-License-Identifier: MIT
 *
 * step_key: the agent's login key: ed25519, without a passphrase, of the
 * agent's user, in the state directory.
 *
 * It is made by that user, in a directory of his own: root would follow what he
 * puts in its place meanwhile. */
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "agent/config/config_probe.h"
#include "agent/enroll/enroll_impl.h"
#include "agent/enroll/program.h"
#include "store/base/cleanup.h"
#include "store/files/own_dir.h"
#include "sync/errors/state.h"
#include "sync/link/sshkey.h"

static int run_as_agent(const struct enroll_plan *plan, const char *const *argv,
                        struct program_end *end, struct err *err)
{
    uid_t user = config_agent_user(plan->config);
    struct program p = {.argv = argv,
                        .user = user != geteuid() ? user : (uid_t)-1};

    return program_run(&p, end, err);
}

static int fail_key(const char *file, const struct program_end *end,
                    struct err *err)
{
    char last[PROGRAM_LAST_BYTES];

    (void)err_set(err, ERR_INVALID, 0, "key file %s: %s", file,
                  program_last(end, last));
    err->id = DR_KEY_FILE;
    return err->code;
}

/* By the agent's user, who must be able to read it anyway. */
int enroll_public_key(const struct enroll_plan *plan, char **out,
                      struct err *err)
{
    const char *file = plan->replica.identity;
    const char *const argv[] = {"ssh-keygen", "-y", "-P", "", "-f", file, NULL};
    CLEANUP(program_end_deinit) struct program_end end = PROGRAM_END_NULL;

    struct stat st;
    if (stat(file, &st) == 0 && !S_ISREG(st.st_mode)) {
        (void)err_set(err, ERR_INVALID, 0, "key file %s is not a regular file",
                      file);
        err->id = DR_KEY_FILE;
        return err->code;
    }
    if (run_as_agent(plan, argv, &end, err) < 0) {
        return err->code;
    }
    if (end.status != 0 || end.out.len == 0) {
        return fail_key(file, &end, err);
    }
    const char *text = program_text(&end.out);
    *out = strndup(text, strcspn(text, "\r\n"));
    return *out != NULL ? 0 : err_set(err, ERR_NOMEM, 0, "out of memory");
}

/* --- the directory ------------------------------------------------------- */

static char *dir_of(const char *file)
{
    const char *slash = strrchr(file, '/');

    return strndup(file, slash == file ? 1 : (size_t)(slash - file));
}

/* Where nobody but root has a hand in, and it is to be the user's. */
static int make_as_root(const char *dir, uid_t user, struct err *err)
{
    const struct passwd *pw = getpwuid(user);
    const struct own_dir how = {
        .mode = 0700, .group = (gid_t)-1, .fresh = true};
    CLEANUP(fd_closep) int fd = own_dir_open_at(dir, &how, err);

    if (fd < 0) {
        return err->code;
    }
    return pw != NULL && fchown(fd, user, pw->pw_gid) == 0
               ? 0
               : err_sys(err, errno, "%s", dir);
}

static int make_dir(struct enroll *e, const char *dir, struct err *err)
{
    const char *const argv[] = {"mkdir", "-m", "700", "--", dir, NULL};
    CLEANUP(program_end_deinit) struct program_end end = PROGRAM_END_NULL;
    uid_t user = config_agent_user(e->plan->config);
    struct stat st;

    if (stat(dir, &st) == 0) {
        return 0;
    }
    if (run_as_agent(e->plan, argv, &end, err) < 0) {
        return err->code;
    }
    if (end.status != 0 && geteuid() != 0) {
        char last[PROGRAM_LAST_BYTES];
        return err_set(err, ERR_PERM, 0, "%s", program_last(&end, last));
    }
    int rc = end.status == 0 ? 0 : make_as_root(dir, user, err);
    e->made_key_dir = rc == 0;
    return rc;
}

/* --- the key ------------------------------------------------------------- */

static int make_key(struct enroll *e, struct err *err)
{
    const char *file = e->plan->replica.identity;
    CLEANUP(freep) char *dir = dir_of(file);
    CLEANUP(freep) char *comment = NULL;
    CLEANUP(program_end_deinit) struct program_end end = PROGRAM_END_NULL;
    char host[256] = "";

    (void)gethostname(host, sizeof host - 1);
    if (dir == NULL ||
        asprintf(&comment, "drover:%s@%s", e->plan->config->name, host) < 0) {
        comment = NULL;
        return err_set(err, ERR_NOMEM, 0, "out of memory");
    }
    const char *const argv[] = {"ssh-keygen", "-q", "-t", "ed25519",
                                "-N",         "",   "-C", comment,
                                "-f",         file, NULL};
    if (make_dir(e, dir, err) < 0 ||
        run_as_agent(e->plan, argv, &end, err) < 0) {
        return err->code;
    }
    if (end.status != 0) {
        return fail_key(file, &end, err);
    }
    e->made_key = true;
    return 0;
}

int step_key(struct enroll *e, struct enroll_step *s, struct err *err)
{
    const char *file = e->plan->replica.identity;
    CLEANUP(sshkey_deinit) struct sshkey key = {0};
    struct stat st;

    if (lstat(file, &st) != 0 && errno == ENOENT) {
        if (e->dry_run) {
            step_is(s, ENROLL_WOULD, "make %s", file);
            return 0;
        }
        if (make_key(e, err) < 0) {
            return err->code;
        }
        step_is(s, ENROLL_DONE, "%s", file);
    } else {
        step_is(s, ENROLL_SO, "%s", file);
    }
    if (sshkey_load(&key, file, err) < 0) {
        return err->code;
    }
    return enroll_public_key(e->plan, &e->public_key, err);
}

bool undo_key(struct enroll *e)
{
    const char *file = e->plan->replica.identity;
    CLEANUP(freep) char *public = NULL;
    CLEANUP(freep) char *dir = dir_of(file);
    bool good = true;

    if (e->made_key && asprintf(&public, "%s.pub", file) < 0) {
        public = NULL;
    }
    if (e->made_key) {
        good = unlink(file) == 0 && public != NULL && unlink(public) == 0;
    }
    if (e->made_key_dir) {
        good = dir != NULL && rmdir(dir) == 0 && good;
    }
    e->made_key = e->made_key_dir = false;
    return good;
}
