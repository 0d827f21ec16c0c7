/* SPDX-License-Identifier: MIT
 *
 * memstore: see memstore.h. */
#include "tests/support/memstore.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/base/map.h"
#include "store/layout/install.h"
#include "sync/errors/state.h"

enum { ZEROS_MAX_BYTES = 16 << 20 }; /* memory has no holes */

/* A value's bytes, shared by the visible and the durable version. */
struct mem_value {
    unsigned refs;
    uint64_t ino;
    int64_t ctime_ns;
    size_t len;
    bool durable; /* its bytes survive a power loss */
    uint8_t bytes[];
};

struct mem_entry {
    struct mem_entry *next, *prev;
    bool is_table;
    size_t table_len, key_len;
    struct mem_value *now, *safe; /* keys; NULL: absent */
    bool exists, exists_safe;     /* tables */
    unsigned locks;
    uint32_t pid;
    char comm[16];
    UT_hash_handle hh;
    char names[]; /* the hash key: 't' or 'k', table, NUL, key */
};

enum { NAMES_MAX = 1 + TABLE_MAX_BYTES + 1 + KEY_MAX_BYTES };

struct mem_stage {
    struct mem_stage *next, *prev;
    uint64_t number;
    bool ended;
    bool durable;
    struct buf value;
};

static void *must(void *p)
{
    if (p == NULL) {
        abort();
    }
    return p;
}

/* --- values and entries ------------------------------------------------------
 */

static void value_unref(struct mem_value *v)
{
    if (v != NULL && --v->refs == 0) {
        free(v);
    }
}

static struct mem_value *value_ref(struct mem_value *v)
{
    if (v != NULL) {
        v->refs++;
    }
    return v;
}

static struct mem_value *value_new(struct memstore *m, const void *p, size_t n,
                                   bool durable)
{
    struct mem_value *v = must(malloc(sizeof *v + n));

    *v = (struct mem_value){.refs = 1,
                            .ino = m->next_ino++,
                            .ctime_ns = m->clock_ns++,
                            .len = n,
                            .durable = durable};
    if (n > 0) {
        memcpy(v->bytes, p, n);
    }
    return v;
}

static struct bytes entry_table(const struct mem_entry *e)
{
    return bytes_of(e->names + 1, e->table_len);
}

static struct bytes entry_key(const struct mem_entry *e)
{
    return e->is_table ? bytes_of(NULL, 0)
                       : bytes_of(e->names + 2 + e->table_len, e->key_len);
}

static int compare_bytes(struct bytes a, struct bytes b)
{
    size_t n = a.len < b.len ? a.len : b.len;
    int c = n > 0 ? memcmp(a.p, b.p, n) : 0;

    return c != 0 ? c : (a.len > b.len) - (a.len < b.len);
}

/* Order: table, then the table's own entry, then keys. */
static int compare_entry(const struct mem_entry *e, struct bytes table,
                         bool is_table, struct bytes key)
{
    int c = compare_bytes(entry_table(e), table);

    if (c != 0) {
        return c;
    }
    if (e->is_table != is_table) {
        return e->is_table ? -1 : 1;
    }
    return is_table ? 0 : compare_bytes(entry_key(e), key);
}

/* The hash key of a name; its length. */
static size_t put_names(char out[NAMES_MAX], struct bytes table, bool is_table,
                        struct bytes key)
{
    assert(table.len <= TABLE_MAX_BYTES && key.len <= KEY_MAX_BYTES);
    out[0] = is_table ? 't' : 'k';
    if (table.len > 0) {
        memcpy(out + 1, table.p, table.len);
    }
    out[1 + table.len] = '\0';
    if (key.len > 0) {
        memcpy(out + 2 + table.len, key.p, key.len);
    }
    return 2 + table.len + key.len;
}

