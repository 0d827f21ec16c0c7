/* SPDX-License-Identifier: MIT
 *
 * cmd_replica_remove: `drover replica remove`: its file goes, if it has nothing
 * but this replica, and the agent is told; with --via the login on the other
 * host goes, too.
 *
 * The login goes first: when that host cannot be reached nothing has changed
 * here, and the command may be typed again.  No data is deleted anywhere, and
 * no file that somebody wrote is edited; both are named.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/base/object.h"
#include "agent/cli/render/render_field.h"
#include "agent/cli/replica/cmd_replica.h"
#include "agent/cli/replica/cmd_replica_steps.h"
#include "agent/config/config_files.h"
#include "agent/enroll/enroll.h"
#include "agent/enroll/script.h"
#include "store/base/cleanup.h"
#include "store/base/quote.h"
#include "store/base/sys.h"
#include "store/files/small_file.h"
#include "sync/errors/state.h"

struct removal {
    struct cli *cli;
    const struct config *config;
    const struct config_replica *r;
    const char *file; /* where it is defined */
    char *text;       /* of that file */
    struct enroll_request request;
    struct enroll_plan plan; /* of an SSH replica */
    char *target;
    char *public_key;  /* NULL: not known */
    struct err no_key; /* why */
    struct replica_steps steps;
};

static void removal_deinit(struct removal *m)
{
    free(m->text);
    free(m->target);
    free(m->public_key);
    enroll_plan_deinit(&m->plan);
    replica_steps_deinit(&m->steps);
}

static void told(struct removal *m, enum enroll_step_id id,
                 enum enroll_state state, const char *text)
{
    struct enroll_step step = {.state = state};

    (void)snprintf(step.text, sizeof step.text, "%s", text);
    replica_steps_told(&m->steps, id, &step);
}

/* --- may it go? ---------------------------------------------------------- */

static int check_file(struct removal *m, struct err *err)
{
    struct enroll_lines lines;

    ssize_t len = config_file_read(m->file, &m->text, err);
    if (len < 0) {
        return err_wrap(err, "%s", m->file);
    }
    m->text[len] = '\0';
    if (enroll_find_lines(m->text, m->r->name, &lines) && lines.alone &&
        m->r->where.head.file > 0) {
        return 0;
    }
    return err_set(err, ERR_REFUSED, 0,
                   "%s is defined in %s, which has more than this replica; "
                   "take lines %u to %u out of it yourself, then: drover "
                   "--config %s reload",
                   m->r->name, m->file, lines.first, lines.last,
                   m->config->file);
}

static int check_rest(const struct removal *m, struct err *err)
{
    CLEANUP(config_errors_deinit) struct config_errors mistakes = {0};
    CLEANUP(config_freep)
    struct config *c =
        config_load_as_if(m->config->file, m->file, NULL, &mistakes);

    return c != NULL ? 0
                     : err_set(err, ERR_INVALID, 0, "without %s: %.400s",
                               m->file, mistakes.lines[0]);
}

/* --- the other host ------------------------------------------------------ */

static int take_script(struct removal *m, struct buf *script, struct err *err)
{
    if (m->public_key == NULL) {
        return err_set(err, ERR_REFUSED, 0,
                       "the line of %s in authorized_keys there cannot be "
                       "told: %.300s",
                       m->r->name, m->no_key.msg);
    }
    return enroll_script(&m->plan, SCRIPT_REMOVE, m->public_key, script, err);
}

static int remove_login(struct removal *m, struct err *err)
{
    CLEANUP(buf_deinit) struct buf script = BUF_NULL;
    CLEANUP(buf_deinit) struct buf text = BUF_NULL;
    struct script_said said = {0};
    bool unsure; /* typed again it goes on from there */

    if (take_script(m, &script, err) < 0) {
        return err->code;
    }
    if (m->cli->dry_run) {
        told(m, ENROLL_THERE, ENROLL_WOULD, "take its line out there");
        return 0;
    }
    if (enroll_run_there(m->cli->enroll.via, (const char *)script.data, &said,
                         &text, &unsure, err) < 0) {
        return err->code;
    }
    buf_u8(&text, '\0');
    told(m, ENROLL_THERE, said.removed > 0 ? ENROLL_DONE : ENROLL_SO,
         text.bad ? "" : (const char *)text.data);
    return 0;
}

/* By hand, on that host. */
static void say_by_hand(const struct removal *m, struct buf *out)
{
    const struct config_replica *r = m->r;

    if (r->kind != REPLICA_SSH) {
        buf_printf(out, "the directory that its command names stays as it is");
        return;
    }
    buf_printf(out, "on %s, directory %s and the login stay", r->host, r->path);
    if (m->public_key != NULL) {
        buf_printf(out, "; to end the login, there: ");
        enroll_by_hand(out, m->public_key, m->request.authorized_keys, r->user);
    }
}

