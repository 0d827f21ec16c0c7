/* SPDX-License-Identifier: MIT
 *
 * chaos_names: see chaos_names.h. */
#include "tests/chaos/chaos_names.h"

#include <stdio.h>
#include <string.h>

/* Bytes 1 to 255 but '/', in two names, for 254 do not fit into one of 251. */
static char low[160], high[160];
/* 32 components, and a component as long as can be. */
static char deep[32 * 2 + 8], deep_above[32 * 2], longest[256];

static struct names_table tables[NAMES_TABLES] = {
    {".", NULL, NAMES_STAYS, false},
    {"users.tbl", NULL, NAMES_STAYS, false},
    {"users.tbl/nested.tbl", NULL, NAMES_STAYS, false},
    {"eu/orders.tbl", "eu", NAMES_STAYS, false},
    {low, NULL, NAMES_STAYS, false},
    {high, NULL, NAMES_STAYS, false},
    {deep, deep_above, NAMES_STAYS, false},
    {longest, NULL, NAMES_COMES, false},
    {"coming-1.tbl", NULL, NAMES_COMES, false},
    {"coming 2.tbl", NULL, NAMES_COMES, false},
    {"us/coming-3.tbl", "us", NAMES_COMES, false},
    {"users.tbl/coming-4.tbl", NULL, NAMES_COMES, false},
    {".hidden\n\xff.tbl", NULL, NAMES_COMES, false},
    {"here-1.tbl", NULL, NAMES_HERE, false},
    {"there-1.tbl", NULL, NAMES_THERE, false},
    {"here-2.tbl", NULL, NAMES_HERE, false},
    {"eu/there-2.tbl", "eu", NAMES_THERE, false},
    {"up.tbl", NULL, NAMES_HERE, false},
    {"up.tbl/in.tbl", NULL, NAMES_HERE, true},
    {"users.tbl/down.tbl", NULL, NAMES_THERE, false},
    {"users.tbl/down.tbl/in.tbl", NULL, NAMES_THERE, true},
    {"a.kv.tbl", NULL, NAMES_COMES, false},
};

static void make_tables(void)
{
    unsigned n = 0;

    if (low[0] != '\0') {
        return;
    }
    for (unsigned c = 1; c < 256; c++) {
        if (c != '/') {
            char *name = c < 128 ? low : high;
            n = c == 128 ? 0 : n;
            name[n++] = (char)c;
        }
    }
    (void)strncat(low, ".tbl", 5);
    (void)strncat(high, ".tbl", 5);
    for (unsigned i = 0; i < 31; i++) {
        (void)strncat(deep_above, i > 0 ? "/d" : "d", 3);
    }
    memcpy(deep, deep_above, sizeof deep_above);
    (void)strncat(deep, "/e.tbl", 7);
    memset(longest, 'L', 251);
    (void)strncat(longest, ".tbl", 5);
}

const struct names_table *names_table(unsigned table)
{
    make_tables();
    return &tables[table];
}

/* Keys from 12 on are plain. */
static const char *const ODD[] = {
    "stay-0",
    "stay-1",
    "",
    "a.kv123",
    ".drover-tmp.0123456789abcdef",
    "stay-\n\\x\xff\xfe",
    "..",
    "-rf *",
    "x.kv",
    "twin-a",
    "twin-b",
};
enum { LONG = 11, PLAIN = 12 };

const char *names_file(unsigned key)
{
    static char file[260];

    if (key < LONG) {
        (void)snprintf(file, sizeof file, "%s.kv", ODD[key]);
    } else if (key == LONG) {
        memset(file, 'k', 252);
        memcpy(file + 252, ".kv", 4);
    } else {
        (void)snprintf(file, sizeof file, "key-%02u.kv", key);
    }
    return file;
}

bool names_stays(unsigned table, unsigned key)
{
    return tables[table].life == NAMES_STAYS && key < LONG &&
           strncmp(ODD[key], "stay-", 5) == 0;
}

bool names_is_long(unsigned key)
{
    return key == LONG;
}

bool names_may_be_big(unsigned table, unsigned key)
{
    return table == 1 && key == PLAIN;
}
