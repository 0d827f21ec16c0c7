/* SPDX-License-Identifier: MIT
 *
 * config_show: see config_show.h. */
#include "agent/config/config_show.h"

#include <string.h>

#include "agent/base/object.h"
#include "agent/config/config.h"
#include "store/base/quote.h"

/* One setting that holds. */
struct shown {
    const struct config *config;
    const struct config_replica *replica; /* NULL: the database's */
    const struct setting *setting;
    const char *value;
    struct config_at at; /* line 0: the default */
};

typedef void show_fn(const struct shown *s, void *arg);

/* --- what holds ---------------------------------------------------------- */

/* A local program's takes no more than these. */
static bool applies(const struct config_replica *r, const struct setting *s)
{
    return r == NULL || r->kind == REPLICA_SSH ||
           strcmp(s->name, "command") == 0 ||
           strcmp(s->name, "durability") == 0 || strcmp(s->name, "paused") == 0;
}

/* A default that depends on others is always a text; NULL: there is none. */
static const char *default_of(const struct setting *s, const void *object)
{
    return s->preset[0] != '\0'
               ? s->preset
               : *(char *const *)(const void *)((const char *)object +
                                                s->offset);
}

static void each_of(struct shown *base, const char *section,
                    const struct config_where *where, const void *object,
                    bool all, show_fn *show, void *arg)
{
    for (const struct setting *s = CONFIG_SETTINGS; s->name != NULL; s++) {
        size_t row = (size_t)(s - CONFIG_SETTINGS);
        if (strcmp(s->section, section) != 0) {
            continue;
        }
        base->setting = s;
        base->at = where->at[row];
        base->value = where->text[row];
        if (base->value == NULL && all && applies(base->replica, s)) {
            base->value = default_of(s, object);
        }
        if (base->value != NULL) {
            show(base, arg);
        }
    }
}

static void each(const struct config *c, bool all, show_fn *show, void *arg)
{
    struct shown base = {.config = c};

    each_of(&base, "database", &c->where, c, all, show, arg);
    for (size_t i = 0; i < c->replicas_count; i++) {
        const struct config_replica *r = &c->replicas[i];
        base.replica = r;
        each_of(&base, "replica", &r->where, r, all, show, arg);
    }
}

/* --- as a file ----------------------------------------------------------- */

struct writer {
    FILE *out;
    const struct config_replica *replica; /* whose section it is in */
    bool begun;
};

static void write_head(struct writer *w, const struct config_replica *r)
{
    if (w->begun && w->replica == r) {
        return;
    }
    if (r == NULL) {
        (void)fprintf(w->out, "[database]\n");
    } else {
        (void)fprintf(w->out, "%s[replica %s]\n", w->begun ? "\n" : "",
                      r->name);
    }
    w->begun = true;
    w->replica = r;
}

static void write_setting(const struct shown *s, void *arg)
{
    struct writer *w = arg;
    const char *file = config_file_of(s->config, s->at);

    write_head(w, s->replica);
    if (s->at.line == 0) {
        (void)fprintf(w->out, "# default\n");
    } else {
        (void)fprintf(w->out, "# %s:%u\n", QUOTED_STR(file), s->at.line);
    }
    (void)fprintf(w->out, "%s = %s\n", s->setting->name, s->value);
}

/* --- as JSON ------------------------------------------------------------- */

static void add_json(const struct shown *s, void *arg)
{
    const char *file = config_file_of(s->config, s->at);
    bool written = s->at.line != 0;

    (void)json_array_append_new(
        arg, json_pack("{s:s, s:s?, s:s, s:o, s:o, s:o}", "section",
                       s->setting->section, "replica",
                       s->replica != NULL ? s->replica->name : NULL, "setting",
                       s->setting->name, "value", object_text(s->value), "file",
                       written ? object_text(file) : json_null(), "line",
                       written ? json_integer((json_int_t)s->at.line)
                               : json_null()));
}

void config_show(const struct config *c, bool all, FILE *out)
{
    struct writer w = {.out = out};

    each(c, all, write_setting, &w);
}

json_t *config_show_json(const struct config *c, bool all)
{
    json_t *settings = json_array();
    json_t *files = json_array();

    each(c, all, add_json, settings);
    for (size_t i = 0; i < c->files_count; i++) {
        (void)json_array_append_new(files, object_text(c->files[i]));
    }
    return json_pack("{s:o, s:o, s:o}", "file", object_text(c->file), "files",
                     files, "settings", settings);
}
