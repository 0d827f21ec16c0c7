/* SPDX-License-Identifier: MIT
 *
 * sshkey: fingerprints and a look into private key files; see sshkey.h.
 */
#include "sync/link/sshkey.h"

#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "store/base/base64.h"
#include "store/base/cleanup.h"
#include "store/base/sys.h"
#include "sync/errors/state.h"

/* --- fingerprints -------------------------------------------------------- */

void sshkey_fingerprint(const void *blob, size_t n,
                        char out[SSHKEY_FINGERPRINT_BYTES])
{
    static const char prefix[] = "SHA256:";
    unsigned char hash[SHA256_DIGEST_LENGTH];
    CLEANUP(buf_deinit) struct buf digits = BUF_NULL;

    (void)SHA256(blob, n, hash);
    base64_encode(&digits, hash, sizeof hash);
    while (digits.len > 0 && digits.data[digits.len - 1] == '=') {
        digits.len--; /* OpenSSH shows none */
    }
    (void)snprintf(out, SSHKEY_FINGERPRINT_BYTES, "%s%.*s", prefix,
                   (int)digits.len, (const char *)digits.data);
}

/* SSH's strings: a 32-bit big-endian length and that many bytes. */
static bool take_string(struct cur *c, struct cur *out)
{
    uint32_t n;
    const uint8_t *p = cur_take(c, sizeof n);

    if (p == NULL) {
        return false;
    }
    memcpy(&n, p, sizeof n);
    n = be32toh(n);
    p = cur_take(c, n);
    if (p == NULL) {
        return false;
    }
    *out = cur_of(p, n);
    return true;
}

static bool string_is(const struct cur *s, const char *text)
{
    return s->left == strlen(text) && memcmp(s->p, text, s->left) == 0;
}

bool sshkey_blob_is(const void *blob, size_t n, const char *type)
{
    struct cur c = cur_of(blob, n), name;

    return take_string(&c, &name) && string_is(&name, type);
}

/* --- files --------------------------------------------------------------- */

int sshkey_read_file(const char *path, struct buf *out, struct stat *st_out,
                     struct err *err)
{
    /* O_NONBLOCK: a FIFO in this place must not stop us. */
    CLEANUP(fd_closep)
    int fd = sys_open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0 || fstat(fd, st_out) != 0) {
        return err_sys(err, errno, "%s", path);
    }
    if (!S_ISREG(st_out->st_mode)) {
        return err_set(err, ERR_INVALID, 0, "%s is not a regular file", path);
    }
    for (;;) {
        if (!buf_reserve(out, 4096)) {
            return err_set(err, ERR_NOMEM, 0, "%s: no memory to read it", path);
        }
        ssize_t n = sys_read(fd, out->data + out->len, 4095);
        if (n < 0) {
            return err_sys(err, errno, "%s", path);
        }
        out->data[out->len + (size_t)n] = '\0';
        if (n == 0) {
            return 0;
        }
        out->len += (size_t)n;
        if (out->len > SSHKEY_FILE_MAX) {
            return err_set(err, ERR_TOOBIG, 0, "%s is larger than 1 MiB", path);
        }
    }
}

/* --- private keys -------------------------------------------------------- */

static int refuse(struct err *err, const char *path, const char *why)
{
    err_set(err, ERR_INVALID, 0, "key file %s %s", path, why);
    err->id = DR_KEY_FILE;
    return err->code;
}

static int refuse_rsa(struct err *err, const char *path)
{
    err_set(err, ERR_INVALID, 0,
            "key file %s is an RSA key: libssh2 here signs with it in SHA-1 "
            "only, which OpenSSH refuses since 8.8.  Make an ed25519 key "
            "(ssh-keygen -t ed25519 -N '' -f %s.ed25519), authorize it on the "
            "replica and name it as identity",
            path, path);
    err->id = DR_RSA_KEY;
    return err->code;
}

/* A key type by the name it has in SSH. */
static int judge_type(struct sshkey *key, const struct cur *name,
                      const char *path, struct err *err)
{
    if (string_is(name, "ssh-rsa")) {
        return refuse_rsa(err, path);
    }
    if (!string_is(name, "ssh-ed25519") &&
        !string_is(name, "ecdsa-sha2-nistp256") &&
        !string_is(name, "ecdsa-sha2-nistp384") &&
        !string_is(name, "ecdsa-sha2-nistp521")) {
        return refuse(err, path,
                      "is of a type that cannot be used here; use an ed25519 "
                      "key (ssh-keygen -t ed25519)");
    }
    memcpy(key->type, name->p, name->left);

    key->type[name->left] = '\0';
    return 0;
}

