/* SPDX-License-Identifier: MIT
 *
 * config_files: the drop-ins of a file: which are read and in which order, what
 * of them wins, and that every mistake is of the right file and line. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/config/config.h"
#include "agent/config/config_files.h"
#include "agent/config/config_probe.h"

struct fix {
    char dir[128];
    char path[300]; /* the one that at() named last */
    struct config_errors errors;
    struct config *config;
};

static int setup(void **state)
{
    struct fix *f = calloc(1, sizeof *f);
    const char *tmp = getenv("TMPDIR");

    assert_non_null(f);
    (void)snprintf(f->dir, sizeof f->dir, "%s/drover-files-XXXXXX",
                   tmp != NULL && strlen(tmp) < 90 ? tmp : "/tmp");
    assert_non_null(mkdtemp(f->dir));
    (void)unsetenv("STATE_DIRECTORY");
    (void)unsetenv("RUNTIME_DIRECTORY");
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fix *f = *state;
    char command[400];

    config_free(f->config);
    config_errors_deinit(&f->errors);
    (void)snprintf(command, sizeof command, "chmod -R u+rwX '%s'; rm -rf '%s'",
                   f->dir, f->dir);
    int rc = system(command);
    free(f);
    return rc;
}

static const char *at(struct fix *f, const char *name)
{
    (void)snprintf(f->path, sizeof f->path, "%s/%s", f->dir, name);
    return f->path;
}

static void put(struct fix *f, const char *name, const char *text)
{
    if (strncmp(name, "orders.d/", 9) == 0) {
        (void)mkdir(at(f, "orders.d"), 0755);
    }
    FILE *out = fopen(at(f, name), "w");
    assert_non_null(out);
    assert_true(fputs(text, out) >= 0);
    assert_int_equal(fclose(out), 0);
}

static void load(struct fix *f)
{
    config_free(f->config);
    config_errors_deinit(&f->errors);
    f->config = config_load(at(f, "orders.conf"), &f->errors);
}

static void load_good(struct fix *f)
{
    load(f);
    if (f->config == NULL) {
        fail_msg("refused: %s", f->errors.lines[0]);
    }
}

/* Exactly one mistake: DIR/`where`: ... `words` ..., with the file's name for
 * programs, too. */
static void assert_only(struct fix *f, const char *where, const char *words)
{
    char begin[300];

    load(f);
    assert_null(f->config);
    (void)snprintf(begin, sizeof begin, "%s/%s: ", f->dir, where);
    if (f->errors.count != 1 ||
        strncmp(f->errors.lines[0], begin, strlen(begin)) != 0 ||
        strstr(f->errors.lines[0], words) == NULL) {
        for (size_t i = 0; i < f->errors.count; i++) {
            print_error("  %s\n", f->errors.lines[i]);
        }
        fail_msg("not only %s ... %s", begin, words);
    }
    const char *file = f->errors.spots[0].file;
    assert_non_null(file);
    assert_int_equal(strncmp(begin, file, strlen(file)), 0);
}

static const char MAIN[] = "[database]\npath = /srv/orders\nsettle = 2s\n"
                           "[replica main]\nhost = main\n";

/* --- which, and in which order ------------------------------------------- */

static void files_follow_in_the_order_of_their_names_bytes(void **state)
{
    static const char *const NAMES[] = {"main", "r10", "r9", "B", "a", "z"};
    struct fix *f = *state;

    put(f, "orders.conf", MAIN);
    put(f, "orders.d/\xc3\xa9.conf", "[replica z]\nhost = z\n");
    put(f, "orders.d/9.conf", "[replica r9]\nhost = r9\n");
    put(f, "orders.d/a.conf", "[replica a]\nhost = a\n");
    put(f, "orders.d/B.conf", "[replica B]\nhost = B\n");
    put(f, "orders.d/10.conf", "[replica r10]\nhost = r10\n");
    load_good(f);
    assert_int_equal(f->config->replicas_count, 6);
    for (size_t i = 0; i < 6; i++) {
        assert_string_equal(f->config->replicas[i].name, NAMES[i]);
    }
    assert_int_equal(f->config->files_count, 6);
}

