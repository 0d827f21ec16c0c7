/* SPDX-License-Identifier: MIT
 *
 * seen: see seen.h. */
#include "sync/index/seen.h"

#include <string.h>

static void add(uint8_t set[SEEN_TAG_BYTES], uint16_t tag)
{
    set[tag / 8] = (uint8_t)(set[tag / 8] | (1U << (tag % 8)));
}

static bool is_in(const uint8_t set[SEEN_TAG_BYTES], uint16_t tag)
{
    return ((set[tag / 8] >> (tag % 8)) & 1) != 0;
}

void seen_again(struct seen *s)
{
    memset(s->whole, 0, sizeof s->whole);
    memset(s->gone, 0, sizeof s->gone);
}

static void cover_below(struct seen *s, uint16_t top)
{
    s->some_covered = true;
    s->all_covered = s->all_covered || top == 0;
    add(s->tops, top);
}

void seen_dir_covered(struct seen *s, const struct index_key *k,
                      const char *path)
{
    cover_below(s, index_top_tag(k, path));
}

void seen_table(struct seen *s, const struct index_key *k, const char *table,
                size_t len, bool complete)
{
    uint16_t tag = index_table_tag(k, table, len);

    if (complete) {
        add(s->whole, tag);
        return;
    }
    add(s->covered, tag);
    cover_below(s, index_top_of(k, table, len));
}

bool seen_table_gone(struct seen *s, const struct index_entry *e)
{
    bool gone = !s->some_covered ||
                (!s->all_covered && e->table != 0 && !is_in(s->tops, e->table));

    add(gone ? s->gone : s->covered, index_tag_of(e->name));
    return gone;
}

bool seen_key_gone(const struct seen *s, const struct index_entry *e)
{
    if (!s->some_covered) {
        return true;
    }
    return !s->all_covered && e->table != 0 && !is_in(s->covered, e->table) &&
           (is_in(s->whole, e->table) || is_in(s->gone, e->table));
}
