/* SPDX-License-Identifier: MIT
 *
 * pinned: the keys of one host that a known_hosts file has.
 *
 * ssh-keygen finds the lines, because names in them may be hashed.  Blocking.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/base/err.h"
#include "sync/link/sshkey.h"

enum { PINNED_MAX = 16, PINNED_HOST_BYTES = 300, PINNED_KEY_BYTES = 2048 };

struct pinned_key {
    char type[SSHKEY_TYPE_BYTES];
    char key64[PINNED_KEY_BYTES];
    unsigned line; /* of the file; 0: not from one */
    bool revoked;
};
struct pinned {
    struct pinned_key keys[PINNED_MAX];
    size_t count;
};

/* The host as a known_hosts file writes it: "HOST", or "[HOST]:PORT". */
void pinned_host(const char *host, unsigned port, char out[PINNED_HOST_BYTES]);
/* No file is as one without the host.  0, or negative. */
int pinned_find(const char *file, const char *host, unsigned port,
                struct pinned *out, struct err *err) MUSTCHECK;
/* "SHA256:..." of a key, "" if it is none. */
void pinned_fingerprint(const struct pinned_key *key,
                        char out[SSHKEY_FINGERPRINT_BYTES]);

/* Pure: takes one line of ssh-keygen -F, or of ssh-keyscan. */
void pinned_take_line(struct pinned *out, const char *line, unsigned *number);