/* OpenSSH's own format: the public half is readable even when the private one
 * is encrypted. */
static int judge_openssh(struct sshkey *key, const struct buf *body,
                         const char *path, struct err *err)
{
    static const char magic[] = "openssh-key-v1";
    struct cur c = cur_of(body->data, body->len);
    struct cur cipher, kdf, options, blob, name;

    const uint8_t *m = cur_take(&c, sizeof magic);
    if (m == NULL || memcmp(m, magic, sizeof magic) != 0 ||
        !take_string(&c, &cipher) || !take_string(&c, &kdf) ||
        !take_string(&c, &options) || cur_take(&c, 4) == NULL ||
        !take_string(&c, &blob)) {
        return refuse(err, path, "is damaged: not an OpenSSH private key");
    }
    buf_put(&key->blob, blob.p, blob.left);
    key->locked = !string_is(&cipher, "none");
    if (key->blob.bad || !take_string(&blob, &name)) {
        return refuse(err, path, "is damaged: no public key in it");
    }
    return judge_type(key, &name, path, err);
}

/* PKCS#8: the algorithm's object identifier stands near the beginning. */
static int judge_pkcs8(const struct buf *body, const char *path,
                       struct err *err)
{
    static const uint8_t rsa[] = {0x06, 0x09, 0x2a, 0x86, 0x48, 0x86,
                                  0xf7, 0x0d, 0x01, 0x01, 0x01};
    static const uint8_t ec[] = {0x06, 0x07, 0x2a, 0x86, 0x48,
                                 0xce, 0x3d, 0x02, 0x01};
    static const uint8_t ed25519[] = {0x06, 0x03, 0x2b, 0x65, 0x70};
    size_t n = body->len < 48 ? body->len : 48;

    if (n == 0) {
        return refuse(err, path, "is damaged: it is empty");
    }
    if (memmem(body->data, n, rsa, sizeof rsa) != NULL) {
        return refuse_rsa(err, path);
    }
    if (memmem(body->data, n, ec, sizeof ec) == NULL &&
        memmem(body->data, n, ed25519, sizeof ed25519) == NULL) {
        return refuse(err, path,
                      "is of a type that cannot be used here; use an ed25519 "
                      "key (ssh-keygen -t ed25519)");
    }
    return 0;
}

static int judge_body(struct sshkey *key, const char *text, bool openssh,
                      const char *path, struct err *err)
{
    struct buf body = BUF_NULL;
    const char *from = strchr(text, '\n');
    const char *to = from != NULL ? strstr(from, "-----END ") : NULL;
    int rc;

    if (to == NULL || !base64_decode(&body, from, (size_t)(to - from))) {
        rc = refuse(err, path, "is damaged: no END line, or not base64");
    } else if (openssh) {
        rc = judge_openssh(key, &body, path, err);
    } else {
        rc = judge_pkcs8(&body, path, err);
    }
    if (body.data != NULL) {
        explicit_bzero(body.data, body.cap);
    }
    buf_deinit(&body);
    return rc;
}

static bool looks_public(const char *text)
{
    return strncmp(text, "ssh-", 4) == 0 || strncmp(text, "ecdsa-", 6) == 0 ||
           strncmp(text, "sk-", 3) == 0;
}

/* One line: the type, the key, a comment. */
static int judge_public(struct sshkey *key, const char *text, const char *path,
                        struct err *err)
{
    static const char blanks[] = " \t\r\n";
    size_t n = strcspn(text, blanks);
    const char *body = text + n + strspn(text + n, " \t");
    struct cur c, name;

    key->is_public = true;
    if (!base64_decode(&key->blob, body, strcspn(body, blanks))) {
        return refuse(err, path, "is damaged: no public key in it");
    }
    c = cur_of(key->blob.data, key->blob.len);
    if (!take_string(&c, &name) || name.left != n ||
        memcmp(name.p, text, n) != 0) {
        return refuse(err, path, "is damaged: no public key in it");
    }
    return judge_type(key, &name, path, err);
}

static int judge(struct sshkey *key, const char *text, const char *path,
                 struct err *err)
{
    const char *begin = strstr(text, "-----BEGIN ");

