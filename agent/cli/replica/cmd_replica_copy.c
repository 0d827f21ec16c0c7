/* SPDX-License-Identifier: MIT
 *
 * cmd_replica_copy: waits for a replica's first copy, and says how far it is.
 *
 * A copy may take hours, so it is waited for as long as it goes on.  A replica
 * that does not come to a session is given up: at once when the agent has
 * stopped trying, or tries again in minutes only, else after a while. */
#include "agent/cli/replica/cmd_replica_copy.h"

#include <string.h>

#include "agent/cli/render/render.h"
#include "agent/cli/render/render_field.h"
#include "agent/cli/replica/cmd_replica.h"
#include "store/base/cleanup.h"
#include "store/base/clock.h"
#include "store/base/quote.h"
#include "sync/errors/state.h"

enum { POLL_MS = 250, LINE_MS = 10000, PATIENCE_MS = 60000, SOON_S = 20 };

struct watch {
    struct cli *cli;
    const struct config *config;
    const char *name;
    int64_t end_ms;   /* -1: no limit */
    int64_t alone_ms; /* since when it has no session */
    int64_t shown_ms; /* 0: never */
    json_t *status;   /* the last one */
};

static int64_t now_ms(void)
{
    return clock_mono_ns() / NS_PER_MS;
}

static bool state_is(const json_t *r, const char *state)
{
    return strcmp(field_text(r, "state", ""), state) == 0;
}

/* --- progress ------------------------------------------------------------ */

/* On a terminal one line that is written over; else a line now and then. */
static void show(struct watch *w, const json_t *r)
{
    CLEANUP(buf_deinit) struct buf b = BUF_NULL;
    const struct cli *cli = w->cli;

    if (cli->quiet ||
        (!cli->live && w->shown_ms != 0 && now_ms() - w->shown_ms < LINE_MS)) {
        return;
    }
    render_replica_line(&b, w->status, r);
    buf_u8(&b, '\0');
    if (b.bad) {
        return;
    }
    quote_tame((char *)b.data);
    w->shown_ms = now_ms();
    (void)fprintf(cli->line.err, cli->live ? "\r%.110s\033[K" : "%s\n",
                  (const char *)b.data);
    (void)fflush(cli->line.err);
}

static void clear(const struct watch *w)
{
    if (w->cli->live && w->shown_ms != 0) {
        (void)fputs("\r\033[K", w->cli->line.err);
    }
}

/* --- how it ends --------------------------------------------------------- */

/* What is wrong with it, as an error of ours. */
static int give_up(const struct watch *w, const json_t *r, int code,
                   struct err *err)
{
    const json_t *error = json_object_get(r, "error");
    uint64_t id = 0;

    (void)field_count(error, "id", &id);
    (void)err_set(err, code, 0, "%s is set up and %s, not streaming%s%.400s",
                  w->name, field_text(r, "state", "not there"),
                  json_is_object(error) ? ": " : "",
                  field_text(error, "text", ""));
    err->id = (int)id;
    return err->code;
}

/* It has no session, and none is to be expected soon. */
static bool is_hopeless(struct watch *w, const json_t *r)
{
    double next = json_number_value(json_object_get(r, "next_try_s"));
    bool alone = r == NULL || state_is(r, "connecting") ||
                 state_is(r, "retrying") || state_is(r, "failed");

    if (!alone) {
        w->alone_ms = now_ms();
        return false;
    }
    return state_is(r, "failed") ||
           (state_is(r, "retrying") && next > SOON_S) ||
           now_ms() - w->alone_ms > PATIENCE_MS;
}

/* 1: go on; 0: it streams; or negative. */
static int look(struct watch *w, struct err *err)
{
    json_decref(w->status);
    w->status = replica_agent_status(w->config);
    if (w->status == NULL) {
        (void)err_set(err, ERR_CLOSED, 0,
                      "%s is set up, but its agent answers no more", w->name);
        err->id = DR_NO_AGENT;
        return err->code;
    }
    const json_t *r = replica_in_status(w->status, w->name);
    if (state_is(r, "streaming")) {
        return 0;
    }
    if (state_is(r, "held") || state_is(r, "paused") || is_hopeless(w, r)) {
        return give_up(w, r, ERR_REFUSED, err);
    }
    if (w->end_ms >= 0 && now_ms() >= w->end_ms) {
        return give_up(w, r, ERR_TIMEOUT, err);
    }
    show(w, r);
    return 1;
}

int replica_wait_copy(struct cli *cli, const struct config *config,
                      const char *name, json_t **status_out, struct err *err)
{
    struct watch w = {
        .cli = cli, .config = config, .name = name, .alone_ms = now_ms()};
    int rc;

    w.end_ms = cli->timeout_ns == CLI_NO_TIMEOUT
                   ? -1
                   : now_ms() + cli->timeout_ns / NS_PER_MS;
    while ((rc = look(&w, err)) > 0) {
        clock_sleep_ns(POLL_MS * NS_PER_MS);
    }
    clear(&w);
    *status_out = w.status;
    return rc;
}
