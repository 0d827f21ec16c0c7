/* SPDX-License-Identifier: MIT
 *
 * ssh_line: see ssh_line.h. */
#include "agent/config/ssh_line.h"

#include <string.h>
#include <strings.h>

#include "agent/config/config.h"
#include "agent/config/config_target.h"
#include "store/base/cleanup.h"
#include "store/base/quote.h"

static void set(struct buf *b, const char *text, size_t len)
{
    buf_clear(b);
    buf_put(b, text, len);
    buf_u8(b, 0);
}

static void set_text(struct buf *b, const char *text)
{
    set(b, text != NULL ? text : "", text != NULL ? strlen(text) : 0);
}

static void add_word(struct buf *b, const char *word)
{
    if (b->len > 0) {
        buf_u8(b, ' ');
    }
    quote_shell_buf(b, word, strlen(word));
}

/* --- made of settings ---------------------------------------------------- */

static bool is_bare(const char *word)
{
    CLEANUP(buf_deinit) struct buf b = BUF_NULL;

    quote_shell_buf(&b, word, strlen(word));
    return !b.bad && b.len == strlen(word) && memcmp(b.data, word, b.len) == 0;
}

/* The other end joins the words with blanks and gives them to a shell: one
 * whose words are plain needs no quotes around it. */
static void add_remote(struct buf *b, const char *command)
{
    struct err err;
    char **words = NULL;
    bool plain = config_split_words(command, &words, &err) == 0;

    for (size_t i = 0; plain && words[i] != NULL; i++) {
        plain = is_bare(words[i]);
    }
    if (plain) {
        for (size_t i = 0; words[i] != NULL; i++) {
            add_word(b, words[i]);
        }
    } else {
        add_word(b, command);
    }
    config_free_words(words);
}

/* ssh splits the value of such an option once more. */
static void add_known_hosts(struct buf *b, const char *file)
{
    CLEANUP(buf_deinit) struct buf word = BUF_NULL;
    const char *mark = strchr(file, ' ') != NULL ? "\"" : "";

    buf_printf(&word, "UserKnownHostsFile=%s%s%s", mark, file, mark);
    buf_u8(&word, 0);
    if (!word.bad) {
        add_word(b, "-o");
        add_word(b, (const char *)word.data);
    }
}

static void make_client(struct ssh_line *l, const struct config_replica *r)
{
    CLEANUP(buf_deinit) struct buf where = BUF_NULL;
    struct buf *b = &l->client;

    buf_printf(b, "ssh -T -o BatchMode=yes");
    if (r->port != 0 && r->port != 22) {
        buf_printf(b, " -p %u", (unsigned)r->port);
    }
    if (r->identity != NULL) {
        add_word(b, "-i");
        add_word(b, r->identity);
        buf_printf(b, " -o IdentitiesOnly=yes");
    }
    if (r->known_hosts != NULL) {
        add_known_hosts(b, r->known_hosts);
    }
    buf_printf(&where, "%s%s%s", r->user != NULL ? r->user : "",
               r->user != NULL ? "@" : "", r->host);
    buf_u8(&where, 0);
    if (!where.bad) {
        add_word(b, (const char *)where.data);
    }
    buf_u8(b, 0);
}

static void make(struct ssh_line *l, const struct config_replica *r)
{
    set_text(&l->host, r->host);
    set_text(&l->user, r->user);
    buf_printf(&l->port, "%u", r->port != 0 ? (unsigned)r->port : 22U);
    buf_u8(&l->port, 0);
    set_text(&l->identity, r->identity);
    set_text(&l->known_hosts, r->known_hosts);
    make_client(l, r);
    if (r->command != NULL) {
        add_remote(&l->remote, r->command);
    }
    buf_u8(&l->remote, 0);
}

/* Seconds for the connection and the server's greeting. */
static unsigned patience_s(const struct config_replica *r)
{
    return (unsigned)((r->connect_timeout_ms + 999) / 1000);
}

/* What nobody is to decide by a configuration of the client: it asks nothing,
 * believes no key that is not known, carries nothing else, and has a connection
 * of its own.  Everything else (ProxyJump, certificates, algorithms) is the
 * configuration's. */
char **ssh_line_argv(const struct config_replica *r)
{
    CLEANUP(ssh_line_deinit) struct ssh_line l = SSH_LINE_NULL;
    CLEANUP(buf_deinit) struct buf b = BUF_NULL;
    char **words = NULL;
    struct err err;

    make(&l, r);
    const char *client = ssh_line_text(&l.client);
    if (client == NULL) {
        return NULL;
    }
    buf_printf(&b,
               "ssh -a -x -o StrictHostKeyChecking=yes -o ControlPath=none -o "
               "ClearAllForwardings=yes -o PermitLocalCommand=no -o "
               "ConnectTimeout=%u%s",
               patience_s(r), client + strlen("ssh"));
    if (r->command != NULL) {
        add_word(&b, r->command);
    }
    buf_u8(&b, 0);
    return b.bad || config_split_words((char *)b.data, &words, &err) < 0
               ? NULL
               : words;
}

