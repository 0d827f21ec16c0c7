/* SPDX-License-Identifier: MIT
 *
 * cmd_trash: `drover-replica trash list | restore | empty`, and the same of
 * what was undone.
 *
 * A replica is read only, so nothing is put back in place (restore.h). */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "store/base/cleanup.h"
#include "store/base/clock.h"
#include "store/base/quote.h"
#include "store/base/units.h"
#include "store/base/utc.h"
#include "sync/replica/commands/commands.h"
#include "sync/replica/role/restore.h"
#include "sync/replica/trash/trash.h"

/* What the command is about. */
struct choice {
    struct cmdline *line;
    int trash_fd;
    const char *table, *key; /* NULL: any */
    uint64_t id;             /* 0: any */
    struct db out;           /* restore */
    uint64_t count, bytes;
    struct json_out j; /* with --json */
    struct err *err;
};

static bool same(struct bytes b, const char *text)
{
    return b.len == strlen(text) &&
           (b.len == 0 || memcmp(b.p, text, b.len) == 0);
}

static bool is_chosen(const struct choice *c, const struct trash_entry *e)
{
    return (c->id == 0 || c->id == e->id) &&
           (c->table == NULL || (e->named && same(e->table, c->table))) &&
           (c->key == NULL || (e->named && same(e->key, c->key)));
}

/* TABLE/KEY as one word of a shell. */
static void put_name(struct buf *out, const struct trash_entry *e)
{
    CLEANUP(buf_deinit) struct buf name = BUF_NULL;

    if (!e->named) {
        buf_printf(out, "(name not known)");
        return;
    }
    if (e->table.len > 0) {
        buf_put(&name, e->table.p, e->table.len);
        buf_u8(&name, '/');
    }
    if (e->key.len > 0) {
        buf_put(&name, e->key.p, e->key.len);
    }
    quote_shell_buf(out, name.data, name.len);
}

/* --- list ---------------------------------------------------------------- */

static void list_text(FILE *out, const struct trash_entry *e)
{
    CLEANUP(buf_deinit) struct buf name = BUF_NULL;

    put_name(&name, e);
    (void)fprintf(out, "%016" PRIx64 "  %s  %10s  ", e->id,
                  UTC_TEXT(e->deleted_s * NS_PER_S), BYTES_TEXT(e->size));
    if (!name.bad && name.len > 0) {
        (void)fwrite(name.data, 1, name.len, out);
    }
    (void)fputc('\n', out);
}

static void list_json(struct json_out *j, const struct trash_entry *e)
{
    char id[20];

    (void)snprintf(id, sizeof id, "%016" PRIx64, e->id);
    json_begin_object(j, NULL);
    json_text(j, "id", id);
    json_text(j, "deleted", UTC_SECOND(e->deleted_s));
    json_uint(j, "size", e->size);
    if (e->named) {
        json_bytes(j, "table", e->table.p, e->table.len);
        json_bytes(j, "key", e->key.p, e->key.len);
    }
    json_end_object(j);
}

static int list_one(void *arg, const struct trash_entry *e)
{
    struct choice *c = arg;

    if (!is_chosen(c, e)) {
        return 0;
    }
    if (c->line->json) {
        list_json(&c->j, e);
    } else {
        list_text(c->line->out, e);
    }
    c->count++;
    c->bytes += e->size;
    return 0;
}

static int list(struct choice *c)
{
    bool json = c->line->json;

    if (json) {
        json_begin_array(&c->j, "values");
    }
    int rc = c->trash_fd < 0 ? 0 : trash_each(c->trash_fd, list_one, c, c->err);
    if (json) {
        json_end_array(&c->j);
    }
    return rc;
}

/* --- restore ------------------------------------------------------------- */