static struct mem_entry *find(const struct memstore *m, struct bytes table,
                              bool is_table, struct bytes key)
{
    char names[NAMES_MAX];
    size_t n = put_names(names, table, is_table, key);
    struct mem_entry *e;

    HASH_FIND(hh, m->by_name, names, n, e);
    return e;
}

static struct mem_entry *find_or_add(struct memstore *m, struct bytes table,
                                     bool is_table, struct bytes key)
{
    struct mem_entry *e = find(m, table, is_table, key);
    struct mem_entry *at;
    char names[NAMES_MAX];

    if (e != NULL) {
        return e;
    }
    size_t n = put_names(names, table, is_table, key);
    e = must(calloc(1, sizeof *e + n));
    e->is_table = is_table;
    e->table_len = table.len;
    e->key_len = key.len;
    memcpy(e->names, names, n);
    HASH_ADD_KEYPTR(hh, m->by_name, e->names, n, e);
    if (!map_added(e)) {
        abort();
    }
    DL_FOREACH(m->entries, at) {
        if (compare_entry(at, table, is_table, key) > 0) {
            break;
        }
    }
    if (at != NULL) {
        DL_PREPEND_ELEM(m->entries, at, e);
    } else {
        DL_APPEND(m->entries, e);
    }
    return e;
}

static struct bytes text(const char *s)
{
    return bytes_of(s, strlen(s));
}

static struct vstat stat_of(const struct mem_value *v)
{
    return (struct vstat){
        .ino = v->ino, .ctime_ns = v->ctime_ns, .size = v->len};
}

static void put_visible(struct mem_entry *e, struct mem_value *v)
{
    value_unref(e->now);
    e->now = v;
}

static void make_table(struct memstore *m, struct bytes table)
{
    find_or_add(m, table, true, bytes_of(NULL, 0))->exists = true;
}

/* --- faults and trace ---------------------------------------------------- */

void memstore_fail(struct memstore *m, enum memop op, unsigned after,
                   unsigned times, int code, int sys)
{
    m->fault[op].after = after;
    m->fault[op].times = times;
    m->fault[op].code = code;
    m->fault[op].sys = sys;
}

/* Count the call; 0, or the injected failure. */
static int enter(struct memstore *m, enum memop op, struct err *err)
{
    m->calls[op]++;
    if (m->fault[op].times == 0) {
        return 0;
    }
    if (m->fault[op].after > 0) {
        m->fault[op].after--;
        return 0;
    }
    m->fault[op].times--;
    err_set(err, m->fault[op].code, m->fault[op].sys, "injected fault");
    err->id = m->fault[op].id;
    return err->code;
}

__attribute__((format(printf, 2, 3))) static void trace(struct memstore *m,
                                                        const char *fmt, ...)
{
    char line[512];
    va_list ap;

    if (!m->tracing) {
        return;
    }
    va_start(ap, fmt);
    (void)vsnprintf(line, sizeof line, fmt, ap);
    va_end(ap);
    buf_printf(&m->trace, "%s\n", line);
}

/* --- stages -------------------------------------------------------------- */

static struct mem_stage *find_stage(struct memstore *m, uint64_t number)
{
    struct mem_stage *s;

    DL_FOREACH(m->stages, s) {
        if (s->number == number) {
            return s;
        }
    }
    return NULL;
}

static void free_stage(struct memstore *m, struct mem_stage *s)
{
    DL_DELETE(m->stages, s);
    buf_deinit(&s->value);
    free(s);
}

static int op_stage_begin(void *ctx, uint64_t stage, struct bytes table,
                          uint64_t size_hint, struct err *err)
{
    struct memstore *m = ctx;

    (void)table;
    (void)size_hint;
    assert(find_stage(m, stage) == NULL);
    int rc = enter(m, MEMOP_STAGE_BEGIN, err);
    if (rc == 0) {
        struct mem_stage *s = must(calloc(1, sizeof *s));
        s->number = stage;
        DL_APPEND(m->stages, s);
    }
    return rc;
}

