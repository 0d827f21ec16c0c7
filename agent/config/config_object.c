/* SPDX-License-Identifier: MIT
 *
 * config_object: struct config itself: defaults, copies, comparison, freeing,
 * the list of mistakes, and the directories it names.  Where it comes from:
 * config.c (a file) and config_adhoc.c (the command line).
 */
#include "agent/config/config.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "store/base/buf.h"
#include "store/base/cleanup.h"
#include "store/base/quote.h"
#include "store/files/own_dir.h"
#include "sync/errors/state.h"

/* --- errors -------------------------------------------------------------- */

void config_errors_deinit(struct config_errors *e)
{
    for (size_t i = 0; i < e->count; i++) {
        free(e->lines[i]);
        free(e->spots[i].file);
    }
    free(e->lines);

    free(e->spots);
    *e = (struct config_errors){0};
}

/* Takes `line`. */
static void add_line(struct config_errors *e, char *line, const char *file,
                     unsigned at, const char *setting)
{
    if (e->count > CONFIG_ERRORS_MAX) {
        free(line);
        return;
    }
    if (e->count == CONFIG_ERRORS_MAX) {
        free(line);
        line = strdup("there is more, which is not shown");
        file = NULL;
        at = 0;
        setting = NULL;
    }
    char **more = realloc(e->lines, (e->count + 1) * sizeof *more);

    if (more != NULL) {
        e->lines = more;
    }
    struct config_spot *spots =
        realloc(e->spots, (e->count + 1) * sizeof *spots);
    if (spots != NULL) {
        e->spots = spots;
    }
    if (more == NULL || spots == NULL || line == NULL) {
        free(line); /* the count of those before says that something is wrong */
        return;
    }
    quote_tame(line); /* a file's words are in it as they stand there */
    spots[e->count] = (struct config_spot){
        .file = file != NULL ? strdup(file) : NULL,
        .line = at,
        .setting = setting,
    };
    more[e->count++] = line;
}

void config_error_add(struct config_errors *e, const char *fmt, ...)
{
    char *line = NULL;
    va_list args;

    va_start(args, fmt);
    int rc = vasprintf(&line, fmt, args);
    va_end(args);
    add_line(e, rc < 0 ? NULL : line, NULL, 0, NULL);
}

/* Takes `words`, which may be NULL. */
static void add_words(struct config_errors *e, const char *file, unsigned line,
                      const char *setting, char *words)
{
    char *whole = NULL;

    if (words != NULL &&
        (line > 0 ? asprintf(&whole, "%s:%u: %s", file, line, words)
                  : asprintf(&whole, "%s: %s", file, words)) < 0) {
        whole = NULL;
    }
    free(words);
    add_line(e, whole, file, line, setting);
}

void config_error_in(struct config_errors *e, const char *file, const char *fmt,
                     ...)
{
    char *words = NULL;
    va_list args;

    va_start(args, fmt);
    int rc = vasprintf(&words, fmt, args);
    va_end(args);
    add_words(e, file, 0, NULL, rc < 0 ? NULL : words);
}

void config_error_at(struct config_errors *e, const struct config *c,
                     struct config_at at, const char *setting, const char *fmt,
                     ...)
{
    char *words = NULL;
    va_list args;

    va_start(args, fmt);
    int rc = vasprintf(&words, fmt, args);
    va_end(args);
    add_words(e, config_file_of(c, at), at.line, setting,
              rc < 0 ? NULL : words);
}

/* --- places -------------------------------------------------------------- */

const char *config_file_of(const struct config *c, struct config_at at)
{
    return at.file < c->files_count ? c->files[at.file] : "the command line";
}

struct config_at config_place(const struct config_where *w, const char *section,
                              const char *name)
{
    return config_is_written(w, section, name)
               ? w->at[config_setting(section, name) - CONFIG_SETTINGS]
               : w->head;
}

bool config_is_written(const struct config_where *w, const char *section,
                       const char *name)
{
    const struct setting *s = config_setting(section, name);

    return s != NULL && w->at[s - CONFIG_SETTINGS].line != 0;
}

/* --- defaults ------------------------------------------------------------ */

static bool apply_presets(const char *section, void *object, const char *dir,
                          struct err *err)
{
    for (const struct setting *s = CONFIG_SETTINGS; s->name != NULL; s++) {
        if (strcmp(s->section, section) == 0 && s->preset[0] != '\0' &&
            config_set(s, object, s->preset, dir, err) < 0) {
            return false;
        }
    }
    return true;
}

struct config *config_preset(struct err *err)
{
    struct config *c = calloc(1, sizeof *c);

