/* SPDX-License-Identifier: MIT
 *
 * enroll: see enroll.h.  The steps are in step_*.c. */
#include "agent/enroll/enroll.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "agent/enroll/enroll_impl.h"
#include "store/base/cleanup.h"

const char *enroll_state_word(enum enroll_state state)
{
    static const char *const WORDS[] = {
        [ENROLL_WAITING] = "not begun", [ENROLL_DONE] = "done",
        [ENROLL_SO] = "is so",          [ENROLL_WOULD] = "would be done",
        [ENROLL_SKIPPED] = "skipped",   [ENROLL_FAILED] = "failed",
        [ENROLL_UNDONE] = "undone",     [ENROLL_LEFT] = "left",
    };

    return WORDS[state];
}

void step_is(struct enroll_step *s, enum enroll_state state, const char *fmt,
             ...)
{
    va_list args;

    s->state = state;
    va_start(args, fmt);
    (void)vsnprintf(s->text, sizeof s->text, fmt, args);
    va_end(args);
}

/* A dry run has nothing to read again. */
static int step_reload(struct enroll *e, struct enroll_step *s, struct err *err)
{
    if (e->dry_run) {
        CLEANUP(freep) char *goal = enroll_step_goal(e->plan, ENROLL_RELOAD);
        step_is(s, ENROLL_WOULD, "%s", goal != NULL ? goal : "");
        return 0;
    }
    char text[ENROLL_TEXT_BYTES] = "";
    int rc = e->ops->reload(e->ops->arg, text, sizeof text, err);
    if (rc == 1) {
        step_is(s, ENROLL_SKIPPED, "no agent runs for %s",
                e->plan->config->name);
        return 0;
    }
    step_is(s, ENROLL_DONE, "%s", text);
    return rc;
}

/* Comes when the drop-in is gone again: see undo(). */
static bool undo_reload(struct enroll *e)
{
    char text[ENROLL_TEXT_BYTES];
    struct err ignored = {0};

    return e->ops->reload(e->ops->arg, text, sizeof text, &ignored) >= 0;
}

static const struct {
    int (*run)(struct enroll *e, struct enroll_step *s, struct err *err);
    bool (*undo)(struct enroll *e);
} STEPS[] = {
    [ENROLL_KEY] = {step_key, undo_key},
    [ENROLL_HOST_KEY] = {step_host_key, undo_host_key},
    [ENROLL_THERE] = {step_there, undo_there},
    [ENROLL_DROPIN] = {step_dropin, undo_dropin},
    [ENROLL_RELOAD] = {step_reload, undo_reload},
};
enum { STEPS_COUNT = sizeof STEPS / sizeof *STEPS };

static void tell(const struct enroll *e, enum enroll_step_id id)
{
    e->ops->told(e->ops->arg, id, &e->steps[id]);
}

static void undo_step(struct enroll *e, enum enroll_step_id id)
{
    struct enroll_step *s = &e->steps[id];
    bool done = s->state == ENROLL_DONE;
    bool undone = STEPS[id].undo(e);

    if (done || !undone) {
        s->state = undone ? ENROLL_UNDONE : ENROLL_LEFT;
        tell(e, id);
    }
}

/* Last first, but that an agent which has read the drop-in is told when it is
 * gone; what was so before stays. */
static void undo(struct enroll *e, int failed)
{
    for (int id = failed; id >= 0; id--) {
        if (id != ENROLL_RELOAD) {
            undo_step(e, (enum enroll_step_id)id);
        }
    }
    if (e->steps[ENROLL_RELOAD].state == ENROLL_DONE) {
        undo_step(e, ENROLL_RELOAD);
    }
}

static int run_step(struct enroll *e, enum enroll_step_id id, struct err *err)
{
    struct enroll_step *s = &e->steps[id];
    int rc = STEPS[id].run(e, s, err);

    if (rc == 0 && e->ops->stopped(e->ops->arg)) {
        rc = err_set(err, ERR_CLOSED, 0, "interrupted");
    } else if (rc < 0) {
        step_is(s, ENROLL_FAILED, "%s", err->msg);
    }
    tell(e, id);
    return rc;
}

int enroll_run(struct enroll *e, struct err *err)
{
    for (int id = 0; id < STEPS_COUNT; id++) {
        if (run_step(e, (enum enroll_step_id)id, err) < 0) {
            undo(e, id);
            return err->code;
        }
    }
    return 0;
}

int enroll_key(struct enroll *e, struct err *err)
{
    return step_key(e, &e->steps[ENROLL_KEY], err);
}

void enroll_deinit(struct enroll *e)
{
    free(e->public_key);
    e->public_key = NULL;
}
