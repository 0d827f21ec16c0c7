/* SPDX-License-Identifier: MIT
 *
 * chaos_names: the tables and keys of a chaos run, odd ones among them.
 *
 * All programs of a run know the same names, so a slot of the journal is a
 * number: table * NAMES_KEYS + key.  A table that moves has two places; these
 * are two tables here.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum {
    NAMES_KEYS = 24,
    NAMES_TABLES = 22,
    NAMES_SLOTS = NAMES_KEYS * NAMES_TABLES,
};

enum names_life {
    NAMES_STAYS, /* made once; its keys stay-* are never deleted */
    NAMES_COMES, /* dropped and made again, in several ways */
    NAMES_HERE,  /* moves to the next table's place and back */
    NAMES_THERE,
};

struct names_table {
    const char *dir;   /* below the database, "." for the root */
    const char *above; /* the plain directory or table it needs, or NULL */
    enum names_life life;
    bool nested; /* lies in the table before it, and moves with it */
};

const struct names_table *names_table(unsigned table);
/* The file of a key, KEY.kv; static memory. */
const char *names_file(unsigned key);
/* Some keys of tables that stay are never deleted. */
bool names_stays(unsigned table, unsigned key);
/* Too long for a temporary beside it, as flockd makes. */
bool names_is_long(unsigned key);
/* May become very large: one key of one table. */
bool names_may_be_big(unsigned table, unsigned key);
