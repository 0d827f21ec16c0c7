/* SPDX-License-Identifier: MIT
 *
 * watch_tree: see watch_tree.h.
 *
 * uthash marks an element that could not be added, for want of memory, by a
 * handle without a table; each add checks for it.
 */
#include "agent/watch/watch_tree.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/layout/name.h"

static struct wnode *node_new(const char *name)
{
    struct wnode *n = calloc(1, sizeof *n);

    if (n == NULL) {
        return NULL;
    }
    n->wd = n->fd = -1;

    n->name = strdup(name);
    n->path = strdup("");
    if (n->name == NULL || n->path == NULL) {
        free(n->name);
        free(n->path);
        free(n);
        return NULL;
    }
    return n;
}

bool wtree_init(struct wtree *t)
{
    *t = (struct wtree){0};
    t->root = node_new("");
    if (t->root == NULL) {
        return false;
    }
    t->root->is_table = true;
    t->nodes = 1;
    t->tables = 1;
    return true;
}

void wtree_deinit(struct wtree *t, wnode_fn gone, void *arg)
{
    if (t->root != NULL) {
        wtree_remove(t, t->root, gone, arg);
    }
    assert(t->by_wd == NULL);
    t->root = NULL;
}

struct wnode *wtree_by_wd(struct wtree *t, int wd)
{
    struct wnode *n = NULL;

    HASH_FIND(hh_wd, t->by_wd, &wd, sizeof wd, n);
    return n;
}

struct wnode *wtree_child(struct wnode *n, const char *name)
{
    struct wnode *child = NULL;

    HASH_FIND(hh, n->children, name, strlen(name), child);
    return child;
}

/* The path a node gets as `name` in `parent`; NULL when it cannot be one. */
static char *path_below(const struct wnode *parent, const char *name)
{
    size_t room = strlen(parent->path) + strlen(name) + 2;

    if (room > TABLE_PATH_BYTES || parent->depth + 1 > TABLE_MAX_DEPTH) {
        return NULL;
    }
    char *path;
    int n = asprintf(&path, "%s%s%s", parent->path,
                     parent->path[0] == '\0' ? "" : "/", name);
    return n < 0 ? NULL : path;
}

/* Decide whether the path names a table. */
static void classify(struct wtree *t, struct wnode *n)
{
    struct err err;
    size_t len;

    t->tables -= n->is_table;
    n->is_table = false;
    if (name_is_table(n->name, &len)) {
        n->table_len = strlen(n->path) - strlen(n->name) + len;
        n->is_table = table_check(n->path, n->table_len, &err) == 0;
    }
    t->tables += n->is_table;
}

static bool link_child(struct wnode *parent, struct wnode *n)
{
    HASH_ADD_KEYPTR(hh, parent->children, n->name, strlen(n->name), n);
    if (n->hh.tbl == NULL) {
        return false;
    }
    n->parent = parent;
    n->depth = parent->depth + 1;
    return true;
}

static void node_free(struct wnode *n)
{
    free(n->name);
    free(n->path);
    free(n);
}

struct wnode *wtree_add(struct wtree *t, struct wnode *parent, const char *name)
{
    char *path = path_below(parent, name);

    if (path == NULL) {
        return NULL;
    }
    struct wnode *n = node_new(name);
    if (n == NULL) {
        free(path);
        return NULL;
    }
    free(n->path);

    n->path = path;
    if (!link_child(parent, n)) {
        node_free(n);
        return NULL;
    }
    t->nodes++;
    classify(t, n);
    return n;
}

bool wtree_set_wd(struct wtree *t, struct wnode *n, int wd)
{
    if (n->wd >= 0) {
        HASH_DELETE(hh_wd, t->by_wd, n);
        t->watched--;
        n->wd = -1;
    }
    if (wd < 0) {
        return true;
    }
    n->wd = wd;
    HASH_ADD(hh_wd, t->by_wd, wd, sizeof n->wd, n);
    if (n->hh_wd.tbl == NULL) {
        n->wd = -1;
        return false;
    }
    t->watched++;
    return true;
}

void wtree_detach(struct wtree *t, struct wnode *n)
{
    (void)t;
    if (n->parent == NULL) {
        return;
    }
    HASH_DEL(n->parent->children, n);
    n->parent = NULL;
}

/* Give all nodes below `n` the paths that follow from its own. */
static bool repath(struct wtree *t, struct wnode *n)
{
    classify(t, n);
    struct wnode *child, *next;
    HASH_ITER(hh, n->children, child, next) {
        child->depth = n->depth + 1;
        char *path = path_below(n, child->name);
        if (path == NULL) {
            return false;
        }
        free(child->path);
        child->path = path;
        if (!repath(t, child)) {
            return false;
        }
    }
    return true;
}

bool wtree_attach(struct wtree *t, struct wnode *n, struct wnode *parent,
                  const char *name)
{
    assert(n->parent == NULL && n != t->root);
    char *path = path_below(parent, name);
    char *copy = strdup(name);
    if (path == NULL || copy == NULL) {
        free(path);
        free(copy);
        return false;
    }
    free(n->path);
    free(n->name);
    n->path = path;
    n->name = copy;
    if (!link_child(parent, n)) {
        return false;
    }
    if (!repath(t, n)) {
        wtree_detach(t, n);
        return false;
    }
    return true;
}

void wtree_outlaw(struct wtree *t, struct wnode *n)
{
    struct wnode *child, *next;

    HASH_ITER(hh, n->children, child, next) {
        wtree_outlaw(t, child);
    }
    t->tables -= n->is_table;
    n->is_table = false;
}

void wtree_remove(struct wtree *t, struct wnode *n, wnode_fn gone, void *arg)
{
    struct wnode *child, *next;

    HASH_ITER(hh, n->children, child, next) {
        wtree_remove(t, child, gone, arg);
    }
    if (gone != NULL) {
        gone(arg, n);
    }
    (void)wtree_set_wd(t, n, -1);
    wtree_detach(t, n);
    t->tables -= n->is_table;
    t->nodes--;
    if (t->root == n) {
        t->root = NULL;
    }
    past_free(&n->past, &t->pasts);
    node_free(n);
}

void wtree_each_up(struct wnode *n, wnode_fn fn, void *arg)
{
    struct wnode *child, *next;

    HASH_ITER(hh, n->children, child, next) {
        wtree_each_up(child, fn, arg);
    }
    fn(arg, n);
}

static void note_due(void *arg, struct wnode *n)
{
    bool *due = arg;

    *due = *due || n->past != NULL;
}

bool wnode_due(struct wnode *n)
{
    bool due = false;

    wtree_each_up(n, note_due, &due);
    return due;
}

bool wnode_is_in(const struct wtree *t, const struct wnode *n)
{
    return wnode_is_below(n, t->root);
}

bool wnode_is_below(const struct wnode *n, const struct wnode *above)
{
    for (; n != NULL; n = n->parent) {
        if (n == above) {
            return true;
        }
    }
    return false;
}
