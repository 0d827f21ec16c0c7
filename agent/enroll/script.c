/* SPDX-License-Identifier: MIT
 *
 * script: see script.h. */
#include "agent/enroll/script.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/base/base64.h"
#include "store/base/cleanup.h"
#include "sync/link/sshkey.h"

static const char DEFAULT_DIR_MODE[] = "2750";

static void set(struct buf *b, const char *name, const char *value)
{
    buf_printf(b, "%s=", name);
    enroll_quote(b, value != NULL ? value : "");
    buf_u8(b, '\n');
}

/* --- the key ------------------------------------------------------------- */

/* "TYPE BASE64 COMMENT" in three; the first two with one blank between. */
struct public_key {
    char *type_and_key;
    const char *key, *comment; /* within the line */
    size_t key_len;
};

static bool is_key(const char *type, size_t type_len, const char *key,
                   size_t key_len)
{
    CLEANUP(buf_deinit) struct buf blob = BUF_NULL;
    CLEANUP(freep) char *name = strndup(type, type_len);

    return name != NULL && base64_decode(&blob, key, key_len) &&
           sshkey_blob_is(blob.data, blob.len, name);
}

static int split_key(const char *line, struct public_key *out, struct err *err)
{
    size_t type_len = strcspn(line, " \t");

    out->key = line + type_len + strspn(line + type_len, " \t");
    out->key_len = strcspn(out->key, " \t");
    out->comment = out->key + out->key_len;
    out->comment += strspn(out->comment, " \t");
    if (!is_key(line, type_len, out->key, out->key_len)) {
        return err_set(err, ERR_INVALID, 0, "not a public key");
    }
    if (out->comment[0] != '\0' &&
        enroll_check_word("the key's comment", out->comment, err) < 0) {
        return err->code;
    }
    return asprintf(&out->type_and_key, "%.*s %.*s", (int)type_len, line,
                    (int)out->key_len, out->key) < 0
               ? err_set(err, ERR_NOMEM, 0, "out of memory")
               : 0;
}

/* --- the settings -------------------------------------------------------- */

/* "receive DIR" as authorized_keys has it: by this the line is found again. */
static void set_receive(struct buf *b, const char *dir)
{
    CLEANUP(buf_deinit) struct buf word = BUF_NULL;
    CLEANUP(buf_deinit) struct buf text = BUF_NULL;

    enroll_quote(&word, dir);
    buf_u8(&word, '\0');
    buf_printf(&text, "receive ");
    for (const uint8_t *p = word.data; p != NULL && *p != '\0'; p++) {
        if (*p == '"') {
            buf_u8(&text, '\\');
        }
        buf_u8(&text, *p);
    }
    buf_u8(&text, '\0');
    b->bad = b->bad || word.bad || text.bad;
    set(b, "receive", (const char *)text.data);
}

static void put_settings(struct buf *b, const struct enroll_plan *plan,
                         enum script_mode mode)
{
    static const char *const MODES[] = {"add", "check", "remove"};
    const struct enroll_request *q = plan->request;

    buf_printf(b, "#!/bin/sh\n"
                  "# For the host of a replica; made by drover replica.\n");
    set(b, "mode", MODES[mode]);
    set(b, "user", plan->replica.user);
    set(b, "dir", plan->replica.path);
    set(b, "group", plan->group);
    set(b, "dir_mode", q->dir_mode != NULL ? q->dir_mode : DEFAULT_DIR_MODE);
    set(b, "receiver", plan->receiver);
    set(b, "keys", q->authorized_keys);
    set_receive(b, plan->replica.path);
}

static int put_key(struct buf *b, const struct enroll_plan *plan,
                   const char *line, struct err *err)
{
    struct public_key key = {0};
    int rc = split_key(line, &key, err);

    if (rc < 0) {
        return rc;
    }
    CLEANUP(freep) char *both = key.type_and_key;
    CLEANUP(freep) char *whole = enroll_authorized_line(plan, both);
    CLEANUP(freep) char *bare = strndup(key.key, key.key_len);
    if (whole == NULL || bare == NULL) {
        return err_set(err, ERR_NOMEM, 0, "out of memory");
    }
    set(b, "key", bare);
    set(b, "line", whole);
    set(b, "comment", key.comment);
    return 0;
}

int enroll_script(const struct enroll_plan *plan, enum script_mode mode,
                  const char *public_key, struct buf *out, struct err *err)
{
    put_settings(out, plan, mode);
    if (public_key == NULL) {
        /* A line that no file has. */
        set(out, "key", "(a key that is not made yet)");
        set(out, "line", "(a line with a key that is not made yet)");
        set(out, "comment", "");
    } else if (put_key(out, plan, public_key, err) < 0) {
        return err->code;
    }
    buf_u8(out, '\n');
    buf_put(out, enroll_replica_sh, enroll_replica_sh_bytes);
    buf_u8(out, '\0');
    if (out->bad) {
        return err_set(err, ERR_NOMEM, 0, "out of memory");
    }
    out->len--;
    return 0;
}

/* --- what it says -------------------------------------------------------- */

static const char END[] = "end: ", MADE_LINE[] = "made: a line in ";

const char *script_take_line(struct script_said *said, const char *line)
{
    const struct {
        const char *word;
        unsigned *count;
    } WORDS[] = {
        {"made: ", &said->made},   {"removed: ", &said->removed},
        {"there: ", &said->there}, {"would: ", &said->would},
        {"left: ", &said->left},
    };

    said->ended = said->ended || strncmp(line, END, strlen(END)) == 0;
    said->made_line =
        said->made_line || strncmp(line, MADE_LINE, strlen(MADE_LINE)) == 0;
    for (size_t i = 0; i < sizeof WORDS / sizeof *WORDS; i++) {
        size_t n = strlen(WORDS[i].word);
        if (strncmp(line, WORDS[i].word, n) == 0) {
            ++*WORDS[i].count;
            return line + n;
        }
    }
    return NULL;
}
