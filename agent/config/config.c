/* SPDX-License-Identifier: MIT
 *
 * config: drover.conf(5) into a struct config: a file, then its drop-ins
 * (config_files.h) as if they were its end, except that each begins outside of
 * any section and that the [database] settings of a later one win.
 *
 * Lines are read here and handed to libinih one by one, because inih tells
 * neither the line of a setting nor more than one mistake, cuts lines at 200
 * and section names at 49 bytes, and says nothing of sections without
 * settings.  The reader keeps the line number and the section; inih splits
 * name and value.  Its extras are switched off: no comment behind a value (a
 * path or a command may contain ';'), no continued lines.
 *
 * Every mistake becomes one line in struct config_errors and reading goes on;
 * what depends on several settings is checked at the end (config_finish.c).
 * Values by type: config_value.c.  Command line: config_adhoc.c.
 */
#include "agent/config/config_impl.h"

#include <assert.h>
#include <errno.h>
#include <ini.h>
#include <stdio.h>
#include <string.h>

#include "agent/config/config_files.h"
#include "agent/config/config_keys.h"
#include "agent/config/config_text.h"
#include "store/base/cleanup.h"
#include "store/base/quote.h"
#include "store/cmdline/suggest.h"

enum {
    LINE_BYTES = 4096, /* longest line, its end included */
};

/* --- sections ------------------------------------------------------------ */

static struct config_replica *last_replica(struct loader *l)
{
    return &l->config->replicas[l->config->replicas_count - 1];
}

static bool add_replica(struct loader *l, const char *name)
{
    struct config *c = l->config;
    size_t n = c->replicas_count;
    struct err err = {0};
    struct config_replica *more =
        realloc(c->replicas, (n + 1) * sizeof *c->replicas);

    if (more == NULL) {
        return false;
    }
    c->replicas = more;
    if (!config_preset_replica(&more[n], &err)) {
        return false;
    }
    more[n].where.head = l->at;
    c->replicas_count = n + 1;
    more[n].name = strdup(name);
    return more[n].name != NULL;
}

static void begin_replica(struct loader *l, const char *name)
{
    char place[CONFIG_OTHER_BYTES];

    l->where = IN_UNKNOWN;
    if (!config_name_is_good(name)) {
        COMPLAIN(l, l->at,
                 "[replica %s]: a replica's name has letters, digits, '.', "
                 "'_' and '-' only, and at most 64 of them",
                 name);
        return;
    }
    for (size_t i = 0; i < l->config->replicas_count; i++) {
        if (strcmp(l->config->replicas[i].name, name) == 0) {
            COMPLAIN(l, l->at, "[replica %s] is defined twice, first at %s",
                     name,
                     config_other(l, l->config->replicas[i].where.head, l->at,
                                  place));
            return;
        }
    }
    if (!add_replica(l, name)) {
        COMPLAIN(l, l->at, "%s", "out of memory");
        return;
    }
    l->where = IN_REPLICA;
}

/* "database" or "replica NAME", what stands between the brackets. */
static void begin_section(struct loader *l, char *text)
{
    static const char *const KNOWN[] = {"database", "replica", NULL};
    size_t word = strcspn(text, " \t");
    char *rest = text + word + strspn(text + word, " \t");

    if (strcmp(text, "database") == 0) {
        if (l->seen_database) {
            COMPLAIN(l, l->at, "%s", "[database] is defined twice");
        }
        l->seen_database = true;
        if (l->config->where.head.line == 0) {
            l->config->where.head = l->at;
        }
        l->where = IN_DATABASE;
        return;
    }
    if (word == strlen("replica") && strncmp(text, "replica", word) == 0 &&
        *rest != '\0') {
        begin_replica(l, rest);
        return;
    }
    l->where = IN_UNKNOWN;
    if (strcmp(text, "replica") == 0) {
        COMPLAIN(l, l->at, "%s",
                 "[replica] needs a name, as in [replica eu-1]");
        return;
    }
    text[word] = '\0';
    const char *near = suggest_nearest(text, KNOWN);
    COMPLAIN(l, l->at, "unknown section [%s]%s%s%s", text,
             near != NULL ? "; did you mean [" : "", near != NULL ? near : "",
             near == NULL                   ? ""
             : strcmp(near, "replica") == 0 ? " NAME]?"
                                            : "]?");
}

