/* SPDX-License-Identifier: MIT
 *
 * trash_main: `drover-replica trash list | restore | empty`, and the same of
 * what was undone.
 *
 * A replica is read only, so nothing is put back in place (restore.h). */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "store/base/cleanup.h"
#include "store/base/clock.h"
#include "store/base/quote.h"
#include "store/base/units.h"
#include "store/base/utc.h"
#include "sync/replica/replica.h"
#include "sync/replica/role/restore.h"
#include "sync/replica/trash/trash.h"

/* What the command is about. */
struct choice {
    const char *name; /* TRASH_DIR, UNDONE_DIR */
    int trash_fd;
    const char *table, *key; /* NULL: any */
    uint64_t id;             /* 0: any */
    struct db out;           /* restore */
    uint64_t count, bytes, there;
    struct err *err;
};

static int usage(const struct choice *c, const char *what)
{
    replica_say("%s: %s; see drover-replica --help", c->name, what);
    return EXIT_USAGE;
}

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

static int list_one(void *arg, const struct trash_entry *e)
{
    struct choice *c = arg;
    CLEANUP(buf_deinit) struct buf name = BUF_NULL;

    if (!is_chosen(c, e)) {
        return 0;
    }
    put_name(&name, e);
    (void)printf("%016" PRIx64 "  %s  %10s  ", e->id,
                 UTC_TEXT(e->deleted_s * NS_PER_S), BYTES_TEXT(e->size));
    if (!name.bad && name.len > 0) {
        (void)fwrite(name.data, 1, name.len, stdout);
    }
    (void)putchar('\n');
    c->count++;
    c->bytes += e->size;
    return 0;
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

static int restore(struct choice *c, const char *out)
{
    int rc = restore_open(&c->out, out, c->err);

    if (rc < 0) {
        return rc;
    }
    rc = trash_each(c->trash_fd, restore_one, c, c->err);
    db_close(&c->out);
    if (rc == 0) {
        (void)printf("%s values, %s, are in %s now, laid out as a database.\n"
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

static int run(struct choice *c, const char *what, const char *out)
{
    if (strcmp(what, "restore") == 0) {
        return restore(c, out);
    }
    if (strcmp(what, "empty") == 0) {
        int rc = trash_each(c->trash_fd, empty_one, c, c->err);
        if (rc == 0) {
            (void)printf("%s values, %s, removed\n", COUNT_TEXT(c->count),
                         BYTES_TEXT(c->bytes));
        }
        return rc;
    }
    return trash_each(c->trash_fd, list_one, c, c->err);
}

static bool read_options(int argc, char **argv, struct choice *c)
{
    static const struct option options[] = {
        {"table", required_argument, NULL, 't'},
        {"key", required_argument, NULL, 'k'},
        {"id", required_argument, NULL, 'i'},
        {NULL, 0, NULL, 0},
    };
    char *end = NULL;

    for (int o; (o = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        switch (o) {
        case 't':
            c->table = optarg;
            break;
        case 'k':
            c->key = optarg;
            break;
        case 'i':
            c->id = strtoull(optarg, &end, 16);
            if (c->id == 0 || *end != '\0') {
                return false;
            }
            break;
        default:
            return false;
        }
    }
    return true;
}

static int values_main(const char *name, int argc, char **argv)
{
    struct err err = {0};
    struct choice c = {.name = name, .trash_fd = -1, .err = &err};
    const char *what = argc > 1 ? argv[1] : "";
    bool restores = strcmp(what, "restore") == 0;

    if (!restores && strcmp(what, "list") != 0 && strcmp(what, "empty") != 0) {
        return usage(&c, "the subcommand must be list, restore or empty");
    }
    if (!read_options(argc - 1, argv + 1, &c)) {
        return usage(&c, "invalid option or value");
    }
    char **words = argv + 1 + optind;
    int count = argc - 1 - optind;
    if (count != (restores ? 2 : 1)) {
        return usage(&c, restores
                             ? "restore needs the replica's directory and one "
                               "for the values"
                             : "needs exactly one directory");
    }
    CLEANUP(fd_closep) int fd = open_trash(words[0], name, &err);
    if (fd == ERR_NOTFOUND) {
        (void)printf(strcmp(name, TRASH_DIR) == 0
                         ? "%s has no trash; receive keeps one with "
                           "--trash-keep\n"
                         : "%s: nothing was undone\n",
                     words[0]);
        return EXIT_GOOD;
    }
    c.trash_fd = fd;
    int rc = fd < 0 ? fd : run(&c, what, words[1]);
    if (rc < 0) {
        replica_say_error(&err);
        return replica_exit_of(&err);
    }
    return c.count > 0 || (c.table == NULL && c.key == NULL && c.id == 0)
               ? EXIT_GOOD
               : EXIT_BAD;
}

int trash_main(int argc, char **argv)
{
    return values_main(TRASH_DIR, argc, argv);
}

int undone_main(int argc, char **argv)
{
    return values_main(UNDONE_DIR, argc, argv);
}
