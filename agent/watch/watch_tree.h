/* SPDX-License-Identifier: MIT
 *
 * watch_tree: the directories the watch knows, as a tree of nodes with their
 * paths, found by watch descriptor or by name in their parent.  Memory only: it
 * calls no system call and adds or removes no watch.  Loop thread only.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/watch/watch_past.h"
#include "store/base/map.h"

struct listing;

struct wnode {
    struct wnode *parent;   /* NULL: the root, or detached */
    struct wnode *children; /* by name */
    UT_hash_handle hh;      /* in the parent's children */
    UT_hash_handle hh_wd;   /* in wtree.by_wd */
    int wd;                 /* -1: not watched */
    bool ended;             /* it was watched until it was removed */
    unsigned depth;         /* 0: the root */
    char *name;             /* last component */
    char *path;             /* relative to the root; "" is the root itself */
    bool is_table;
    size_t table_len;        /* the table's name is the path's first bytes */
    uint64_t seen;           /* number of the last listing known to show it */
    struct listing *listing; /* waiting or running, or NULL */
    struct past *past;       /* names under which it is still to be told of */
    int fd;                  /* kept open for its listing elsewhere, or -1 */
    struct wnode *kept_prev, *kept_next; /* in watch.kept while fd >= 0 */
    struct wnode *out_prev, *out_next;   /* in watch.outside */
};

struct wtree {
    struct wnode *root;
    struct wnode *by_wd;
    size_t nodes;
    size_t watched;
    size_t tables; /* root included */
    size_t pasts;  /* names in all nodes' `past` */
};

typedef void (*wnode_fn)(void *arg, struct wnode *n);

/* Make the root's node.  false: out of memory. */
bool wtree_init(struct wtree *t);
/* Remove all nodes, `gone` for each; NULL is fine. */
void wtree_deinit(struct wtree *t, wnode_fn gone, void *arg);

struct wnode *wtree_by_wd(struct wtree *t, int wd);
struct wnode *wtree_child(struct wnode *n, const char *name);
/* NULL: out of memory, or the path is too long or too deep to hold a table. */
struct wnode *wtree_add(struct wtree *t, struct wnode *parent,
                        const char *name);
/* -1 forgets it.  false: out of memory (then it is not watched). */
bool wtree_set_wd(struct wtree *t, struct wnode *n, int wd);
/* Take a node out of its parent; its subtree stays below it. */
void wtree_detach(struct wtree *t, struct wnode *n);
/* Put a detached node in a new place; all paths below follow.  false: as for
 * wtree_add(), and the node stays detached. */
bool wtree_attach(struct wtree *t, struct wnode *n, struct wnode *parent,
                  const char *name);
/* A detached node and all below are no tables of this database any more. */
void wtree_outlaw(struct wtree *t, struct wnode *n);
/* Free the node and all below, children first; `gone` is told while wd and
 * path are still set. */
void wtree_remove(struct wtree *t, struct wnode *n, wnode_fn gone, void *arg);
/* Visit the node and all below, children first. */
void wtree_each_up(struct wnode *n, wnode_fn fn, void *arg);
/* It or something below it is still to be told of under past names. */
bool wnode_due(struct wnode *n);
/* It hangs from the root, and not from a detached node. */
bool wnode_is_in(const struct wtree *t, const struct wnode *n);
/* True when `n` is `above` or lies below it. */
bool wnode_is_below(const struct wnode *n, const struct wnode *above);
