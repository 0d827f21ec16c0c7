/* SPDX-License-Identifier: MIT
 *
 * watch_past: see watch_past.h. */
#include "agent/watch/watch_past.h"

#include <stdlib.h>
#include <string.h>

bool past_add(struct past **list, size_t *all, const char *path,
              size_t table_len, uint64_t since)
{
    size_t n = strlen(path) + 1, count = 0;

    for (struct past *p = *list; p != NULL; p = p->next) {
        count++;
        if (strcmp(p->path, path) == 0) {
            p->since = since; /* it was there again */
            return true;
        }
    }
    struct past *p =
        count < PAST_MAX && *all < PAST_ALL_MAX ? malloc(sizeof *p + n) : NULL;
    if (p == NULL) {
        return false;
    }
    *p = (struct past){.next = *list, .since = since, .table_len = table_len};

    memcpy(p->path, path, n);
    *list = p;
    ++*all;
    return true;
}

void past_told(struct past **list, size_t *all, uint64_t listing)
{
    while (*list != NULL) {
        struct past *p = *list;
        if (p->since >= listing) {
            list = &p->next;
            continue;
        }
        *list = p->next;
        free(p);
        --*all;
    }
}

void past_free(struct past **list, size_t *all)
{
    past_told(list, all, UINT64_MAX);
}
