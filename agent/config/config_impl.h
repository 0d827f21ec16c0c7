/* SPDX-License-Identifier: MIT
 *
 * config_impl: the state of loading one file, shared by config.c (lines) and
 * config_finish.c (what depends on several settings). */
#pragma once

#include <stdio.h>

#include "agent/config/config.h"

enum where { IN_NOTHING, IN_DATABASE, IN_REPLICA, IN_UNKNOWN };

struct loader {
    FILE *file;
    const char *name; /* of the file */
    char *dir;        /* relative paths start here */
    struct config *config;
    struct config_errors *errors;
    unsigned line;
    bool expects_setting; /* inih must call us for the line just read */
    bool seen_database;
    enum where where;
};

#define COMPLAIN(l, at, ...)                                                   \
    config_error_at((l)->errors, (l)->name, (at), NULL, __VA_ARGS__)

/* Defaults that depend on others, and what must fit together. */
void config_finish(struct loader *l);
/* Two replicas with one target, and a target that is the database. */
void config_check_targets(struct loader *l);
