/* SPDX-License-Identifier: MIT
 *
 * config: drover.conf(5) into a struct config.
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
#include <fcntl.h>
#include <ini.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "agent/config/config_keys.h"
#include "agent/config/config_text.h"
#include "store/base/cleanup.h"
#include "store/base/quote.h"
#include "store/base/sys.h"
#include "store/cmdline/suggest.h"

enum {
    LINE_BYTES = 4096, /* longest line, its end included */
    FILE_BYTES = 1 << 20,
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
    more[n].where.head = l->line;
    c->replicas_count = n + 1;
    more[n].name = strdup(name);
    return more[n].name != NULL;
}

static void begin_replica(struct loader *l, const char *name)
{
    l->where = IN_UNKNOWN;
    if (!config_name_is_good(name)) {
        COMPLAIN(l, l->line,
                 "[replica %s]: a replica's name has letters, digits, '.', "
                 "'_' and '-' only, and at most 64 of them",
                 name);
        return;
    }
    for (size_t i = 0; i < l->config->replicas_count; i++) {
        if (strcmp(l->config->replicas[i].name, name) == 0) {
            COMPLAIN(l, l->line,
                     "[replica %s] is defined twice, first at line %u", name,
                     l->config->replicas[i].where.head);
            return;
        }
    }
    if (!add_replica(l, name)) {
        COMPLAIN(l, l->line, "%s", "out of memory");
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
            COMPLAIN(l, l->line, "%s", "[database] is defined twice");
        }
        l->seen_database = true;
        l->config->where.head = l->line;
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
        COMPLAIN(l, l->line, "%s",
                 "[replica] needs a name, as in [replica eu-1]");
        return;
    }
    text[word] = '\0';
    const char *near = suggest_nearest(text, KNOWN);
    COMPLAIN(l, l->line, "unknown section [%s]%s%s%s", text,
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
        COMPLAIN(l, l->line, "%s belongs in [%s], not in [%s]", name,
                 strcmp(other, "replica") == 0 ? "replica NAME" : other,
                 section);
        return;
    }
    const char *near = suggest_nearest(name, names);
    COMPLAIN(l, l->line, "unknown setting %s%s%s%s", QUOTED_STR(name),
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
    if (where->at[index] != 0) {
        config_error_at(l->errors, l->name, l->line, s->name,
                        "%s is set twice, first at line %u", name,
                        where->at[index]);
        return;
    }
    where->at[index] = l->line;
    if (value[0] == '\0') {
        config_error_at(l->errors, l->name, l->line, s->name, "%s has no value",
                        name);
    } else if (set_value(l, s, value, object, &err) < 0) {
        config_error_at(l->errors, l->name, l->line, s->name, "%s = %s", name,
                        err.msg);
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
        COMPLAIN(l, l->line, "%s appears before the first [section]",
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
        COMPLAIN(l, l->line, "%s",
                 "neither a [section] nor \"name = value\" nor a comment");
    }
    l->expects_setting = false;
}

/* Look at a line before inih does; what inih gets to see stays in `line`. */
static void prepare_line(struct loader *l, char *line)
{
    char *p = line;

    if (l->line == 1 && strncmp(p, "\xEF\xBB\xBF", 3) == 0) {
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
        COMPLAIN(l, l->line, "%s", "a section is written [name], alone");
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
            config_error_add(l->errors, "%s: %s", l->name, strerror(errno));
        }
        return NULL;
    }
    l->line++;
    assert(room >= LINE_BYTES + 3);
    if (len > LINE_BYTES || memchr(line, '\0', (size_t)len) != NULL) {
        COMPLAIN(l, l->line, "%s",
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
        config_error_add(l->errors, "%s: out of memory", l->name);
    }
    check_last_line(l);
}

/* --- in and out ---------------------------------------------------------- */

/* The absolute folder that the file is in. */
static char *dir_of_file(const char *file)
{
    char *full = realpath(file, NULL);
    char *slash = full != NULL ? strrchr(full, '/') : NULL;

    if (slash != NULL) {
        slash[slash == full ? 1 : 0] = '\0';
    }
    return full;
}

/* What a file is that is none; NULL: it is one. */
static const char *what_else(mode_t mode)
{
    switch (mode & S_IFMT) {
    case S_IFREG:
        return NULL;
    case S_IFDIR:
        return "a directory";
    case S_IFIFO:
        return "a FIFO";
    default:
        return "a device";
    }
}

/* The file's text, to the new *out.  A FIFO, a device or a file without end
 * would hold up the agent for good. */
static ssize_t read_text(const char *file, char **out,
                         struct config_errors *errors)
{
    CLEANUP(fd_closep)
    int fd = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    struct stat st;

    *out = NULL;
    if (fd < 0 || fstat(fd, &st) != 0) {
        config_error_add(errors, "%s: %s", file, strerror(errno));
        return -1;
    }
    const char *what = what_else(st.st_mode);
    if (what != NULL) {
        config_error_add(errors, "%s: is %s, not a file", file, what);
        return -1;
    }
    ssize_t len = -1;
    *out = malloc(FILE_BYTES + 1);
    if (*out != NULL && st.st_size <= FILE_BYTES) {
        len = sys_read_full(fd, *out, FILE_BYTES + 1);
    }
    if (st.st_size > FILE_BYTES || len > FILE_BYTES) {
        config_error_add(errors, "%s: is longer than 1 MiB", file);
        return -1;
    }
    if (len < 0) {
        config_error_add(errors, "%s: %s", file, strerror(errno));
    }
    return len;
}

struct config *config_load(const char *file, struct config_errors *errors)
{
    struct err err = {0};
    size_t before = errors->count;
    struct loader l = {.name = file, .errors = errors};
    CLEANUP(freep) char *text = NULL;
    ssize_t len = read_text(file, &text, errors);

    if (len < 0) {
        return NULL;
    }
    l.file = fmemopen(text, (size_t)len, "r");
    if (l.file == NULL) {
        config_error_add(errors, "%s: %s", file, strerror(errno));
        return NULL;
    }
    l.dir = dir_of_file(file);
    l.config = config_preset(&err);
    if (l.dir == NULL || l.config == NULL ||
        (l.config->file = realpath(file, NULL)) == NULL) {
        config_error_add(errors, "%s: %s", file,
                         err.code != 0 ? err.msg : strerror(errno));
    } else {
        read_lines(&l);
        config_finish(&l);
    }
    (void)fclose(l.file);
    free(l.dir);
    if (errors->count != before) {
        config_free(l.config);
        return NULL;
    }
    return l.config;
}
