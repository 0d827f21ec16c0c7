/* SPDX-License-Identifier: MIT
 *
 * watch_impl: the watch's parts, for the files that make it up.  Lowest first;
 * none calls one that stands below it here:
 *
 *     watch_tree.c, watch_past.c    the directories that are known, their names
 *     watch_notify.c     what the owner is told when something is over
 *     watch_queue.c    listings that are asked for
 *     watch_open.c     opening directories, watches, descriptors that are kept
 *     watch_gone.c     directories that are watched no more
 *     watch_move.c     directories that move
 *     watch_dir.c      a directory that was found
 *     watch_events.c   what each event means
 *     watch_list.c     listings
 *     watch.c          life
 */
#pragma once

#include "agent/watch/watch.h"
#include "agent/watch/watch_tree.h"
#include "store/base/buf.h"
#include "store/base/dir.h"

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
    bool with_keys; /* they are to be told: as of its beginning */
    bool again;     /* asked for once more while it ran */
    enum list_mode again_mode;
    uint64_t again_ticket;
    uint64_t ticket;    /* for markers */
    unsigned parked;    /* times that its directory was not to be found */
    uint64_t parked_at; /* the drain in which that was, last */
    uint64_t number;    /* for wnode.seen; 0: not begun */
    struct dir dir;
    bool at_end, failed;
    struct buf batch; /* kind byte, name, NUL; filled by list_read() */
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
    struct inotify *in; /* NULL: stopped, or no instance to be had */
    struct listing *listings;
    struct listing *running; /* on the pool; may be out of `listings` */
    uint64_t tickets, numbers;
    struct pending_move moves[PENDING_MOVES];
    size_t moves_count;
    struct wnode *outside; /* utlist DL (out_*): what left, until it is told */
    struct wnode *kept;    /* utlist DL (kept_*): with a descriptor, the least
                              recently used first */
    size_t kept_count, kept_max;
    uint64_t told; /* keys under past names since nothing was listed */
    uint64_t drains;
    int64_t due_wall_ns; /* `drained` is due for this time ... */
    uint64_t due_marker; /* ... when this is passed; 0: it is not */
    struct watch_counts counts;
    bool overflowed; /* in this drain */
    bool left;       /* `left` is to be told */
    bool idle_due;   /* `idle` is due */
    bool trouble_told;
    int limit_sys;    /* a limit was met; to be told when settled */
    char lost[160];   /* why the root is lost; "" when it is not */
    unsigned closing; /* inotify handles not closed yet */
    bool freeing;
    void (*freed)(void *arg);
    void *freed_arg;
    uint8_t *read_buf;
};

/* watch_notify.c */
/* For wtree_each_up(): report a table. */
void watch_notify_table(void *arg, struct wnode *n);
/* Notify `drained` if it is due and may be. */
void watch_notify_due(struct watch *w);
/* Notify `moved_out` if it is due. */
void watch_notify_unseen(struct watch *w);
/* What was met while directories were found; the numbers are right then. */
void watch_notify_limit(struct watch *w);
void watch_notify_trouble(struct watch *w, int sys, const char *path);
/* The root is lost; told when the events are read. */
void watch_root_gone(struct watch *w, const char *what);
/* Tell `freed` when nothing uses the watch any more. */
void watch_try_free(struct watch *w);

/* watch_queue.c */
void list_ask(struct watch *w, struct wnode *n, enum list_mode mode,
              uint64_t ticket);
/* The node of this listing goes. */
void list_orphan(struct watch *w, struct listing *l);
void list_free(struct listing *l);
void list_drop_all(struct watch *w);

/* watch_open.c */
/* Open the directory `path` below the root, without following links; -1 with
 * errno.  EXDEV when something is mounted there. */
int watch_open_dir(const struct db *db, const char *path);
/* The same for `name` in an open directory. */
int watch_open_step(const struct db *db, int fd, const char *name);
/* Watch an open directory at `path`: its descriptor, or -1 when that cannot be
 * (the owner is told). */
int watch_add(struct watch *w, const char *path, int fd);
/* Give the node its watch descriptor, in place of the one it had. */
void watch_set(struct watch *w, struct wnode *n, int wd);
/* Keep the descriptor (taken) of a directory, in case it is moved out. */
void watch_keep(struct watch *w, struct wnode *n, int fd);
void watch_unkeep(struct watch *w, struct wnode *n);
/* The open directory is the one that the node watches. */
bool watch_is_of(struct watch *w, const struct wnode *n, int fd);
/* Open the node's directory to list it, wherever it is; -1 with errno. */
int watch_open_node(struct watch *w, const struct wnode *n);
/* Open what is `name` in the node's directory, wherever that is. */
int watch_open_child(struct watch *w, const struct wnode *parent,
                     const char *name);

/* watch_gone.c */
/* Remove a node with its watches, and report its tables; `left` follows when
 * there were any. */
void watch_forget(struct watch *w, struct wnode *n);
/* The directory was removed: its keys before it, each with an event, if it was
 * watched. */
void watch_removed(struct watch *w, struct wnode *n);
/* The node is no pending move and not outside any more. */
void watch_loose(struct watch *w, struct wnode *n);
/* For wtree_remove(): let a node's watch and listing go. */
void watch_on_gone(void *arg, struct wnode *n);

/* watch_move.c */
/* Everything in it leaves its name. */
void watch_depart(struct watch *w, struct wnode *n);
/* A detached node is nowhere in the database. */
void watch_put_outside(struct watch *w, struct wnode *n);
/* All events are read: what has no new place left the database. */
void watch_moves_end(struct watch *w);
/* The directory is not where its node is; its event is still to come. */
void watch_displace(struct watch *w, struct wnode *n);
/* It turned up as `name` in `parent`, where no node is.  False: it cannot have
 * that place with all that is below it, and is forgotten. */
bool watch_relocate(struct watch *w, struct wnode *n, struct wnode *parent,
                    const char *name);
/* Its directory was removed: events tell of all its keys. */
bool watch_is_removed(const struct wnode *n);
/* A step of what is outside has ended: let it go if that was the last. */
void watch_outside_step(struct watch *w, struct wnode *n);

/* watch_dir.c */
enum put_result {
    PUT_SAME = 1, /* it was watched already, or cannot be watched */
    PUT_NEW,
    PUT_TWIN, /* new here, and known at another place until now */
};

/* Make sure that `name` in `parent` is watched, and listed in `mode`; drops the
 * node when there is no such directory. */
void watch_directory(struct watch *w, struct wnode *parent, const char *name,
                     enum list_mode mode);

/* watch_events.c */
enum { WATCH_READ_BYTES = 65536 };
/* Report what is in the queue now; not from within an event. */
void watch_read_queue(struct watch *w);

/* watch_list.c */
/* Run listings: some entries here, the rest on the pool. */
void list_run(struct watch *w);
/* The same, beginning on the pool: calls no callback before it returns. */
void list_run_later(struct watch *w);
