/* SPDX-License-Identifier: MIT
 *
 * held: see held.h.
 *
 * The note is the file HELD_FILE in the state directory: a line for each
 * replica whose brake is on: the number of deletes, the time (seconds since
 * 1970), and the replica's name.  It is written before anything else happens
 * when a brake goes on or off, and read when the replica is added.  A note that
 * cannot be written is a warning: after a restart then only the comparison
 * decides. */
#include "agent/notes/held.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <utlist.h>

#include "agent/base/object.h"
#include "agent/config/hint_names.h"
#include "agent/notes/covered.h"
#include "agent/notes/note.h"
#include "store/base/buf.h"
#include "store/base/cleanup.h"
#include "store/base/clock.h"

#define HELD_FILE "held"

enum { NAMES_IN_STATUS = 5 };

/* --- the note ------------------------------------------------------------ */

void held_note(int state_fd, const struct replicas *all)
{
    CLEANUP(buf_deinit) struct buf b = BUF_NULL;
    struct primary_held held;
    struct replica *r;
    int64_t now_s = (int64_t)time(NULL);

    DL_FOREACH(all->list, r) {
        if (primary_held(r->all->core, r->number, clock_mono_ms(), &held)) {
            buf_printf(&b, "%" PRIu64 " %" PRId64 " %s\n", held.held,
                       now_s - held.since_ms / 1000, r->name);
        }
    }
    note_write(state_fd, HELD_FILE, &b, "brake_not_noted",
               "a restart of the agent would forget that deletes are held");
}

void held_recall(int state_fd, const struct replica *r)
{
    CLEANUP(freep)
    char *text = note_read(state_fd, HELD_FILE, "brake_not_known",
                           "deletes that were held are judged again");
    char *rest = text;

    for (const char *line; (line = note_line(&rest)) != NULL;) {
        char *at = NULL;
        uint64_t count = strtoull(line, &at, 10);
        long long since_s = strtoll(at, &at, 10);
        if (*at != ' ' || strcmp(at + 1, r->name) != 0) {
            continue;
        }
        int64_t age_ms = ((int64_t)time(NULL) - since_s) * 1000;
        primary_brake_on(r->all->core, r->number, count,
                         clock_mono_ms() - (age_ms > 0 ? age_ms : 0));
    }
}

/* --- for people ---------------------------------------------------------- */

static json_t *tables_json(const struct primary_held *held)
{
    json_t *list = json_array();

    for (size_t i = 0; i < held->tables_count; i++) {
        json_t *o = json_object();
        object_set_name(o, "table", held->tables[i].table);
        (void)json_object_set_new(
            o, "count", json_integer((json_int_t)held->tables[i].count));
        (void)json_array_append_new(list, o);
    }
    return list;
}

static json_t *names_json(const struct primary_held *held, size_t max)
{
    json_t *list = json_array();

    for (size_t i = 0; i < held->names_count && i < max; i++) {
        const struct diff_name *n = &held->names[i];
        json_t *o = json_pack("{s:b}", "is_table", n->is_table);
        object_set_key(o, n->table, n->key, n->is_table);
        (void)json_array_append_new(list, o);
    }
    return list;
}

static json_t *covered_json(const struct replica *r, const struct db *db,
                            const struct primary_held *held)
{
    struct err err;

    if (db == NULL || !covered_held(db, held, &err)) {
        return json_null();
    }
    return hint_names_error(&err, r->all->config, NULL);
}

json_t *held_json(const struct replica *r, const struct db *db, bool with_keys,
                  bool all)
{
    struct primary_held held;
    char token[HELD_TOKEN_BYTES];

    if (!primary_held(r->all->core, r->number, clock_mono_ms(), &held)) {
        return json_null();
    }
    (void)snprintf(token, sizeof token, "%012" PRIx64, held.token);
    json_t *o = json_pack(
        "{s:I, s:I, s:s?, s:I, s:o}", "count", (json_int_t)held.held, "shown",
        (json_int_t)held.shown, "token", held.token != 0 ? token : NULL,
        "approved", (json_int_t)held.approved, "since_s",
        object_seconds(held.since_ms));
    if (o == NULL || !with_keys) {
        return o != NULL ? o : json_null();
    }
    (void)json_object_set_new(o, "named", json_integer((json_int_t)held.named));
    (void)json_object_set_new(o, "all_tables",
                              json_integer((json_int_t)held.all_tables));
    (void)json_object_set_new(o, "covered", covered_json(r, db, &held));
    (void)json_object_set_new(o, "tables", tables_json(&held));
    (void)json_object_set_new(
        o, "names", names_json(&held, all ? SIZE_MAX : NAMES_IN_STATUS));
    return o;
}
