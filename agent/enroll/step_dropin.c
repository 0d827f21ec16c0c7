/* SPDX-License-Identifier: MIT
 *
 * step_dropin: the file that makes the replica part of the configuration:
 * loaded with all the others before it is there, and once more when it is, as
 * the agent's user will find it. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "agent/config/config_probe.h"
#include "agent/enroll/enroll_impl.h"
#include "store/base/cleanup.h"
#include "store/base/sys.h"
#include "store/files/small_file.h"
#include "sync/errors/state.h"

static int mistake(const char *line, struct err *err)
{
    (void)err_set(err, ERR_INVALID, 0, "%.500s", line);
    err->id = DR_CONFIG;
    return err->code;
}

/* --- checked ------------------------------------------------------------- */

static int check_text(const struct enroll_plan *plan, struct err *err)
{
    CLEANUP(config_errors_deinit) struct config_errors mistakes = {0};
    CLEANUP(config_freep)
    struct config *c = config_load_as_if(plan->config->file, plan->dropin,
                                         plan->dropin_text, &mistakes);

    return c != NULL ? 0 : mistake(mistakes.lines[0], err);
}

/* What is said of this file alone; the others' is for check-config. */
static const char *said_of(const struct config_errors *list, const char *file)
{
    for (size_t i = 0; i < list->count; i++) {
        if (list->spots[i].file != NULL &&
            strcmp(list->spots[i].file, file) == 0) {
            return list->lines[i];
        }
    }
    return NULL;
}

static int check_placed(const struct enroll_plan *plan, struct err *err)
{
    CLEANUP(config_errors_deinit) struct config_errors mistakes = {0};
    CLEANUP(config_freep)
    struct config *c = config_load(plan->config->file, &mistakes);
    CLEANUP(config_probe_deinit) struct config_probe probe = {0};

    if (c == NULL) {
        return mistake(mistakes.lines[0], err);
    }
    uid_t user = config_agent_user(c);
    if (user == geteuid()) {
        config_probe(c, &probe);
    } else if (config_probe_as(c, user, &probe, err) < 0) {
        return err->code;
    }
    const char *line = said_of(&probe.mistakes, plan->dropin);
    line = line != NULL ? line : said_of(&probe.warnings, plan->dropin);
    return line != NULL ? mistake(line, err) : 0;
}

/* --- in place ------------------------------------------------------------ */

static int place(struct enroll *e, struct err *err)
{
    const struct enroll_plan *plan = e->plan;
    char name[80];
    struct small_how how = *SMALL_DURABLE(0644);

    how.only_new = true;
    if (mkdir(plan->dropin_dir, 0755) == 0) {
        e->made_dropin_dir = true;
    } else if (errno != EEXIST) {
        return err_sys(err, errno, "%s", plan->dropin_dir);
    }
    CLEANUP(fd_closep)
    int dir = sys_open(plan->dropin_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0 || (e->made_dropin_dir && fchmod(dir, 0755) != 0)) {
        return err_sys(err, errno, "%s", plan->dropin_dir);
    }
    (void)snprintf(name, sizeof name, "%s.conf", plan->replica.name);
    if (small_write(dir, name, plan->dropin_text, strlen(plan->dropin_text),
                    &how, err) < 0) {
        return err_wrap(err, "%s", plan->dropin_dir);
    }
    e->made_dropin = true;
    return check_placed(plan, err);
}

int step_dropin(struct enroll *e, struct enroll_step *s, struct err *err)
{
    const struct enroll_plan *plan = e->plan;
    const struct config_replica *r = plan->defined;

    if (r != NULL) {
        step_is(s, ENROLL_SO, "defined at %s:%u",
                config_file_of(plan->config, r->where.head),
                r->where.head.line);
        return 0;
    }
    if (check_text(plan, err) < 0) {
        return err->code;
    }
    if (e->dry_run) {
        step_is(s, ENROLL_WOULD, "write %s", plan->dropin);
        return 0;
    }
    if (place(e, err) < 0) {
        return err->code;
    }
    step_is(s, ENROLL_DONE, "%s", plan->dropin);
    return 0;
}

bool undo_dropin(struct enroll *e)
{
    bool good = true;

    if (e->made_dropin) {
        good = unlink(e->plan->dropin) == 0;
    }
    if (e->made_dropin_dir) {
        good = rmdir(e->plan->dropin_dir) == 0 && good;
    }
    e->made_dropin = e->made_dropin_dir = false;
    return good;
}

/* --- whose lines --------------------------------------------------------- */

/* "[replica NAME]", with the blanks that a section may have. */
static bool is_head_of(const char *p, const char *replica)
{
    size_t n = strlen(replica);

    p++;
    p += strspn(p, " \t");
    if (strncmp(p, "replica", strlen("replica")) != 0) {
        return false;
    }
    p += strlen("replica");
    size_t blanks = strspn(p, " \t");
    p += blanks;
    return blanks > 0 && strncmp(p, replica, n) == 0 &&
           p[n + strspn(p + n, " \t")] == ']';
}

bool enroll_find_lines(const char *text, const char *replica,
                       struct enroll_lines *out)
{
    unsigned line = 0, heads = 0;
    bool inside = false;

    *out = (struct enroll_lines){0};
    for (const char *p = text; *p != '\0'; p += p[0] == '\n' ? 1 : 0) {
        line++;
        p += strspn(p, " \t\r");
        if (*p == '[') {
            heads++;
            inside = is_head_of(p, replica);
            out->first = inside ? line : out->first;
        }
        if (inside && *p != '\n' && *p != '\0' && *p != '#' && *p != ';') {
            out->last = line;
        }
        p += strcspn(p, "\n");
    }
    out->alone = heads == 1 && out->first > 0;
    return out->first > 0;
}
