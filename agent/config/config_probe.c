/* SPDX-License-Identifier: MIT
 *
 * config_probe: see config_probe.h. */
#include "agent/config/config_probe.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/config/config_target.h"
#include "store/base/cleanup.h"
#include "sync/link/known_hosts.h"
#include "sync/link/sshkey.h"
#include "sync/options/receive_options.h"
#include "sync/primary/primary.h"

/* --- what a file names --------------------------------------------------- */

/* An err's own message about a setting of a replica. */
static void say(const struct config *c, const struct config_replica *r,
                struct config_errors *list, const char *name, const char *why)
{
    config_error_at(list, c, config_place(&r->where, "replica", name), name,
                    "[replica %s] %s: %s", r->name, name, why);
}

/* What root read to start with. */
static void probe_files(const struct config *c, struct config_probe *out)
{
    static const char WHY[] = "the agent cannot read its configuration";

    for (unsigned i = 0; i < c->files_count; i++) {
        if (access(c->files[i], R_OK) != 0) {
            config_error_at(&out->mistakes, c, (struct config_at){i, 0}, NULL,
                            "%s: %s", WHY, strerror(errno));
        }
    }
    if (c->dropins != NULL && access(c->dropins, R_OK | X_OK) != 0) {
        config_error_in(&out->mistakes, c->dropins, "%s: %s", WHY,
                        strerror(errno));
    }
}

static void probe_database(const struct config *c, struct config_probe *out)
{
    struct stat st;
    struct config_at at = config_place(&c->where, "database", "path");

    /* The shipped unit's agent may enter what others may not. */
    if (stat(c->path, &st) != 0) {
        if (errno != EACCES) {
            config_error_at(&out->notes, c, at, "path", "path = %s: %s",
                            c->path, strerror(errno));
        }
    } else if (!S_ISDIR(st.st_mode)) {
        config_error_at(&out->mistakes, c, at, "path",
                        "path = %s: not a directory", c->path);
    }
    if (c->control_group != NULL && getgrnam(c->control_group) == NULL) {
        config_error_at(&out->mistakes, c,
                        config_place(&c->where, "database", "control-group"),
                        "control-group",
                        "control-group = %s: no such group; make it (groupadd "
                        "--system %s) or leave the setting out",
                        c->control_group, c->control_group);
    }
    CLEANUP(freep) char *state = config_path_resolve(c->state_dir);
    CLEANUP(freep) char *path = config_path_resolve(c->path);
    if (state != NULL && path != NULL && config_path_is_below(state, path)) {
        config_error_at(&out->warnings, c,
                        config_place(&c->where, "database", "state-dir"),
                        "state-dir",
                        "state-dir = %s: lies in the database, and is lost "
                        "with it; a directory beside it is better",
                        c->state_dir);
    }
    if (access(c->state_dir, F_OK) == 0 &&
        faccessat(AT_FDCWD, c->state_dir, W_OK | X_OK, AT_EACCESS) != 0) {
        config_error_at(&out->warnings, c,
                        config_place(&c->where, "database", "state-dir"),
                        "state-dir", "state-dir = %s: cannot write there: %s",
                        c->state_dir, strerror(errno));
    }
}

/* What keeps a socket from being made there; NULL: nothing that is seen. */
static const char *socket_in_the_way(const struct config *c, const char *path)
{
    struct stat st;

    if (c->socket != NULL && strcmp(path, c->socket) == 0) {
        return "is the control socket's path; give it another one";
    }
    if (lstat(path, &st) == 0 && !S_ISSOCK(st.st_mode)) {
        return "is there already, and is no socket";
    }
    return NULL;
}

static void probe_metrics(const struct config *c, struct config_probe *out)
{
    const char *path = c->metrics_listen;

    if (path == NULL || path[0] != '/') {
        return;
    }
    const char *why = socket_in_the_way(c, path);
    if (why != NULL) {
        config_error_at(&out->warnings, c,
                        config_place(&c->where, "database", "metrics-listen"),
                        "metrics-listen", "metrics-listen = %s: %s", path, why);
    }
}

static void probe_identity(const struct config *c,
                           const struct config_replica *r,
                           struct config_probe *out)
{
    struct sshkey key;
    struct err err = {0};
    char why[ERR_MSG_BYTES + 100];

    if (r->identity == NULL) {
        return;
    }
    if (sshkey_load(&key, r->identity, &err) < 0) {
        bool absent = err.sys == ENOENT;
        say(c, r, absent ? &out->notes : &out->warnings, "identity", err.msg);
        return;
    }
    if (key.is_public || key.locked) {
        (void)snprintf(why, sizeof why,
                       "%.400s %s: the agent needs an SSH agent "
                       "(SSH_AUTH_SOCK) that has the private one",
                       r->identity,
                       key.is_public ? "is a public key" : "has a passphrase");
        say(c, r, &out->notes, "identity", why);
    }
    sshkey_deinit(&key);
}

static void probe_known_hosts(const struct config *c,
                              const struct config_replica *r,
                              struct config_probe *out)
{
    CLEANUP(known_hosts_deinit) struct known_hosts kh = KNOWN_HOSTS_NULL;
    struct err err = {0};

