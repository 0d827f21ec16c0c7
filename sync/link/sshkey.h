/* SPDX-License-Identifier: MIT
 *
 * sshkey: what can be said about SSH keys without an SSH library:
 * fingerprints, and whether a private key file can be used at all.
 *
 * The check happens before a connection is made, because the library's own
 * answers (and a server's "refused") do not tell an RSA key from a wrong one.
 * Blocking: reads one small local file.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include "store/base/buf.h"
#include "store/base/err.h"

enum {
    SSHKEY_TYPE_BYTES = 64,
    SSHKEY_FINGERPRINT_BYTES = 64, /* "SHA256:" and 43 characters fit */
    SSHKEY_FILE_MAX = 1 << 20,
};

struct sshkey {
    char type[SSHKEY_TYPE_BYTES]; /* "ssh-ed25519"; "" when not known */
    bool locked;                  /* protected by a passphrase */
    bool is_public;               /* the private half is elsewhere */
    struct buf blob;              /* the public key; empty when not known */
};

/* Read the key file `path` and tell what it is.  Refuses, with err->id
 * DR_KEY_FILE or DR_RSA_KEY: missing, unreadable, a private key that is
 * readable for others, not a key, RSA, DSA, keys on a token.  Passphrase: 0
 * with `locked`.  A public key, "TYPE BASE64 ...": 0 with `is_public`.
 * On success the caller ends *key_out with sshkey_deinit(). */
int sshkey_load(struct sshkey *key_out, const char *path,
                struct err *err) MUSTCHECK;
void sshkey_deinit(struct sshkey *key);
/* The key of file `path` (NULL: no file) cannot be used, for it takes an
 * ssh-agent and there is none (SSH_AUTH_SOCK): *err says so, with DR_KEY_FILE.
 * `key`: the loaded one. */
bool sshkey_lacks_agent(const char *path, const struct sshkey *key,
                        struct err *err);
/* The same of a file that is not loaded yet; one that cannot be is another
 * matter: false. */
bool sshkey_file_lacks_agent(const char *path, struct err *err);

/* "SHA256:..." as ssh-keygen -l shows it. */
void sshkey_fingerprint(const void *blob, size_t n,
                        char out[SSHKEY_FINGERPRINT_BYTES]);
/* The type in a public key blob is exactly `type`. */
bool sshkey_blob_is(const void *blob, size_t n, const char *type);

/* Read a whole regular file of at most SSHKEY_FILE_MAX bytes; a NUL follows
 * the contents in memory (not counted). */
int sshkey_read_file(const char *path, struct buf *out, struct stat *st_out,
                     struct err *err) MUSTCHECK;
