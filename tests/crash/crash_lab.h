/* SPDX-License-Identifier: MIT
 *
 * crash_lab: what the crash tests share: a place to work in, what a directory
 * holds, and the plan of a sweep (which call fails how).
 *
 * A finding is printed with what reproduces it and counted; the run goes on.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "crash_shim.h"
#include "store/base/buf.h"

enum { LAB_PATH = 512 };

/* A fresh directory: on /dev/shm where that can be used (a sweep does nothing
 * but make files), else below TMPDIR.  Removed by lab_end(). */
void lab_begin(char dir[LAB_PATH]);
void lab_end(const char *dir);
/* rm -rf. */
void lab_remove(const char *path);
void lab_make_dir(const char *path);
void lab_write(const char *path, const void *data, size_t len);
/* The whole file, or false.  Clears `out` first. */
bool lab_read(const char *path, struct buf *out);
bool lab_exists(const char *path);
/* Open descriptors of process `pid` (0: this one). */
size_t lab_descriptors(pid_t pid);

enum { LAB_FILES = 64 };
struct lab_files {
    size_t n;
    char name[LAB_FILES][LAB_PATH];
};
/* What the first LAB_FILES descriptors of process `pid` lead to. */
void lab_open_files(pid_t pid, struct lab_files *out);
/* A path that is open more often than it was, or NULL; what ends with `may`
 * may be open once in any case. */
const char *lab_more_open(const struct lab_files *was,
                          const struct lab_files *now, const char *may);

/* A finding; what lab_now() was told last is printed with it. */
void lab_now(const char *text);
void lab_bad(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
size_t lab_findings(void);
/* Prints and exits with 77. */
_Noreturn void lab_skip(const char *fmt, ...)
    __attribute__((format(printf, 1, 2)));
/* The lab itself does not work: prints, exits with 99. */
_Noreturn void lab_broken(const char *fmt, ...)
    __attribute__((format(printf, 1, 2)));

/* Everything below a directory, one line each, sorted: "D path" or
 * "F path size digest" (a link, a FIFO...: "? path").  Temporaries are counted
 * instead, and made old, for only old ones are swept; .drover is left out. */
struct tree {
    char **lines;
    size_t n;
    size_t temps;
};
void tree_read(struct tree *t, const char *dir);
void tree_free(struct tree *t);
bool tree_equal(const struct tree *a, const struct tree *b);
/* All of `t` is in `a` or in `b`, and what both have is in it. */
bool tree_between(const struct tree *t, const struct tree *a,
                  const struct tree *b);
void tree_print(const struct tree *t, const char *what);

/* --- the plan ----------------------------------------------------------------
 */

/* A page to watch with, shared with child processes; `path` (may be NULL) gets
 * the name of its file. */
struct crash_page *page_new(const char *dir, char path[LAB_PATH]);
/* Begin to watch; without a fault it only counts. */
void page_arm(struct crash_page *p, const struct crash_site *site, uint32_t nth,
              enum crash_fault fault);
void page_off(struct crash_page *p);

/* Which calls fail how: every call of every place that a counted run saw. */
struct plan {
    struct crash_site *sites;
    uint32_t n;
    uint32_t faults;  /* of these kinds (bits) */
    uint32_t nth_max; /* 0: every call; else the first so many of a place, and
                         the last */
    uint32_t part, parts; /* only each parts-th, 0-based; parts 0: all */
    /* the walk */
    uint32_t at, nth, fault;
    uint64_t step;
};
void plan_of(struct plan *plan, const struct crash_page *page, uint32_t faults);
/* The next failure; false at the end. */
bool plan_next(struct plan *plan, struct crash_site *site, uint32_t *nth,
               enum crash_fault *fault);
void plan_free(struct plan *plan);
/* "fsync+1f2c:3 EIO" */
const char *plan_text(const struct crash_site *site, uint32_t nth,
                      enum crash_fault fault);
/* The same text back, from a command line; false when it makes no sense. */
bool plan_parse(const char *text, struct crash_site *site, uint32_t *nth,
                enum crash_fault *fault);