/* --- here ---------------------------------------------------------------- */

static int put_back(const struct removal *m)
{
    CLEANUP(fd_closep)
    int dir = sys_open(m->config->dropins, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct err ignored = {0};
    const char *name = strrchr(m->file, '/') + 1;

    return dir >= 0 ? small_write(dir, name, m->text, strlen(m->text),
                                  SMALL_DURABLE(0644), &ignored)
                    : -1;
}

static int take_file(struct removal *m, struct err *err)
{
    char text[ENROLL_TEXT_BYTES] = "";

    if (m->cli->dry_run) {
        told(m, ENROLL_DROPIN, ENROLL_WOULD, m->file);
        return 0;
    }
    if (unlink(m->file) != 0) {
        return err_sys(err, errno, "%s", m->file);
    }
    int rc = replica_steps_reload(&m->steps, text, sizeof text, err);
    if (rc < 0) {
        told(m, ENROLL_DROPIN, put_back(m) == 0 ? ENROLL_UNDONE : ENROLL_LEFT,
             m->file);
        return rc;
    }
    told(m, ENROLL_DROPIN, ENROLL_DONE, m->file);
    told(m, ENROLL_RELOAD, rc == 0 ? ENROLL_DONE : ENROLL_SKIPPED,
         rc == 0 ? text : "no agent runs");
    return 0;
}

/* --- the command --------------------------------------------------------- */

/* Without a plan or a key the file here can be taken away all the same. */
static void begin(struct removal *m)
{
    m->request = m->cli->enroll;
    m->request.removing = true;
    m->request.name = m->r->name;
    m->request.identity = m->r->identity;
    m->request.known_hosts = m->r->known_hosts;
    m->target = replica_target_text(m->r);
    if (m->r->kind != REPLICA_SSH) {
        (void)err_set(&m->no_key, ERR_REFUSED, 0,
                      "its command leads there, not a login of the agent");
        return;
    }
    m->request.target = m->target != NULL ? m->target : "";
    if (m->r->identity == NULL) {
        (void)err_set(&m->no_key, ERR_REFUSED, 0,
                      "it logs in with a key of ssh-agent");
    } else if (enroll_plan_make(&m->request, m->config, &m->plan, &m->no_key) ==
                   0 &&
               enroll_public_key(&m->plan, &m->public_key, &m->no_key) < 0) {
        m->public_key = NULL;
    }
}

static int run_removal(struct removal *m, struct err *err)
{
    if (check_file(m, err) < 0 || check_rest(m, err) < 0) {
        return err->code;
    }
    if (m->cli->enroll.via != NULL && remove_login(m, err) < 0) {
        return err->code;
    }
    return take_file(m, err);
}

static int end(struct removal *m, const struct err *err)
{
    CLEANUP(buf_deinit) struct buf left = BUF_NULL;
    bool says = err->code == 0 && m->cli->enroll.via == NULL;
    json_t *more = NULL;

    if (says) {
        say_by_hand(m, &left);
        buf_u8(&left, '\0');
        says = !left.bad;
    }
    if (says && m->cli->line.json) {
        more = json_pack("{s:o}", "left", object_text((char *)left.data));
    } else if (says && !m->cli->quiet) {
        (void)fprintf(m->cli->line.out, "%-11s left: ", "replica");
        render_clean(m->cli->line.out, (char *)left.data);
        (void)fputc('\n', m->cli->line.out);
    }
    return replica_steps_end(&m->steps, m->r, more, err, NULL);
}

static int remove_from(struct removal *m)
{
    CLEANUP(buf_deinit) struct buf script = BUF_NULL;
    struct err err = {0};

    begin(m);
    if (!m->cli->print) {
        (void)run_removal(m, &err);
    } else if (take_script(m, &script, &err) == 0) {
        return replica_print_script(m->cli, &script);
    }
    return end(m, &err);
}

int cmd_replica_remove(struct cmdline *line)
{
    struct cli *cli = cli_of(line);
    int rc = 0;
    CLEANUP(fd_closep) int lock = -1;
    CLEANUP(config_freep)
    struct config *c = replica_load_locked(cli, &lock, &rc);

    if (c == NULL) {
        return rc;
    }
    CLEANUP(removal_deinit) struct removal m = {.cli = cli, .config = c};
    m.r = config_replica(c, line->words[0]);
    if (m.r == NULL) {
        return cmdline_fail(line, EX_USAGE,
                            "%s has no replica %s; see drover replica list",
                            c->file, QUOTED_STR(line->words[0]));
    }
    struct err err = {0};
    if (cli->enroll.via != NULL &&
        enroll_check_word("--via", cli->enroll.via, &err) < 0) {
        return cmdline_fail_err(line, EX_USAGE, &err, "");
    }
    m.file = config_file_of(c, m.r->where.head);
    replica_steps_begin(&m.steps, cli, c);
    return remove_from(&m);
}
