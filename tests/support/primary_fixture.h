/* SPDX-License-Identifier: MIT
 *
 * A primary's core in a test: a database of a few keys, looks that are
 * answered at once or by hand, and two kinds of replicas.  A *scripted* one
 * writes down what it hears and says only what the test makes it say; a *real*
 * one is the receiver's core over a disk in memory.
 *
 * Time stands still unless the test moves it.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/base/buf.h"
#include "sync/primary/primary_impl.h"
#include "tests/support/memstore.h"
#include "tests/support/plain_key.h"

enum { FX_KEYS = 400, FX_READS = 256, FX_PEERS = 4, FX_WALL_S = 1800000000 };

struct fx_key {
    char table[32], key[32];
    bool is_table, exists, busy, unreadable;
    bool odd; /* a link or the like is in its place */
    uint64_t ino;
    int64_t ctime_ms;
    unsigned writes; /* in place */
    bool restored;   /* its mtime is an old one */
    bool startemp;   /* busy: its stat is that of a temporary */
    size_t len;
    char value[64]; /* a large one repeats it */
};

struct fx_look {
    uint64_t id;
    bool is_table;
    char table[32], key[32];
};

struct fx_peer {
    int replica;
    bool up, real;
    bool hung; /* real: it commits nothing, so it acknowledges nothing */
    struct wire_in in; /* scripted: what the core sends */
    struct buf heard;  /* one line per frame; pings are not written down */
    struct buf say;    /* bytes for the core */
    uint64_t ping_id;
    int64_t fresh_ns; /* of the last ping */
    uint64_t tree_id;
    bool pong; /* answers pings, with `root` */
    struct digest root;
    struct memstore *store; /* real */
    struct receiver *receiver;
    struct index *index;
};

struct fx {
    struct primary *p;
    struct index *ix;
    int64_t now_ms;
    bool by_hand;         /* looks wait for fx_answer() */
    bool streams_by_hand; /* ... and fx_stream() */
    bool never_still;     /* large values change under every read and copy */
    bool no_walk;         /* walks wait */
    bool no_names;        /* real replicas do not look for names */
    bool no_scans;        /* ... and their scans do not get on */
    bool root_lost;
    struct fx_key keys[FX_KEYS];
    size_t keys_count;
    uint64_t next_ino;
    struct fx_look reads[FX_READS];
    size_t reader_count;
    struct {
        uint64_t id;
        int kind;
        bool copy;
        char table[32], key[32];
    } streams[16];
    size_t streams_count;
    struct {
        uint64_t id;
        struct fx_key *key;
        size_t at;
        struct fx_key seen; /* as it was when it was opened */
        bool copied;
    } open[8];
    unsigned copies; /* streams that were asked to copy */
    uint64_t walk_id;
    unsigned walks;    /* begun so far */
    size_t walk_at;    /* keys up to here are reported */
    uint64_t compared; /* the last job that ended */
    struct fx_peer peers[FX_PEERS];
    bool closed[LOG_REPLICAS_MAX];
    struct err closed_err[LOG_REPLICAS_MAX];
    bool closed_for_good[LOG_REPLICAS_MAX];
    char last_log[ERR_MSG_BYTES];
    unsigned logs; /* lines in all */
};

/* --- the database -------------------------------------------------------- */

static inline struct fx_key *fx_find(struct fx *f, bool is_table,
                                     const char *table, const char *key)
{
    for (size_t i = 0; i < f->keys_count; i++) {
        struct fx_key *k = &f->keys[i];
        if (k->is_table == is_table && strcmp(k->table, table) == 0 &&
            (is_table || strcmp(k->key, key) == 0)) {
            return k;
        }
    }
    return NULL;
}

static inline struct fx_key *fx_key(struct fx *f, bool is_table,
                                    const char *table, const char *key)
{
    struct fx_key *k = fx_find(f, is_table, table, key);

    if (k == NULL) {
        assert_true(f->keys_count < FX_KEYS);
        k = &f->keys[f->keys_count++];
        memset(k, 0, sizeof *k);
        k->is_table = is_table;
        (void)snprintf(k->table, sizeof k->table, "%s", table);
        (void)snprintf(k->key, sizeof k->key, "%s", is_table ? "" : key);
    }
    return k;
}

