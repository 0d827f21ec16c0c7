/* SPDX-License-Identifier: MIT
 *
 * hint_names: see hint_names.h. */
#include "agent/hint_names.h"

#include <stdio.h>
#include <string.h>

#include "agent/config.h"
#include "agent/config_target.h"
#include "store/base/quote.h"
#include "sync/hint.h"
#include "sync/state.h"

static const char *printable(const char *s)
{
    return s != NULL && quote_is_utf8(s, strlen(s)) ? s : NULL;
}

static void of_replica(struct hint_names *n, const struct config_replica *r,
                       int id)
{
    n->replica = r->name;
    if (r->kind == REPLICA_EXEC) {
        /* A child of ours, or an ssh that goes who knows where. */
        n->dir = printable(config_target_dir(r->argv));
        n->host = n->dir != NULL ? "this host" : NULL;
        return;
    }
    n->host = r->host;
    n->user = r->user;
    /* A command of its own may go anywhere. */
    bool own = config_line_of(&r->where, "replica", "command") > r->where.head;
    bool told = config_line_of(&r->where, "replica", "path") > r->where.head;
    n->dir = own && !told ? NULL : printable(r->path);
    n->file = printable(id == DR_KEY_FILE || id == DR_RSA_KEY ? r->identity
                                                              : r->known_hosts);
}

void hint_names_fill(json_t *error, const struct config *c,
                     const struct config_replica *r)
{
    const char *hint = json_string_value(json_object_get(error, "hint"));
    int id = (int)json_integer_value(json_object_get(error, "id"));
    struct hint_names names = {.primary = printable(c->path)};
    char port[12], out[HINT_ROOM];

    if (hint == NULL) {
        return;
    }
    if (r != NULL) {
        (void)snprintf(port, sizeof port, "%u",
                       r->port != 0 ? (unsigned)r->port : 22U);
        names.port = port;
        of_replica(&names, r, id);
    } else {
        names.dir = printable(id == DR_STATE_DIR ? c->state_dir : c->path);
    }
    json_t *filled =
        json_string(hint_fill(out, sizeof out, hint, &names));
    if (filled != NULL) {
        (void)json_object_set_new(error, "hint", filled);
    }
}

void hint_names_fill_all(json_t *errors, const struct config *c)
{
    json_t *e;
    size_t i;

    json_array_foreach(errors, i, e) {
        json_int_t id = json_integer_value(json_object_get(e, "id"));
        if (id >= 100 && id < 200) {
            hint_names_fill(e, c, NULL);
        }
    }
}
