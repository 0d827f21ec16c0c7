/* SPDX-License-Identifier: MIT
 *
 * config_adhoc: the settings of `drover agent DIR TARGET...`: no file, state
 * and socket in the user's own places, replicas named after their targets.
 *
 *   TARGET   [USER@]HOST[:PORT]:PATH   over SSH; [ADDRESS] for IPv6
 *            PATH                      a folder here: has a '/' before any ':'
 *                                      or begins with '.'
 *            exec:COMMAND              a child process
 *
 * State lies in ${XDG_STATE_HOME:-~/.local/state}/drover/HASH, the socket in
 * ${XDG_RUNTIME_DIR:-/tmp/drover-UID}/drover/HASH.sock; for root in
 * /var/lib/drover/adhoc-HASH and /run/drover/adhoc-HASH/control.sock.  HASH
 * comes from the database's path, so a second run finds what the first left.
 */
#include <errno.h>
#include <inttypes.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <xxhash.h>

#include "agent/config/config.h"
#include "agent/config/config_target.h"
#include "agent/config/config_text.h"
#include "store/base/cleanup.h"
#include "store/base/quote.h"
#include "store/files/own_dir.h"

static char *print(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

static char *print(const char *fmt, ...)
{
    char *out = NULL;
    va_list args;

    va_start(args, fmt);
    int rc = vasprintf(&out, fmt, args);
    va_end(args);
    return rc < 0 ? NULL : out;
}

static const char *home_dir(void)
{
    const char *home = getenv("HOME");
    const struct passwd *pw;

    if (home != NULL && home[0] == '/') {
        return home;
    }
    pw = getpwuid(geteuid());
    return pw != NULL ? pw->pw_dir : "/";
}

static const char *absolute_env(const char *name)
{
    const char *value = getenv(name);

    return value != NULL && value[0] == '/' ? value : NULL;
}

char *config_adhoc_socket_dir(void)
{
    const char *runtime = absolute_env("XDG_RUNTIME_DIR");

    if (geteuid() == 0) {
        return print("/run/drover");
    }
    return runtime != NULL
               ? print("%s/drover", runtime)
               : print("/tmp/drover-%u/drover", (unsigned)geteuid());
}

static bool set_places(struct config *c)
{
    uint64_t hash = XXH3_64bits(c->path, strlen(c->path));
    CLEANUP(freep) char *sockets = config_adhoc_socket_dir();
    const char *state = absolute_env("XDG_STATE_HOME");

    if (sockets == NULL) {
        return false;
    }
    if (geteuid() == 0) {
        c->state_dir = print("/var/lib/drover/adhoc-%016" PRIx64, hash);
        c->socket =
            print("%s/adhoc-%016" PRIx64 "/control.sock", sockets, hash);
    } else {
        c->state_dir =
            state != NULL
                ? print("%s/drover/%016" PRIx64, state, hash)
                : print("%s/.local/state/drover/%016" PRIx64, home_dir(), hash);
        c->socket = print("%s/%016" PRIx64 ".sock", sockets, hash);
    }
    return c->state_dir != NULL && c->socket != NULL;
}

/* A name from the last part of a path or from a host: what a name cannot hold
 * becomes '-', and a number makes it unique. */
static char *make_name(const struct config *c, const char *text, size_t len)
{
    char base[49];
    CLEANUP(freep) char *name = NULL;

    if (len > sizeof base - 1) {
        len = sizeof base - 1;
    }
    for (size_t i = 0; i < len; i++) {
        char one[2] = {text[i], '\0'};
        base[i] = i == 0 || text[i] == '.' || text[i] == '-'
                      ? text[i]
                      : (config_name_is_good(one) ? text[i] : '-');
    }
    base[len] = '\0';
    if (!config_name_is_good(base)) {
        if (len > 0) {
            base[0] = 'x';
        }
        if (!config_name_is_good(base)) {
            (void)snprintf(base, sizeof base, "db");
        }
    }
    name = strdup(base);
    for (unsigned i = 2; name != NULL && config_replica(c, name) != NULL; i++) {
        free(name);
        name = print("%s-%u", base, i);
    }
    return TAKE_PTR(name);
}

static char *name_of_path(const struct config *c, const char *path)
{
    size_t len = strlen(path);

    while (len > 1 && path[len - 1] == '/') {
        len--;
    }
    size_t start = len;
    while (start > 0 && path[start - 1] != '/') {
        start--;
    }
    return make_name(c, path + start, len - start);
}

/* --- targets ------------------------------------------------------------- */

static int no_memory(struct err *err)
{
    return err_set(err, ERR_NOMEM, 0, "out of memory");
}

static int target_exec(struct config *c, struct config_replica *r,
                       const char *command, struct err *err)
{
    r->kind = REPLICA_EXEC;
    if (config_split_words(command, &r->argv, err) < 0) {
        return err->code;
    }
    r->command = strdup(command);
    r->name = name_of_path(c, r->argv[0]);
    return r->command != NULL && r->name != NULL ? 0 : no_memory(err);
}

/* drover-replica as built or installed beside this very program, else as PATH
 * has it. */
static char *find_receiver(void)
{
    static const char *const BESIDE[] = {
        "drover-replica", "../sync/replica/drover-replica", NULL};
    char self[4096];
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);

    if (n > 0) {
        self[n] = '\0';
        char *slash = strrchr(self, '/');
        for (size_t i = 0; slash != NULL && BESIDE[i] != NULL; i++) {
            CLEANUP(freep)
            char *path = print("%.*s/%s", (int)(slash - self), self, BESIDE[i]);
            if (path != NULL && access(path, X_OK) == 0) {
                return TAKE_PTR(path);
            }
        }
    }
    return strdup("drover-replica");
}