static int op_stage_write(void *ctx, uint64_t stage, const void *p, size_t n,
                          struct err *err)
{
    struct memstore *m = ctx;
    struct mem_stage *s = find_stage(m, stage);

    assert(s != NULL && !s->ended && n > 0);
    int rc = enter(m, MEMOP_STAGE_WRITE, err);
    if (rc == 0) {
        buf_put(&s->value, p, n);
    }
    return rc;
}

static int op_stage_zeros(void *ctx, uint64_t stage, uint64_t n,
                          struct err *err)
{
    struct memstore *m = ctx;
    struct mem_stage *s = find_stage(m, stage);

    assert(s != NULL && !s->ended && n > 0);
    int rc = enter(m, MEMOP_STAGE_WRITE, err);
    if (rc == 0 && n > ZEROS_MAX_BYTES - s->value.len) {
        rc = err_set(err, ERR_NOSPACE, ENOSPC, "this memory knows no holes");
    }
    if (rc == 0 && buf_reserve(&s->value, (size_t)n)) {
        memset(s->value.data + s->value.len, 0, (size_t)n);
        s->value.len += (size_t)n;
    }
    return rc;
}

static int op_stage_end(void *ctx, uint64_t stage, struct err *err)
{
    struct memstore *m = ctx;
    struct mem_stage *s = find_stage(m, stage);

    assert(s != NULL && !s->ended);
    int rc = enter(m, MEMOP_STAGE_END, err);
    s->ended = rc == 0;
    return rc;
}

static void op_stage_drop(void *ctx, uint64_t stage)
{
    struct memstore *m = ctx;
    struct mem_stage *s = find_stage(m, stage);

    m->calls[MEMOP_STAGE_DROP]++;
    assert(s != NULL);
    free_stage(m, s);
}

static int op_stage_sync(void *ctx, const uint64_t *stages, size_t n,
                         struct err *err)
{
    struct memstore *m = ctx;

    int rc = enter(m, MEMOP_STAGE_SYNC, err);
    trace(m, "stage_sync %zu%s", n, rc == 0 ? "" : " fails");
    for (size_t i = 0; i < n; i++) {
        struct mem_stage *s = find_stage(m, stages[i]);
        assert(s != NULL && s->ended);
        if (rc == 0) {
            s->durable = true;
        } else {
            free_stage(m, s);
        }
    }
    return rc;
}

/* --- keys and tables ----------------------------------------------------- */

static bool is_locked(const struct mem_entry *e, bool force, uint32_t *pid_out,
                      char comm[16])
{
    if (e == NULL || e->locks == 0 || force) {
        return false;
    }
    *pid_out = e->pid;

    memcpy(comm, e->comm, sizeof e->comm);
    return true;
}

/* Before the visible value of `e` is replaced or removed. */
static void note_undone(struct memstore *m, const struct mem_entry *e)
{
    if (m->keeping && e->now != NULL && stat_of(e->now).ino < m->keep_ino) {
        m->undone++;
    }
}

static int op_install(void *ctx, uint64_t stage, struct bytes table,
                      struct bytes key, unsigned how, struct vstat *stat_out,
                      uint32_t *pid_out, char comm[16], struct err *err)
{
    struct memstore *m = ctx;
    bool force = (how & INSTALL_FORCE) != 0;
    struct mem_stage *s = find_stage(m, stage);

    assert(s != NULL && s->ended);
    int rc = enter(m, MEMOP_INSTALL, err);
    if (rc != 0) {
        return rc;
    }
    struct mem_entry *e = find_or_add(m, table, false, key);
    if (e->now != NULL && is_locked(e, force, pid_out, comm)) {
        return INSTALL_BUSY;
    }
    trace(m, "install %.*s/%.*s", (int)table.len, (const char *)table.p,
          (int)key.len, (const char *)key.p);
    make_table(m, table);
    note_undone(m, e);
    put_visible(e, value_new(m, s->value.data, s->value.len, s->durable));
    *stat_out = stat_of(e->now);
    free_stage(m, s);
    return INSTALL_DONE;
}

