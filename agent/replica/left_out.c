/* SPDX-License-Identifier: MIT
 *
 * left_out: see left_out.h.  There is no list: a replica is left out when the
 * configuration has it and the list has not, so that a reload needs to keep
 * nothing in step. */
#include "agent/replica/left_out.h"

#include <string.h>

#include "agent/base/log.h"
#include "agent/config/hint_names.h"
#include "sync/errors/state.h"

void left_out_add(struct replicas *all, const struct config_replica *c,
                  const struct err *why)
{
    all->left_out_err = *why;
    all->left_out_err.id = DR_CONFIG;
    log_event(LOG_ERR, "left_out", c->name, DR_CONFIG, "err=\"%s\"", why->msg);
}

static bool is_left_out(const struct replicas *all,
                        const struct config_replica *c)
{
    return replica_find(all, c->name) == NULL;
}

bool left_out_json(const struct replicas *all, json_t *replicas)
{
    size_t before = json_array_size(replicas);

    for (size_t i = 0; i < all->config->replicas_count; i++) {
        const struct config_replica *c = &all->config->replicas[i];
        if (!is_left_out(all, c)) {
            continue;
        }
        (void)json_array_append_new(
            replicas,
            json_pack("{s:s, s:s, s:n, s:n, s:n, s:n, s:i, s:i, s:i, s:o}",
                      "name", c->name, "state",
                      replica_state_word(REPLICA_FAILED), "lag_s", "ack_age_s",
                      "silence_s", "equal_as_of", "pending_keys", 0,
                      "pending_bytes", 0, "held_deletes", 0, "error",
                      hint_names_error(&all->left_out_err, all->config, NULL)));
    }
    return json_array_size(replicas) > before;
}

static bool say(const struct replicas *all, const char *name, struct err *err)
{
    (void)err_set(err, ERR_REFUSED, 0, "replica %s is left out: %.400s", name,
                  all->left_out_err.msg);
    err->id = DR_CONFIG;
    return true;
}

bool left_out_any(const struct replicas *all, struct err *err)
{
    for (size_t i = 0; i < all->config->replicas_count; i++) {
        if (is_left_out(all, &all->config->replicas[i])) {
            return say(all, all->config->replicas[i].name, err);
        }
    }
    return false;
}

bool left_out_is(const struct replicas *all, const char *name, struct err *err)
{
    const struct config_replica *c = config_replica(all->config, name);

    return c != NULL && is_left_out(all, c) && say(all, name, err);
}