static int target_local(struct config *c, struct config_replica *r,
                        const char *text, struct err *err)
{
    CLEANUP(freep) char *path = config_path_resolve(text);

    if (path == NULL) {
        return err_sys(err, errno, "%s", text);
    }
    if (config_path_overlaps(path, c->path)) {
        return err_set(err, ERR_INVALID, 0,
                       "%s: a replica cannot be inside its database, nor the "
                       "database inside a replica",
                       text);
    }
    r->kind = REPLICA_EXEC;
    r->name = name_of_path(c, path);
    r->command = config_receive_command(path);
    r->argv = calloc(4, sizeof *r->argv);
    if (r->argv == NULL) {
        return no_memory(err);
    }
    /* One block, as config_free_words() wants it. */
    CLEANUP(freep) char *program = find_receiver();
    if (program == NULL || r->name == NULL || r->command == NULL) {
        return no_memory(err);
    }
    size_t room = strlen(program) + 1;
    size_t total = room + sizeof "receive" + strlen(path) + 1;
    char *block = malloc(total);
    if (block == NULL) {
        return no_memory(err);
    }
    memcpy(block, program, room);
    memcpy(block + room, "receive", sizeof "receive");
    memcpy(block + room + sizeof "receive", path, strlen(path) + 1);
    r->argv[0] = block;
    r->argv[1] = block + room;
    r->argv[2] = block + room + sizeof "receive";
    return 0;
}

/* HOST[:PORT]:PATH, after the user was taken off. */
static int split_host(const char *text, struct config_replica *r,
                      struct err *err)
{
    const char *host = text;
    size_t len = strcspn(text, ":");
    const char *rest = text + len;

    if (text[0] == '[') {
        host = text + 1;
        len = strcspn(host, "]");
        rest = host + len + (host[len] == ']' ? 1 : 0);
    }
    if (len == 0 || *rest != ':') {
        return err_set(err, ERR_INVALID, 0, "not [USER@]HOST[:PORT]:PATH");
    }
    rest++;
    size_t digits = strspn(rest, "0123456789");
    if (digits > 0 && rest[digits] == ':') {
        CLEANUP(freep) char *port = strndup(rest, digits);
        if (port == NULL) {
            return no_memory(err);
        }
        int rc =
            config_set(config_setting("replica", "port"), r, port, "", err);
        if (rc < 0) {
            return err_wrap(err, "port");
        }
        rest += digits + 1;
    }
    if (*rest == '\0') {
        return err_set(err, ERR_INVALID, 0,
                       "the path is missing: HOST[:PORT]:PATH");
    }
    r->host = strndup(host, len);
    r->path = strdup(rest);
    r->command = config_receive_command(rest);
    if (r->host == NULL || r->path == NULL || r->command == NULL) {
        return no_memory(err);
    }
    return config_check_text(SETTING_HOST, r->host, err) < 0 ||
                   config_check_text(SETTING_FAR_PATH, r->path, err) < 0
               ? err->code
               : 0;
}

/* A dedicated agent is best, then the usual key files that can log in with
 * this libssh2 (RSA cannot). */
static char *default_identity(void)
{
    static const char *const FILES[] = {"id_ed25519", "id_ecdsa", NULL};

    if (getenv("SSH_AUTH_SOCK") != NULL) {
        return NULL;
    }
    for (size_t i = 0; FILES[i] != NULL; i++) {
        CLEANUP(freep) char *path = print("%s/.ssh/%s", home_dir(), FILES[i]);
        if (path != NULL && access(path, F_OK) == 0) {
            return TAKE_PTR(path);
        }
    }
    return print("%s/.ssh/%s", home_dir(), FILES[0]);
}

