/* SPDX-License-Identifier: MIT
 *
 * dirid: see dirid.h. */
#include "sync/identity/dirid.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "sync/errors/state.h"

enum { COUNT_TEXT = 32 };

bool dirid_known(const uint8_t id[WIRE_DIRID_BYTES])
{
    static const uint8_t none[WIRE_DIRID_BYTES];

    return memcmp(id, none, sizeof none) != 0;
}

void dirid_ask(const struct dirid *d, struct wire_hello *hello)
{
    hello->anew = d->anew;
    if (d->complete && !d->anew) {
        memcpy(hello->expected, d->id, sizeof hello->expected);
    }
}

/* 48211 as "48,211". */
static const char *grouped(uint64_t n, char out[COUNT_TEXT])
{
    char digits[COUNT_TEXT];
    size_t len = (size_t)snprintf(digits, sizeof digits, "%" PRIu64, n);
    size_t at = 0;

    for (size_t i = 0; i < len; i++) {
        if (i > 0 && (len - i) % 3 == 0) {
            out[at++] = ',';
        }
        out[at++] = digits[i];
    }
    out[at] = '\0';
    return out;
}

static void say_what_it_was(const struct dirid *d, const char *name,
                            const char *now, const char *there,
                            const char *then, struct err *err)
{
    char keys[COUNT_TEXT];
    int id = err->id;

    (void)err_set(err, ERR_REFUSED, 0,
                  "%.64s had %s key%s and %s (%s); nothing is written there; "
                  "%s: drover resync --anew %.64s",
                  name, grouped(d->keys, keys), d->keys == 1 ? "" : "s", now,
                  there, then, name);
    err->id = id;
}

void dirid_explain(const struct dirid *d, const char *name, struct err *err)
{
    char there[200];

    if (!d->complete) {
        return;
    }
    (void)snprintf(there, sizeof there, "%.199s", err->msg);
    if (err->id == DR_REPLICA_BLANK) {
        say_what_it_was(d, name, "is empty now: is its disk mounted?", there,
                        "to fill it again", err);
    } else if (err->id == DR_REPLICA_OTHER) {
        say_what_it_was(d, name,
                        "another directory is there now: is the right disk "
                        "mounted, is the target right?",
                        there, "to use this one from now on", err);
    }
}

int dirid_met(struct dirid *d, const char *name,
              const uint8_t id[WIRE_DIRID_BYTES], struct err *err)
{
    if (!dirid_known(id)) {
        return 0; /* of a receiver that knows no ids */
    }
    if (!d->anew && d->complete && memcmp(d->id, id, sizeof d->id) != 0) {
        (void)err_set(err, ERR_REFUSED, 0, "it was not asked for");
        err->id = DR_REPLICA_OTHER;
        dirid_explain(d, name, err);
        return err->code;
    }
    if (!d->anew && memcmp(d->id, id, sizeof d->id) == 0) {
        return 0;
    }
    *d = (struct dirid){.keys = 0};
    memcpy(d->id, id, sizeof d->id);
    return DIRID_NEW;
}

int dirid_twice(const char *name, const char *owner, struct err *err)
{
    (void)err_set(err, ERR_REFUSED, 0,
                  "%.64s leads to the directory of %.64s, or to a copy of it: "
                  "nothing is sent to it under this name",
                  name, owner);
    err->id = DR_REPLICA_TWICE;
    return err->code;
}

bool dirid_complete(struct dirid *d, uint64_t keys)
{
    bool is_new = !d->complete;

    if (!dirid_known(d->id)) {
        return false;
    }
    d->complete = true;
    d->keys = keys;
    return is_new;
}

void dirid_anew(struct dirid *d)
{
    *d = (struct dirid){.anew = true};
}
