/* SPDX-License-Identifier: MIT
 *
 * fuzz_ssh: the files of SSH that are read here: known_hosts and private keys.
 *
 * Input: a byte that chooses, then the file.  With bit 1 of that byte the text
 * between the lines "-----BEGIN" and "-----END" is made base64 of what stands
 * there, so that mutation reaches the binary format inside.
 *
 * A known_hosts file that is accepted has a key of the named type in every
 * line, and a revoked key is found whatever else names it.
 */
#include "tests/fuzz/fuzz.h"

#include <openssl/evp.h>

#include "store/base/base64.h"
#include "sync/errors/state.h"
#include "sync/link/known_hosts.h"
#include "sync/link/sshkey.h"

static void try_known_hosts(struct cur in)
{
    struct known_hosts kh = KNOWN_HOSTS_NULL;
    struct err err = {0};

    fuzz_file(fuzz_dir(), "known_hosts", 0600, in.p, in.left);
    int rc = known_hosts_load(&kh, fuzz_path("known_hosts"), &err);
    must(rc == 0 || err.id == DR_KNOWN_HOSTS);
    fuzz_is_tame(err.msg, strlen(err.msg), "");
    for (size_t i = 0; rc == 0 && i < kh.count; i++) {
        const struct known_line *l = &kh.lines[i];
        must(sshkey_blob_is(l->blob.data, l->blob.len, l->type));
        const struct known_line *revoked =
            known_hosts_revoked(&kh, l->blob.data, l->blob.len);
        must(l->kind != KNOWN_REVOKED || revoked != NULL);
        must(l->kind != KNOWN_PLAIN ||
             known_hosts_line_of(&kh, l->key64) != NULL);
    }
    known_hosts_deinit(&kh);
}

/* "-----BEGIN OPENSSH PRIVATE KEY-----\n" BASE64 "\n-----END ..." */
static void armour(struct cur in, struct buf *out)
{
    static const char *const kinds[] = {"OPENSSH PRIVATE KEY", "PRIVATE KEY"};
    const char *kind = kinds[cur_u8(&in) & 1];
    unsigned char *text = malloc(4 * (in.left / 3 + 1) + 1);

    must(text != NULL);
    int n = EVP_EncodeBlock(text, in.left > 0 ? in.p : (const uint8_t *)"",
                            (int)in.left);
    buf_printf(out, "-----BEGIN %s-----\n%.*s\n-----END %s-----\n", kind, n,
               (char *)text, kind);
    free(text);
}

static void try_key(struct cur in, bool binary)
{
    static struct buf text;
    struct sshkey key;
    struct err err = {0};

    buf_clear(&text);
    if (binary) {
        armour(in, &text);
    } else {
        buf_put(&text, in.p, in.left);
    }
    fuzz_file(fuzz_dir(), "id", 0600, text.data, text.len);
    int rc = sshkey_load(&key, fuzz_path("id"), &err);
    if (rc == 0) {
        must(memchr(key.type, '\0', sizeof key.type) != NULL);
        char print[SSHKEY_FINGERPRINT_BYTES];
        sshkey_fingerprint(key.blob.data, key.blob.len, print);
        must(strncmp(print, "SHA256:", 7) == 0);
        sshkey_deinit(&key);
    } else {
        must(err.id == DR_KEY_FILE || err.id == DR_RSA_KEY);
        fuzz_is_tame(err.msg, strlen(err.msg), "");
    }
}

static void try_base64(struct cur in)
{
    struct buf out = BUF_NULL;
    char *text = fuzz_text(in.p, in.left);

    if (base64_decode(&out, text, in.left)) {
        must(out.len <= in.left / 4 * 3 + 3);
    }
    (void)sshkey_blob_is(in.p, in.left, "ssh-ed25519");
    buf_deinit(&out);
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1 || size > 16384) {
        return 0;
    }
    struct cur in = cur_of(data, size);
    switch (cur_u8(&in) & 3) {
    case 0:
        try_known_hosts(in);
        break;
    case 1:
        try_key(in, false);
        break;
    case 2:
        try_base64(in);
        break;
    default:
        try_key(in, true);
    }
    return 0;
}