static void what_is_not_named_like_a_drop_in_is_not_read(void **state)
{
    static const char *const NAMES[] = {
        "orders.d/.hidden.conf", "orders.d/.conf",       "orders.d/eu.conf~",
        "orders.d/README",       "orders.d/x.conf.bak",  "orders.d/x.CONF",
        "orders.d/conf",         "orders.d/.#eu-1.conf",
    };
    struct fix *f = *state;

    put(f, "orders.conf", MAIN);
    for (size_t i = 0; i < sizeof NAMES / sizeof *NAMES; i++) {
        put(f, NAMES[i], "nonsense\n");
    }
    load_good(f);
    assert_int_equal(f->config->files_count, 1);
}

static void without_a_directory_there_are_none(void **state)
{
    struct fix *f = *state;

    put(f, "orders.conf", MAIN);
    load_good(f);
    assert_null(f->config->dropins);
    assert_int_equal(mkdir(at(f, "orders.d"), 0755), 0);
    load_good(f);
    assert_string_equal(f->config->dropins, at(f, "orders.d"));
}

static void a_file_of_another_name_has_none(void **state)
{
    struct fix *f = *state;

    assert_null(config_dropins_dir("/etc/orders"));
    assert_null(config_dropins_dir("/etc/.conf"));
    assert_null(config_dropins_dir("/etc/x.conf/orders"));
    put(f, "orders.conf", MAIN);
    put(f, "orders.d/a.conf", "nonsense\n");
    char other[300];
    (void)snprintf(other, sizeof other, "%s/orders", f->dir);
    assert_int_equal(rename(at(f, "orders.conf"), other), 0);
    f->config = config_load(other, &f->errors);
    assert_non_null(f->config);
}

/* /etc/drover/orders.conf may be a link to where the files are kept; what
 * belongs to the name orders is in /etc/drover/orders.d all the same, also for
 * a reload, which takes the name of c->file. */
static void a_links_drop_ins_are_beside_the_link(void **state)
{
    struct fix *f = *state;

    assert_int_equal(mkdir(at(f, "kept"), 0755), 0);
    put(f, "kept/one.conf", "[database]\npath = data\n");
    put(f, "kept/two.conf", "[database]\npath = other\n");
    put(f, "orders.d/a.conf", "[replica a]\nhost = a\nidentity = key\n");
    assert_int_equal(symlink("kept/one.conf", at(f, "orders.conf")), 0);
    load_good(f);
    assert_string_equal(f->config->file, at(f, "orders.conf"));
    assert_string_equal(f->config->name, "orders");
    assert_string_equal(f->config->path, at(f, "kept/data"));
    assert_string_equal(f->config->replicas[0].identity, at(f, "kept/key"));
    /* It is exchanged, and the agent reads it again. */
    assert_int_equal(unlink(at(f, "orders.conf")), 0);
    assert_int_equal(symlink("kept/two.conf", at(f, "orders.conf")), 0);
    struct config *again = config_load(f->config->file, &f->errors);
    assert_non_null(again);
    assert_string_equal(again->path, at(f, "kept/other"));
    config_free(again);
}

/* --- what wins ----------------------------------------------------------- */

static void a_later_files_database_wins(void **state)
{
    struct fix *f = *state;

    put(f, "orders.conf", MAIN);
    put(f, "orders.d/1.conf", "[database]\nsettle = 3s\ncache = 1M\n");
    put(f, "orders.d/2.conf", "[database]\ncache = 2M\n");
    load_good(f);
    const struct config_where *w = &f->config->where;
    assert_int_equal(f->config->settle_ms, 3000);
    assert_int_equal(f->config->cache_max_bytes, 2 << 20);
    assert_string_equal(f->config->path, "/srv/orders");
    assert_int_equal(config_place(w, "database", "path").file, 0);
    assert_int_equal(config_place(w, "database", "settle").file, 1);
    assert_int_equal(config_place(w, "database", "cache").file, 2);
    assert_int_equal(config_place(w, "database", "cache").line, 2);
    assert_string_equal(
        config_file_of(f->config, config_place(w, "database", "cache")),
        at(f, "orders.d/2.conf"));
}

