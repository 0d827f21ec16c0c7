/* SPDX-License-Identifier: MIT
 *
 * cmd_metrics: `drover-replica metrics`: what this host knows of its copy, for
 * the textfile collector of Prometheus' node_exporter.  The age is that of
 * `fresh`: the worse of two clocks.
 */
#include <inttypes.h>
#include <string.h>

#include "store/base/clock.h"
#include "store/base/prom.h"
#include "store/base/quote.h"
#include "store/layout/fresh_age.h"
#include "sync/errors/state.h"
#include "sync/replica/commands/commands.h"
#include "sync/replica/commands/facts.h"

static void put_gauge(FILE *out, const struct facts *f, const char *name,
                      const char *help, double value)
{
    char whole[64];

    (void)snprintf(whole, sizeof whole, "drover_copy_%s", name);
    prom_head(out, whole, "gauge", help);
    (void)fprintf(out, "%s{", whole);
    prom_label(out, "path", f->dir);
    prom_end(out, value);
}

static void put_freshness(FILE *out, const struct facts *f)
{
    put_gauge(out, f, "ever_complete",
              "1 if it once had everything its primary had.", f->fresh_known);
    if (!f->fresh_known) {
        return;
    }
    put_gauge(out, f, "proven_timestamp_seconds",
              "Everything before this time on the primary's clock is here.",
              (double)f->fresh.fresh_ns / NS_PER_S);
    if (f->fresh.age_ns != FRESH_AGE_UNKNOWN) {
        put_gauge(out, f, "age_seconds", "How long ago that was.",
                  (double)f->fresh.age_ns / NS_PER_S);
    }
    put_gauge(out, f, "differs",
              "1 while it is known to differ from its primary.",
              strcmp(f->fresh.state, replica_state_word(REPLICA_DIFFERS)) == 0);
}

static void put_replica(FILE *out, const struct facts *f)
{
    put_freshness(out, f);
    if (f->live >= 0) {
        put_gauge(out, f, "receiver_live",
                  "1 while an agent is connected to it.", f->live > 0);
    }
    if (f->undone >= 0) {
        put_gauge(out, f, "undone_values",
                  "Values kept that the primary lost and undid.",
                  (double)f->undone);
    }
}

int cmd_metrics(struct cmdline *line)
{
    struct facts f;
    int rc = facts_gather(line, &f);

    if (rc != EXIT_GOOD) {
        return rc;
    }
    /* Labels are UTF-8.  In this block: the text ends with it. */
    f.dir = quote_is_utf8(f.dir, strlen(f.dir)) ? f.dir : QUOTED_STR(f.dir);
    put_gauge(line->out, &f, "primary", "1 if it is a primary, no copy.",
              f.role.role == ROLE_PRIMARY);
    put_gauge(
        line->out, &f, "epoch", "The epoch of its primary.",
        (double)(f.role.role == ROLE_PRIMARY ? f.role.epoch : f.ident.epoch));
    if (f.role.role != ROLE_PRIMARY) {
        put_replica(line->out, &f);
    }
    return EXIT_GOOD;
}