/* Write the database; nobody is told. */
static inline struct fx_key *fx_put(struct fx *f, const char *table,
                                    const char *key, const char *value)
{
    struct fx_key *k = fx_key(f, false, table, key);

    fx_key(f, true, table, NULL)->exists = true;
    k->exists = true;
    k->ino = ++f->next_ino;
    k->ctime_ms = f->now_ms;
    k->len = strlen(value);
    (void)snprintf(k->value, sizeof k->value, "%s", value);
    return k;
}

/* A value of `len` bytes that repeats `text`. */
static inline void fx_put_large(struct fx *f, const char *table,
                                const char *key, const char *text, size_t len)
{
    fx_put(f, table, key, text)->len = len;
}

/* Write in place: what is being read never was a value. */
static inline void fx_overwrite(struct fx *f, const char *table,
                                const char *key)
{
    struct fx_key *k = fx_key(f, false, table, key);

    k->writes++;
    k->ctime_ms = f->now_ms;
}

static inline void fx_erase(struct fx *f, const char *table, const char *key)
{
    fx_key(f, false, table, key)->exists = false;
}

static inline void fx_value(const struct fx_key *k, uint8_t *out, size_t from,
                            size_t n)
{
    size_t len = strlen(k->value);

    for (size_t i = 0; i < n; i++) {
        out[i] = (uint8_t)k->value[(from + i) % len];
    }
}

static inline struct reading fx_stat(const struct fx_key *k, uint64_t ino)
{
    struct reading l;

    memset(&l, 0, sizeof l);
    l.stat = (struct vstat){
        .ino = ino, .ctime_ns = k->ctime_ms * 1000000, .size = k->len};
    l.mtime_ns = k->restored ? 0 : l.stat.ctime_ns;
    return l;
}

/* --- answers to looks ---------------------------------------------------- */

static inline void fx_answer_table(struct fx *f, const struct fx_look *l)
{
    const struct fx_key *k = fx_find(f, true, l->table, NULL);
    int result = k != NULL && k->exists ? READ_VALUE : READ_GONE;
    struct err err = {0};

    if (k != NULL && k->odd) {
        (void)err_set(&err, ERR_NOTTABLE, 0, "table %s: a link", l->table);
        err.id = DR_COVERED;
        result = READ_ERROR;
    }
    primary_table_read(f->p, l->id, f->root_lost ? READ_ROOT_LOST : result,
                       result == READ_ERROR ? &err : NULL, f->now_ms);
}

static inline void fx_answer_look(struct fx *f, const struct fx_look *l)
{
    const struct fx_key *k = fx_find(f, false, l->table, l->key);
    const struct fx_key *t = fx_find(f, true, l->table, NULL);
    struct read_answer r = {.result = READ_GONE};
    struct err err = {0};
    uint8_t value[WIRE_INLINE_MAX > 4096 ? 4096 : 1];

    if (f->root_lost) {
        r.result = READ_ROOT_LOST;
    } else if (t != NULL && t->odd) {
        (void)err_set(&err, ERR_NOTTABLE, 0, "table %s: a link", l->table);
        err.id = DR_COVERED;
        r.result = READ_ERROR;
        r.err = &err;
    } else if (k != NULL && k->odd) {
        r.result = READ_NOT_A_KEY;
    } else if (k != NULL && k->unreadable) {
        (void)err_set(&err, ERR_PERM, 0, "%s/%s: permission denied", l->table,
                      l->key);
        r.result = READ_ERROR;
        r.err = &err;
    } else if (k != NULL && k->busy) {
        r.result = READ_BUSY;
        r.reading.startemp = k->startemp;
        r.pid = 4711;
        (void)snprintf(r.comm, sizeof r.comm, "writer");
    } else if (k != NULL && k->exists) {
        r.reading = fx_stat(k, k->ino);
        r.age_ms = f->now_ms - k->ctime_ms;
        if (k->len > sizeof value) {
            r.result = READ_LARGE;
        } else {
            r.result = READ_VALUE;
            fx_value(k, value, 0, k->len);
            r.reading.digest = digest_of(value, k->len);
            r.value = value;
            r.value_len = k->len;
        }
    }
    primary_key_read(f->p, l->id, &r, f->now_ms);
}