    if (known_hosts_load(&kh, r->known_hosts, &err) < 0) {
        say(c, r, err.sys == ENOENT ? &out->notes : &out->warnings,
            "known-hosts", err.msg);
    }
}

/* The program is where exec would find it. */
static bool is_program(const char *name)
{
    const char *path = getenv("PATH");

    if (strchr(name, '/') != NULL || path == NULL) {
        return strchr(name, '/') == NULL || access(name, X_OK) == 0;
    }
    for (const char *p = path;; p++) {
        size_t n = strcspn(p, ":");
        CLEANUP(freep) char *whole = NULL;
        if (asprintf(&whole, "%.*s/%s", (int)n, p, name) < 0) {
            whole = NULL;
        } else if (access(whole, X_OK) == 0) {
            return true;
        }
        p += n;
        if (*p == '\0') {
            return false;
        }
    }
}

static void probe_program(const struct config *c,
                          const struct config_replica *r,
                          struct config_probe *out)
{
    char why[400];

    if (r->openssh && !is_program(r->argv[0])) {
        say(c, r, &out->warnings, "transport",
            "openssh needs OpenSSH's client (package openssh-client), which is "
            "not installed");
    } else if (!is_program(r->argv[0])) {
        (void)snprintf(why, sizeof why,
                       "%.200s: no such program that may be "
                       "run here",
                       r->argv[0]);
        say(c, r, &out->warnings, "command", why);
    }
}

/* A word has the receiver's name in it, or the other host's login decides. */
static bool may_receive(char *const *argv)
{
    const char *slash = strrchr(argv[0], '/');
    const char *program = slash != NULL ? slash + 1 : argv[0];
    bool may = strncmp(program, "ssh", 3) == 0;

    for (size_t i = 0; argv[i] != NULL; i++) {
        may = may || strstr(argv[i], "drover-replica") != NULL;
    }
    return may;
}

/* drover-replica is run, but not as a receiver; or nothing says that it is. */
static void probe_subcommand(const struct config *c,
                             const struct config_replica *r,
                             struct config_probe *out)
{
    char *const *words = config_target_receiver(r->argv);
    char why[400];

    if (words != NULL) {
        (void)snprintf(why, sizeof why,
                       "drover-replica %.200s takes no changes; write "
                       "drover-replica receive DIR",
                       words[1] != NULL ? words[1] : "alone");
        say(c, r, &out->warnings, "command", why);
    } else if (r->kind == REPLICA_EXEC && !may_receive(r->argv)) {
        (void)snprintf(why, sizeof why,
                       "%.200s does not name drover-replica; what it starts "
                       "must be drover-replica receive DIR, as any other "
                       "program cannot answer",
                       r->argv[0]);
        say(c, r, &out->warnings, "command", why);
    }
}

/* As the receiver will read it, which is found here when it runs here. */
static void probe_receive(const struct config *c,
                          const struct config_replica *r,
                          struct config_probe *out)
{
    struct receive_options options = {.dir = NULL};
    struct err err = {0};
    size_t n = 0;
    char *const *words = config_target_receive(r->argv, &n);
    CLEANUP(freep) char **copy = calloc(n + 1, sizeof *copy);

    if (words == NULL) {
        probe_subcommand(c, r, out);
    }
    if (words == NULL || copy == NULL) {
        return;
    }
    memcpy(copy, words, n * sizeof *copy);
    if (receive_options_parse((int)n, copy, &options, &err) < 0) {
        say(c, r, &out->warnings, "command", err.msg);
    } else if (options.dir[0] != '/') {
        char why[400];
        (void)snprintf(why, sizeof why,
                       "%.200s is taken from the agent's working directory; "
                       "write the whole path",
                       options.dir);
        say(c, r, &out->warnings, "command", why);
    }
}

/* Some accounts have a domain's name in theirs. */
static void probe_user(const struct config *c, const struct config_replica *r,
                       struct config_probe *out)
{
    const char *at = strrchr(r->user, '@');
    bool is_host = at != NULL && strcasecmp(at + 1, r->host) == 0;
    char why[400];

    if (at != NULL) {
        (void)snprintf(why, sizeof why,
                       "%.200s is taken for the name of the account; the host "
                       "is host = HOST",
                       r->user);
        say(c, r, is_host ? &out->warnings : &out->notes, "user", why);
    }
}

void config_probe(const struct config *c, struct config_probe *out)
{
    const size_t most = PRIMARY_REPLICAS_MAX - 1;

    probe_files(c, out);
    probe_database(c, out);
    probe_metrics(c, out);
    for (size_t i = 0; i < c->replicas_count; i++) {
        const struct config_replica *r = &c->replicas[i];

        if (r->kind == REPLICA_SSH) {
            probe_user(c, r, out);
            probe_identity(c, r, out);
            probe_known_hosts(c, r, out);
            if (r->openssh) {
                probe_program(c, r, out);
            }
        } else {
            probe_program(c, r, out);
            probe_receive(c, r, out);
        }
    }
    if (c->replicas_count > most) {
        config_error_at(&out->warnings, c, c->replicas[most].where.head, NULL,
                        "[replica %s]: an agent keeps at most %zu replicas and "
                        "here are %zu: this one and those behind it are left "
                        "out",
                        c->replicas[most].name, most, c->replicas_count);
    }
    if (c->replicas_count == 0) {
        config_error_at(&out->notes, c, CONFIG_MAIN, NULL,
                        "there are no replicas");
    }
}