static int op_remove(void *ctx, struct bytes table, struct bytes key,
                     bool force, uint32_t *pid_out, char comm[16],
                     struct err *err)
{
    struct memstore *m = ctx;

    int rc = enter(m, MEMOP_REMOVE, err);
    if (rc != 0) {
        return rc;
    }
    struct mem_entry *e = find(m, table, false, key);
    if (e == NULL || e->now == NULL) {
        return INSTALL_ABSENT;
    }
    if (is_locked(e, force, pid_out, comm)) {
        return INSTALL_BUSY;
    }
    trace(m, "remove %.*s/%.*s", (int)table.len, (const char *)table.p,
          (int)key.len, (const char *)key.p);
    note_undone(m, e);
    put_visible(e, NULL);
    return INSTALL_DONE;
}

static int op_table_make(void *ctx, struct bytes table, struct err *err)
{
    struct memstore *m = ctx;

    int rc = enter(m, MEMOP_TABLE_MAKE, err);
    if (rc == 0) {
        trace(m, "table_make %.*s", (int)table.len, (const char *)table.p);
        make_table(m, table);
    }
    return rc;
}

static int op_table_drop(void *ctx, struct bytes table, bool force,
                         char *key_out, size_t *key_len, uint32_t *pid_out,
                         char comm[16], struct err *err)
{
    struct memstore *m = ctx;
    struct mem_entry *e;

    int rc = enter(m, MEMOP_TABLE_DROP, err);
    if (rc != 0) {
        return rc;
    }
    DL_FOREACH(m->entries, e) {
        if (e->is_table || e->now == NULL ||
            compare_bytes(entry_table(e), table) != 0) {
            continue;
        }
        if (is_locked(e, force, pid_out, comm)) {
            return TABLE_DROP_BUSY;
        }
        note_undone(m, e);
        put_visible(e, NULL);
        memcpy(key_out, entry_key(e).p, e->key_len);
        *key_len = e->key_len;
        return TABLE_DROP_MORE;
    }
    trace(m, "table_drop %.*s", (int)table.len, (const char *)table.p);
    e = find(m, table, true, bytes_of(NULL, 0));
    if (e != NULL) {
        e->exists = false;
    }
    return TABLE_DROP_DONE;
}

static int op_dirs_sync(void *ctx, struct err *err)
{
    struct memstore *m = ctx;
    struct mem_entry *e;

    int rc = enter(m, MEMOP_DIRS_SYNC, err);
    trace(m, "dirs_sync%s", rc == 0 ? "" : " fails");
    if (rc != 0) {
        return rc;
    }
    DL_FOREACH(m->entries, e) {
        e->exists_safe = e->exists;
        value_unref(e->safe);
        e->safe = value_ref(e->now);
    }
    return 0;
}

static int op_sync_both(void *ctx, const uint64_t *stages, size_t n,
                        struct err *err, struct err *dirs_err)
{
    (void)op_dirs_sync(ctx, dirs_err);
    return op_stage_sync(ctx, stages, n, err);
}

static int op_sync_all(void *ctx, struct err *err)
{
    struct memstore *m = ctx;
    struct mem_entry *e;

    int rc = enter(m, MEMOP_SYNC_ALL, err);
    trace(m, "sync_all%s", rc == 0 ? "" : " fails");
    if (rc != 0) {
        return rc;
    }
    DL_FOREACH(m->entries, e) {
        e->exists_safe = e->exists;
        value_unref(e->safe);
        e->safe = value_ref(e->now);
        if (e->now != NULL) {
            e->now->durable = true;
        }
    }
    return 0;
}

static int op_stat(void *ctx, struct bytes table, struct bytes key,
                   struct vstat *stat_out, struct err *err)
{
    struct memstore *m = ctx;

