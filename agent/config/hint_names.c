/* SPDX-License-Identifier: MIT
 *
 * hint_names: see hint_names.h.  What no setting tells (the directory behind a
 * forced command, the host behind a script) is put in words. */
#include "agent/config/hint_names.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/object.h"
#include "agent/config/config.h"
#include "agent/config/config_target.h"
#include "agent/config/ssh_line.h"
#include "store/base/cleanup.h"
#include "store/base/quote.h"
#include "sync/errors/hint.h"
#include "sync/errors/state.h"

#define DIR_IS "; DIR: the directory that the receiver's command names"
#define TABLE_IS "; TABLE: one that the message has"

enum { NUMBER_BYTES = 24 };

/* The names and what they are borrowed from. */
struct known {
    struct hint_names n;
    struct ssh_line ssh;
    bool is_child; /* the receiver runs on this host */
    char *remote_dir;
    struct buf dir, primary, file, known, table, key, covered;
    struct buf host, user, instance;
    bool is_path; /* the table is named by its directory, or a plain one is */
    char pid[NUMBER_BYTES], epoch[NUMBER_BYTES];
};

static void known_deinit(struct known *k)
{
    struct buf *const all[] = {&k->dir,   &k->primary, &k->file,    &k->known,
                               &k->table, &k->key,     &k->covered, &k->host,
                               &k->user,  &k->instance};

    ssh_line_deinit(&k->ssh);
    free(k->remote_dir);
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        buf_deinit(all[i]);
    }
}

/* As a word of the shell. */
static const char *word(struct buf *b, const char *text)
{
    if (text == NULL) {
        return NULL;
    }
    buf_clear(b);

    quote_shell_buf(b, text, strlen(text));
    buf_u8(b, 0);
    return b->bad ? NULL : (const char *)b->data;
}

/* --- of the configuration ------------------------------------------------ */

/* The unit is named after its file. */
static const char *instance_of(const struct config *c, char *out, size_t room)
{
    const char *slash = c->file != NULL ? strrchr(c->file, '/') : NULL;
    const char *base = slash != NULL ? slash + 1 : c->file;
    size_t len = base != NULL ? strlen(base) : 0;

    if (len <= 5 || strcmp(base + len - 5, ".conf") != 0) {
        return c->name;
    }
    (void)snprintf(out, room, "%.*s", (int)(len - 5), base);
    return out;
}

/* The shipped unit runs what lies there. */
static bool is_of_unit(const struct config *c)
{
    static const char PLACE[] = "/etc/drover/";

    return c->file != NULL && strncmp(c->file, PLACE, sizeof PLACE - 1) == 0 &&
           strchr(c->file + sizeof PLACE - 1, '/') == NULL;
}

static const char *file_for(const struct known *k, int id)
{
    if (id == DR_KEY_FILE || id == DR_RSA_KEY) {
        return ssh_line_text(&k->ssh.identity);
    }
    const char *hosts = ssh_line_text(&k->ssh.known_hosts);

    return hosts != NULL ? hosts : "~/.ssh/known_hosts";
}

static const char *known_as(struct known *k)
{
    CLEANUP(buf_deinit) struct buf name = BUF_NULL;

    if (k->n.host == NULL || strcmp(k->n.port, "22") == 0) {
        return k->n.host;
    }
    buf_printf(&name, "[%s]:%s", k->n.host, k->n.port);
    buf_u8(&name, 0);
    return name.bad ? NULL : word(&k->known, (const char *)name.data);
}

static void of_ssh(struct known *k, const struct config_replica *r, int id)
{
    const char *file = file_for(k, id);

    k->n.host = ssh_line_text(&k->ssh.host);
    k->n.user = word(&k->user, ssh_line_text(&k->ssh.user));
    k->n.port = ssh_line_text(&k->ssh.port);
    k->n.port = k->n.port != NULL ? k->n.port : "22";
    k->n.known = known_as(k);
    k->n.host = word(&k->host, k->n.host);
    k->n.ssh = ssh_line_text(&k->ssh.client);
    k->n.receive = ssh_line_text(&k->ssh.remote);
    k->n.receive = k->n.receive != NULL ? k->n.receive : "receive";
    /* The shell is to expand a ~. */
    k->n.file = file != NULL && file[0] == '~' ? file : word(&k->file, file);
    k->remote_dir = ssh_line_dir(&k->ssh);
    k->n.dir = word(&k->dir, k->remote_dir);
    /* A command of its own may go anywhere. */
    if (k->n.dir == NULL && r->kind == REPLICA_SSH &&
        config_is_written(&r->where, "replica", "path")) {
        k->n.dir = word(&k->dir, r->path);
    }
}