static int restore_one(void *arg, const struct trash_entry *e)
{
    struct choice *c = arg;
    char name[TRASH_NAME_BYTES];
    struct trash_entry named = *e;

    if (!is_chosen(c, e)) {
        return 0;
    }
    trash_name(e->id, name);
    CLEANUP(fd_closep)
    int from = openat(c->trash_fd, name,
                      O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (from < 0 && errno == ENOENT) {
        return 0; /* dropped since it was listed */
    }
    if (from < 0) {
        return err_sys(c->err, errno, "open %s", name);
    }
    if (!e->named) {
        named.key = (struct bytes){(const uint8_t *)name, strlen(name)};
    }
    int rc = restore_value(&c->out, named.table, named.key, from, c->err);
    c->count += rc == 0;
    c->bytes += rc == 0 ? e->size : 0;
    return rc;
}

static int restore(struct choice *c)
{
    const char *out = c->line->words[1];
    int rc = c->trash_fd < 0 ? 0 : restore_open(&c->out, out, c->err);

    if (rc < 0 || c->trash_fd < 0) {
        return rc;
    }
    rc = trash_each(c->trash_fd, restore_one, c, c->err);
    db_close(&c->out);
    if (rc == 0 && !c->line->json) {
        (void)fprintf(c->line->out,
                      "%s values, %s, are in %s now, laid out as a database.\n"
                      "Look, then give them to the primary: copy it there and, "
                      "for each key,\n"
                      "  drover-kv DATABASE mktable TABLE\n"
                      "  drover-kv OUT get --table TABLE KEY | drover-kv "
                      "DATABASE set --table TABLE KEY\n",
                      COUNT_TEXT(c->count), BYTES_TEXT(c->bytes), out);
    }
    return rc;
}

/* --- empty --------------------------------------------------------------- */

static int empty_one(void *arg, const struct trash_entry *e)
{
    struct choice *c = arg;
    char name[TRASH_NAME_BYTES];

    if (!is_chosen(c, e)) {
        return 0;
    }
    trash_name(e->id, name);
    if (unlinkat(c->trash_fd, name, 0) != 0 && errno != ENOENT) {
        return err_sys(c->err, errno, "remove %s", name);
    }
    c->count++;
    c->bytes += e->size;
    return 0;
}

static int empty(struct choice *c)
{
    int rc =
        c->trash_fd < 0 ? 0 : trash_each(c->trash_fd, empty_one, c, c->err);

    if (rc == 0 && c->trash_fd >= 0 && !c->line->json) {
        (void)fprintf(c->line->out, "%s values, %s, removed\n",
                      COUNT_TEXT(c->count), BYTES_TEXT(c->bytes));
    }
    return rc;
}

/* --- the command --------------------------------------------------------- */

static int open_trash(const char *dir, const char *name, struct err *err)
{
    struct meta m;

    int rc = meta_inspect(&m, dir, err);
    if (rc < 0) {
        return rc;
    }
    int fd =
        openat(m.fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) {
        rc = err_sys(err, errno, "%s/" META_DIR "/%s", dir, name);
    }
    meta_close(&m);
    return fd >= 0 ? fd : rc;
}

/* 0, or the exit code after saying what is wrong. */
static int take_id(struct choice *c, const char *text)
{
    char *end;

    if (text == NULL) {
        return EXIT_GOOD;
    }
    c->id = strtoull(text, &end, 16);
    return c->id != 0 && *end == '\0'
               ? EXIT_GOOD
               : cmdline_fail_usage(c->line, "--id %s: write it as %s shows it",
                                    text, "list");
}

static void say_nothing_there(const struct choice *c, const char *name)
{
    if (c->line->json) {
        return;
    }
    (void)fprintf(c->line->out,
                  strcmp(name, TRASH_DIR) == 0
                      ? "%s has no trash; receive keeps one with "
                        "--trash-keep\n"
                      : "%s: nothing was undone\n",
                  c->line->words[0]);
}

static int run(struct choice *c, const char *name, int (*what)(struct choice *))
{
    CLEANUP(buf_deinit) struct buf b = BUF_NULL;
    CLEANUP(fd_closep)
    int fd = open_trash(c->line->words[0], name, c->err);

    c->trash_fd = fd;
    c->j = commands_json(&b, c->line->words[0]);
    int rc = fd < 0 && fd != ERR_NOTFOUND ? fd : what(c);
    if (rc < 0) {
        return commands_fail(c->line, c->err);
    }
    if (fd == ERR_NOTFOUND) {
        say_nothing_there(c, name);
    }
    if (c->line->json) {
        json_uint(&c->j, "count", c->count);
        json_uint(&c->j, "bytes", c->bytes);
        cmdline_json_end(c->line, &c->j);
    }
    return fd == ERR_NOTFOUND || c->count > 0 ||
                   (c->table == NULL && c->key == NULL && c->id == 0)
               ? EXIT_GOOD
               : EXIT_BAD;
}

static int values(struct cmdline *line, const char *name,
                  int (*what)(struct choice *))
{
    const struct replica_line *l = replica_line_of(line);
    struct err err = {0};
    struct choice c = {
        .line = line, .table = l->table, .key = l->key, .err = &err};
    int code = take_id(&c, l->id);

    return code != EXIT_GOOD ? code : run(&c, name, what);
}

int cmd_trash_list(struct cmdline *line)
{
    return values(line, TRASH_DIR, list);
}

int cmd_trash_restore(struct cmdline *line)
{
    return values(line, TRASH_DIR, restore);
}

int cmd_trash_empty(struct cmdline *line)
{
    return values(line, TRASH_DIR, empty);
}

int cmd_undone_list(struct cmdline *line)
{
    return values(line, UNDONE_DIR, list);
}

int cmd_undone_restore(struct cmdline *line)
{
    return values(line, UNDONE_DIR, restore);
}

int cmd_undone_empty(struct cmdline *line)
{
    return values(line, UNDONE_DIR, empty);
}