    int rc = enter(m, MEMOP_STAT, err);
    if (rc != 0) {
        return rc;
    }
    struct mem_entry *e = find(m, table, false, key);
    if (e == NULL || e->now == NULL) {
        return err_set(err, ERR_NOTFOUND, 0, "no such key");
    }
    *stat_out = stat_of(e->now);
    return 0;
}

/* --- the rest of the table ----------------------------------------------- */

static int op_freshness(void *ctx, int64_t fresh_ns, uint64_t seq,
                        uint8_t state, struct err *err)
{
    struct memstore *m = ctx;

    int rc = enter(m, MEMOP_FRESHNESS, err);
    if (rc == 0) {
        m->fresh_ns = fresh_ns > 0 ? fresh_ns : m->fresh_ns;
        m->fresh_seq = fresh_ns > 0 ? seq : m->fresh_seq;
        m->fresh_state = state;
    }
    return rc;
}

static int op_keep_undone(void *ctx, bool on, struct err *err)
{
    struct memstore *m = ctx;

    (void)err;
    m->keeping = on;
    m->keep_ino = m->next_ino;
    return 0;
}

static int refuse(struct err *err, int id, const char *why)
{
    err_set(err, ERR_REFUSED, 0, "%s", why);
    err->id = id;
    return err->code;
}

static int op_identify(void *ctx, const struct wire_hello *hello,
                       struct wire_hello_ok *ok_out, struct err *err)
{
    struct memstore *m = ctx;

    int rc = enter(m, MEMOP_IDENTIFY, err);
    if (rc != 0) {
        return rc;
    }
    if (m->is_primary) {
        return refuse(err, DR_IS_PRIMARY, "this directory is a primary");
    }
    if (m->has_id && !m->lawless) {
        rc = term_check(&m->term, hello, err);
        if (rc != 0) {
            return rc;
        }
    }
    /* A new session: the last one's requests are nobody's. */
    m->scan_wanted = m->names_wanted = false;
    free(m->names);
    m->names = NULL;
    ok_out->was_empty = !m->has_id;
    m->has_id = true;
    if (term_follow(&m->term, hello) == TERM_NEW) {
        m->fresh_ns = 0; /* as the real one removes its freshness file */
    }
    m->hello = *hello;
    m->hello.replica = m->hello.version = bytes_of(NULL, 0);
    ok_out->epoch = m->term.epoch;
    ok_out->host = text("memory");
    return 0;
}

static void op_scan_start(void *ctx, uint64_t id, unsigned how)
{
    struct memstore *m = ctx;

    assert(!m->scan_wanted); /* the core runs one at a time */
    trace(m, "scan_start %" PRIu64 "%s", id,
          (how & WIRE_SCAN_CONTENT) != 0 ? " content" : "");
    m->scan_wanted = true;
    m->scan_stopped = false;
    m->scan_id = id;
    m->scan_how = how;
}

static void op_names_start(void *ctx, uint64_t id, struct digest *names,
                           size_t n)
{
    struct memstore *m = ctx;

    assert(!m->names_wanted);
    trace(m, "names_start %" PRIu64 " %zu", id, n);
    m->names_wanted = true;
    m->names_stopped = false;
    m->names_id = id;
    m->names = names;
    m->names_count = n;
}

/* The test answers them all the same, when it likes. */
static void op_scan_stop(void *ctx, uint64_t id)
{
    struct memstore *m = ctx;

    trace(m, "scan_stop %" PRIu64, id);
    m->scan_stopped = m->scan_wanted && m->scan_id == id;
}

static void op_names_stop(void *ctx, uint64_t id)
{
    struct memstore *m = ctx;

    trace(m, "names_stop %" PRIu64, id);
    m->names_stopped = m->names_wanted && m->names_id == id;
}

static int op_send(void *ctx, const void *p, size_t n, struct err *err)
{
    struct memstore *m = ctx;

    int rc = enter(m, MEMOP_SEND, err);
    trace(m, "send");
    if (rc != 0) {
        return rc;
    }
    if (m->send != NULL) {
        return m->send(m->send_arg, p, n, err);
    }
    buf_put(&m->sent, p, n);
    return 0;
}

