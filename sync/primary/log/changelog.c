/* SPDX-License-Identifier: MIT
 *
 * changelog: see changelog.h for the rules.
 *
 * Invariants, asserted where they are cheap:
 *   - a replica's bit is in at most one node of a record;
 *   - no node before cursor[r] has bit r;
 *   - a node's mask is never 0;
 *   - sequences grow along the list. */
#include "sync/primary/log/changelog.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

static uint64_t bit(int replica)
{
    assert(replica >= 0 && replica < LOG_REPLICAS_MAX);
    return UINT64_C(1) << replica;
}

void changelog_init(struct changelog *log, const struct index *ix)
{
    memset(log, 0, sizeof *log);
    log->ix = ix;
}

void changelog_know(struct changelog *log, struct record *rec,
                    enum content_kind content)
{
    if (rec->content.kind == CONTENT_UNKNOWN && content != CONTENT_UNKNOWN) {
        DL_APPEND2(log->known, rec, known_prev, known_next);
    } else if (rec->content.kind != CONTENT_UNKNOWN &&
               content == CONTENT_UNKNOWN) {
        DL_DELETE2(log->known, rec, known_prev, known_next);
        log->body_bytes -= rec->content.body_len;
        free(rec->content.body);
        rec->content.body = NULL;
        rec->content.body_len = 0;
    }
    rec->content.kind = (uint8_t)content;
}

static void free_record(struct changelog *log, struct record *rec)
{
    assert(rec->flights == NULL && rec->nodes == NULL &&
           rec->read.changed == 0);
    changelog_know(log, rec, CONTENT_UNKNOWN);
    HASH_DEL(log->records, rec);
    log->unreadable -= rec->read.unreadable != 0 ? 1 : 0;
    log->tables -= rec->is_table ? 1 : 0;
    free(rec);
}

/* About what malloc() and the hash table take beside each. */
enum { NODE_BESIDE = 16, RECORD_BESIDE = 16 + 2 * sizeof(void *) };

/* What its places, as long as there is one, keep of a record. */
static size_t record_bytes(const struct record *rec)
{
    return sizeof *rec + rec->table_len + rec->key_len + RECORD_BESIDE;
}

/* Unlink a node whose mask became empty; cursors that stood on it go on. */
static void free_node(struct changelog *log, struct log_node *node)
{
    struct log_node **at = &node->rec->nodes;

    while (*at != node) {
        at = &(*at)->rec_next;
    }
    *at = node->rec_next;
    log->bytes -= sizeof *node + NODE_BESIDE;
    log->bytes -= node->rec->nodes == NULL ? record_bytes(node->rec) : 0;
    for (int r = 0; r < LOG_REPLICAS_MAX; r++) {
        if (log->cursor[r] == node) {
            log->cursor[r] = node->next;
        }
    }
    if (node->prev != NULL) {
        node->prev->next = node->next;
    } else {
        log->head = node->next;
    }
    if (node->next != NULL) {
        node->next->prev = node->prev;
    } else {
        log->tail = node->prev;
    }
    log->nodes--;
    free(node);
}

void changelog_deinit(struct changelog *log)
{
    struct record *rec, *tmp;

    while (log->head != NULL) {
        free_node(log, log->head);
    }
    HASH_ITER(hh, log->records, rec, tmp) {
        rec->nodes = NULL;
        free_record(log, rec);
    }
}

int changelog_join(struct changelog *log)
{
    for (int r = 0; r < LOG_REPLICAS_MAX; r++) {
        if ((log->members & bit(r)) == 0) {
            log->members |= bit(r);
            log->cursor[r] = NULL;
            log->pending[r] = 0;
            return r;
        }
    }
    return -1;
}

/* Clear the replica's bit in one node. */
static void clear_bit(struct changelog *log, struct log_node *node, int replica)
{
    struct record *rec = node->rec;

    assert(node->mask & bit(replica));
    node->mask &= ~bit(replica);
    rec->pending &= ~bit(replica);
    log->pending[replica]--;
    if (node->mask == 0) {
        free_node(log, node);
    }
}

void changelog_forget(struct changelog *log, int replica)
{
    struct log_node *node = log->cursor[replica];

    while (node != NULL) {
        struct log_node *next = node->next;
        if (node->mask & bit(replica)) {
            struct record *rec = node->rec;
            clear_bit(log, node, replica);
            changelog_release(log, rec);
        }
        node = next;
    }
    assert(log->pending[replica] == 0);
    log->cursor[replica] = NULL;
}

