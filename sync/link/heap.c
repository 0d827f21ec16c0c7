/* SPDX-License-Identifier: MIT
 *
 * heap: a list of allocations; see heap.h. */
#include "sync/link/heap.h"

#include <stdalign.h>
#include <stdint.h>
#include <stdlib.h>

/* Stands before each piece; as large as keeps what follows aligned. */
struct heap_piece {
    alignas(max_align_t) struct heap_piece *next;
    struct heap_piece **link; /* what points to this one */
    size_t n;
};

void heap_init(struct heap *h, size_t bytes_max)
{
    *h = (struct heap){.bytes_max = bytes_max};
}

static void insert(struct heap *h, struct heap_piece *piece, size_t n)
{
    piece->n = n;
    piece->next = h->first;
    piece->link = &h->first;
    if (piece->next != NULL) {
        piece->next->link = &piece->next;
    }
    h->first = piece;
    h->bytes += n;
}

static void take_out(struct heap *h, struct heap_piece *piece)
{
    *piece->link = piece->next;
    if (piece->next != NULL) {
        piece->next->link = piece->link;
    }
    h->bytes -= piece->n;
}

void *heap_resize(struct heap *h, void *p, size_t n)
{
    struct heap_piece *piece = p != NULL ? (struct heap_piece *)p - 1 : NULL;
    size_t was = piece != NULL ? piece->n : 0;

    if (n > h->bytes_max || h->bytes - was > h->bytes_max - n) {
        return NULL; /* also keeps the sum below from overflowing */
    }
    if (piece != NULL) {
        take_out(h, piece);
    }
    struct heap_piece *moved = realloc(piece, sizeof *piece + n);
    if (moved == NULL) {
        if (piece != NULL) {
            insert(h, piece, was);
        }
        return NULL;
    }
    insert(h, moved, n);
    return moved + 1;
}

void *heap_get(struct heap *h, size_t n)
{
    return heap_resize(h, NULL, n);
}

void heap_free(struct heap *h, void *p)
{
    if (p != NULL) {
        struct heap_piece *piece = (struct heap_piece *)p - 1;
        take_out(h, piece);
        free(piece);
    }
}

void heap_deinit(struct heap *h)
{
    while (h->first != NULL) {
        heap_free(h, h->first + 1);
    }
}
