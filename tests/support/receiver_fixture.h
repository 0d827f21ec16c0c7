/* SPDX-License-Identifier: MIT
 *
 * What the tests of the receiver's core share: a rig made anew for each test,
 * and checks on it.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sync/errors/state.h"
#include "tests/support/receiver_rig.h"

static struct rig rig; /* made anew for each test */

static inline int setup(void **state)
{
    rig_init(&rig);
    *state = &rig;
    return 0;
}

static inline int setup_greeted(void **state)
{
    (void)setup(state);
    rig_greet(&rig);
    return 0;
}

static inline int teardown(void **state)
{
    (void)state;
    receiver_free(rig.r);
    rig.r = NULL;
    size_t left = memstore_stages(rig.m);
    rig_deinit(&rig);
    return left == 0 ? 0 : -1; /* nothing staged outlives a receiver */
}

/* A receiver with other settings, greeted. */
static inline void regreet(struct rig *g)
{
    rig_restart(g);
    rig_greet(g);
}

static inline void assert_value(struct rig *g, const char *table,
                                const char *key, const char *value)
{
    struct bytes got;

    if (value == NULL) {
        assert_false(memstore_get(g->m, table, key, &got));
        return;
    }
    assert_true(memstore_get(g->m, table, key, &got));
    assert_int_equal(got.len, strlen(value));
    assert_memory_equal(got.p, value, got.len);
}

/* The index says what a scan would say. */
static inline void assert_index_true(struct rig *g)
{
    struct index *fresh = index_new();

    assert_non_null(fresh);
    memstore_scan(g->m, fresh);
    struct digest a = index_root(fresh), b = index_root(g->ix);
    index_free(fresh);
    assert_true(digest_equal(a, b));
}

static inline void assert_prefix(const char *text, const char *prefix)
{
    if (strncmp(text, prefix, strlen(prefix)) != 0) {
        fail_msg("\"%s\" does not begin with \"%s\"", text, prefix);
    }
}

#define GREETED(test)                                                          \
    cmocka_unit_test_setup_teardown(test, setup_greeted, teardown)
#define NEW(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
