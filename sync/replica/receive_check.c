/* SPDX-License-Identifier: MIT
 *
 * receive_check: a receiver that is asked how things stand, and for no session:
 * started by the forced command, as its user, behind its sandbox, it can tell
 * what nobody else can.  It holds no lock; another may be live beside it. */
#include <string.h>
#include <sys/utsname.h>

#include "store/base/cleanup.h"
#include "store/cmdline/version.h"
#include "sync/replica/check/look.h"
#include "sync/replica/receive.h"

static void put_findings(const struct findings *f, struct buf *out)
{
    for (size_t i = 0; i < f->count; i++) {
        const struct finding *d = &f->list[i];
        const struct wire_finding m = {
            .level = (uint8_t)d->level,
            .id = (uint16_t)d->id,
            .what = bytes_of(d->what, strlen(d->what)),
            .text = bytes_of(d->text, strnlen(d->text, WIRE_TEXT_MAX)),
            .hint = bytes_of(d->hint, strnlen(d->hint, WIRE_TEXT_MAX)),
        };
        wire_put_finding(out, &m);
    }
    out->bad = out->bad || f->bad;
}

static void say_who(struct findings *f)
{
    finding_ok(f, "receiver", "version %s, protocol %d to %d", version_text(),
               WIRE_PROTO_MIN, WIRE_PROTO_MAX);
}

/* Hints are read on the agent's host. */
static const char *host_name(struct utsname *u)
{
    return uname(u) == 0 ? u->nodename : "the replica's host";
}

void receive_check(void *ctx, const struct wire_hello *hello, struct buf *out)
{
    CLEANUP(findings_deinit) struct findings f = FINDINGS_NULL;
    const struct receive *rv = receive_of(ctx);
    struct utsname u;
    const struct look l = {
        .dir = rv->settings->dir,
        .host = host_name(&u),
        .meta = &rv->disk.meta,
        .modes = &rv->settings->modes,
        .hello = hello,
        .confined = "by Landlock and a system call filter",
        .unconfined = rv->unconfined,
    };

    say_who(&f);
    look_all(&l, &f);
    put_findings(&f, out);
}

int receive_check_first(struct receive *rv, const struct err *refused,
                        struct err *err)
{
    CLEANUP(findings_deinit) struct findings f = FINDINGS_NULL;
    CLEANUP(buf_deinit) struct buf out = BUF_NULL;
    struct utsname u;
    const struct look l = {
        .dir = rv->settings->dir,
        .host = host_name(&u),
        .modes = &rv->settings->modes,
        .confined =
            rv->settings->sandbox
                ? "by a system call filter; Landlock follows when there "
                  "is a replica"
                : "",
        .unconfined = rv->settings->sandbox
                          ? ""
                          : "without the sandbox: switched off by --no-sandbox",
    };

    say_who(&f);
    if (refused->code != 0) {
        look_err(&l, &f, FINDING_FAIL, "copy", refused);
    }
    look_all(&l, &f);
    wire_put_magic(&out);
    put_findings(&f, &out);
    wire_put_bye(&out);
    return out.bad ? err_set(err, ERR_NOMEM, 0, "out of memory")
                   : receive_send(rv, out.data, out.len, err);
}