static void the_database_may_be_in_drop_ins_alone(void **state)
{
    struct fix *f = *state;

    put(f, "orders.conf", "# all is in orders.d\n");
    put(f, "orders.d/1.conf", "[database]\npath = /srv/orders\n");
    load_good(f);
    assert_string_equal(f->config->name, "orders");
}

static void relative_paths_begin_where_the_first_file_is(void **state)
{
    struct fix *f = *state;

    put(f, "orders.conf", MAIN);
    put(f, "orders.d/1.conf", "[replica a]\nhost = a\nidentity = keys/a\n");
    load_good(f);
    assert_string_equal(f->config->replicas[1].identity, at(f, "keys/a"));
}

/* --- mistakes ------------------------------------------------------------ */

static void a_mistake_is_of_its_own_file_and_line(void **state)
{
    static const struct {
        const char *text, *where, *words;
    } ROWS[] = {
        {"\n[replica main]\nhost = x\n", "orders.d/2.conf:2",
         "is defined twice, first at "},
        {"[replica a]\nhost = a\nhost = b\n", "orders.d/2.conf:3",
         "set twice, first at line 2"},
        {"[database]\ncache = 1M\ncache = 2M\n", "orders.d/2.conf:3",
         "set twice, first at line 2"},
        {"[database]\ncache = 1M\n[database]\n", "orders.d/2.conf:3",
         "[database] is defined twice"},
        {"[database]\n\ncache = big\n", "orders.d/2.conf:3", "cache = big"},
        {"host = x\n", "orders.d/2.conf:1", "before the first [section]"},
        {"[replica a]\nhost = a\nwords", "orders.d/2.conf:3", "neither a"},
        {"#\n[replica a]\nport = 22\n", "orders.d/2.conf:2", "needs host"},
        {"#\n[replica a]\nhost = main\n", "orders.d/2.conf:2",
         "orders.conf:4 have one target"},
        {"[database]\nsilence = 1s\n", "orders.d/2.conf:2", "three heartbeats"},
        {"[database]\nstate-dir = /srv/orders\n", "orders.d/2.conf:2",
         "that is the database itself"},
        {"[replica a]\ncommand = drover-replica receive /srv/orders/x\n",
         "orders.d/2.conf:2", "a replica cannot be"},
    };
    struct fix *f = *state;

    put(f, "orders.conf", MAIN);
    put(f, "orders.d/1.conf", "[replica one]\nhost = one\n");
    put(f, "orders.d/3.conf", "[replica three]\nhost = three\n");
    for (size_t i = 0; i < sizeof ROWS / sizeof *ROWS; i++) {
        put(f, "orders.d/2.conf", ROWS[i].text);
        assert_only(f, ROWS[i].where, ROWS[i].words);
    }
}

static void a_replica_in_two_files_names_both_lines(void **state)
{
    struct fix *f = *state;
    char words[400];

    put(f, "orders.conf", MAIN);
    put(f, "orders.d/1.conf", "#\n#\n[replica eu]\nhost = a\n");
    put(f, "orders.d/2.conf", "#\n[replica eu]\nhost = b\n");
    (void)snprintf(words, sizeof words,
                   "[replica eu] is defined twice, first at %s:3",
                   at(f, "orders.d/1.conf"));
    assert_only(f, "orders.d/2.conf:2", words);
}

static void all_files_mistakes_are_said_in_one_run(void **state)
{
    struct fix *f = *state;

    put(f, "orders.conf", "[database]\npath = /srv/orders\ncolour = red\n");
    put(f, "orders.d/1.conf", "[replica a]\n");
    assert_int_equal(mkfifo(at(f, "orders.d/2.conf"), 0600), 0);
    put(f, "orders.d/3.conf", "x\n");
    load(f);
    assert_int_equal(f->errors.count, 4);
}

/* --- what is no drop-in -------------------------------------------------- */

