/* SPDX-License-Identifier: MIT
 *
 * config_target: which directory a replica is, as far as its settings tell:
 * two of them on one directory would take it from each other for ever, and one
 * on the database itself would copy it into itself. */
#pragma once

#include <stdbool.h>

#include "agent/config/config.h"

/* The directory that a command which runs here gives to drover-replica receive:
 * borrowed from argv, or NULL when it cannot be told. */
const char *config_target_dir(char *const *argv);
/* Where drover-replica is among the words of such a command; NULL: nowhere. */
char *const *config_target_receiver(char *const *argv);
/* Where the words of such a command become "receive ...", how many they are in
 * *count_out; NULL: it is another one. */
char *const *config_target_receive(char *const *argv, size_t *count_out);
/* Both would be fed by one agent into the same place. */
bool config_target_same(const struct config_replica *a,
                        const struct config_replica *b);

/* `path` is `dir` or lies below it; both resolved. */
bool config_path_is_below(const char *path, const char *dir);
/* One of the two lies in the other, or is it; both resolved. */
bool config_path_overlaps(const char *a, const char *b);
/* The path with its existing part resolved (the folder may yet be made): a new
 * string, or NULL. */
char *config_path_resolve(const char *path);
