/* SPDX-License-Identifier: MIT
 *
 * ignored: see ignored.h. */
#include "agent/read/ignored.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/object.h"
#include "store/base/clock.h"
#include "store/base/quote.h"
#include "store/layout/walk.h"
#include "sync/errors/state.h"

enum {
    LEAST_PAUSE_MS = 1000,
    MOST_PAUSE_MS = 10 * 60 * 1000,
    PAUSE_FACTOR = 200, /* half a percent of one processor, up to there */
};

struct ignored {
    uv_loop_t *loop;
    struct passed now;
    uint64_t events;   /* when `now` was counted */
    uint64_t counting; /* ... when `again` is */
    int64_t next_ms;   /* not before */
    /* Counting again. */
    uv_work_t work;
    bool running;
    struct root *root;
    struct passed again;
    int64_t took_ms;
    int rc;
    atomic_int stop;
};

struct ignored *ignored_new(uv_loop_t *loop)
{
    struct ignored *g = calloc(1, sizeof *g);

    if (g != NULL) {
        g->loop = loop;
    }
    return g;
}

void ignored_stop(struct ignored *g)
{
    g->stop = 1;
}

void ignored_free(struct ignored *g)
{
    free(g);
}

void ignored_scanned(struct ignored *g, const struct passed *what)
{
    g->now = *what;
}

/* --- counting again, on the pool ----------------------------------------- */

static void on_passed(void *arg, const char *dir, const char *name,
                      enum passed_why why)
{
    struct ignored *g = arg;

    passed_note(&g->again, dir, name, why);
}

static int on_table(void *arg, const char *table, size_t len, int dir_fd)
{
    const struct ignored *g = arg;

    (void)table;
    (void)len;
    (void)dir_fd;
    return g->stop;
}

static void on_work(uv_work_t *work)
{
    static const struct walk_ops ops = {.passed = on_passed,
                                        .table_begin = on_table};
    struct ignored *g = work->data;
    struct err ignored;
    int64_t began_ns = clock_mono_ns();

    g->again = (struct passed){.count = 0};
    g->rc = walk_db(&g->root->db, &ops, g, NULL, &ignored);
    g->took_ms = (clock_mono_ns() - began_ns) / NS_PER_MS;
}

static void on_worked(uv_work_t *work, int status)
{
    struct ignored *g = work->data;

    root_unref(g->root);
    g->root = NULL;
    g->running = false;
    int64_t pause_ms = g->took_ms * PAUSE_FACTOR;
    if (status == 0 && g->rc == 0) {
        g->now = g->again;
        g->events = g->counting;
    }
    pause_ms = pause_ms < MOST_PAUSE_MS ? pause_ms : MOST_PAUSE_MS;
    g->next_ms = clock_mono_ns() / NS_PER_MS +
                 (pause_ms > LEAST_PAUSE_MS ? pause_ms : LEAST_PAUSE_MS);
}

void ignored_tick(struct ignored *g, struct root *root, uint64_t events,
                  int64_t now_ms)
{
    if (g->running || g->stop || events == g->events || now_ms < g->next_ms) {
        return;
    }
    g->counting = events;
    g->work.data = g;
    g->root = root_ref(root);
    g->running = uv_queue_work(g->loop, &g->work, on_work, on_worked) == 0;
    if (!g->running) {
        root_unref(g->root);
        g->root = NULL;
    }
}

/* --- what is said of it -------------------------------------------------- */

uint64_t ignored_count(const struct ignored *g)
{
    return g->now.count;
}

/* The example of a place. */
static struct bytes path_of(const struct passed_place *at,
                            char out[TABLE_PATH_BYTES + NAME_MAX + 1])
{
    int n = snprintf(out, TABLE_PATH_BYTES + NAME_MAX + 1, "%s%s%s", at->dir,
                     at->dir[0] != '\0' ? "/" : "", at->name);

    return (struct bytes){.p = (const uint8_t *)out, .len = (size_t)n};
}

json_t *ignored_json(const struct ignored *g)
{
    json_t *list = json_array();

    for (size_t i = 0; i < g->now.n; i++) {
        const struct passed_place *at = &g->now.places[i];
        json_t *o = json_object();
        char path[TABLE_PATH_BYTES + NAME_MAX + 1];
        (void)json_object_set_new(o, "count",
                                  json_integer((json_int_t)at->count));
        object_set_name(o, "path", path_of(at, path));
        (void)json_object_set_new(o, "why", json_string(passed_word(at->why)));
        (void)json_array_append_new(list, o);
    }
    return list;
}

/* Such as what; no names for who may not know them. */
static void example(const struct passed_place *at, bool with_names, char *out,
                    size_t room)
{
    char path[TABLE_PATH_BYTES + NAME_MAX + 1];
    struct bytes name = path_of(at, path);

    if (with_names) {
        (void)snprintf(out, room, ", such as %s: %s", QUOTED(path, name.len),
                       passed_word(at->why));
    } else {
        (void)snprintf(out, room, ": %s", passed_word(at->why));
    }
}

bool ignored_warning(const struct ignored *g, uint64_t keys, bool with_names,
                     struct err *out)
{
    char such[512];
    const struct passed_place *seen = passed_seen(&g->now);

    *out = (struct err){0};
    if (seen != NULL) {
        example(seen, with_names, such, sizeof such);
        (void)err_set(out, ERR_NOTTABLE, 0,
                      "%" PRIu64
                      " of the database's entries are on no replica, "
                      "but programs here read through them%s",
                      g->now.seen, such);
    } else if (keys == 0 && g->now.count > 0) {
        example(&g->now.places[0], with_names, such, sizeof such);
        (void)err_set(out, ERR_NOTTABLE, 0,
                      "nothing is replicated: none of the %" PRIu64
                      " files here is "
                      "a key (NAME.kv, in the root or in a NAME.tbl)%s",
                      g->now.count, such);
    } else {
        return false;
    }
    out->id = DR_PASSED_OVER;
    return true;
}