static void only_regular_files_of_a_configurations_size_are_read(void **state)
{
    struct fix *f = *state;

    put(f, "orders.conf", MAIN);
    put(f, "orders.d/1.conf", "");
    load_good(f);
    const char *one = "orders.d/1.conf";
    assert_int_equal(unlink(at(f, one)), 0);
    assert_int_equal(mkfifo(at(f, one), 0600), 0);
    assert_only(f, one, "is a FIFO, not a file");
    assert_int_equal(unlink(at(f, one)), 0);
    assert_int_equal(symlink("/dev/zero", at(f, one)), 0);
    assert_only(f, one, "is a device, not a file");
    assert_int_equal(unlink(at(f, one)), 0);
    assert_int_equal(mkdir(at(f, one), 0755), 0);
    assert_only(f, one, "is a directory, not a file");
    assert_int_equal(rmdir(at(f, one)), 0);
    assert_int_equal(symlink("nowhere", at(f, one)), 0);
    assert_only(f, one, "conf: is a symbolic link to a file that is not there");
    assert_int_equal(unlink(at(f, one)), 0);
    put(f, one, "#");
    assert_int_equal(truncate(at(f, one), CONFIG_FILE_BYTES + 1), 0);
    assert_only(f, one, "is longer than 1 MiB");
    /* A link to a file is one. */
    assert_int_equal(unlink(at(f, one)), 0);
    put(f, "eu", "[replica eu]\nhost = eu\n");
    assert_int_equal(symlink("../eu", at(f, one)), 0);
    load_good(f);
    assert_non_null(config_replica(f->config, "eu"));
}

static void a_directory_that_cannot_be_read_is_a_mistake(void **state)
{
    struct fix *f = *state;

    put(f, "orders.conf", MAIN);
    put(f, "orders.d", "");
    assert_only(f, "orders.d", "Not a directory");
    assert_int_equal(unlink(at(f, "orders.d")), 0);
    assert_int_equal(symlink("orders.d", at(f, "orders.d")), 0);
    assert_only(f, "orders.d", "orders.d: Too many levels of symbolic links");
    assert_null(strstr(f->errors.lines[0], "links: "));
    assert_int_equal(unlink(at(f, "orders.d")), 0);
    assert_int_equal(mkfifo(at(f, "orders.d"), 0600), 0);
    assert_only(f, "orders.d", "Not a directory");
    assert_int_equal(unlink(at(f, "orders.d")), 0);
    put(f, "orders.d/1.conf", "[replica a]\nhost = a\n");
    if (geteuid() != 0) { /* root may read everything */
        assert_int_equal(chmod(at(f, "orders.d/1.conf"), 0), 0);
        assert_only(f, "orders.d/1.conf", "Permission denied");
        assert_int_equal(chmod(at(f, "orders.d"), 0), 0);
        assert_only(f, "orders.d", "Permission denied");
    }
}

static void more_than_1024_are_refused(void **state)
{
    struct fix *f = *state;
    char name[40];

    put(f, "orders.conf", MAIN);
    for (unsigned i = 0; i < CONFIG_DROPINS_MAX; i++) {
        (void)snprintf(name, sizeof name, "orders.d/%u.conf", i);
        put(f, name, "");
    }
    put(f, "orders.d/ignored", "");
    load_good(f);
    assert_int_equal(f->config->files_count, 1 + CONFIG_DROPINS_MAX);
    put(f, "orders.d/one-more.conf", "");
    assert_only(f, "orders.d", "has more than 1024 files *.conf");
}

/* --- later --------------------------------------------------------------- */

static bool says(const struct config_errors *e, const char *file,
                 const char *words)
{
    for (size_t i = 0; i < e->count; i++) {
        if (strstr(e->lines[i], words) != NULL && e->spots[i].file != NULL &&
            strcmp(e->spots[i].file, file) == 0) {
            return true;
        }
    }
    return false;
}

static void a_warning_is_of_its_own_file_and_line(void **state)
{
    struct config_probe p = {0};
    struct fix *f = *state;

    put(f, "orders.conf", MAIN);
    put(f, "orders.d/1.conf", "#\n[replica a]\n#\ncommand = no-such-prog x\n");
    load_good(f);
    config_probe(f->config, &p);
    assert_true(says(&p.warnings, at(f, "orders.d/1.conf"),
                     "/orders.d/1.conf:4: [replica a] command: no-such-prog"));
    config_probe_deinit(&p);
}