/* --- read from a command ------------------------------------------------- */

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash != NULL ? slash + 1 : path;
}

/* NAME=VALUE or "NAME VALUE", as behind -o. */
static void take_setting(struct ssh_line *l, const char *text)
{
    const struct {
        const char *name;
        struct buf *to;
    } all[] = {
        {"User", &l->user},
        {"Port", &l->port},
        {"IdentityFile", &l->identity},
        {"UserKnownHostsFile", &l->known_hosts},
    };
    size_t len = strcspn(text, "= \t");

    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        if (strlen(all[i].name) == len &&
            strncasecmp(all[i].name, text, len) == 0) {
            const char *value = text + len + strspn(text + len, "= \t\"");
            set(all[i].to, value, strcspn(value, "\""));
        }
    }
}

static void take_option(struct ssh_line *l, char letter, const char *value)
{
    switch (letter) {
    case 'p':
        set_text(&l->port, value);
        break;
    case 'l':
        set_text(&l->user, value);
        break;
    case 'i':
        set_text(&l->identity, value);
        break;
    case 'o':
        take_setting(l, value);
        break;
    default:
        break;
    }
}

/* [ssh://][USER@]HOST[:PORT]; a port only with the scheme. */
static void take_host(struct ssh_line *l, const char *word)
{
    bool is_uri = strncmp(word, "ssh://", 6) == 0;
    const char *at = strrchr(word += is_uri ? 6 : 0, '@');

    if (at != NULL) {
        set(&l->user, word, (size_t)(at - word));
        word = at + 1;
    }
    size_t len = is_uri ? strcspn(word, ":/") : strlen(word);
    set(&l->host, word, len);
    if (is_uri && word[len] == ':') {
        set(&l->port, word + len + 1, strcspn(word + len + 1, "/"));
    }
}

/* One word of options; *next is where its value may stand. */
static void take_options(struct ssh_line *l, const char *word,
                         char *const **next)
{
    static const char WITH_VALUE[] = "BbcDEeFIiJLlmOoPpQRSWw";

    for (const char *p = word + 1; *p != '\0'; p++) {
        if (strchr(WITH_VALUE, *p) == NULL) {
            continue;
        }
        const char *value = p[1] != '\0' ? p + 1 : **next;
        if (value != NULL) {
            take_option(l, *p, value);
            *next += p[1] == '\0' ? 1 : 0;
        }
        return;
    }
}

/* `argv` begins with ssh. */
static void take_words(struct ssh_line *l, char *const *argv)
{
    char *const *p = argv + 1;

    while (*p != NULL && (l->host.len == 0 || (*p)[0] == '-')) {
        const char *word = *p++;
        if (word[0] == '-' && word[1] != '\0') {
            take_options(l, word, &p);
        } else {
            take_host(l, word);
        }
    }
    for (char *const *w = argv; w < p; w++) {
        add_word(&l->client, *w);
    }
    buf_u8(&l->client, 0);
    for (; *p != NULL; p++) {
        buf_printf(&l->remote, "%s%s", l->remote.len > 0 ? " " : "", *p);
    }
    buf_u8(&l->remote, 0);
}

static char *const *find_ssh(char *const *argv)
{
    for (; argv != NULL && *argv != NULL; argv++) {
        if (strcmp(base_name(*argv), "ssh") == 0) {
            return argv;
        }
        if (strcmp(base_name(*argv), "drover-replica") == 0) {
            break;
        }
    }
    return NULL;
}

/* --- both ---------------------------------------------------------------- */

bool ssh_line_of(struct ssh_line *out, const struct config_replica *r)
{
    *out = (struct ssh_line)SSH_LINE_NULL;
    if (r->kind == REPLICA_SSH) {
        make(out, r);
    } else {
        char *const *argv = find_ssh(r->argv);
        if (argv == NULL) {
            return false;
        }
        take_words(out, argv);
    }
    return ssh_line_text(&out->host) != NULL && !out->client.bad &&
           !out->remote.bad;
}

void ssh_line_deinit(struct ssh_line *l)
{
    struct buf *const all[] = {&l->host,     &l->user,        &l->port,
                               &l->identity, &l->known_hosts, &l->client,
                               &l->remote};

    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        buf_deinit(all[i]);
    }
}

const char *ssh_line_text(const struct buf *b)
{
    bool known = !b->bad && b->len > 0 && b->data[0] != '\0';

    return known ? (const char *)b->data : NULL;
}

static char *dir_of(const char *command, bool is_whole)
{
    struct err err;
    char **words = NULL;

    if (config_split_words(command, &words, &err) != 0) {
        return NULL;
    }
    const char *dir = config_target_dir(words);
    char *found = dir != NULL                    ? strdup(dir)
                  : is_whole && words[1] == NULL ? dir_of(words[0], false)
                                                 : NULL;
    config_free_words(words);
    return found;
}

/* It may be one word, in quotes. */
char *ssh_line_dir(const struct ssh_line *l)
{
    const char *remote = ssh_line_text(&l->remote);

    return remote != NULL ? dir_of(remote, true) : NULL;
}
