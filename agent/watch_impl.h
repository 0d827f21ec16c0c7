/* SPDX-License-Identifier: MIT
 *
 * watch_impl: what watch.c (events, life), watch_dir.c (watches on directories)
 * and watch_list.c (listings) share.  Not for others.
 */
#pragma once

#include <dirent.h>

#include "agent/watch.h"
#include "agent/watch_tree.h"
#include "store/base/buf.h"

/* Why a directory is listed, weakest first. */
enum list_mode {
    LIST_QUIET, /* at start: find directories */
    LIST_SYNC,  /* put the watches in order; report tables that came or went */
    LIST_HINT,  /* new: report everything in it */
};

/* One directory to list.  Queued and run in order, one at a time. */
struct listing {
    struct listing *prev, *next;
    struct watch *watch;
    struct wnode *node; /* NULL: the node went; drop this */
    enum list_mode mode;
    bool is_table;      /* of the node when the listing began */
    bool again;         /* asked for once more while it ran */
    enum list_mode again_mode;
    uint64_t ticket;    /* for fences */
    uint64_t number;    /* for wnode.seen; 0: not begun */
    DIR *dir;
    bool at_end, failed;
    struct buf batch;   /* kind byte, name, NUL; filled by list_read() */
    uv_work_t work;
};

/* The descriptor and its handle: they live until uv has closed the handle. */
struct inotify {
    uv_poll_t poll;
    int fd;
    struct watch *watch;
};

struct pending_move {
    uint32_t cookie;
    struct wnode *node; /* detached */
};

enum { PENDING_MOVES = 64 };

struct watch {
    uv_loop_t *loop;
    struct watch_events on;
    void *arg;
    const struct db *db; /* NULL: stopped */
    struct wtree tree;
    struct inotify *in;  /* NULL: stopped, or no instance to be had */
    struct listing *listings;
    struct listing *running; /* on the pool; may be out of `listings` */
    uint64_t tickets, numbers;
    struct pending_move moves[PENDING_MOVES];
    size_t moves_count;
    struct watch_counts counts;
    bool overflowed;   /* in this drain */
    bool left;         /* `left` is to be told */
    bool unsettled;    /* `settled` is owed */
    bool trouble_told;
    int limit_sys;     /* a limit was met; to be told when settled */
    char lost[160];    /* why the root is lost; "" when it is not */
    unsigned closing;  /* inotify handles not closed yet */
    bool freeing;
    void (*freed)(void *arg);
    void *freed_arg;
    uint8_t *read_buf;
};

/* watch_dir.c */
enum put_result {
    PUT_SAME = 1, /* it was watched already, or cannot be watched */
    PUT_NEW,
    PUT_TWIN,     /* new here, and known at another place until now */
    PUT_LOOP,     /* it contains itself: leave it alone */
};

/* Open the directory `path` below the root, without following links; -1 with
 * errno.  EXDEV when something is mounted there. */
int watch_open_dir(const struct db *db, const char *path);
/* Make sure that `name` in `parent` is watched, and listed in `mode`; drops the
 * node when there is no such directory. */
void watch_directory(struct watch *w, struct wnode *parent, const char *name,
                     enum list_mode mode);
/* Remove a node with its watches, and report its tables; `left` follows when
 * there were any. */
void watch_forget(struct watch *w, struct wnode *n);
/* The directory was removed: its keys before it, each with an event, if it was
 * watched. */
void watch_removed(struct watch *w, struct wnode *n);
/* Report the tables of what leaves its name with everything in it. */
void watch_tell_left(struct watch *w, struct wnode *n);
/* Put the watch on an open directory. */
enum put_result watch_put(struct watch *w, struct wnode *n, int fd);
void watch_tell_limit(struct watch *w);
/* For wtree_each_up() and wtree_remove(): report a table; let a node's watch
 * and listing go. */
void watch_tell_table(void *arg, struct wnode *n);
void watch_on_gone(void *arg, struct wnode *n);

/* watch.c */
/* Tell `left` if it is owed. */
void watch_tell_unseen(struct watch *w);
void watch_try_free(struct watch *w);

/* watch_list.c */
void list_ask(struct watch *w, struct wnode *n, enum list_mode mode,
              uint64_t ticket);
/* Run listings: some entries here, the rest on the pool. */
void list_run(struct watch *w);
/* The same, beginning on the pool: calls no callback before it returns. */
void list_run_later(struct watch *w);
/* The node of this listing goes. */
void list_orphan(struct watch *w, struct listing *l);
void list_drop_all(struct watch *w);
