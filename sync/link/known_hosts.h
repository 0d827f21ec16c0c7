/* SPDX-License-Identifier: MIT
 *
 * known_hosts: a file of host keys in OpenSSH's format, read and judged line by
 * line before the SSH library sees any of it.
 *
 * libssh2 stops at the first line it does not understand and says nothing, and
 * it takes the markers "@revoked" and "@cert-authority" for host names, so that
 * a revoked key with a second, plain line is accepted.  Here every line has a
 * kind, a damaged one is an error that names its number, and only plain lines
 * are handed on.  Matching host names (they may be hashed) stays with libssh2.
 * Blocking: reads one small local file.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "store/base/buf.h"
#include "store/base/err.h"

enum known_kind {
    KNOWN_PLAIN,   /* names, addresses or hashed names: can be matched */
    KNOWN_PATTERN, /* has '*', '?' or '!': not supported, passed over */
    KNOWN_CA,      /* @cert-authority: not supported, passed over */
    KNOWN_REVOKED, /* @revoked: its key is never accepted */
};

struct known_line {
    enum known_kind kind;
    unsigned number;   /* in the file, from 1 */
    const char *hosts; /* these three point into the file's text */
    const char *type;
    const char *key64;
    struct buf blob; /* the key */
};

struct known_hosts {
    struct buf text;
    struct known_line *lines;
    size_t count;
    size_t unsupported; /* KNOWN_PATTERN and KNOWN_CA */
};

#define KNOWN_HOSTS_NULL                                                       \
    {                                                                          \
        BUF_NULL, NULL, 0, 0                                                   \
    }

/* Errors have id DR_KNOWN_HOSTS: missing, unreadable, a line that is none.
 * *kh must be KNOWN_HOSTS_NULL; end it with known_hosts_deinit() in any case.
 */
int known_hosts_load(struct known_hosts *kh, const char *path,
                     struct err *err) MUSTCHECK;
void known_hosts_deinit(struct known_hosts *kh);

/* The line that revokes this key, whatever hosts it names, or NULL. */
const struct known_line *known_hosts_revoked(const struct known_hosts *kh,
                                             const void *blob, size_t n);
/* The line a key (base64) came from, for messages; NULL: none. */
const struct known_line *known_hosts_line_of(const struct known_hosts *kh,
                                             const char *key64);
