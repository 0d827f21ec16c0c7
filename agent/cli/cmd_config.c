/* SPDX-License-Identifier: MIT
 *
 * cmd_config: check-config, show-config, and the loading of --config's or
 * --db's file for all commands.
 */
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/base/object.h"
#include "agent/cli/command.h"
#include "agent/config/config.h"
#include "agent/config/config_probe.h"
#include "agent/config/config_show.h"
#include "store/base/cleanup.h"
#include "store/base/quote.h"
#include "sync/errors/state.h"

static const char *setting_when(const struct setting *s)
{
    static const char *const WHEN[] = {
        [SETTING_LIVE] = "live",
        [SETTING_RECONNECT] = "reconnect",
        [SETTING_RESTART] = "restart",
    };

    return WHEN[s->when];
}

static void list_settings_json(struct cli *cli)
{
    json_t *list = json_array();

    for (const struct setting *s = CONFIG_SETTINGS; s->name != NULL; s++) {
        (void)json_array_append_new(
            list, json_pack("{s:s, s:s, s:s, s:s, s:s}", "section", s->section,
                            "setting", s->name, "default", s->preset, "help",
                            s->help, "applied", setting_when(s)));
    }
    json_t *o = json_pack("{s:o}", "settings", list);
    cli_print_json(cli, o);
    json_decref(o);
}

static int list_settings(struct cli *cli)
{
    if (cli->line.json) {
        list_settings_json(cli);
        return EXIT_GOOD;
    }
    for (const struct setting *s = CONFIG_SETTINGS; s->name != NULL; s++) {
        (void)fprintf(cli->line.out, "%s\t%s\t%s\t%s\t%s\n", s->section,
                      s->name, s->preset[0] != '\0' ? s->preset : "-", s->help,
                      setting_when(s));
    }
    return EXIT_GOOD;
}

/* --- check-config -------------------------------------------------------- */

static json_t *list_json(const char *file, const struct config_errors *list)
{
    json_t *a = json_array();

    for (size_t i = 0; i < list->count; i++) {
        const struct config_spot *at = &list->spots[i];
        const char *name = at->file != NULL ? at->file : file;
        (void)json_array_append_new(
            a, json_pack("{s:o, s:o, s:s?, s:o}", "file", object_text(name),
                         "line",
                         at->line != 0 ? json_integer((json_int_t)at->line)
                                       : json_null(),
                         "setting", at->setting, "message",
                         object_text(list->lines[i])));
    }
    return a;
}

static void print_json(struct cli *cli, const char *file,
                       const struct config *c, const char *user,
                       const struct config_probe *p)
{
    bool good = p->mistakes.count == 0 && p->warnings.count == 0;
    json_t *o = json_pack(
        "{s:o, s:b, s:o, s:o, s:o}", "file", object_text(file), "good", good,
        "mistakes", list_json(file, &p->mistakes), "warnings",
        list_json(file, &p->warnings), "notes", list_json(file, &p->notes));

    if (c != NULL) {
        (void)json_object_update_new(
            o, json_pack("{s:s, s:o, s:o, s:I, s:s}", "name", c->name, "path",
                         object_text(c->path), "socket", object_text(c->socket),
                         "replicas", (json_int_t)c->replicas_count,
                         "checked_as", user));
    }
    cli_print_json(cli, o);
    json_decref(o);
}

static void print_lines(struct cli *cli, const char *before,
                        const struct config_errors *list)
{
    for (size_t i = 0; i < list->count; i++) {
        (void)fprintf(cli->line.err, "%s%s\n", before, list->lines[i]);
    }
}

static const char *plural(size_t n)
{
    return n == 1 ? "" : "s";
}

static void print_text(struct cli *cli, const struct config *c,
                       const char *user, const struct config_probe *p)
{
    char mistake[40];

    (void)snprintf(mistake, sizeof mistake, "drover: DR-%d ", DR_CONFIG);
    print_lines(cli, mistake, &p->mistakes);
    print_lines(cli, "warning: ", &p->warnings);
    if (cli->quiet || c == NULL) {
        return;
    }
    print_lines(cli, "note: ", &p->notes);
    if (p->mistakes.count > 0 || p->warnings.count > 0) {
        (void)fprintf(cli->line.out,
                      "%s: %zu mistake%s, %zu warning%s (checked as user %s)\n",
                      c->file, p->mistakes.count, plural(p->mistakes.count),
                      p->warnings.count, plural(p->warnings.count), user);
        return;
    }
    (void)fprintf(cli->line.out,
                  "%s is good: database %s, %zu replica%s (checked as user "
                  "%s)\n",
                  c->file, c->name, c->replicas_count,
                  plural(c->replicas_count), user);
}

/* As the user that the agent will be. */
static void probe(const struct config *c, char *user, size_t room,
                  struct config_probe *out)
{
    struct err err = {0};
    uid_t uid = config_agent_user(c);
    const struct passwd *pw;

    if (uid == geteuid()) {
        config_probe(c, out);
    } else if (config_probe_as(c, uid, out, &err) < 0) {
        config_error_in(&out->notes, c->file, "%s", err.msg);
        uid = geteuid();
        config_probe(c, out);
    }
    pw = getpwuid(uid);
    (void)snprintf(user, room, "%.*s", (int)room - 1,
                   pw != NULL ? pw->pw_name : "unknown");
}

static int check(struct cli *cli, const char *file)
{
    CLEANUP(config_probe_deinit) struct config_probe p = {0};
    CLEANUP(config_freep) struct config *c = config_load(file, &p.mistakes);
    char user[64] = "";

    if (c != NULL) {
        probe(c, user, sizeof user, &p);
    }
    if (cli->line.json) {
        print_json(cli, file, c, user, &p);
    } else {
        print_text(cli, c, user, &p);
    }
    return p.mistakes.count > 0   ? EX_CONFIG
           : p.warnings.count > 0 ? EXIT_BAD
                                  : 0;
}

/* The FILE behind a command's name, as --config.  0, or the exit code after
 * printing what is wrong: none is named, or two are. */
static int choose_config(struct cmdline *line)
{
    struct cli *cli = cli_of(line);

    if (line->count > 0 && (cli->config_file != NULL || cli->db != NULL)) {
        return cmdline_fail(line, EX_USAGE, "name the file once");
    }
    if (line->count > 0) {
        cli->config_file = line->words[0];
    }
    if (cli->config_file == NULL && cli->db == NULL) {
        return cmdline_fail_usage(line, "%s needs FILE, or --db NAME",
                                  line->command->name);
    }
    return 0;
}

int cmd_check_config(struct cmdline *line)
{
    struct cli *cli = cli_of(line);

    if (cli->list_settings) {
        return list_settings(cli);
    }
    int rc = choose_config(line);
    if (rc != 0) {
        return rc;
    }
    CLEANUP(freep) char *file = cli_config_file(cli);
    return file != NULL ? check(cli, file) : EX_CONFIG;
}

/* --- show-config --------------------------------------------------------- */

int cmd_show_config(struct cmdline *line)
{
    struct cli *cli = cli_of(line);
    int rc = choose_config(line);

    if (rc != 0) {
        return rc;
    }
    CLEANUP(config_freep) struct config *c = cli_load_config(cli);
    if (c == NULL) {
        return EX_CONFIG;
    }
    if (line->json) {
        json_t *o = config_show_json(c, cli->all);
        cli_print_json(cli, o);
        json_decref(o);
    } else {
        config_show(c, cli->all, line->out);
    }
    return EXIT_GOOD;
}