/* What root can read and the agent cannot: it will not start. */
static void the_agents_user_must_be_able_to_read_them(void **state)
{
    struct config_probe p = {0};
    struct fix *f = *state;
    struct err err = {0};

    if (geteuid() != 0) {
        print_message("skipped: only root can ask as another\n");
        skip();
    }
    put(f, "orders.conf", MAIN);
    put(f, "orders.d/1.conf", "[replica a]\ncommand = no-such-prog x\n");
    put(f, "orders.d/2.conf", "");
    assert_int_equal(chmod(f->dir, 0755), 0);
    assert_int_equal(chmod(at(f, "orders.d/2.conf"), 0600), 0);
    load_good(f);
    assert_int_equal(config_probe_as(f->config, 65534, &p, &err), 0);
    assert_int_equal(p.mistakes.count, 1);
    assert_true(says(&p.mistakes, at(f, "orders.d/2.conf"), "cannot read"));
    assert_true(says(&p.warnings, at(f, "orders.d/1.conf"), "conf:2: "));
    config_probe_deinit(&p);
    p = (struct config_probe){0};
    assert_int_equal(chmod(at(f, "orders.d"), 0700), 0);
    assert_int_equal(config_probe_as(f->config, 65534, &p, &err), 0);
    assert_true(says(&p.mistakes, at(f, "orders.d"), "orders.d: the agent "));
    config_probe_deinit(&p);
}

/* What a drop-in would amount to is known before it is there; nothing changes.
 */
static void a_drop_in_is_tried_before_it_is_written(void **state)
{
    struct fix *f = *state;
    char b[300], main[300];

    put(f, "orders.conf", MAIN);
    (void)snprintf(main, sizeof main, "%s", at(f, "orders.conf"));
    (void)snprintf(b, sizeof b, "%s", at(f, "orders.d/b.conf"));
    struct config *c =
        config_load_as_if(main, b, "[replica b]\nhost = b\n", &f->errors);
    assert_non_null(c);
    assert_int_equal(c->replicas_count, 2);
    assert_string_equal(config_file_of(c, c->replicas[1].where.head), b);
    assert_int_equal(access(b, F_OK), -1);
    config_free(c);

    put(f, "orders.d/a.conf", "[replica a]\nhost = a\n");
    put(f, "orders.d/b.conf", "no configuration");
    put(f, "orders.d/c.conf", "[replica c]\nhost = c\n");
    c = config_load_as_if(main, b, "[replica b]\nhost = b\n", &f->errors);
    assert_non_null(c);
    assert_int_equal(c->replicas_count, 4);
    assert_string_equal(c->replicas[2].name, "b");
    config_free(c);
    c = config_load_as_if(main, b, NULL, &f->errors);
    assert_non_null(c);
    assert_int_equal(c->replicas_count, 3);
    assert_null(config_replica(c, "b"));
    config_free(c);

    assert_null(
        config_load_as_if(main, b, "[replica a]\nhost = b\n", &f->errors));
    assert_int_equal(f->errors.count, 1);
    assert_non_null(strstr(f->errors.lines[0], "b.conf:1: [replica a] is "));
    load(f);
    assert_null(f->config); /* b.conf is as it was */
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(files_follow_in_the_order_of_their_names_bytes),
        TEST(what_is_not_named_like_a_drop_in_is_not_read),
        TEST(without_a_directory_there_are_none),
        TEST(a_file_of_another_name_has_none),
        TEST(a_links_drop_ins_are_beside_the_link),
        TEST(a_later_files_database_wins),
        TEST(the_database_may_be_in_drop_ins_alone),
        TEST(relative_paths_begin_where_the_first_file_is),
        TEST(a_mistake_is_of_its_own_file_and_line),
        TEST(a_replica_in_two_files_names_both_lines),
        TEST(all_files_mistakes_are_said_in_one_run),
        TEST(only_regular_files_of_a_configurations_size_are_read),
        TEST(a_directory_that_cannot_be_read_is_a_mistake),
        TEST(more_than_1024_are_refused),
        TEST(a_drop_in_is_tried_before_it_is_written),
        TEST(a_warning_is_of_its_own_file_and_line),
        TEST(the_agents_user_must_be_able_to_read_them),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