const struct receiver_ops memstore_ops = {
    .stage_begin = op_stage_begin,
    .stage_write = op_stage_write,
    .stage_zeros = op_stage_zeros,
    .stage_end = op_stage_end,
    .stage_drop = op_stage_drop,
    .stage_sync = op_stage_sync,
    .install = op_install,
    .remove = op_remove,
    .table_make = op_table_make,
    .table_drop = op_table_drop,
    .dirs_sync = op_dirs_sync,
    .sync_both = op_sync_both,
    .sync_all = op_sync_all,
    .stat = op_stat,
    .freshness = op_freshness,
    .keep_undone = op_keep_undone,
    .identify = op_identify,
    .scan_start = op_scan_start,
    .names_start = op_names_start,
    .scan_stop = op_scan_stop,
    .names_stop = op_names_stop,
    .send = op_send,
};

/* --- for tests ----------------------------------------------------------- */

struct memstore *memstore_new(void)
{
    struct memstore *m = must(calloc(1, sizeof *m));

    m->next_ino = 100;
    m->clock_ns = INT64_C(1700000000000000000);
    make_table(m, text(""));
    m->entries->exists_safe = true;
    return m;
}

static void free_entry(struct memstore *m, struct mem_entry *e)
{
    HASH_DELETE(hh, m->by_name, e);
    DL_DELETE(m->entries, e);
    value_unref(e->now);
    value_unref(e->safe);
    free(e);
}

void memstore_free(struct memstore *m)
{
    while (m->entries != NULL) {
        free_entry(m, m->entries);
    }
    while (m->stages != NULL) {
        free_stage(m, m->stages);
    }
    buf_deinit(&m->trace);
    buf_deinit(&m->sent);
    free(m->names);
    free(m);
}

void memstore_edit(struct memstore *m, const char *table, const char *key,
                   const void *value, size_t len)
{
    struct mem_entry *e = find_or_add(m, text(table), false, text(key));
    struct mem_entry *t = find_or_add(m, text(table), true, bytes_of(NULL, 0));

    t->exists = t->exists_safe = true;
    put_visible(e, value_new(m, value, len, true));
    value_unref(e->safe);
    e->safe = value_ref(e->now);
}

void memstore_erase(struct memstore *m, const char *table, const char *key)
{
    struct mem_entry *e = find_or_add(m, text(table), false, text(key));

    put_visible(e, NULL);
    value_unref(e->safe);
    e->safe = NULL;
}

void memstore_lock(struct memstore *m, const char *table, const char *key,
                   uint32_t pid, const char *comm)
{
    struct mem_entry *e = find_or_add(m, text(table), false, text(key));

    e->locks++;
    e->pid = pid;
    (void)snprintf(e->comm, sizeof e->comm, "%s", comm);
}

void memstore_unlock(struct memstore *m, const char *table, const char *key)
{
    struct mem_entry *e = find(m, text(table), false, text(key));

    assert(e != NULL && e->locks > 0);
    e->locks--;
}

static bool get_value(const struct mem_value *v, struct bytes *value_out)
{
    if (v == NULL) {
        return false;
    }
    *value_out = bytes_of(v->bytes, v->len);

    return true;
}

bool memstore_get(const struct memstore *m, const char *table, const char *key,
                  struct bytes *value_out)
{
    const struct mem_entry *e = find(m, text(table), false, text(key));

    return e != NULL && get_value(e->now, value_out);
}

bool memstore_get_durable(const struct memstore *m, const char *table,
                          const char *key, struct bytes *value_out)
{
    const struct mem_entry *e = find(m, text(table), false, text(key));

    if (e == NULL || !get_value(e->safe, value_out)) {
        return false;
    }
    if (!e->safe->durable) {
        value_out->len = 0;
    }
    return true;
}

