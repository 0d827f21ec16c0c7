/* SPDX-License-Identifier: MIT
 *
 * dirids: see dirids.h. */
#include "agent/notes/dirids.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "agent/notes/note.h"
#include "store/base/buf.h"
#include "store/base/cleanup.h"
#include "store/base/clock.h"
#include "store/base/hex.h"

enum {
    FORMER_MAX = 256, /* lines of replicas that are not configured */
    COUNTS_MS = 60 * 1000,
    HEX_BYTES = 2 * WIRE_DIRID_BYTES + 1,
};

/* --- lines --------------------------------------------------------------- */

/* "HEX complete KEYS NAME"; the name is borrowed from the line. */
static bool read_line(const char *line, struct dirid *out, const char **name)
{
    char hex[HEX_BYTES], word[12];
    int at = 0;

    *out = (struct dirid){.keys = 0};
    if (sscanf(line, "%32[0-9a-f] %11[a-z] %" SCNu64 " %n", hex, word,
               &out->keys, &at) != 3 ||
        at == 0 || !hex_decode(out->id, sizeof out->id, hex, strlen(hex))) {
        return false;
    }
    out->complete = strcmp(word, "complete") == 0;
    *name = line + at;
    return **name != '\0';
}

static void put_line(struct buf *b, const struct dirid *id, const char *name)
{
    char hex[HEX_BYTES];

    if (dirid_known(id->id)) {
        buf_printf(b, "%s %s %" PRIu64 " %s\n",
                   hex_encode(hex, id->id, sizeof id->id),
                   id->complete ? "complete" : "begun", id->keys, name);
    }
}

/* --- the note ------------------------------------------------------------ */

static char *read_note(const struct dirids *s)
{
    return note_read(s->state_fd, DIRIDS_FILE, "replicas_not_known",
                     "an empty directory in a replica's place would be filled");
}

void dirids_recall(const struct dirids *s, const struct replica *r)
{
    CLEANUP(freep) char *text = read_note(s);
    struct dirid id;
    const char *name;
    char *at = text, *line;

    while ((line = note_line(&at)) != NULL) {
        if (read_line(line, &id, &name) && strcmp(name, r->name) == 0) {
            primary_recall(r->all->core, r->number, &id);
        }
    }
}

/* Is it one of a replica that is configured, by its name or by its id? */
static bool is_present(const struct dirids *s, const struct dirid *id,
                       const char *name)
{
    struct replica *r;

    DL_FOREACH(s->all->list, r) {
        if (strcmp(r->name, name) == 0 ||
            memcmp(primary_dirid(s->all->core, r->number)->id, id->id,
                   sizeof id->id) == 0) {
            return true;
        }
    }
    return false;
}

/* The lines of those that are not configured now stay. */
static void put_former(const struct dirids *s, struct buf *b)
{
    CLEANUP(freep) char *text = read_note(s);
    struct dirid id;
    const char *name;
    char *at = text, *line;
    size_t n = 0;

    while (n < FORMER_MAX && (line = note_line(&at)) != NULL) {
        if (!read_line(line, &id, &name) || is_present(s, &id, name)) {
            continue;
        }
        put_line(b, &id, name);
        n++;
    }
}

static uint64_t all_keys(const struct dirids *s)
{
    struct replica *r;
    uint64_t sum = 0;

    DL_FOREACH(s->all->list, r) {
        sum += primary_dirid(s->all->core, r->number)->keys;
    }
    return sum;
}

void dirids_note(struct dirids *s)
{
    CLEANUP(buf_deinit) struct buf b = BUF_NULL;
    struct replica *r;

    DL_FOREACH(s->all->list, r) {
        put_line(&b, primary_dirid(s->all->core, r->number), r->name);
    }
    put_former(s, &b);
    note_write(s->state_fd, DIRIDS_FILE, &b, "replicas_not_noted",
               "after a restart of the agent an empty directory in a replica's "
               "place would be filled");
    s->keys = all_keys(s);
    s->noted_ms = clock_mono_ms();
}

void dirids_counts(struct dirids *s, bool now)
{
    if ((now || clock_mono_ms() - s->noted_ms >= COUNTS_MS) &&
        all_keys(s) != s->keys) {
        dirids_note(s);
    }
}