void config_probe_deinit(struct config_probe *p)
{
    config_errors_deinit(&p->mistakes);
    config_errors_deinit(&p->warnings);
    config_errors_deinit(&p->notes);
}

/* --- as another user ----------------------------------------------------- */

uid_t config_agent_user(const struct config *c)
{
    struct stat st;
    const struct passwd *pw;

    if (geteuid() != 0) {
        return geteuid();
    }
    if (stat(c->state_dir, &st) == 0) {
        return st.st_uid;
    }
    pw = getpwnam("drover");
    return pw != NULL ? pw->pw_uid : 0;
}

/* A name as a number: it may have any bytes. */
static const char *numbered_file(const struct config *c, size_t number)
{
    return number < c->files_count    ? c->files[number]
           : number == c->files_count ? c->dropins
                                      : NULL;
}

static size_t number_of_file(const struct config *c, const char *name)
{
    size_t n = 0;

    while (n <= c->files_count &&
           (numbered_file(c, n) == NULL || name == NULL ||
            strcmp(numbered_file(c, n), name) != 0)) {
        n++;
    }
    return n;
}

static void write_list(FILE *f, const struct config *c, char kind,
                       const struct config_errors *list)
{
    for (size_t i = 0; i < list->count; i++) {
        const struct config_spot *s = &list->spots[i];
        (void)fprintf(f, "%c %zu %u %s %s\n", kind, number_of_file(c, s->file),
                      s->line, s->setting != NULL ? s->setting : "-",
                      list->lines[i]);
    }
}

_Noreturn static void child(const struct config *c, const struct passwd *pw,
                            int fd)
{
    struct config_probe p = {0};
    FILE *f = fdopen(fd, "w");

    if (f == NULL || initgroups(pw->pw_name, pw->pw_gid) != 0 ||
        setgid(pw->pw_gid) != 0 || setuid(pw->pw_uid) != 0) {
        _exit(errno);
    }
    config_probe(c, &p);
    write_list(f, c, 'm', &p.mistakes);
    write_list(f, c, 'w', &p.warnings);
    write_list(f, c, 'n', &p.notes);
    _exit(fflush(f) != 0 ? errno : 0);
}

static void take_line(const struct config *c, struct config_probe *out,
                      const char *line)
{
    size_t number;
    char kind, name[32];
    unsigned at;
    int used = 0;

    if (sscanf(line, "%c %zu %u %31s %n", &kind, &number, &at, name, &used) !=
            4 ||
        used == 0) {
        return;
    }
    struct config_errors *list = kind == 'm'   ? &out->mistakes
                                 : kind == 'w' ? &out->warnings
                                               : &out->notes;
    const struct setting *s = config_setting("replica", name);
    s = s != NULL ? s : config_setting("database", name);
    const char *file = numbered_file(c, number);
    config_error_add(list, "%s", line + used);
    if (list->count > 0) {
        list->spots[list->count - 1] = (struct config_spot){
            .file = file != NULL ? strdup(file) : NULL,
            .line = at,
            .setting = s != NULL ? s->name : NULL,
        };
    }
}

static void take_lines(const struct config *c, struct config_probe *out, int fd)
{
    CLEANUP(freep) char *line = NULL;
    size_t room = 0;
    FILE *f = fdopen(fd, "r");

    if (f == NULL) {
        (void)close(fd);
        return;
    }
    for (ssize_t n; (n = getline(&line, &room, f)) > 0;) {
        line[n - 1] = '\0';
        take_line(c, out, line);
    }
    (void)fclose(f);
}

int config_probe_as(const struct config *c, uid_t uid, struct config_probe *out,
                    struct err *err)
{
    const struct passwd *pw = getpwuid(uid);
    int fds[2], status = 0;

    if (pw == NULL) {
        return err_set(err, ERR_NOTFOUND, 0, "user %u has no account here",
                       (unsigned)uid);
    }
    if (pipe2(fds, O_CLOEXEC) != 0) {
        return err_sys(err, errno, "pipe");
    }
    pid_t pid = fork();
    if (pid == 0) {
        child(c, pw, fds[1]);
    }
    (void)close(fds[1]);
    if (pid < 0) {
        (void)close(fds[0]);
        return err_sys(err, errno, "fork");
    }
    take_lines(c, out, fds[0]);
    if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status)) {
        return err_set(err, ERR_IO, 0, "the child that asked was lost");
    }
    return WEXITSTATUS(status) != 0 ? err_sys(err, WEXITSTATUS(status),
                                              "becoming user %s", pw->pw_name)
                                    : 0;
}
