/* SPDX-License-Identifier: MIT
 *
 * err: the one error idiom of the project.
 *
 * A fallible function returns 0 or a documented positive condition on success
 * and a negative ERR_* on failure, and takes a struct err as its last
 * parameter.  Three classes, never mixed:
 *   bug        assert(), always compiled in
 *   condition  a positive value that the direct caller handles in a switch
 *   failure    a negative ERR_*, forwarded unchanged, with a message that each
 *              layer which knows more puts its context in front of
 * The value lives on the caller's stack (or in a request), never allocates and
 * may not be NULL.  An error is logged once, by the code that decides what to
 * do about it; libraries never log.
 */
#pragma once

enum {
    ERR_IO = -1,        /* a system call failed; sys holds the errno */
    ERR_NOMEM = -2,     /* out of memory */
    ERR_NOTFOUND = -3,  /* no such key, table or database */
    ERR_EXISTS = -4,    /* the key exists already */
    ERR_BADKEY = -5,    /* not a possible key: '/', NUL or too long */
    ERR_BADTABLE = -6,  /* not a possible table name */
    ERR_TIMEOUT = -7,   /* a lock was not granted within its timeout */
    ERR_NOTTABLE = -8,  /* the name exists, but is not a table (or key) */
    ERR_PERM = -9,      /* permission denied (EACCES, EPERM) */
    ERR_NOSPACE = -10,  /* disk or quota full (ENOSPC, EDQUOT) */
    ERR_READONLY = -11, /* opened read-only, or EROFS */
    ERR_INVALID = -12,  /* a bad argument, setting or command line */
    ERR_PROTO = -13,    /* the peer broke the protocol */
    ERR_CORRUPT = -14,  /* stored state does not match its checksum */
    ERR_REFUSED = -15,  /* the peer refused us, or we refuse the peer */
    ERR_TOOBIG = -16,   /* a value or message exceeds its bound */
    ERR_GONE = -17,     /* the database itself is not there any more */
    ERR_CLOSED = -18,   /* the link or stream ended */
};

enum { ERR_MSG_BYTES = 640 };

struct err {
    int code;                /* ERR_*, 0 when unset */
    int sys;                 /* errno of the failing call, 0 if none */
    int id;                  /* operator-visible number (DR-nnn), 0 if none */
    char msg[ERR_MSG_BYTES]; /* one line, no trailing newline */
};

/* Record a failure at its origin and return its code.  When `sys` is not 0,
 * ": " and the system's text for it are appended. */
int err_set(struct err *err, int code, int sys, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

/* Like err_set(), with the code derived from errno value `sys`: ENOENT ->
 * ERR_NOTFOUND, EACCES/EPERM -> ERR_PERM, ENOSPC/EDQUOT -> ERR_NOSPACE, EROFS
 * -> ERR_READONLY, ENOMEM -> ERR_NOMEM, ENOTDIR/ELOOP/EXDEV -> ERR_NOTTABLE,
 * others -> ERR_IO. */
int err_sys(struct err *err, int sys, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* Put "context: " in front of the message; returns err->code. */
int err_wrap(struct err *err, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* The name of a code, such as "ERR_NOTFOUND"; never NULL. */
const char *err_name(int code);

/* The exit status, as of <sysexits.h>, of a program that ends with the code;
 * `otherwise` where the code does not say. */
int err_exit(int code, int otherwise);

#define MUSTCHECK __attribute__((warn_unused_result))
