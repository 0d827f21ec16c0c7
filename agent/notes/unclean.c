/* SPDX-License-Identifier: MIT
 *
 * unclean: see unclean.h.
 *
 * The file: "boot HEX mount N", or "stopped" where replicas stay suspect after
 * an orderly stop; then a line "suspect NAME" for each of these.
 */
#include "agent/notes/unclean.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <utlist.h>

#include "agent/base/log.h"
#include "agent/base/object.h"
#include "agent/notes/note.h"
#include "store/base/buf.h"
#include "store/base/cleanup.h"
#include "store/base/hex.h"

enum { HEX_BYTES = 2 * BOOT_ID_BYTES + 1 };

static void write_note(const struct unclean *u, bool running)
{
    CLEANUP(buf_deinit) struct buf b = BUF_NULL;
    char hex[HEX_BYTES];
    struct replica *r;

    if (running) {
        buf_printf(&b, "boot %s mount %" PRIu64 "\n",
                   hex_encode(hex, u->boot.id, BOOT_ID_BYTES), u->boot.mount);
    } else {
        buf_printf(&b, "stopped\n");
    }
    DL_FOREACH(u->all->list, r) {
        if (primary_is_suspect(u->all->core, r->number)) {
            buf_printf(&b, "suspect %s\n", r->name);
        }
    }
    note_write(u->state_fd, RUNNING_FILE, &b, "running_not_noted",
               "a power loss would go unnoticed");
}

/* Of another boot than this one?  What makes no sense is not. */
static bool was_running(const char *line, const struct boot *now)
{
    struct boot was = {.writeback_ns = 0};
    char hex[HEX_BYTES];

    return sscanf(line, "boot %32[0-9a-f] mount %" SCNu64, hex, &was.mount) ==
               2 &&
           hex_decode(was.id, BOOT_ID_BYTES, hex, strlen(hex)) &&
           !boot_same(&was, now);
}

static void suspect_named(const struct unclean *u, const char *name)
{
    struct replica *r = replica_find(u->all, name);

    if (r != NULL) {
        primary_suspect(u->all->core, r->number);
    }
}

static void suspect_all(struct unclean *u)
{
    struct replica *r;

    u->was = true;
    DL_FOREACH(u->all->list, r) {
        primary_suspect(u->all->core, r->number);
    }
}

static void read_note(struct unclean *u)
{
    CLEANUP(freep)
    char *text = note_read(u->state_fd, RUNNING_FILE, "running_not_known",
                           "taken as after a power loss: what replicas have "
                           "more of is kept aside there");
    char *rest = text;

    if (text == NULL) {
        suspect_all(u);
    }
    for (const char *line; (line = note_line(&rest)) != NULL;) {
        if (was_running(line, &u->boot)) {
            log_event(LOG_WARNING, "unclean_start", NULL, 0,
                      "the host went down while the agent ran: the database "
                      "may have lost its last changes; what replicas have more "
                      "of is kept aside there");
            suspect_all(u);
        } else if (strncmp(line, "suspect ", 8) == 0) {
            suspect_named(u, line + 8);
        }
    }
}

void unclean_start(struct unclean *u, int root_fd)
{
    boot_now(root_fd, &u->boot);

    read_note(u);
    u->noted = true;
    write_note(u, true);
}

void unclean_add(const struct unclean *u, const struct replica *r)
{
    if (!u->was) {
        return;
    }
    primary_suspect(u->all->core, r->number);
    write_note(u, true);
}

void unclean_note(const struct unclean *u)
{
    if (u->noted) {
        write_note(u, true);
    }
}

void unclean_stop(const struct unclean *u)
{
    if (u->noted) {
        write_note(u, false);
    }
}

void unclean_seen(const struct unclean *u)
{
    struct replica *r;

    DL_FOREACH(u->all->list, r) {
        primary_undone_forget(u->all->core, r->number);
    }
}

json_t *unclean_json(const struct replica *r, bool with_keys)
{
    struct primary_undone u;

    if (!primary_undone(r->all->core, r->number, &u)) {
        return json_null();
    }
    json_t *o = json_pack("{s:I, s:I}", "extra", (json_int_t)u.extra,
                          "different", (json_int_t)u.different);
    json_t *names = json_array();
    for (size_t i = 0; with_keys && i < u.names_count; i++) {
        const struct diff_name *n = &u.names[i];
        json_t *name = json_pack("{s:s, s:b}", "kind",
                                 n->kind == DIFF_EXTRA ? "extra" : "different",
                                 "is_table", n->is_table);
        object_set_key(name, n->table, n->key, n->is_table);
        (void)json_array_append_new(names, name);
    }
    (void)json_object_set_new(o, "names", names);
    return o;
}

bool unclean_warning(const struct replica *r, struct err *out)
{
    struct primary_undone u;

    if (!primary_undone(r->all->core, r->number, &u)) {
        return false;
    }
    (void)err_set(out, ERR_CORRUPT, 0,
                  "after an unclean stop of this host, replica %s was ahead: "
                  "%" PRIu64
                  " keys removed there that are not here any more, %" PRIu64 " "
                  "replaced by what is here",
                  r->name, u.extra, u.different);
    out->id = DR_UNDONE;
    return true;
}