    if (c == NULL || !apply_presets("database", c, "", err)) {
        config_free(c);
        (void)err_set(err, ERR_NOMEM, 0, "out of memory");
        return NULL;
    }
    return c;
}

bool config_preset_replica(struct config_replica *r, struct err *err)
{
    *r = (struct config_replica){0};
    return apply_presets("replica", r, "", err);
}

/* --- the object ---------------------------------------------------------- */

static void where_deinit(struct config_where *w)
{
    for (size_t i = 0; i < CONFIG_SETTINGS_MAX; i++) {
        free(w->text[i]);
    }
}

void config_replica_deinit(struct config_replica *r)
{
    where_deinit(&r->where);
    free(r->name);
    free(r->host);
    free(r->user);
    free(r->identity);
    free(r->known_hosts);
    free(r->path);
    free(r->command);
    config_free_words(r->argv);
}

void config_free(struct config *c)
{
    if (c == NULL) {
        return;
    }
    for (size_t i = 0; i < c->replicas_count; i++) {
        config_replica_deinit(&c->replicas[i]);
    }
    free(c->replicas);
    for (size_t i = 0; i < c->files_count; i++) {
        free(c->files[i]);
    }
    free(c->files);
    where_deinit(&c->where);

    free(c->file);
    free(c->dropins);
    free(c->name);
    free(c->path);
    free(c->state_dir);
    free(c->socket);
    free(c->metrics_listen);
    free(c->control_group);
    free(c);
}

const struct config_replica *config_replica(const struct config *c,
                                            const char *name)
{
    for (size_t i = 0; i < c->replicas_count; i++) {
        /* One that was refused while loading has no name. */
        if (c->replicas[i].name != NULL &&
            strcmp(c->replicas[i].name, name) == 0) {
            return &c->replicas[i];
        }
    }
    return NULL;
}

bool config_same_text(const char *a, const char *b)
{
    return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

bool config_replica_equal(const struct config_replica *a,
                          const struct config_replica *b)
{
    bool same = a->kind == b->kind && config_same_text(a->name, b->name);

    for (const struct setting *s = CONFIG_SETTINGS; same && s->name != NULL;
         s++) {
        same =
            strcmp(s->section, "replica") != 0 || config_setting_equal(s, a, b);
    }
    return same;
}

/* --- what is made from it ------------------------------------------------ */

char *config_receive_command(const char *path)
{
    CLEANUP(buf_deinit) struct buf b = BUF_NULL;

    /* For the replica's own shell, which may be any POSIX shell. */
    buf_printf(&b, "drover-replica receive '");
    for (const char *p = path; *p != '\0'; p++) {
        if (*p == '\'') {
            buf_put(&b, "'\\''", 4);
        } else {
            buf_put(&b, p, 1);
        }
    }
    buf_put(&b, "'", 2); /* with its NUL */
    if (b.bad) {
        return NULL;
    }
    char *out = (char *)b.data;
    b.data = NULL;
    return out;
}

/* Nobody else may be able to put a socket in the place of ours. */
static int check_socket_dir(const char *dir, struct err *err)
{
    struct stat st;

    if (stat(dir, &st) != 0) {
        return 0; /* the socket cannot be made there, which tells more */
    }
    if (st.st_uid != 0 && st.st_uid != geteuid()) {
        (void)err_set(err, ERR_REFUSED, 0,
                      "socket: %s belongs to another user (uid %u)", dir,
                      (unsigned)st.st_uid);
        err->id = DR_CONFIG;
        return err->code;
    }
    if ((st.st_mode & S_IWOTH) && !(st.st_mode & S_ISVTX)) {
        (void)err_set(err, ERR_REFUSED, 0,
                      "socket: everyone may write in %s and put a socket of "
                      "theirs in its place: chmod o-w %s, or choose another "
                      "directory (socket = PATH)",
                      dir, dir);
        err->id = DR_CONFIG;
        return err->code;
    }
    return 0;
}

int config_make_dirs(const struct config *c, struct err *err)
{
    CLEANUP(freep) char *socket = strdup(c->socket);
    char *slash = socket != NULL ? strrchr(socket, '/') : NULL;

    if (socket == NULL) {
        return err_set(err, ERR_NOMEM, 0, "out of memory");
    }
    if (own_dir_make_path(c->state_dir, 0700, err) < 0) {
        return err_wrap(err, "state-dir");
    }
    if (slash == NULL || slash == socket) {
        return 0;
    }
    *slash = '\0';
    /* Others may connect and read status, unless the agent is ad hoc and
     * belongs to one plain user. */
    if (own_dir_make_path(
            socket, c->file == NULL && geteuid() != 0 ? 0700 : 0755, err) < 0) {
        return err_wrap(err, "socket");
    }
    return check_socket_dir(socket, err);
}
