/* SPDX-License-Identifier: MIT
 *
 * remedy: see remedy.h. */
#include "agent/check/remedy.h"

#include <stdio.h>
#include <string.h>

#include "agent/config/hint_names.h"
#include "store/base/cleanup.h"
#include "store/base/quote.h"

static const char *text_of(const json_t *o, const char *name)
{
    const char *text = json_string_value(json_object_get(o, name));

    return text != NULL ? text : "";
}

/* A new string that does nothing to a terminal; NULL: out of memory. */
static char *tamed(const char *text)
{
    char *copy = strdup(text);

    if (copy != NULL) {
        quote_tame(copy);
    }
    return copy;
}

void remedy_add_json(struct findings *f, enum finding_level level,
                     const char *what, const json_t *error)
{
    CLEANUP(freep) char *text = tamed(text_of(error, "text"));
    CLEANUP(freep) char *hint = tamed(text_of(error, "hint"));
    json_int_t id = json_integer_value(json_object_get(error, "id"));

    if (text == NULL || hint == NULL) {
        f->bad = true;
    } else if (level == FINDING_FAIL) {
        finding_fail(f, what, (int)id, hint, "%s", text);
    } else {
        finding_warn(f, what, (int)id, hint, "%s", text);
    }
}

void remedy_add(struct findings *f, enum finding_level level, const char *what,
                const struct err *err, const struct config *c,
                const struct config_replica *r)
{
    json_t *error = hint_names_error(err, c, r);

    if (error == NULL) {
        f->bad = true;
        return;
    }
    remedy_add_json(f, level, what, error);
    json_decref(error);
}
