/* SPDX-License-Identifier: MIT
 *
 * passed: see passed.h. */
#include "store/layout/passed.h"

#include <stdio.h>
#include <string.h>

/* flockd opens by name: it follows a link, and goes as deep as it is told. */
static bool is_seen(const char *name, enum passed_why why)
{
    size_t len;

    switch (why) {
    case PASSED_LINK:
        return name_is_key(name, &len) || name_is_table(name, &len);
    case PASSED_LINK_DIR:
    case PASSED_LONG:
        return true;
    case PASSED_NO_KEY:
    case PASSED_NO_TABLE:
    case PASSED_SPECIAL:
    case PASSED_DIR:
        break;
    }
    return false;
}

/* The place of `dir`.  When all are taken, what is seen drives out what is not;
 * NULL: there is none. */
static struct passed_place *place_of(struct passed *p, const char *dir,
                                     bool seen)
{
    for (size_t i = p->n; i-- > 0;) {
        if (strcmp(p->places[i].dir, dir) == 0) {
            return &p->places[i];
        }
    }
    struct passed_place *free_one =
        p->n < PASSED_PLACES ? &p->places[p->n++] : NULL;
    for (size_t i = 0; free_one == NULL && seen && i < p->n; i++) {
        if (!p->places[i].seen) {
            free_one = &p->places[i];
        }
    }
    if (free_one != NULL) {
        free_one->count = 0;
        free_one->seen = false;
        (void)snprintf(free_one->dir, sizeof free_one->dir, "%s", dir);
    }
    return free_one;
}

void passed_note(struct passed *p, const char *dir, const char *name,
                 enum passed_why why)
{
    bool seen = is_seen(name, why);

    p->count++;
    p->seen += seen;
    struct passed_place *at = place_of(p, dir, seen);
    if (at == NULL) {
        return;
    }
    if (at->count++ == 0 || (seen && !at->seen)) {
        (void)snprintf(at->name, sizeof at->name, "%s", name);
        at->why = why;
        at->seen = seen;
    }
}

const struct passed_place *passed_seen(const struct passed *p)
{
    for (size_t i = 0; i < p->n; i++) {
        if (p->places[i].seen) {
            return &p->places[i];
        }
    }
    return NULL;
}

const char *passed_word(enum passed_why why)
{
    switch (why) {
    case PASSED_NO_KEY:
        return "its name is not a key's";
    case PASSED_NO_TABLE:
        return "its directory is not a table (NAME.tbl)";
    case PASSED_SPECIAL:
    case PASSED_DIR:
        return "no regular file";
    case PASSED_LINK:
        return "a symbolic link";
    case PASSED_LINK_DIR:
        return "a symbolic link to a directory";
    case PASSED_LONG:
        return "deeper or longer than a table's name may be";
    }
    return "?";
}
