/* SPDX-License-Identifier: MIT
 *
 * A database's configuration and what was typed, for tests of plans. */
#pragma once

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/enroll/plan.h"

struct plan_fix {
    char dir[80];
    struct config *config;
    struct enroll_request request;
    struct enroll_plan plan;
    struct err err;
};

static inline int plan_setup(void **state)
{
    struct plan_fix *f = calloc(1, sizeof *f);

    assert_non_null(f);
    (void)snprintf(f->dir, sizeof f->dir, "/tmp/drover-plan-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    (void)unsetenv("STATE_DIRECTORY");
    (void)unsetenv("RUNTIME_DIRECTORY");
    *state = f;
    return 0;
}

static inline int plan_teardown(void **state)
{
    struct plan_fix *f = *state;
    char command[200];

    enroll_plan_deinit(&f->plan);
    config_free(f->config);
    (void)snprintf(command, sizeof command, "rm -rf '%s'", f->dir);
    int rc = system(command);
    free(f);
    return rc;
}

static inline void plan_config(struct plan_fix *f, const char *name,
                               const char *text)
{
    struct config_errors errors = {0};
    char file[200];

    (void)snprintf(file, sizeof file, "%s/%s.conf", f->dir, name);
    FILE *out = fopen(file, "w");
    assert_non_null(out);
    assert_true(fputs(text, out) >= 0);
    assert_int_equal(fclose(out), 0);
    config_free(f->config);
    f->config = config_load(file, &errors);
    if (f->config == NULL) {
        fail_msg("%s", errors.lines[0]);
    }
}

#define PLAN_DATABASE "[database]\npath = /srv/orders\n"

/* The plan of `target` with whatever else f->request has. */
static inline int plan_make(struct plan_fix *f, const char *target)
{
    if (f->config == NULL) {
        plan_config(f, "orders", PLAN_DATABASE);
    }
    if (f->request.name == NULL) {
        f->request.name = "eu-1";
    }
    f->request.target = target;
    enroll_plan_deinit(&f->plan);
    f->err = (struct err){0};
    return enroll_plan_make(&f->request, f->config, &f->plan, &f->err);
}