int config_take_target(const char *text, struct config_replica *r,
                       struct err *err)
{
    /* A user's name has no ':' before the '@'; a path may have both. */
    size_t user_len = strcspn(text, "@:");

    r->kind = REPLICA_SSH;
    if (text[user_len] == '@') {
        free(r->user);
        r->user = strndup(text, user_len);
        text += user_len + 1;
        if (user_len == 0) {
            return err_set(err, ERR_INVALID, 0, "the user before @ is missing");
        }
        if (r->user == NULL) {
            return no_memory(err);
        }
        if (config_check_text(SETTING_ACCOUNT, r->user, err) < 0) {
            return err->code;
        }
    }
    return split_host(text, r, err);
}

/* Who types it has the same name there, as with ssh. */
static bool set_own_user(struct config_replica *r)
{
    const struct passwd *pw = getpwuid(geteuid());

    free(r->user);
    r->user = strdup(pw != NULL ? pw->pw_name : "root");
    return r->user != NULL;
}

static int target_ssh(struct config *c, struct config_replica *r,
                      const char *text, struct err *err)
{
    if (!set_own_user(r)) {
        return no_memory(err);
    }
    int rc = config_take_target(text, r, err);
    if (rc < 0) {
        return rc;
    }
    free(r->known_hosts);
    r->known_hosts = print("%s/.ssh/known_hosts", home_dir());
    r->identity = default_identity();
    r->name = make_name(c, r->host, strlen(r->host));
    return r->known_hosts != NULL && r->name != NULL ? 0 : no_memory(err);
}

static bool looks_local(const char *target)
{
    size_t n = strcspn(target, "/:");

    return target[0] == '.' || target[n] == '/';
}

static int add_target(struct config *c, const char *target, struct err *err)
{
    struct config_replica *r = &c->replicas[c->replicas_count];
    int rc;

    if (!config_preset_replica(r, err)) {
        return err->code;
    }
    if (strncmp(target, "exec:", 5) == 0) {
        rc = target_exec(c, r, target + 5, err);
    } else if (looks_local(target)) {
        rc = target_local(c, r, target, err);
    } else if (strchr(target, ':') == NULL) {
        rc = err_set(err, ERR_INVALID, 0,
                     "neither HOST:PATH nor a directory; for a directory on "
                     "this host write ./%s",
                     target);
    } else {
        rc = target_ssh(c, r, target, err);
    }
    c->replicas_count++; /* config_free() frees what was set */
    return rc;
}

static int set_database(struct config *c, const char *dir, struct err *err)
{
    struct stat st, opened;

    c->path = realpath(dir, NULL);
    if (c->path == NULL || stat(c->path, &st) != 0) {
        return err_sys(err, errno, "%s", dir);
    }
    if (!S_ISDIR(st.st_mode)) {
        return err_set(err, ERR_INVALID, 0, "%s: not a directory", dir);
    }
    /* Through no link that root must not follow. */
    CLEANUP(fd_closep) int fd = own_dir_open_path(dir, false, err);
    if (fd < 0) {
        return fd;
    }
    if (fstat(fd, &opened) != 0 || opened.st_ino != st.st_ino ||
        opened.st_dev != st.st_dev) {
        return err_set(err, ERR_GONE, 0, "%s: exchanged meanwhile", dir);
    }
    c->name = name_of_path(c, c->path);
    return c->name != NULL && set_places(c) ? 0 : no_memory(err);
}

struct config *config_adhoc(const char *dir, const char *const *targets,
                            size_t n, struct config_errors *errors)
{
    struct err err = {0};
    size_t before = errors->count;
    struct config *c = config_preset(&err);

    if (c == NULL || set_database(c, dir, &err) < 0) {
        config_error_add(errors, "%s", err.msg);
        config_free(c);
        return NULL;
    }
    c->replicas = calloc(n + 1, sizeof *c->replicas);
    for (size_t i = 0; c->replicas != NULL && i < n; i++) {
        if (add_target(c, targets[i], &err) < 0) {
            config_error_add(errors, "%s: %s", QUOTED_STR(targets[i]), err.msg);
        }
    }
    if (c->replicas == NULL) {
        config_error_add(errors, "out of memory");
    }
    if (strlen(c->socket) > 107) {
        config_error_add(errors,
                         "%s: longer than the 107 bytes that a socket's path "
                         "may have; set XDG_RUNTIME_DIR to a shorter path",
                         c->socket);
    }
    if (errors->count != before) {
        config_free(c);
        return NULL;
    }
    return c;
}
