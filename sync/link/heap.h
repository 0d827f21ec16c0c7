/* SPDX-License-Identifier: MIT
 *
 * heap: the memory of one session of a library, bounded and freed as a whole.
 *
 * libssh2 loses a little memory with each key exchange and when a session ends
 * in the middle of something, and queues what a peer sends without a bound of
 * its own.  With all of a session's memory on one heap, neither matters: what
 * is left is freed with the heap, and beyond the bound an allocation fails,
 * which ends the session.  One thread at a time.
 */
#pragma once

#include <stddef.h>

struct heap_piece;

struct heap {
    struct heap_piece *first;
    size_t bytes;
    size_t bytes_max;
};

void heap_init(struct heap *h, size_t bytes_max);
/* Like malloc(), realloc() and free(). */
void *heap_get(struct heap *h, size_t n);
void *heap_resize(struct heap *h, void *p, size_t n);
void heap_free(struct heap *h, void *p);
/* Frees all that is left. */
void heap_deinit(struct heap *h);