void changelog_unsubscribe(struct changelog *log, int replica)
{
    changelog_forget(log, replica);
    log->members &= ~bit(replica);
}

struct record *changelog_find(struct changelog *log, struct digest name)
{
    struct record *rec = NULL;

    HASH_FIND(hh, log->records, &name, sizeof name, rec);
    return rec;
}

struct record *changelog_record(struct changelog *log, bool is_table,
                                const void *table, size_t table_len,
                                const void *key, size_t key_len)
{
    const struct index_key *k = index_key(log->ix);
    struct digest name =
        is_table ? index_name_table(k, table, table_len)
                 : index_name_key(k, table, table_len, key, key_len);
    struct record *rec = changelog_find(log, name);

    if (rec != NULL) {
        return rec;
    }
    rec = calloc(1, sizeof *rec + table_len + key_len);
    if (rec == NULL) {
        return NULL;
    }
    rec->name = name;
    rec->is_table = is_table;
    rec->table_len = (uint16_t)table_len;
    rec->key_len = (uint16_t)key_len;
    if (table_len > 0) {
        memcpy(rec->names, table, table_len);
    }
    if (key_len > 0) {
        memcpy(rec->names + table_len, key, key_len);
    }
    HASH_ADD(hh, log->records, name, sizeof rec->name, rec);
    if (!map_added(rec)) {
        free(rec);
        return NULL;
    }
    log->tables += is_table ? 1 : 0;
    return rec;
}

bool changelog_add(struct changelog *log, struct record *rec, uint64_t mask,
                   int64_t now_ms, int64_t now_us)
{
    uint64_t need = mask & log->members & ~rec->pending & ~rec->waiting;

    if (need == 0) {
        return true;
    }
    struct log_node *node = calloc(1, sizeof *node);
    if (node == NULL) {
        return false;
    }
    node->rec = rec;
    node->seq = ++log->tail_seq;
    node->mask = need;
    node->time_ms = now_ms;
    node->time_us = now_us;
    node->prev = log->tail;
    if (log->tail != NULL) {
        log->tail->next = node;
    } else {
        log->head = node;
    }
    log->tail = node;
    log->nodes++;
    log->bytes += sizeof *node + NODE_BESIDE;
    log->bytes += rec->nodes == NULL ? record_bytes(rec) : 0;
    node->rec_next = rec->nodes;
    rec->nodes = node;
    rec->pending |= need;
    for (int r = 0; r < LOG_REPLICAS_MAX; r++) {
        if (need & bit(r)) {
            log->pending[r]++;
            if (log->cursor[r] == NULL) {
                log->cursor[r] = node;
            }
        }
    }
    return true;
}

struct log_node *changelog_next(struct changelog *log, int replica)
{
    struct log_node *node = log->cursor[replica];

    while (node != NULL && (node->mask & bit(replica)) == 0) {
        node = node->next;
    }
    log->cursor[replica] = node;
    return node;
}

bool changelog_take(struct changelog *log, int replica, struct taken *out)
{
    struct log_node *node = changelog_next(log, replica);

    if (node == NULL) {
        return false;
    }
    *out = (struct taken){.rec = node->rec,
                          .seq = node->seq,
                          .time_ms = node->time_ms,
                          .time_us = node->time_us};
    log->cursor[replica] = node->next;
    clear_bit(log, node, replica);
    return true;
}

void changelog_release(struct changelog *log, struct record *rec)
{
    if (rec->nodes == NULL && rec->flights == NULL && rec->read.id == 0 &&
        !rec->read.queued && !rec->read.retrying) {
        free_record(log, rec);
    }
}

int changelog_slowest(struct changelog *log, uint64_t mask)
{
    int slowest = -1;
    uint64_t seq = UINT64_MAX;

    for (int r = 0; r < LOG_REPLICAS_MAX; r++) {
        if ((mask & log->members & bit(r)) == 0) {
            continue;
        }
        const struct log_node *node = changelog_next(log, r);
        if (node != NULL && node->seq < seq) {
            seq = node->seq;
            slowest = r;
        }
    }
    return slowest;
}