    if (begin == NULL) {
        if (strncmp(text, "PuTTY-", 6) == 0) {
            return refuse(err, path,
                          "is in PuTTY's format; convert it: puttygen KEY -O "
                          "private-openssh -o NEW");
        }
        return refuse(err, path, "holds no private key");
    }
    const char *what = begin + strlen("-----BEGIN ");
    if (strncmp(what, "OPENSSH PRIVATE KEY", 19) == 0) {
        return judge_body(key, begin, true, path, err);
    }
    if (strncmp(what, "PRIVATE KEY", 11) == 0) {
        return judge_body(key, begin, false, path, err);
    }
    if (strncmp(what, "ENCRYPTED PRIVATE KEY", 21) == 0) {
        key->locked = true;
        return 0;
    }
    if (strncmp(what, "RSA PRIVATE KEY", 15) == 0) {
        return refuse_rsa(err, path);
    }
    if (strncmp(what, "EC PRIVATE KEY", 14) == 0) {
        key->locked = strstr(begin, "ENCRYPTED") != NULL;
        return 0;
    }
    return refuse(err, path,
                  "is of a type that cannot be used here; use an ed25519 key "
                  "(ssh-keygen -t ed25519)");
}

int sshkey_load(struct sshkey *key_out, const char *path, struct err *err)
{
    struct sshkey key = {.blob = BUF_NULL};
    struct buf text = BUF_NULL;
    struct stat st;

    int rc = sshkey_read_file(path, &text, &st, err);
    if (rc < 0) {
        err_wrap(err, "key file");
        err->id = DR_KEY_FILE;
    } else if (looks_public((const char *)text.data)) {
        rc = judge_public(&key, (const char *)text.data, path, err);
    } else if (st.st_uid == geteuid() && (st.st_mode & 077) != 0) {
        err_set(err, ERR_PERM, 0,
                "key file %s can be read by others (mode %04o): chmod 600 %s",
                path, (unsigned)(st.st_mode & 07777), path);
        err->id = DR_KEY_FILE;
        rc = err->code;
    } else {
        rc = judge(&key, (const char *)text.data, path, err);
    }
    if (text.data != NULL) {
        explicit_bzero(text.data, text.cap);
    }
    buf_deinit(&text);
    if (rc < 0) {
        buf_deinit(&key.blob);
        return rc;
    }
    *key_out = key;
    return 0;
}

void sshkey_deinit(struct sshkey *key)
{
    buf_deinit(&key->blob);
    *key = (struct sshkey){.blob = BUF_NULL};
}

/* Why the file alone is not enough; false: it is. */
static bool why_agent(const char *path, const struct sshkey *key, char *out,
                      size_t room)
{
    if (path == NULL) {
        (void)snprintf(out, room, "no key file is configured");
    } else if (key->is_public) {
        (void)snprintf(out, room,
                       "key file %.100s is the public half of a key that an "
                       "ssh-agent is to have (the private one usually has the "
                       "same name without .pub)",
                       path);
    } else if (key->locked) {
        (void)snprintf(out, room,
                       "key file %.100s is protected by a passphrase (remove "
                       "it: ssh-keygen -p -N '' -f %.100s)",
                       path, path);
    } else {
        return false;
    }
    return true;
}

bool sshkey_lacks_agent(const char *path, const struct sshkey *key,
                        struct err *err)
{
    const char *agent = getenv("SSH_AUTH_SOCK");
    char why[400];

    if (!why_agent(path, key, why, sizeof why)) {
        return false;
    }
    /* Without its public half there is no telling which of the agent's it is.
     */
    bool unknown = path != NULL && key->locked && key->blob.len == 0;
    if (agent != NULL && agent[0] != '\0' && !unknown) {
        return false;
    }
    (void)err_set(err, ERR_INVALID, 0, "%s%s", why,
                  unknown ? ""
                          : ", and there is no ssh-agent (SSH_AUTH_SOCK is not "
                            "set)");
    err->id = DR_KEY_FILE;
    return true;
}

bool sshkey_file_lacks_agent(const char *path, struct err *err)
{
    struct sshkey key = {.blob = BUF_NULL};
    struct err other;

    if (path != NULL && sshkey_load(&key, path, &other) < 0) {
        return false;
    }
    bool lacks = sshkey_lacks_agent(path, &key, err);
    sshkey_deinit(&key);
    return lacks;
}
