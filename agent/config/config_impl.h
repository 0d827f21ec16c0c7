/* SPDX-License-Identifier: MIT
 *
 * config_impl: the state of loading a file and its drop-ins, shared by config.c
 * (lines) and config_finish.c (what depends on several settings). */
#pragma once

#include <stdio.h>

#include "agent/config/config.h"

enum where { IN_NOTHING, IN_DATABASE, IN_REPLICA, IN_UNKNOWN };

struct loader {
    FILE *file;
    char *dir; /* relative paths start here */
    struct config *config;
    struct config_errors *errors;
    struct config_at at;  /* the line that is read */
    bool expects_setting; /* inih must call us for the line just read */
    bool seen_database;   /* in this file */
    enum where where;
    /* A drop-in that is taken as having another text, or NULL; the text is NULL
     * when it is taken as not being there. */
    const char *as_if, *as_if_text;
};

#define COMPLAIN(l, at, ...)                                                   \
    config_error_at((l)->errors, (l)->config, (at), NULL, __VA_ARGS__)

/* "line 3", or "FILE:3" of another file than `here`; returns `out`. */
enum { CONFIG_OTHER_BYTES = 4200 };
const char *config_other(const struct loader *l, struct config_at there,
                         struct config_at here, char *out);

/* Defaults that depend on others, and what must fit together. */
void config_finish(struct loader *l);
/* Two replicas with one target, and a target that is the database. */
void config_check_targets(struct loader *l);