static void of_replica(struct known *k, const struct config_replica *r, int id)
{
    k->n.replica = r->name;
    if (ssh_line_of(&k->ssh, r)) {
        of_ssh(k, r, id);
    } else {
        k->n.dir = word(&k->dir, config_target_dir(r->argv));
        k->is_child = true; /* or a script, which is run here as well */
        k->n.host = k->n.dir != NULL ? "this host" : "its host";
        k->n.file = "~/.ssh/known_hosts";
        k->n.port = "22";
    }
    k->n.known = k->n.known != NULL ? k->n.known : k->n.host;
    k->n.user = k->n.user != NULL ? k->n.user : "its login user";
    k->n.ssh = k->n.ssh != NULL ? k->n.ssh : "ssh";
}

/* --- of the message ------------------------------------------------------ */

/* The number behind `what`, to out[NUMBER_BYTES]; NULL: there is none. */
static const char *find_number(char *out, const char *text, const char *what)
{
    const char *at = strstr(text, what);
    const char *digits = at != NULL ? at + strlen(what) : "";
    size_t len = strspn(digits, "0123456789");

    if (len == 0 || len >= NUMBER_BYTES) {
        return NULL;
    }
    (void)snprintf(out, NUMBER_BYTES, "%.*s", (int)len, digits);
    return out;
}

/* Behind the quote that ends a stretch which begins at `at`, with ' or $';
 * NULL: none does, as where a message was cut. */
static const char *behind_quote(const char *at)
{
    bool escapes = at[0] == '$';

    for (at += escapes ? 2 : 1; *at != '\0' && *at != '\''; at++) {
        at += escapes && at[0] == '\\' && at[1] != '\0' ? 1 : 0;
    }
    return *at != '\0' ? at + 1 : NULL;
}

static bool is_end(const char *at)
{
    bool stops = at[0] == ':' || at[0] == ',';

    return at[0] == '\0' || at[0] == ' ' ||
           (stops && (at[1] == ' ' || at[1] == '\0'));
}

/* A name as a message has it: one whole word of the shell, or 0. */
static size_t name_length(const char *at)
{
    const char *p = at;

    while (p != NULL && !is_end(p)) {
        if (p[0] == '\'' || (p[0] == '$' && p[1] == '\'')) {
            p = behind_quote(p);
        } else {
            p += p[0] == '\\' && p[1] != '\0' ? 2 : 1;
        }
    }
    return p != NULL ? (size_t)(p - at) : 0;
}

/* The word that ends at `end`; NULL: there is no whole one. */
static const char *word_before(const char *text, const char *end)
{
    for (const char *at = text; at < end; at++) {
        if ((at == text || at[-1] == ' ') &&
            name_length(at) == (size_t)(end - at)) {
            return at;
        }
    }
    return NULL;
}

static const char *find_name(struct buf *b, const char *text, const char *what)
{
    const char *at = strstr(text, what);

    /* "1 key or table cannot be read" names none. */
    while (at != NULL && strncmp(at, "table cannot", 12) == 0) {
        at = strstr(at + 1, what);
    }
    size_t len = at != NULL ? name_length(at + strlen(what)) : 0;

    buf_clear(b);
    buf_put(b, at != NULL ? at + strlen(what) : "", len);
    buf_u8(b, 0);
    return len > 0 && !b->bad ? (const char *)b->data : NULL;
}

/* A receiver that refuses says first where it is, which is the truth also
 * behind a forced command. */
static void find_dir(struct known *k, const char *text, int id)
{
    static const char BEFORE[] = "replica directory ";
    CLEANUP(buf_deinit) struct buf dir = BUF_NULL;

    if (strncmp(text, BEFORE, sizeof BEFORE - 1) == 0) {
        text += sizeof BEFORE - 1;
    }
    if (id < 300 || id >= 400 || text[0] != '/') {
        return;
    }
    buf_put(&dir, text, strcspn(text, " :,;"));
    buf_u8(&dir, 0);
    if (!dir.bad) {
        k->n.dir = word(&k->dir, (const char *)dir.data);
    }
}