static inline void fx_pump(struct fx *f);

/* Answer the waiting look at this key with what the database holds now. */
static inline void fx_answer(struct fx *f, const char *table, const char *key)
{
    for (size_t i = 0; i < f->reader_count; i++) {
        struct fx_look l = f->reads[i];
        if (strcmp(l.table, table) == 0 && l.is_table == (key == NULL) &&
            (key == NULL || strcmp(l.key, key) == 0)) {
            f->reads[i] = f->reads[--f->reader_count];
            if (l.is_table) {
                fx_answer_table(f, &l);
            } else {
                fx_answer_look(f, &l);
            }
            fx_pump(f);
            return;
        }
    }
    fail_msg("no look at %s/%s waits", table, key == NULL ? "" : key);
}

/* --- streams ------------------------------------------------------------- */

static inline void fx_stream_open(struct fx *f, uint64_t id, const char *table,
                                  const char *key, bool copy)
{
    struct fx_key *k = fx_find(f, false, table, key);
    struct read_answer r = {.result = READ_GONE};

    if (k != NULL && k->exists) {
        size_t i = 0;
        while (f->open[i].key != NULL) {
            i++;
            assert_true(i < 8);
        }
        f->open[i].id = id;
        f->open[i].key = k;
        f->open[i].at = 0;
        f->open[i].seen = *k;
        f->open[i].copied = copy;
        f->copies += copy;
        r.result = READ_VALUE;
        r.reading = fx_stat(k, k->ino);
    }
    primary_stream_opened(f->p, id, &r, f->now_ms);
}

static inline void fx_stream_read(struct fx *f, uint64_t id)
{
    uint8_t piece[8192];
    size_t i = 0;

    while (i < 8 && (f->open[i].key == NULL || f->open[i].id != id)) {
        i++;
    }
    if (i == 8) {
        return; /* closed meanwhile */
    }
    const struct fx_key *now = f->open[i].key, *k = &f->open[i].seen;
    bool mixed = f->never_still || (now->writes != k->writes &&
                                    now->ino == k->ino && !f->open[i].copied);
    size_t n = k->len - f->open[i].at;
    if (mixed || n == 0) {
        uint8_t *all = malloc(k->len + 1);
        fx_value(k, all, 0, k->len);
        struct read_answer r = {.result = mixed ? READ_CHANGING : READ_VALUE,
                                .reading = fx_stat(k, k->ino)};
        r.reading.digest = digest_of(all, k->len);
        r.reading.replaced = now->ino != k->ino || !now->exists;
        free(all);
        primary_stream_data(f->p, id, NULL, 0, &r, f->now_ms);
        return;
    }
    n = n < sizeof piece ? n : sizeof piece;
    fx_value(k, piece, f->open[i].at, n);
    f->open[i].at += n;
    primary_stream_data(f->p, id, piece, n, NULL, f->now_ms);
}

/* Answer the oldest question about a stream; false: there is none. */
static inline bool fx_stream(struct fx *f)
{
    if (f->streams_count == 0) {
        return false;
    }
    uint64_t id = f->streams[0].id;
    int kind = f->streams[0].kind;
    bool copy = f->streams[0].copy;
    char table[32], key[32];
    memcpy(table, f->streams[0].table, sizeof table);
    memcpy(key, f->streams[0].key, sizeof key);
    f->streams_count--;
    memmove(f->streams, f->streams + 1,
            f->streams_count * sizeof f->streams[0]);
    if (kind == ACT_STREAM_OPEN) {
        fx_stream_open(f, id, table, key, copy);
    } else {
        fx_stream_read(f, id);
    }
    return true;
}