bool memstore_has_table(const struct memstore *m, const char *table)
{
    const struct mem_entry *e = find(m, text(table), true, bytes_of(NULL, 0));

    return e != NULL && e->exists;
}

bool memstore_has_table_durable(const struct memstore *m, const char *table)
{
    const struct mem_entry *e = find(m, text(table), true, bytes_of(NULL, 0));

    return e != NULL && e->exists_safe;
}

size_t memstore_keys(const struct memstore *m)
{
    const struct mem_entry *e;
    size_t n = 0;

    DL_FOREACH(m->entries, e) {
        n += e->now != NULL;
    }
    return n;
}

size_t memstore_stages(const struct memstore *m)
{
    const struct mem_stage *s;
    size_t n = 0;

    DL_COUNT(m->stages, s, n);
    return n;
}

void memstore_each(const struct memstore *m, memstore_each_fn fn, void *arg)
{
    const struct mem_entry *e;

    DL_FOREACH(m->entries, e) {
        if (e->is_table && e->exists) {
            fn(arg, entry_table(e), bytes_of(NULL, 0), bytes_of(NULL, 0),
               (struct vstat){0, 0, 0});
        } else if (e->now != NULL) {
            fn(arg, entry_table(e), entry_key(e),
               bytes_of(e->now->bytes, e->now->len), stat_of(e->now));
        }
    }
}

static uint64_t draw(uint64_t *state)
{
    *state =
        *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return *state >> 33;
}

/* What of an entry is found after the power loss. */
static void crash_entry(struct memstore *m, struct mem_entry *e, bool survives)
{
    e->locks = 0;
    if (survives && e->now != NULL && !e->now->durable) {
        /* The name is there, the bytes are not. */
        put_visible(e, value_new(m, NULL, 0, true));
    }
    if (survives) {
        e->exists_safe = e->exists;
        value_unref(e->safe);
        e->safe = value_ref(e->now);
        return;
    }
    e->exists = e->exists_safe;
    put_visible(e, value_ref(e->safe));
    if (e->now != NULL && !e->now->durable) {
        struct mem_value *empty = value_new(m, NULL, 0, true);
        value_unref(e->safe);
        e->safe = value_ref(empty);
        put_visible(e, empty);
    }
}

void memstore_crash(struct memstore *m, uint64_t rnd)
{
    struct mem_entry *e;

    while (m->stages != NULL) {
        free_stage(m, m->stages);
    }
    DL_FOREACH(m->entries, e) {
        bool survives = rnd != 0 && (draw(&rnd) & 1) != 0;
        crash_entry(m, e, survives);
    }
    /* A key needs its table. */
    DL_FOREACH(m->entries, e) {
        if (e->now != NULL) {
            struct mem_entry *t =
                find_or_add(m, entry_table(e), true, bytes_of(NULL, 0));
            t->exists = t->exists_safe = true;
        }
    }
    m->scan_wanted = false;
    m->names_wanted = false;
    free(m->names);
    m->names = NULL;
}

static struct digest name_of(const struct index_key *k, struct bytes table,
                             struct bytes key)
{
    return key.p == NULL
               ? index_name_table(k, table.p, table.len)
               : index_name_key(k, table.p, table.len, key.p, key.len);
}

static void scan_one(void *arg, struct bytes table, struct bytes key,
                     struct bytes value, struct vstat stat)
{
    struct index *ix = arg;
    struct index_entry e = {.stat = stat};
    struct err err;

    e.is_table = key.p == NULL;
    e.name = name_of(index_key(ix), table, key);
    if (!e.is_table) {
        e.digest = digest_of(value.p, value.len);
    }
    if (index_put(ix, &e, &err) != 0) {
        abort();
    }
}

static bool forget_all(void *arg, const struct index_entry *e)
{
    (void)arg;
    (void)e;
    return true;
}

