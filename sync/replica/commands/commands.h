/* SPDX-License-Identifier: MIT
 *
 * commands: the commands of drover-replica and what they share.  Each is a
 * function in a cmd_*.c and a row of table.c. */
#pragma once

#include <limits.h>

#include "store/cmdline/cmdline.h"
#include "sync/options/receive_options.h"
#include "sync/replica/replica.h"

/* What the command line said. */
struct replica_line {
    struct receive_line receive; /* first */
    int64_t max_age_ns;          /* REPLICA_NO_TIME: not given */
    bool force, discard, remove, strict;
    const char *epoch, *out;      /* --epoch, --restore */
    const char *table, *key, *id; /* of values kept */
};

enum { REPLICA_NO_TIME = -1 };

static inline struct replica_line *replica_line_of(struct cmdline *line)
{
    return (struct replica_line *)line;
}

extern const struct cmdline_program REPLICA_PROGRAM;

int cmd_receive(struct cmdline *line);
int cmd_check(struct cmdline *line);
int cmd_fresh(struct cmdline *line);
int cmd_status(struct cmdline *line);
int cmd_metrics(struct cmdline *line);
int cmd_adopt(struct cmdline *line);
int cmd_promote(struct cmdline *line);
int cmd_demote(struct cmdline *line);
int cmd_kept(struct cmdline *line);
int cmd_trash_list(struct cmdline *line);
int cmd_trash_restore(struct cmdline *line);
int cmd_trash_empty(struct cmdline *line);
int cmd_undone_list(struct cmdline *line);
int cmd_undone_restore(struct cmdline *line);
int cmd_undone_empty(struct cmdline *line);

/* The error, with its number and what to do; returns its exit code. */
int commands_fail(struct cmdline *line, const struct err *err);
/* Why a role was not changed: 78 where the directory is the reason; what to do
 * is in the text itself. */
int commands_refused(struct cmdline *line, const char *dir, struct err *err);

/* What is printed is to be typed elsewhere: the whole path. */
const char *commands_whole_path(const char *dir, char room[PATH_MAX]);

/* Begin an answer with the directory it is about. */
struct json_out commands_json(struct buf *b, const char *dir);