/* --- walks --------------------------------------------------------------- */

/* As far as there is room; false when there is none for a single key. */
static inline bool fx_walk(struct fx *f, bool complete)
{
    uint64_t id = f->walk_id;
    const void *filter = primary_walk_filter(f->p, id);

    if (f->walk_at < f->keys_count && primary_walk_room(f->p, id) == 0) {
        return false;
    }
    while (f->walk_at < f->keys_count && primary_walk_room(f->p, id) > 0) {
        const struct fx_key *k = &f->keys[f->walk_at++];
        struct digest name =
            k->is_table
                ? index_name_table(&plain_key, k->table, strlen(k->table))
                : index_name_key(&plain_key, k->table, strlen(k->table), k->key,
                                 strlen(k->key));
        if (k->exists && primary_walk_wants(filter, name)) {
            primary_walk_found(f->p, id, name, k->is_table,
                               bytes_of(k->table, strlen(k->table)),
                               bytes_of(k->key, strlen(k->key)), f->now_ms);
        }
    }
    if (f->walk_at == f->keys_count) {
        f->walk_id = 0;
        primary_walk_ended(f->p, id, complete, NULL, f->now_ms);
    }
    return true;
}

/* --- scripted replicas --------------------------------------------------- */

static inline void fx_note_change(struct fx_peer *peer, enum wire_type type,
                                  struct bytes body)
{
    struct wire_change *m = malloc(sizeof *m);
    struct err err;

    assert_int_equal(wire_get_change(type, body, m, &err), 0);
    buf_printf(&peer->heard, "%s %.*s", wire_type_name(type), (int)m->table.len,
               (const char *)m->table.p);
    if (type != WIRE_TABLE_SET && type != WIRE_TABLE_DROP) {
        buf_printf(&peer->heard, "/%.*s", (int)m->key.len,
                   (const char *)m->key.p);
    }
    if (type == WIRE_SET) {
        buf_printf(&peer->heard, "=%.*s", (int)m->value.len,
                   (const char *)m->value.p);
    }
    buf_printf(&peer->heard, " #%" PRIu64 "\n", m->seq);
    free(m);
}

static inline void fx_note_end(struct fx_peer *peer, enum wire_type type,
                               struct bytes body)
{
    struct err err;
    uint64_t seq = 0;

    if (type == WIRE_SET_ABORT) {
        assert_int_equal(wire_get_set_abort(body, &seq, &err), 0);
    } else {
        struct wire_set_end m;
        assert_int_equal(wire_get_set_end(body, &m, &err), 0);
        seq = m.seq;
    }
    buf_printf(&peer->heard, "%s #%" PRIu64 "\n", wire_type_name(type), seq);
}

static inline void fx_hear_ping(struct fx_peer *peer, struct bytes body)
{
    struct wire_ping m;
    struct err err;

    assert_int_equal(wire_get_ping(body, &m, &err), 0);
    peer->ping_id = m.id;
    peer->fresh_ns = m.fresh_ns;
    if (peer->pong) {
        struct wire_pong pong = {.id = m.id, .root = peer->root};
        wire_put_pong(&peer->say, &pong);
    }
}

static inline void fx_hear_frame(struct fx_peer *peer, enum wire_type type,
                                 struct bytes body)
{
    struct err err;

    if (type == WIRE_SET || type == WIRE_SAME || type == WIRE_SET_BEGIN ||
        type == WIRE_DELETE || type == WIRE_TABLE_SET ||
        type == WIRE_TABLE_DROP) {
        fx_note_change(peer, type, body);
    } else if (type == WIRE_SET_END || type == WIRE_SET_ABORT) {
        fx_note_end(peer, type, body);
    } else if (type == WIRE_PING) {
        fx_hear_ping(peer, body);
    } else if (type == WIRE_TREE) {
        struct wire_tree m;
        assert_int_equal(wire_get_tree(body, &m, &err), 0);
        peer->tree_id = m.id;
        buf_printf(&peer->heard, "TREE\n");
    } else if (type != WIRE_HELLO && type != WIRE_PIECE) {
        buf_printf(&peer->heard, "%s\n", wire_type_name(type));
    }
}