void memstore_scan(struct memstore *m, struct index *ix)
{
    /* Everything is unseen: number 1 was never given to an entry. */
    index_sweep(ix, 1, forget_all, NULL);
    memstore_each(m, scan_one, ix);
}

/* What a scan that only looks finds. */
struct looker {
    struct index *ix, *disk;
    struct view *view;
};

static bool look_here(void *arg, const struct index_entry *e)
{
    struct looker *l = arg;
    struct index_entry was;
    struct err err;
    bool had = index_get(l->ix, e->name, &was);

    if (!(had && was.is_table == e->is_table &&
          digest_equal(was.digest, e->digest)) &&
        view_add(l->view, had ? &was : NULL, e, &err) != 0) {
        abort();
    }
    return false;
}

static bool look_gone(void *arg, const struct index_entry *e)
{
    struct looker *l = arg;
    struct index_entry now;
    struct err err;

    if (!index_get(l->disk, e->name, &now) &&
        view_add(l->view, e, NULL, &err) != 0) {
        abort();
    }
    return false;
}

static struct view *look_at_all(struct memstore *m, struct index *ix)
{
    struct looker l = {ix, index_new(), view_new()};

    if (l.disk == NULL || l.view == NULL) {
        abort();
    }
    index_set_key(l.disk, index_key(ix));
    memstore_each(m, scan_one, l.disk);
    index_sweep(l.disk, 1, look_here, &l);
    index_sweep(ix, 1, look_gone, &l);
    index_free(l.disk);
    view_close(l.view);
    return l.view;
}

int memstore_scan_answer(struct memstore *m, struct receiver *r,
                         struct index *ix, struct err *err)
{
    struct wire_ready result = {.reread = memstore_keys(m)};

    assert(m->scan_wanted);
    m->scan_wanted = false;
    if (m->scan_stopped) {
        result = (struct wire_ready){.errors = 1};
        return (m->scan_how & WIRE_SCAN_VIEW) != 0
                   ? receiver_viewed(r, m->scan_id, &result, NULL, err)
                   : receiver_scanned(r, m->scan_id, &result, err);
    }
    if ((m->scan_how & WIRE_SCAN_VIEW) != 0) {
        return receiver_viewed(r, m->scan_id, &result, look_at_all(m, ix), err);
    }
    memstore_scan(m, ix);
    return receiver_scanned(r, m->scan_id, &result, err);
}

/* The names found so far, copied: sending may change the store. */
struct finder {
    struct memstore *m;
    struct index_key key;
    struct wire_name *found;
    size_t count;
};

static void find_one(void *arg, struct bytes table, struct bytes key,
                     struct bytes value, struct vstat stat)
{
    struct finder *f = arg;
    struct digest name = name_of(&f->key, table, key);

    (void)value;
    (void)stat;
    for (size_t i = 0; i < f->m->names_count; i++) {
        if (digest_equal(f->m->names[i], name)) {
            struct wire_name *n = &f->found[f->count++];
            n->name = name;
            n->is_table = key.p == NULL;
            n->table = table;
            n->key = key;
            return;
        }
    }
}

int memstore_names_answer(struct memstore *m, struct receiver *r, size_t batch,
                          struct err *err)
{
    struct finder f = {.m = m};
    uint64_t id = m->names_id;
    int rc = 0;

    assert(m->names_wanted && batch > 0);
    memcpy(&f.key, m->hello.key, sizeof f.key);
    f.found = must(calloc(m->names_count + 1, sizeof *f.found));
    if (!m->names_hidden && !m->names_stopped) {
        memstore_each(m, find_one, &f);
    }
    free(m->names);
    m->names = NULL;
    m->names_wanted = false;
    size_t at = 0;
    do {
        size_t n = f.count - at < batch ? f.count - at : batch;
        bool last = at + n == f.count;
        rc = receiver_named(r, id, f.found + at, n, last, err);
        at += n;
    } while (rc == 0 && at < f.count);
    free(f.found);
    return rc;
}