/* A table's path in the database, "a.tbl/b.tbl: what is wrong with it". */
static const char *find_path(struct buf *b, const char *text)
{
    static const char TBL[] = ".tbl: ";
    const char *end = strstr(text, TBL);
    const char *at = end != NULL ? word_before(text, end + 4) : NULL;

    if (at == NULL || at == end || at[0] == '/') {
        return NULL;
    }
    buf_clear(b);
    buf_put(b, at, (size_t)(end - at));
    buf_u8(b, 0);
    return b->bad ? NULL : (const char *)b->data;
}

/* The directory with something mounted over it, as a word of the shell: a
 * table's or a plain one. */
static const char *find_place(struct buf *b, const char *text)
{
    const char *end = strstr(text, ": something is mounted there");
    const char *at = end != NULL ? word_before(text, end) : NULL;

    if (at == NULL) {
        return NULL;
    }
    buf_clear(b);
    buf_put(b, at, (size_t)(end - at));
    buf_u8(b, 0);
    return b->bad ? NULL : (const char *)b->data;
}

/* The table's name may have words of a message in it. */
static const char *behind_table(const struct known *k, const char *text)
{
    const char *at = k->n.table != NULL ? strstr(text, k->n.table) : NULL;

    return at != NULL ? at + strlen(k->n.table) : text;
}

static void of_message(struct known *k, const char *text)
{
    k->n.pid = find_number(k->pid, text, "pid ");
    k->n.epoch = find_number(k->epoch, text, "--epoch ");
    k->n.table = find_name(&k->table, text, "table ");
    k->n.key = find_name(&k->key, behind_table(k, text), " key ");
    if (k->n.table == NULL) {
        k->n.table = find_path(&k->table, text);
    }
    const char *place = find_place(&k->covered, text);
    if (place != NULL) {
        k->n.table = place;
        k->is_path = true;
    }
}

/* --- putting in ---------------------------------------------------------- */

static void cut(char *hint, const char *what, size_t keep)
{
    for (char *at; (at = strstr(hint, what)) != NULL;) {
        const char *rest = at + strlen(what);
        memmove(at + keep, rest, strlen(rest) + 1);
    }
}

/* The root table's directory is the database's own; a path is whole. */
static void cut_table(const struct known *k, char *hint)
{
    static const char DIR[] = "/TABLE";

    if (k->is_path) {
        cut(hint, "/TABLE.tbl", sizeof DIR - 1);
    } else if (k->n.table != NULL && strcmp(k->n.table, "(root)") == 0) {
        cut(hint, "/TABLE.tbl", 0);
    }
}

/* What is not known is left as it is, and explained: a guess may lead to the
 * whole database. */
static void fill(struct known *k, char *out, const char *hint)
{
    char template[HINT_ROOM];

    (void)snprintf(
        template, sizeof template, "%s%s%s", hint,
        k->n.dir == NULL && strstr(hint, "DIR") != NULL ? DIR_IS : "",
        k->n.table == NULL && strstr(hint, "TABLE") != NULL ? TABLE_IS : "");
    cut_table(k, template);
    (void)hint_fill(out, HINT_ROOM, template, &k->n);
}

static bool is_of_this_host(int id)
{
    return id >= 100 && id < 200;
}

json_t *hint_names_error(const struct err *err, const struct config *c,
                         const struct config_replica *r)
{
    CLEANUP(known_deinit) struct known k = {.ssh = SSH_LINE_NULL};
    json_t *error = object_error_or_null(err);
    char out[HINT_ROOM], plain[HINT_ROOM], instance[256];

    if (!json_is_object(error)) {
        return error;
    }
    const char *hint = json_string_value(json_object_get(error, "hint"));
    k.n.primary = word(&k.primary, c->path);
    k.n.name = word(&k.instance, instance_of(c, instance, sizeof instance));
    of_message(&k, err->msg);
    if (r != NULL) {
        of_replica(&k, r, err->id);
        find_dir(&k, err->msg, err->id);
    }
    if (r == NULL || is_of_this_host(err->id)) {
        k.n.dir =
            word(&k.dir, err->id == DR_STATE_DIR ? c->state_dir : c->path);
    }
    if (err->id == DR_CONFIG || err->id == DR_TWO_PRIMARIES) {
        k.n.file = word(&k.file, c->file);
    }
    if (k.is_child && strcmp(hint, dr_hint(err->id)) == 0) {
        hint = hint_of_child(err->id);
    }
    if (!is_of_unit(c)) {
        hint = hint_without_unit(plain, hint);
    }
    fill(&k, out, hint);
    json_t *filled = json_string(out);
    if (filled != NULL) {
        (void)json_object_set_new(error, "hint", filled);
    }
    return error;
}