static inline void fx_hear(struct fx_peer *peer, const uint8_t *p, size_t n)
{
    enum wire_type type;
    struct bytes body;
    struct err err;

    assert_int_equal(wire_in_add(&peer->in, p, n, &err), 0);
    while (wire_in_next(&peer->in, &type, &body, &err) == 1) {
        fx_hear_frame(peer, type, body);
    }
}

/* --- real replicas ------------------------------------------------------- */

static inline int fx_sent(void *arg, const void *p, size_t n, struct err *err)
{
    struct fx_peer *peer = arg;

    (void)err;
    buf_put(&peer->say, p, n);
    return 0;
}

static inline void fx_feed(struct fx *f, struct fx_peer *peer, const uint8_t *p,
                           size_t n)
{
    struct err err;

    if (receiver_input(peer->receiver, p, n, f->now_ms, &err) < 0) {
        print_message("receiver: %s\n", err.msg);
    }
}

static inline void fx_work(struct fx *f, struct fx_peer *peer)
{
    struct err err;
    int64_t again_ms;

    while (!peer->hung && receiver_has_work(peer->receiver)) {
        if (receiver_commit(peer->receiver, f->now_ms, &again_ms, &err) < 0) {
            print_message("receiver: %s\n", err.msg);
            return;
        }
        if (again_ms != 0) {
            break;
        }
    }
    if (peer->store->scan_wanted && !f->no_scans) {
        assert_int_equal(memstore_scan_answer(peer->store, peer->receiver,
                                              peer->index, &err),
                         0);
    }
    if (peer->store->names_wanted && !f->no_names) {
        assert_int_equal(
            memstore_names_answer(peer->store, peer->receiver, 7, &err), 0);
    }
}

/* --- the shell ----------------------------------------------------------- */

static inline void fx_copy(char out[32], struct bytes b)
{
    assert_true(b.len < 32);
    memcpy(out, b.p, b.len);
    out[b.len] = '\0';
}

static inline void fx_do(struct fx *f, const struct action *a)
{
    if (a->type == ACT_READ || a->type == ACT_READ_TABLE) {
        assert_true(f->reader_count < FX_READS);
        struct fx_look *l = &f->reads[f->reader_count++];
        l->id = a->id;
        l->is_table = a->type == ACT_READ_TABLE;
        fx_copy(l->table, a->table);
        fx_copy(l->key, a->key);
    } else if (a->type == ACT_STREAM_OPEN || a->type == ACT_STREAM_READ) {
        assert_true(f->streams_count < 16);
        f->streams[f->streams_count].id = a->id;
        f->streams[f->streams_count].kind = (int)a->type;
        f->streams[f->streams_count].copy = a->copy;
        if (a->type == ACT_STREAM_OPEN) {
            fx_copy(f->streams[f->streams_count].table, a->table);
            fx_copy(f->streams[f->streams_count].key, a->key);
        }
        f->streams_count++;
    } else if (a->type == ACT_STREAM_CLOSE) {
        for (size_t i = 0; i < 8; i++) {
            if (f->open[i].id == a->id) {
                f->open[i].key = NULL;
            }
        }
    } else if (a->type == ACT_WALK) {
        f->walk_id = a->id;
        f->walk_at = 0;
        f->walks++;
    } else if (a->type == ACT_WALK_STOP) {
        f->walk_id = 0;
        primary_walk_ended(f->p, a->id, false, NULL, f->now_ms);
    } else if (a->type == ACT_LINK_CLOSE) {
        f->closed[a->replica] = true;
        f->closed_err[a->replica] = a->err;
        f->closed_for_good[a->replica] = a->permanent;
    } else if (a->type == ACT_COMPARED) {
        f->compared = a->id;
    } else if (a->type == ACT_LOG) {
        memcpy(f->last_log, a->err.msg, sizeof f->last_log);
        f->logs++;
    }
}

