/* SPDX-License-Identifier: MIT
 *
 * pinned: see pinned.h.
 *
 *     # Host [eu-1.example.net]:2222 found: line 3
 *     [eu-1.example.net]:2222 ssh-ed25519 AAAA...
 *
 * is what ssh-keygen -F prints of each line; ssh-keyscan prints the second
 * kind alone, and comments. */
#include "agent/enroll/pinned.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/enroll/program.h"
#include "store/base/base64.h"
#include "store/base/cleanup.h"

enum { DEFAULT_PORT = 22 };

void pinned_host(const char *host, unsigned port, char out[PINNED_HOST_BYTES])
{
    if (port == DEFAULT_PORT) {
        (void)snprintf(out, PINNED_HOST_BYTES, "%s", host);
    } else {
        (void)snprintf(out, PINNED_HOST_BYTES, "[%s]:%u", host, port);
    }
}

/* Copies the next word of *at; false: there is none, or it is too long. */
static bool next_word(const char **at, char *out, size_t room)
{
    const char *p = *at + strspn(*at, " \t");
    size_t n = strcspn(p, " \t\r\n");

    if (n == 0 || n >= room) {
        return false;
    }
    memcpy(out, p, n);
    out[n] = '\0';
    *at = p + n;
    return true;
}

/* "# Host NAME found: line 3" */
static void take_number(const char *line, unsigned *number)
{
    static const char WORDS[] = " found: line ";
    const char *found = strstr(line, WORDS);

    if (found != NULL) {
        *number = (unsigned)strtoul(found + sizeof WORDS - 1, NULL, 10);
    }
}

void pinned_take_line(struct pinned *out, const char *line, unsigned *number)
{
    char host[1024];
    const char *at = line;

    if (line[0] == '#') {
        take_number(line, number);
        return;
    }
    if (out->count == PINNED_MAX || !next_word(&at, host, sizeof host)) {
        return;
    }
    struct pinned_key *key = &out->keys[out->count];
    *key = (struct pinned_key){.line = *number,
                               .revoked = strcmp(host, "@revoked") == 0};
    if (host[0] == '@' &&
        (!key->revoked || !next_word(&at, host, sizeof host))) {
        return; /* a certificate authority: no login of ours uses it */
    }
    if (next_word(&at, key->type, sizeof key->type) &&
        next_word(&at, key->key64, sizeof key->key64)) {
        out->count++;
    }
}

static void take_lines(struct pinned *out, const char *text)
{
    unsigned number = 0;

    for (const char *p = text; *p != '\0';) {
        char line[PINNED_KEY_BYTES + 1200];
        size_t n = strcspn(p, "\n");
        if (n < sizeof line) {
            memcpy(line, p, n);
            line[n] = '\0';
            pinned_take_line(out, line, &number);
        }
        p += n + (p[n] == '\n' ? 1 : 0);
    }
}

static int find_name(const char *file, const char *name, struct pinned *out,
                     struct err *err)
{
    const char *const argv[] = {"ssh-keygen", "-F", name, "-f", file, NULL};
    CLEANUP(program_end_deinit) struct program_end end = PROGRAM_END_NULL;
    struct program p = {.argv = argv, .user = (uid_t)-1};

    int rc = program_run(&p, &end, err);
    if (rc < 0) {
        return rc;
    }
    /* 1: the host is not in it. */
    if (end.status != 0 && end.said.len > 0) {
        char last[PROGRAM_LAST_BYTES];
        return err_set(err, ERR_INVALID, 0, "%s", program_last(&end, last));
    }
    take_lines(out, program_text(&end.out));
    return 0;
}

int pinned_find(const char *file, const char *host, unsigned port,
                struct pinned *out, struct err *err)
{
    char name[PINNED_HOST_BYTES];

    struct stat st;

    out->count = 0;
    if (access(file, R_OK) != 0 || stat(file, &st) != 0) {
        return errno == ENOENT ? 0 : err_sys(err, errno, "%s", file);
    }
    /* ssh-keygen would wait for what comes out of a FIFO. */
    if (!S_ISREG(st.st_mode)) {
        return err_set(err, ERR_INVALID, 0, "%s is not a regular file", file);
    }
    pinned_host(host, port, name);
    int rc = find_name(file, name, out, err);
    /* A line without a port is taken for every port, too. */
    return rc < 0 || out->count > 0 || port == DEFAULT_PORT
               ? rc
               : find_name(file, host, out, err);
}

void pinned_fingerprint(const struct pinned_key *key,
                        char out[SSHKEY_FINGERPRINT_BYTES])
{
    CLEANUP(buf_deinit) struct buf blob = BUF_NULL;

    out[0] = '\0';
    if (base64_decode(&blob, key->key64, strlen(key->key64))) {
        sshkey_fingerprint(blob.data, blob.len, out);
    }
}
