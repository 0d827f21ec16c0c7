/* SPDX-License-Identifier: MIT
 *
 * actions: see actions.h.
 */
#include "sync/primary/actions.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "sync/errors/state.h"
#include "sync/primary/primary_impl.h"

struct repl *primary_repl(struct primary *p, int replica)
{
    assert(replica >= 0 && replica < LOG_REPLICAS_MAX &&
           p->repl[replica] != NULL && !p->repl[replica]->is_index);
    return p->repl[replica];
}

uint64_t primary_id(struct primary *p)
{
    return ++p->next_id;
}

void primary_act(struct primary *p, const struct action *a)
{
    struct action_node *n = malloc(sizeof *n);

    /* Losing an order to the shell would leave the core waiting for ever. */
    assert(n != NULL || a->type == ACT_LOG);
    if (n == NULL) {
        return;
    }
    n->next = NULL;
    n->a = *a;
    *p->actions_tail = n;
    p->actions_tail = &n->next;
}

void primary_log(struct primary *p, int replica, int level, int dr,
                 const char *fmt, ...)
{
    struct action a = {.type = ACT_LOG, .replica = replica, .level = level};
    va_list ap;

    a.err.id = dr;
    va_start(ap, fmt);
    (void)vsnprintf(a.err.msg, sizeof a.err.msg, fmt, ap);
    va_end(ap);
    primary_act(p, &a);
}

void primary_root_lost(struct primary *p, const char *why)
{
    if (!p->lost) {
        primary_log(p, -1, LOG_ERR, DR_NOT_OUR_DATABASE, "%s", why);
    }
    p->lost = true;
    (void)snprintf(p->lost_why, sizeof p->lost_why, "%.*s",
                   (int)sizeof p->lost_why - 1, why);
}