static inline bool fx_exchange(struct fx *f, struct fx_peer *peer)
{
    static uint8_t bytes[65536];
    size_t n =
        primary_fill(f->p, peer->replica, bytes, sizeof bytes, f->now_ms);
    bool moved = n > 0;

    if (n > 0 && peer->real) {
        fx_feed(f, peer, bytes, n);
    } else if (n > 0) {
        fx_hear(peer, bytes, n);
    }
    if (peer->real) {
        fx_work(f, peer);
    }
    if (peer->say.len > 0) {
        struct buf say = peer->say;
        peer->say = (struct buf)BUF_NULL;
        primary_input(f->p, peer->replica, say.data, say.len, f->now_ms);
        buf_deinit(&say);
        moved = true;
    }
    return moved;
}

/* Until nothing moves any more. */
static inline void fx_pump(struct fx *f)
{
    bool moved = true;

    while (moved) {
        struct action a;
        moved = false;
        while (primary_next_action(f->p, &a)) {
            fx_do(f, &a);
            moved = true;
        }
        for (size_t i = 0; i < FX_PEERS; i++) {
            if (f->peers[i].up && !f->closed[f->peers[i].replica]) {
                moved = fx_exchange(f, &f->peers[i]) || moved;
            }
        }
        while (!f->by_hand && f->reader_count > 0) {
            struct fx_look l = f->reads[0];
            f->reader_count--;
            memmove(f->reads, f->reads + 1, f->reader_count * sizeof *f->reads);
            if (l.is_table) {
                fx_answer_table(f, &l);
            } else {
                fx_answer_look(f, &l);
            }
            moved = true;
        }
        while (!f->streams_by_hand && fx_stream(f)) {
            moved = true;
        }
        if (f->walk_id != 0 && !f->no_walk) {
            moved = fx_walk(f, true) || moved;
        }
    }
}

static inline int64_t fx_wall(const struct fx *f)
{
    return FX_WALL_S * INT64_C(1000000000) + f->now_ms * 1000000;
}

/* The inotify queue is empty as of now. */
static inline void fx_drained(struct fx *f)
{
    primary_drained(f->p, fx_wall(f), f->now_ms);
    fx_pump(f);
}

static inline void fx_tick(struct fx *f)
{
    (void)primary_tick(f->p, f->now_ms);
    fx_pump(f);
}

static inline void fx_wait(struct fx *f, int64_t ms)
{
    f->now_ms += ms;
    fx_tick(f);
}

static inline void fx_hint(struct fx *f, const char *table, const char *key,
                           enum hint why)
{
    primary_hint_key(f->p, table, strlen(table), key, strlen(key), why,
                     f->now_ms);
    fx_pump(f);
}

static inline void fx_set(struct fx *f, const char *table, const char *key,
                          const char *value)
{
    fx_put(f, table, key, value);
    fx_hint(f, table, key, HINT_COMMITTED);
}

/* Another ctime, the same bytes. */
static inline void fx_touch(struct fx *f, const char *table, const char *key)
{
    fx_key(f, false, table, key)->ctime_ms = f->now_ms;
    fx_hint(f, table, key, HINT_CLOSED);
}

static inline void fx_delete(struct fx *f, const char *table, const char *key)
{
    fx_erase(f, table, key);
    fx_hint(f, table, key, HINT_REMOVED);
}

static inline void fx_hint_table(struct fx *f, const char *table, bool exists)
{
    fx_key(f, true, table, NULL)->exists = exists;
    primary_hint_table(f->p, table, strlen(table), f->now_ms);
    fx_pump(f);
}

/* What the first scan does: all keys are in the index. */
static inline void fx_index(struct fx *f)
{
    for (size_t i = 0; i < f->keys_count; i++) {
        const struct fx_key *k = &f->keys[i];
        struct index_entry e = {.is_table = k->is_table};
        struct err err;
        if (!k->exists) {
            continue;
        }
        if (k->is_table) {
            e.name = index_name_table(&plain_key, k->table, strlen(k->table));
        } else {
            uint8_t *value = malloc(k->len + 1);
            fx_value(k, value, 0, k->len);
            e.name = index_name_key(&plain_key, k->table, strlen(k->table),
                                    k->key, strlen(k->key));
            e.digest = digest_of(value, k->len);
            e.stat = fx_stat(k, k->ino).stat;
            free(value);
        }
        assert_int_equal(index_put(f->ix, &e, &err), 0);
    }
}