/* --- settings ------------------------------------------------------------ */

static void complain_unknown(struct loader *l, const char *section,
                             const char *name)
{
    const char *names[CONFIG_SETTINGS_MAX];
    const char *other =
        strcmp(section, "database") == 0 ? "replica" : "database";
    size_t n = 0;

    for (const struct setting *s = CONFIG_SETTINGS; s->name != NULL; s++) {
        if (strcmp(s->section, section) == 0) {
            assert(n + 1 < CONFIG_SETTINGS_MAX);
            names[n++] = s->name;
        }
    }
    names[n] = NULL;
    if (config_setting(other, name) != NULL) {
        COMPLAIN(l, l->at, "%s belongs in [%s], not in [%s]", name,
                 strcmp(other, "replica") == 0 ? "replica NAME" : other,
                 section);
        return;
    }
    const char *near = suggest_nearest(name, names);
    COMPLAIN(l, l->at, "unknown setting %s%s%s%s", QUOTED_STR(name),
             near != NULL ? "; did you mean " : "", near != NULL ? near : "",
             near != NULL ? "?" : "");
}

/* The word "agent" is not a file; config_finish() takes it. */
static bool is_ssh_agent(const struct setting *s, const char *value)
{
    return strcmp(s->name, "identity") == 0 && strcmp(value, "agent") == 0;
}

static int set_value(struct loader *l, const struct setting *s,
                     const char *value, void *object, struct err *err)
{
    struct setting word = *s;

    if (config_check_line(s->type, value, err) < 0) {
        return err->code;
    }
    if (is_ssh_agent(s, value)) {
        word.type = SETTING_TEXT;
    }
    return config_set(&word, object, value, l->dir, err);
}

/* As it could be written again, in a file of any directory. */
static void keep_text(struct loader *l, const struct setting *s,
                      const char *value, const void *object, char **text)
{
    const char *whole =
        s->type == SETTING_PATH
            ? *(char *const *)(const void *)((const char *)object + s->offset)
            : value;

    free(*text);
    *text = strdup(whole);
    if (*text == NULL) {
        COMPLAIN(l, l->at, "%s", "out of memory");
    }
}

static void take_setting(struct loader *l, const char *section,
                         const char *name, const char *value, void *object,
                         struct config_where *where)
{
    const struct setting *s = config_setting(section, name);
    struct err err = {0};

    if (s == NULL) {
        complain_unknown(l, section, name);
        return;
    }
    size_t index = (size_t)(s - CONFIG_SETTINGS);
    assert(index < CONFIG_SETTINGS_MAX);
    if (where->at[index].line != 0 && where->at[index].file == l->at.file) {
        config_error_at(l->errors, l->config, l->at, s->name,
                        "%s is set twice, first at line %u", name,
                        where->at[index].line);
        return;
    }
    where->at[index] = l->at; /* a later file's [database] wins */
    if (value[0] == '\0') {
        config_error_at(l->errors, l->config, l->at, s->name, "%s has no value",
                        name);
    } else if (set_value(l, s, value, object, &err) < 0) {
        config_error_at(l->errors, l->config, l->at, s->name, "%s = %s", name,
                        err.msg);
    } else {
        keep_text(l, s, value, object, &where->text[index]);
    }
}

static int on_setting(void *arg, const char *section, const char *name,
                      const char *value)
{
    struct loader *l = arg;

    (void)section; /* inih's is cut at 49 bytes; l->where is ours */
    l->expects_setting = false;
    switch (l->where) {
    case IN_NOTHING:
        COMPLAIN(l, l->at, "%s appears before the first [section]",
                 QUOTED_STR(name));
        break;
    case IN_DATABASE:
        take_setting(l, "database", name, value, l->config, &l->config->where);
        break;
    case IN_REPLICA:
        take_setting(l, "replica", name, value, last_replica(l),
                     &last_replica(l)->where);
        break;
    case IN_UNKNOWN:
        break; /* the section's head was complained about */
    }
    return 1;
}

