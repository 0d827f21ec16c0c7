/* SPDX-License-Identifier: MIT
 *
 * known_hosts: reads and judges a known_hosts file; see known_hosts.h. */
#include "sync/link/known_hosts.h"

#include <stdlib.h>
#include <string.h>

#include "store/base/base64.h"
#include "sync/errors/state.h"
#include "sync/link/sshkey.h"

static const char blanks[] = " \t";

/* The next word of *at, NUL-terminated in place, or NULL at the end. */
static char *next_word(char **at)
{
    char *word = *at + strspn(*at, blanks);

    if (*word == '\0') {
        return NULL;
    }
    char *end = word + strcspn(word, blanks);
    if (*end != '\0') {
        *end++ = '\0';
    }
    *at = end;
    return word;
}

static int refuse_line(struct err *err, const char *path, unsigned number,
                       const char *why)
{
    err_set(err, ERR_INVALID, 0, "known_hosts file %s, line %u %s", path,
            number, why);
    err->id = DR_KNOWN_HOSTS;
    return err->code;
}

/* Reads one line (not blank, no comment) into *line. */
static int parse_line(struct known_line *line, char *text, const char *path,
                      struct err *err)
{
    char *at = text;
    const char *hosts = next_word(&at);

    line->kind = KNOWN_PLAIN;
    if (hosts != NULL && hosts[0] == '@') {
        if (strcmp(hosts, "@revoked") == 0) {
            line->kind = KNOWN_REVOKED;
        } else if (strcmp(hosts, "@cert-authority") == 0) {
            line->kind = KNOWN_CA;
        } else {
            return refuse_line(err, path, line->number,
                               "begins with an unknown marker");
        }
        hosts = next_word(&at);
    }
    line->hosts = hosts;
    line->type = next_word(&at);
    line->key64 = next_word(&at);
    if (line->key64 == NULL) {
        return refuse_line(err, path, line->number,
                           "is not of the form \"HOST TYPE KEY\"; correct or "
                           "remove it");
    }
    if (line->kind == KNOWN_PLAIN && strpbrk(line->hosts, "*?!") != NULL) {
        line->kind = KNOWN_PATTERN;
    }
    if (!base64_decode(&line->blob, line->key64, strlen(line->key64)) ||
        !sshkey_blob_is(line->blob.data, line->blob.len, line->type)) {
        return refuse_line(err, path, line->number,
                           "holds no valid key; correct or remove it");
    }
    return 0;
}

static struct known_line *add_line(struct known_hosts *kh, unsigned number)
{
    struct known_line *more =
        reallocarray(kh->lines, kh->count + 1, sizeof *more);

    if (more == NULL) {
        return NULL;
    }
    kh->lines = more;
    struct known_line *line = &more[kh->count++];

    *line = (struct known_line){.number = number, .blob = BUF_NULL};
    return line;
}

static int parse_text(struct known_hosts *kh, const char *path, struct err *err)
{
    char *rest = (char *)kh->text.data;

    for (unsigned number = 1; rest != NULL; number++) {
        char *text = strsep(&rest, "\n");
        size_t n = strlen(text);
        if (n > 0 && text[n - 1] == '\r') {
            text[n - 1] = '\0';
        }
        const char *first = text + strspn(text, blanks);
        if (*first == '\0' || *first == '#') {
            continue;
        }
        struct known_line *line = add_line(kh, number);
        if (line == NULL) {
            return err_set(err, ERR_NOMEM, 0, "%s: no memory", path);
        }
        int rc = parse_line(line, text, path, err);
        if (rc < 0) {
            return rc;
        }
        kh->unsupported +=
            line->kind == KNOWN_PATTERN || line->kind == KNOWN_CA;
    }
    return 0;
}

int known_hosts_load(struct known_hosts *kh, const char *path, struct err *err)
{
    struct stat st;

    int rc = sshkey_read_file(path, &kh->text, &st, err);
    if (rc < 0) {
        err_wrap(err, "known_hosts file");
        err->id = DR_KNOWN_HOSTS;
        return rc;
    }
    if (memchr(kh->text.data, '\0', kh->text.len) != NULL) {
        err_set(err, ERR_INVALID, 0,
                "known_hosts file %s holds a NUL byte: it is not a text file",
                path);
        err->id = DR_KNOWN_HOSTS;
        return err->code;
    }
    return parse_text(kh, path, err);
}

void known_hosts_deinit(struct known_hosts *kh)
{
    for (size_t i = 0; i < kh->count; i++) {
        buf_deinit(&kh->lines[i].blob);
    }
    free(kh->lines);

    buf_deinit(&kh->text);
    *kh = (struct known_hosts)KNOWN_HOSTS_NULL;
}

const struct known_line *known_hosts_revoked(const struct known_hosts *kh,
                                             const void *blob, size_t n)
{
    for (size_t i = 0; i < kh->count; i++) {
        const struct known_line *line = &kh->lines[i];
        if (line->kind == KNOWN_REVOKED && line->blob.len == n &&
            memcmp(line->blob.data, blob, n) == 0) {
            return line;
        }
    }
    return NULL;
}

const struct known_line *known_hosts_line_of(const struct known_hosts *kh,
                                             const char *key64)
{
    for (size_t i = 0; i < kh->count; i++) {
        if (kh->lines[i].kind == KNOWN_PLAIN &&
            strcmp(kh->lines[i].key64, key64) == 0) {
            return &kh->lines[i];
        }
    }
    return NULL;
}
