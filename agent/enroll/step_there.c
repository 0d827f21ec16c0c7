/* SPDX-License-Identifier: MIT
 *
 * step_there: what the replica's host needs, done by an administrator's own
 * login: OpenSSH's client with all that is set up for it here (agent, jump
 * hosts, aliases) runs the script with that host's shell. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/enroll/enroll_impl.h"
#include "agent/enroll/program.h"
#include "agent/enroll/script.h"
#include "store/base/cleanup.h"
#include "store/base/quote.h"

enum { SSH_FAILED = 255, BY_SIGNAL = 128 };

/* Each line of it, tamed, with "; " between. */
static void take_lines(const char *out, struct script_said *said,
                       struct buf *text)
{
    CLEANUP(freep) char *copy = strdup(out);

    for (char *rest = copy, *line; (line = strsep(&rest, "\n")) != NULL;) {
        if (script_take_line(said, line) != NULL) {
            quote_tame(line);
            buf_printf(text, "%s%s", text->len > 0 ? "; " : "", line);
        }
    }
}

/* The last line that says something; "": there is none. */
static void last_line(const struct buf *out, char last[PROGRAM_LAST_BYTES])
{
    const char *text = program_text(out);

    last[0] = '\0';
    for (const char *p = text; *p != '\0'; p += strspn(p, "\r\n")) {
        size_t n = strcspn(p, "\r\n");
        if (n > 0) {
            (void)snprintf(last, PROGRAM_LAST_BYTES, "%.*s", (int)n, p);
        }
        p += n;
    }
    quote_tame(last);
}

/* Some logins run something else than what they are asked to. */
static int not_run(const char *via, const struct program_end *end,
                   struct err *err)
{
    char last[PROGRAM_LAST_BYTES];

    last_line(end->out.len > 0 ? &end->out : &end->said, last);
    return err_set(err, ERR_REFUSED, 0,
                   "on %s: the script was not run to its end, though the login "
                   "ends without an error: it printed %s%s; can that user run "
                   "sh there?",
                   QUOTED_STR(via), last[0] != '\0' ? "" : "nothing", last);
}

/* Its own exit codes are small; it has undone what it did. */
static bool is_unsure(const struct script_said *said, int status)
{
    bool spoke = said->made + said->there + said->would + said->removed > 0;

    return status == SSH_FAILED || status == 0 ? spoke : status >= BY_SIGNAL;
}

int enroll_run_there(const char *via, const char *script,
                     struct script_said *said, struct buf *text, bool *unsure,
                     struct err *err)
{
    /* "--": what follows is a host, however it is written. */
    const char *const argv[] = {"ssh", "-T", "--", via, "sh -s", NULL};
    CLEANUP(program_end_deinit) struct program_end end = PROGRAM_END_NULL;
    struct program p = {.argv = argv, .input = script, .user = (uid_t)-1};
    char last[PROGRAM_LAST_BYTES];

    *unsure = false;
    if (program_run(&p, &end, err) < 0) {
        return err->code;
    }
    take_lines(program_text(&end.out), said, text);
    if (said->ended) {
        return 0;
    }
    *unsure = is_unsure(said, end.status);
    if (end.status == 0) {
        return not_run(via, &end, err);
    }
    return err_set(err, end.status == SSH_FAILED ? ERR_CLOSED : ERR_REFUSED, 0,
                   "on %s: %s", QUOTED_STR(via), program_last(&end, last));
}

void enroll_by_hand(struct buf *out, const char *public_key, const char *file,
                    const char *user)
{
    const char *key = public_key + strcspn(public_key, " ");

    /* Base 64 has no '|'.  What a link leads to is edited, not the link. */
    key += strspn(key, " ");
    buf_printf(out, "sed -i --follow-symlinks '\\|%.*s|d' ",
               (int)strcspn(key, " "), key);
    if (file != NULL) {
        enroll_quote(out, file);
    } else {
        buf_printf(out, "~%s/.ssh/authorized_keys", user);
    }
}

static int run_script(struct enroll *e, enum script_mode mode,
                      struct script_said *said, struct buf *text,
                      struct err *err)
{
    CLEANUP(buf_deinit) struct buf script = BUF_NULL;

    if (enroll_script(e->plan, mode, e->public_key, &script, err) < 0) {
        return err->code;
    }
    int rc = enroll_run_there(e->plan->request->via, (const char *)script.data,
                              said, text, &e->unsure_there, err);
    buf_u8(text, '\0');
    return rc < 0      ? rc
           : text->bad ? err_set(err, ERR_NOMEM, 0, "out of memory")
                       : 0;
}

int step_there(struct enroll *e, struct enroll_step *s, struct err *err)
{
    CLEANUP(buf_deinit) struct buf text = BUF_NULL;
    struct script_said said = {0};

    if (e->plan->request->via == NULL) {
        step_is(s, ENROLL_SKIPPED,
                "no --via: what --print prints must be run there, as root");
        return 0;
    }
    int rc = run_script(e, e->dry_run ? SCRIPT_CHECK : SCRIPT_ADD, &said, &text,
                        err);
    e->unsure_there = e->unsure_there && !e->dry_run;
    if (rc < 0) {
        return rc;
    }
    e->made_there = said.made > 0;
    e->made_line = said.made_line;
    step_is(s,
            said.made > 0    ? ENROLL_DONE
            : said.would > 0 ? ENROLL_WOULD
                             : ENROLL_SO,
            "%s", (const char *)text.data);
    return 0;
}

/* A login that was there before is not to go: then nothing is said of how. */
static void say_left(const struct enroll *e, struct enroll_step *s,
                     const char *why)
{
    CLEANUP(buf_deinit) struct buf text = BUF_NULL;
    const struct enroll_request *q = e->plan->request;

    buf_printf(&text, "%s; the same command again completes it", why);
    if (e->plan->defined == NULL && e->public_key != NULL) {
        buf_printf(&text,
                   "; if it is not to be, on %s: ", e->plan->replica.host);
        enroll_by_hand(&text, e->public_key, q->authorized_keys,
                       e->plan->replica.user);
    }
    buf_u8(&text, '\0');
    step_is(s, s->state, "%s", text.bad ? why : (const char *)text.data);
}

/* The login goes, if it is of this run; group and directory stay, and are
 * named. */
bool undo_there(struct enroll *e)
{
    CLEANUP(buf_deinit) struct buf text = BUF_NULL;
    struct enroll_step *s = &e->steps[ENROLL_THERE];
    struct script_said said = {0};
    struct err err = {0};
    bool made_there = e->made_there, made_line = e->made_line;

    e->made_there = e->made_line = false;
    if (e->unsure_there) {
        say_left(e, s, "a line of authorized_keys may have been made there");
        return false;
    }
    if (!made_line) {
        return !made_there;
    }
    if (run_script(e, SCRIPT_REMOVE, &said, &text, &err) < 0) {
        say_left(e, s, err.msg);
        return false;
    }
    step_is(s, s->state, "%s", (const char *)text.data);
    return true;
}