/* --- lines --------------------------------------------------------------- */

static void check_last_line(struct loader *l)
{
    if (l->expects_setting) {
        COMPLAIN(l, l->at, "%s",
                 "neither a [section] nor \"name = value\" nor a comment");
    }
    l->expects_setting = false;
}

/* Look at a line before inih does; what inih gets to see stays in `line`. */
static void prepare_line(struct loader *l, char *line)
{
    char *p = line;

    if (l->at.line == 1 && strncmp(p, "\xEF\xBB\xBF", 3) == 0) {
        p += 3;
    }
    p += strspn(p, " \t\r\n");
    if (*p == '\0' || *p == ';' || *p == '#') {
        return;
    }
    if (*p != '[') {
        l->expects_setting = true;
        return;
    }
    char *end = strchr(p, ']');
    if (end == NULL || end[1 + strspn(end + 1, " \t\r\n")] != '\0') {
        COMPLAIN(l, l->at, "%s", "a section is written [name], alone");
        l->where = IN_UNKNOWN;
    } else {
        *end = '\0';
        p += 1 + strspn(p + 1, " \t");
        while (end > p && (end[-1] == ' ' || end[-1] == '\t')) {
            *--end = '\0';
        }
        begin_section(l, p);
    }
    memcpy(line, ";\n", 3);
}

/* fgets() for inih: whole lines, or a comment where one is refused. */
static char *read_line(char *out, int room, void *arg)
{
    struct loader *l = arg;
    CLEANUP(freep) char *line = NULL;
    size_t cap = 0;

    check_last_line(l);
    errno = 0;
    ssize_t len = getline(&line, &cap, l->file);
    if (len < 0) {
        if (errno != 0) {
            config_error_in(l->errors, config_file_of(l->config, l->at), "%s",
                            strerror(errno));
        }
        return NULL;
    }
    l->at.line++;
    assert(room >= LINE_BYTES + 3);
    if (len > LINE_BYTES || memchr(line, '\0', (size_t)len) != NULL) {
        COMPLAIN(l, l->at, "%s",
                 len > LINE_BYTES ? "the line is longer than 4096 bytes"
                                  : "the line has a NUL byte");
        memcpy(out, ";\n", 3);
        return out;
    }
    memcpy(out, line, (size_t)len + 1);
    prepare_line(l, out);
    return out;
}

static void read_lines(struct loader *l)
{
    ini_allow_multiline = false;
    ini_allow_inline_comments = false;
    ini_allow_no_value = false;
    ini_stop_on_first_error = false;
    ini_use_stack = false;
    ini_max_line = LINE_BYTES + 8;
    ini_initial_alloc = LINE_BYTES + 8;
    if (ini_parse_stream(read_line, l, on_setting, l) == -2) {
        config_error_in(l->errors, config_file_of(l->config, l->at),
                        "out of memory");
    }
    check_last_line(l);
}

/* --- in and out ---------------------------------------------------------- */

/* The absolute directory that the file, or what it is a link to, is in. */
static char *dir_of_file(const char *file)
{
    char *full = realpath(file, NULL);
    char *slash = full != NULL ? strrchr(full, '/') : NULL;

    if (slash != NULL) {
        slash[slash == full ? 1 : 0] = '\0';
    }
    return full;
}

const char *config_other(const struct loader *l, struct config_at there,
                         struct config_at here, char *out)
{
    if (there.file == here.file) {
        (void)snprintf(out, CONFIG_OTHER_BYTES, "line %u", there.line);
    } else {
        (void)snprintf(out, CONFIG_OTHER_BYTES, "%s:%u",
                       config_file_of(l->config, there), there.line);
    }
    return out;
}

/* Another one of the configuration's files, which l->at then stands in. */
static bool add_file(struct loader *l, const char *name)
{
    struct config *c = l->config;
    char **more = realloc(c->files, (c->files_count + 1) * sizeof *more);

    if (more == NULL) {
        return false;
    }
    c->files = more;
    l->at = (struct config_at){.file = (unsigned)c->files_count};
    c->files[c->files_count] = strdup(name);
    return c->files[c->files_count++] != NULL;
}

