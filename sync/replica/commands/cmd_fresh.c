/* SPDX-License-Identifier: MIT
 *
 * cmd_fresh: `drover-replica fresh`: may an application work with this copy?
 *
 * It works for any local user that may read the replica.  The age compares this
 * host's clock with the primary's, so both need NTP; nothing in replication
 * itself does that.  Where this host's clock is behind, it is the time since
 * the last word. */
#include <inttypes.h>
#include <string.h>

#include "store/base/cleanup.h"
#include "store/base/clock.h"
#include "store/base/units.h"
#include "store/layout/fresh_age.h"
#include "sync/errors/state.h"
#include "sync/replica/commands/commands.h"
#include "sync/replica/role/role.h"

/* The answer; `f` is NULL where there is no age. */
static int answer(struct cmdline *line, int code,
                  const struct meta_freshness *f, const char *text)
{
    CLEANUP(buf_deinit) struct buf b = BUF_NULL;

    if (!line->json) {
        (void)fprintf(line->out, "%s: %s\n", line->words[0], text);
        return code;
    }
    struct json_out j = commands_json(&b, line->words[0]);
    json_bool(&j, "fresh", code == EXIT_GOOD);
    if (f != NULL && f->age_ns != FRESH_AGE_UNKNOWN) {
        json_int(&j, "age_ms", f->age_ns / NS_PER_MS);
    } else {
        json_none(&j, "age_ms");
    }
    if (f != NULL) {
        json_text(&j, "state", f->state);
    } else {
        json_none(&j, "state");
    }
    json_text(&j, "text", text);
    cmdline_json_end(line, &j);
    return code;
}

/* No META_DIR, no freshness, or no time in it: never a whole copy. */
static int never_synced(struct cmdline *line, const struct err *err)
{
    if (err != NULL && err->code == ERR_CORRUPT) {
        return answer(line, EX_UNAVAILABLE, NULL,
                      "of unknown age, " META_DIR "/" META_FILE_FRESHNESS
                      " makes no sense; the primary's next heartbeat renews "
                      "it, and what has been received is there");
    }
    if (err != NULL && err->code != ERR_NOTFOUND) {
        return commands_fail(line, err);
    }
    return answer(line, EX_UNAVAILABLE, NULL, "never synced");
}

static int judge_age(struct cmdline *line, const struct meta_freshness *f)
{
    CLEANUP(buf_deinit) struct buf b = BUF_NULL;
    bool differs = strcmp(f->state, replica_state_word(REPLICA_DIFFERS)) == 0;
    bool fresh = f->age_ns <= replica_line_of(line)->max_age_ns && !differs;
    int64_t ahead_ns = f->fresh_ns - clock_real_ns();

    buf_printf(&b, "%s, %s old",
               fresh     ? "fresh"
               : differs ? "not fresh"
                         : "stale",
               DURATION_TEXT(f->age_ns));
    if (ahead_ns > 0) {
        buf_printf(&b, " by the primary's last word, whose clock is %s ahead",
                   DURATION_TEXT(ahead_ns));
    }
    buf_printf(&b, ", %s%s", f->state,
               differs ? " from the primary: on its host, drover status" : "");
    buf_u8(&b, '\0');
    return answer(line, fresh ? EXIT_GOOD : EXIT_BAD, f,
                  b.bad ? "" : (const char *)b.data);
}

static int judge(struct cmdline *line, const struct meta *m)
{
    struct err err = {0};
    struct meta_freshness f;
    struct role_facts facts;
    char text[160];
    int rc = meta_freshness_read(m->fd, &f, &err);

    if (rc == ERR_NOTFOUND && role_inspect(m->fd, &facts, &err) == 0 &&
        facts.role == ROLE_PRIMARY) {
        /* An application's start script is the same after a promotion. */
        return answer(line, EXIT_GOOD, NULL, "fresh, it is the primary");
    }
    if (rc != 0 || f.fresh_ns <= 0) {
        return never_synced(line, rc != 0 ? &err : NULL);
    }
    if (f.age_ns == FRESH_AGE_UNKNOWN) {
        (void)snprintf(text, sizeof text,
                       "of unknown age, for this host's clock was set back "
                       "since the primary's last word, %s",
                       f.state);
        return answer(line, EXIT_BAD, &f, text);
    }
    return judge_age(line, &f);
}

int cmd_fresh(struct cmdline *line)
{
    struct err err = {0};
    struct meta m;

    if (replica_line_of(line)->max_age_ns < 0) {
        return cmdline_fail_usage(line,
                                  "fresh needs --max-age TIME, such as 10s");
    }
    if (meta_inspect(&m, line->words[0], &err) != 0) {
        return never_synced(line, &err);
    }
    int code = judge(line, &m);
    meta_close(&m);
    return code;
}
