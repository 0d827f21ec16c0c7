/* SPDX-License-Identifier: MIT
 *
 * left_out: see left_out.h.  There is no list: a replica is left out when the
 * configuration has it and the daemon does not, so that a reload needs to keep
 * nothing in step. */
#include "agent/daemon/left_out.h"

#include <string.h>

#include "agent/base/log.h"
#include "agent/config/hint_names.h"
#include "agent/daemon/daemon_impl.h"
#include "sync/errors/state.h"

void left_out_add(struct daemon *d, const struct config_replica *c,
                  const struct err *why)
{
    d->left_out_err = *why;
    d->left_out_err.id = DR_CONFIG;
    log_event(LOG_ERROR, "left_out", c->name, DR_CONFIG, "err=\"%s\"",
              why->msg);
}

static bool is_left_out(const struct daemon *d, const struct config_replica *c)
{
    return replica_find(&d->replicas, c->name) == NULL;
}

bool left_out_json(const struct daemon *d, json_t *replicas)
{
    size_t before = json_array_size(replicas);

    for (size_t i = 0; i < d->config->replicas_count; i++) {
        const struct config_replica *c = &d->config->replicas[i];
        if (!is_left_out(d, c)) {
            continue;
        }
        (void)json_array_append_new(
            replicas,
            json_pack("{s:s, s:s, s:n, s:n, s:n, s:n, s:i, s:i, s:i, s:o}",
                      "name", c->name, "state",
                      replica_state_word(REPLICA_FAILED), "lag_s", "ack_age_s",
                      "silence_s", "equal_as_of", "pending_keys", 0,
                      "pending_bytes", 0, "held_deletes", 0, "error",
                      hint_names_error(&d->left_out_err, d->config, NULL)));
    }
    return json_array_size(replicas) > before;
}

static bool say(const struct daemon *d, const char *name, struct err *err)
{
    (void)err_set(err, ERR_REFUSED, 0, "replica %s is left out: %.400s", name,
                  d->left_out_err.msg);
    err->id = DR_CONFIG;
    return true;
}

bool left_out_any(const struct daemon *d, struct err *err)
{
    for (size_t i = 0; i < d->config->replicas_count; i++) {
        if (is_left_out(d, &d->config->replicas[i])) {
            return say(d, d->config->replicas[i].name, err);
        }
    }
    return false;
}

bool left_out_is(const struct daemon *d, const char *name, struct err *err)
{
    const struct config_replica *c = config_replica(d->config, name);

    return c != NULL && is_left_out(d, c) && say(d, name, err);
}