/* The text of a file, or what it is taken to have: a new string. */
static ssize_t text_of(const struct loader *l, const char *file, char **out,
                       struct err *err)
{
    if (l->as_if == NULL || strcmp(l->as_if, file) != 0) {
        return config_file_read(file, out, err);
    }
    *out = strdup(l->as_if_text);
    return *out != NULL ? (ssize_t)strlen(*out)
                        : err_set(err, ERR_NOMEM, 0, "out of memory");
}

/* false: it could not be read at all. */
static bool read_file(struct loader *l, const char *file)
{
    CLEANUP(freep) char *text = NULL;
    struct err err = {0};
    ssize_t len = text_of(l, file, &text, &err);

    if (len >= 0) {
        l->file = fmemopen(text, (size_t)len, "r");
    }
    if (len < 0 || l->file == NULL) {
        config_error_in(l->errors, file, "%s",
                        len < 0 ? err.msg : strerror(errno));
        return false;
    }
    l->where = IN_NOTHING;
    l->seen_database = false;
    read_lines(l);
    (void)fclose(l->file);
    l->file = NULL;
    return true;
}

static void read_dropin(struct loader *l, const char *path)
{
    if (l->as_if != NULL && l->as_if_text == NULL &&
        strcmp(l->as_if, path) == 0) {
        return;
    }
    if (!add_file(l, path)) {
        config_error_in(l->errors, path, "out of memory");
        return;
    }
    (void)read_file(l, path);
}

static void read_dropins(struct loader *l)
{
    CLEANUP(config_dropins_deinit) struct config_dropins all = {0};
    CLEANUP(freep) char *dir = config_dropins_dir(l->config->file);
    struct err err = {0};
    int rc = dir != NULL ? config_dropins_list(dir, &all, &err) : 0;

    if (rc >= 0 && l->as_if_text != NULL &&
        config_dropins_add(&all, l->as_if, &err) < 0) {
        rc = err.code;
    }
    if (rc < 0) {
        config_error_in(l->errors, dir != NULL ? dir : l->config->file, "%s",
                        err.msg);
        return;
    }
    for (size_t i = 0; i < all.count; i++) {
        read_dropin(l, all.paths[i]);
    }
    l->config->dropins = rc > 0 ? TAKE_PTR(dir) : NULL;
}

/* An empty configuration of that file. */
static bool begin(struct loader *l, const char *file)
{
    struct err err = {0};

    l->dir = dir_of_file(file);
    l->config = l->dir != NULL ? config_preset(&err) : NULL;
    if (l->config != NULL && add_file(l, file)) {
        l->config->file = config_file_whole(file);
    }
    if (l->config == NULL || l->config->file == NULL) {
        config_error_in(l->errors, file, "%s",
                        err.code != 0 ? err.msg : strerror(errno));
        return false;
    }
    return true;
}

/* What is said of it later is read in another directory. */
static void name_wholly(struct loader *l)
{
    struct config *c = l->config;

    free(c->files[0]);
    c->files[0] = strdup(c->file);
    if (c->files[0] == NULL) {
        config_error_in(l->errors, c->file, "out of memory");
    }
}

static struct config *load(struct loader *l, const char *file)
{
    size_t before = l->errors->count;

    if (begin(l, file) && read_file(l, file)) {
        read_dropins(l);
        config_finish(l);
        name_wholly(l);
    }
    free(l->dir);
    if (l->errors->count != before) {
        config_free(l->config);
        return NULL;
    }
    return l->config;
}

struct config *config_load(const char *file, struct config_errors *errors)
{
    return load(&(struct loader){.errors = errors}, file);
}

struct config *config_load_as_if(const char *file, const char *dropin,
                                 const char *text, struct config_errors *errors)
{
    return load(
        &(struct loader){.errors = errors, .as_if = dropin, .as_if_text = text},
        file);
}
