/* SPDX-License-Identifier: MIT
 *
 * step_there: what the replica's host needs, done by an administrator's own
 * login: OpenSSH's client with all that is set up for it here (agent, jump
 * hosts, aliases) runs the script with that host's shell. */
#include <stdlib.h>
#include <string.h>

#include "agent/enroll/enroll_impl.h"
#include "agent/enroll/program.h"
#include "agent/enroll/script.h"
#include "store/base/cleanup.h"
#include "store/base/quote.h"

enum { SSH_FAILED = 255 };

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

int enroll_run_there(const char *via, const char *script,
                     struct script_said *said, struct buf *text,
                     struct err *err)
{
    /* "--": what follows is a host, however it is written. */
    const char *const argv[] = {"ssh", "-T", "--", via, "sh -s", NULL};
    CLEANUP(program_end_deinit) struct program_end end = PROGRAM_END_NULL;
    struct program p = {.argv = argv, .input = script, .user = (uid_t)-1};
    char last[PROGRAM_LAST_BYTES];

    if (program_run(&p, &end, err) < 0) {
        return err->code;
    }
    take_lines(program_text(&end.out), said, text);
    if (end.status == 0) {
        return 0;
    }
    return err_set(err, end.status == SSH_FAILED ? ERR_CLOSED : ERR_REFUSED, 0,
                   "on %s: %s", QUOTED_STR(via), program_last(&end, last));
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
                              said, text, err);
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
    if (run_script(e, e->dry_run ? SCRIPT_CHECK : SCRIPT_ADD, &said, &text,
                   err) < 0) {
        return err->code;
    }
    e->made_line = said.made > 0;
    step_is(s,
            said.made > 0    ? ENROLL_DONE
            : said.would > 0 ? ENROLL_WOULD
                             : ENROLL_SO,
            "%s", (const char *)text.data);
    return 0;
}

/* The login goes; group and directory stay, and are named. */
bool undo_there(struct enroll *e)
{
    CLEANUP(buf_deinit) struct buf text = BUF_NULL;
    struct script_said said = {0};
    struct err ignored = {0};

    if (!e->made_line) {
        return true;
    }
    e->made_line = false;
    struct enroll_step *s = &e->steps[ENROLL_THERE];
    int rc = run_script(e, SCRIPT_REMOVE, &said, &text, &ignored);
    step_is(s, s->state, "%s", rc == 0 ? (const char *)text.data : ignored.msg);
    return rc == 0;
}