static inline void fx_ready(struct fx *f)
{
    fx_index(f);

    primary_index_ready(f->p, f->now_ms);
    fx_drained(f);
}

static inline struct fx *fx_new_with(const struct primary_config *c)
{
    struct fx *f = calloc(1, sizeof *f);

    assert_non_null(f);
    f->now_ms = 1000;
    f->next_ino = 1000;
    f->ix = index_new();
    f->p = primary_new(c, f->ix);
    assert_non_null(f->p);
    fx_key(f, true, "", NULL)->exists = true;
    return f;
}

static inline struct fx *fx_new(void)
{
    struct primary_config c;

    primary_config_default(&c);
    return fx_new_with(&c);
}

static inline void fx_free(struct fx *f)
{
    primary_free(f->p);
    index_free(f->ix);
    for (size_t i = 0; i < FX_PEERS; i++) {
        struct fx_peer *peer = &f->peers[i];
        wire_in_deinit(&peer->in);
        buf_deinit(&peer->heard);
        buf_deinit(&peer->say);
        receiver_free(peer->receiver);
        index_free(peer->index);
        if (peer->store != NULL) {
            memstore_free(peer->store);
        }
    }
    free(f);
}

static inline struct fx_peer *fx_add(struct fx *f, size_t i, bool real)
{
    struct fx_peer *peer = &f->peers[i];
    char name[8];
    struct replica_options o = {.name = name};
    struct err err;

    (void)snprintf(name, sizeof name, "r%zu", i);
    wire_in_init(&peer->in);
    peer->real = real;
    peer->replica = primary_replica_add(f->p, &o, f->now_ms, &err);
    assert_true(peer->replica >= 0);
    if (real) {
        peer->store = memstore_new();
        peer->store->send = fx_sent;
        peer->store->send_arg = peer;
        peer->index = index_new();
    }
    return peer;
}

/* The channel is open. */
static inline void fx_up(struct fx *f, struct fx_peer *peer)
{
    struct receiver_config c = {.policy = LOCK_POLICY_WAIT};
    struct err err;

    peer->up = true;
    f->closed[peer->replica] = false;
    primary_link_up(f->p, peer->replica, f->now_ms);
    if (peer->real) {
        receiver_free(peer->receiver);
        peer->receiver =
            receiver_new(&c, &memstore_ops, peer->store, peer->index);
        assert_int_equal(receiver_start(peer->receiver, &err), 0);
    } else {
        struct wire_hello_ok ok = {.proto = WIRE_PROTO_MAX, .epoch = 1};
        wire_in_deinit(&peer->in);
        wire_in_init(&peer->in);
        wire_put_magic(&peer->say);
        wire_put_hello_ok(&peer->say, &ok);
    }
    fx_pump(f);
}

static inline void fx_down(struct fx *f, struct fx_peer *peer)
{
    peer->up = false;
    buf_clear(&peer->say);
    primary_link_down(f->p, peer->replica, NULL, false, f->now_ms);
    fx_pump(f);
}

/* A scripted replica that was found equal: changes flow. */
static inline void fx_equal(struct fx *f, struct fx_peer *peer)
{
    struct wire_ready ready = {.root = index_root(f->ix)};
    struct digest nodes[INDEX_NODES];

    wire_put_ready(&peer->say, &ready);
    fx_pump(f);
    index_nodes(f->ix, nodes);
    wire_put_nodes(&peer->say, peer->tree_id, WIRE_TREE_TOP, nodes);
    fx_pump(f);
    buf_clear(&peer->heard);
}

