/* SPDX-License-Identifier: MIT
 *
 * err: fixed-size error values; see err.h for the idiom. */
#include "store/base/err.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

/* vsnprintf that cannot fail visibly: a message is cut at the buffer's end. */
__attribute__((format(printf, 3, 0))) static size_t
print_into(char *out, size_t room, const char *fmt, va_list ap)
{
    int n = vsnprintf(out, room, fmt, ap);

    if (n < 0) {
        out[0] = '\0';
        return 0;
    }
    return (size_t)n < room ? (size_t)n : room - 1;
}

static void append_sys(struct err *err, size_t used, int sys)
{
    char text[128];

    if (sys == 0) {
        return;
    }
    const char *s = strerror_r(sys, text, sizeof text);
    if (used + 3 < sizeof err->msg) {
        (void)snprintf(err->msg + used, sizeof err->msg - used, ": %s", s);
    }
}

int err_set(struct err *err, int code, int sys, const char *fmt, ...)
{
    va_list ap;

    assert(code < 0);
    err->code = code;
    err->sys = sys;
    err->id = 0;
    va_start(ap, fmt);
    size_t used = print_into(err->msg, sizeof err->msg, fmt, ap);
    va_end(ap);
    append_sys(err, used, sys);
    return code;
}

static int code_of_errno(int sys)
{
    switch (sys) {
    case ENOENT:
        return ERR_NOTFOUND;
    case EACCES:
    case EPERM:
        return ERR_PERM;
    case ENOSPC:
    case EDQUOT:
        return ERR_NOSPACE;
    case EROFS:
        return ERR_READONLY;
    case ENOMEM:
        return ERR_NOMEM;
    case ENOTDIR:
    case ELOOP:
    case EXDEV: /* a mount, in opens that must not enter one */
        return ERR_NOTTABLE;
    default:
        return ERR_IO;
    }
}

int err_sys(struct err *err, int sys, const char *fmt, ...)
{
    va_list ap;

    err->code = code_of_errno(sys);
    err->sys = sys;
    err->id = 0;
    va_start(ap, fmt);
    size_t used = print_into(err->msg, sizeof err->msg, fmt, ap);
    va_end(ap);
    append_sys(err, used, sys);
    return err->code;
}

int err_wrap(struct err *err, const char *fmt, ...)
{
    char was[ERR_MSG_BYTES];
    va_list ap;

    memcpy(was, err->msg, sizeof was);
    va_start(ap, fmt);
    size_t used = print_into(err->msg, sizeof err->msg, fmt, ap);
    va_end(ap);
    if (used + 3 < sizeof err->msg) {
        int room = (int)(sizeof err->msg - used - 3);
        (void)snprintf(err->msg + used, sizeof err->msg - used, ": %.*s", room,
                       was);
    }
    return err->code;
}

const char *err_name(int code)
{
    static const char *const names[] = {
        "OK",           "ERR_IO",     "ERR_NOMEM",    "ERR_NOTFOUND",
        "ERR_EXISTS",   "ERR_BADKEY", "ERR_BADTABLE", "ERR_TIMEOUT",
        "ERR_NOTTABLE", "ERR_PERM",   "ERR_NOSPACE",  "ERR_READONLY",
        "ERR_INVALID",  "ERR_PROTO",  "ERR_CORRUPT",  "ERR_REFUSED",
        "ERR_TOOBIG",   "ERR_GONE",   "ERR_CLOSED",
    };
    int n = -code;

    if (n < 0 || n >= (int)(sizeof names / sizeof names[0])) {
        return "ERR_UNKNOWN";
    }
    return names[n];
}

int err_exit(int code, int otherwise)
{
    switch (code) {
    case ERR_PROTO:
        return EX_PROTOCOL;
    case ERR_INVALID:
    case ERR_BADKEY:
    case ERR_BADTABLE:
        return EX_USAGE;
    case ERR_PERM:
        return EX_NOPERM;
    case ERR_CLOSED:
    case ERR_TIMEOUT:
        return EX_TEMPFAIL;
    default:
        return otherwise;
    }
}