static inline struct fx_peer *fx_scripted(struct fx *f, size_t i)
{
    struct fx_peer *peer = fx_add(f, i, false);

    fx_up(f, peer);
    fx_equal(f, peer);
    return peer;
}

static inline void fx_ack(struct fx *f, struct fx_peer *peer, uint64_t seq)
{
    wire_put_ack(&peer->say, &seq, 1);
    fx_pump(f);
}

static inline void fx_nak(struct fx *f, struct fx_peer *peer, uint64_t seq)
{
    struct wire_nak m = {.seq = seq,
                         .code = (uint16_t)-ERR_NOSPACE,
                         .sys = 28,
                         .text = bytes_of("disk full", 9)};

    wire_put_nak(&peer->say, &m);
    fx_pump(f);
}

/* The replica has not what a SAME told of. */
static inline void fx_nak_same(struct fx *f, struct fx_peer *peer, uint64_t seq)
{
    struct wire_nak m = {.seq = seq,
                         .code = (uint16_t)-ERR_NOTFOUND,
                         .text = bytes_of("needed whole", 12)};

    wire_put_nak(&peer->say, &m);
    fx_pump(f);
}

/* What the replica heard since the last time, exactly. */
static inline void fx_heard_at(struct fx_peer *peer, const char *want,
                               const char *file, int line)
{
    buf_put(&peer->heard, "", 1);
    if (strcmp((const char *)peer->heard.data, want) != 0) {
        print_error("%s:%d: heard:\n%swanted:\n%s", file, line,
                    (const char *)peer->heard.data, want);
        fail();
    }
    buf_clear(&peer->heard);
}
#define fx_heard(peer, want) fx_heard_at(peer, want, __FILE__, __LINE__)

/* The value on a real replica, "-" when it is not there. */
static inline const char *fx_there(const struct fx_peer *peer,
                                   const char *table, const char *key)
{
    static char text[256];
    struct bytes value;

    if (!memstore_get(peer->store, table, key, &value)) {
        return "-";
    }
    (void)snprintf(text, sizeof text, "%.*s",
                   (int)(value.len < 200 ? value.len : 200),
                   (const char *)value.p);
    return text;
}

/* --- often needed -------------------------------------------------------- */

/* A large value whose read and stream were answered up to its first piece. */
static inline void fx_begin_large(struct fx *f, const char *key)
{
    fx_put_large(f, "t", key, key, 20000);
    fx_hint(f, "t", key, HINT_COMMITTED);
    assert_true(fx_stream(f)); /* opened */
    fx_pump(f);
    assert_true(fx_stream(f)); /* the first piece */
    fx_pump(f);
}

static inline bool fx_passed(struct fx *f, const struct fx_peer *r)
{
    return primary_passed(f->p, r->replica, primary_tail(f->p));
}

static inline int64_t fx_lag(struct fx *f, const struct fx_peer *r)
{
    struct replica_status s;

    primary_status(f->p, r->replica, f->now_ms, &s);
    return s.lag_ms;
}

enum { FX_LIMIT_MS = 5000 };

static inline bool fx_keeps_up(struct fx *f, const struct fx_peer *r,
                               struct err *why)
{
    memset(why, 0, sizeof *why);
    return primary_keeps_up(f->p, r->replica, FX_LIMIT_MS, f->now_ms, why);
}

static inline void fx_says(const struct err *err, const char *text)
{
    if (strstr(err->msg, text) == NULL) {
        fail_msg("\"%s\" is not in: %s", text, err->msg);
    }
}

/* Let heartbeats pass, with the queue drained before each. */
static inline void fx_beat(struct fx *f, int times)
{
    for (int i = 0; i < times; i++) {
        fx_drained(f);
        fx_wait(f, 1000);
    }
}

static inline struct fx_peer *fx_real_equal(struct fx *f)
{
    struct fx_peer *r = fx_add(f, 0, true);

    fx_ready(f);
    fx_up(f, r);
    fx_beat(f, 5);
    assert_int_equal(fx_lag(f, r), 0);
    assert_true(fx_passed(f, r));
    return r;
}
