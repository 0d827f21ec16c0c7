/* SPDX-License-Identifier: MIT
 *
 * config: what a good file means, and that every mistake of a bad one is named
 * with its line. */
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
#include "store/base/buf.h"
#include "store/base/cleanup.h"

struct fix {
    char dir[128];
    char file[160];
    struct config_errors errors;
    struct config *config;
};

static int setup(void **state)
{
    struct fix *f = calloc(1, sizeof *f);
    const char *tmp = getenv("TMPDIR");

    assert_non_null(f);
    (void)snprintf(f->dir, sizeof f->dir, "%s/drover-config-XXXXXX",
                   tmp != NULL ? tmp : "/tmp");
    assert_non_null(mkdtemp(f->dir));
    (void)snprintf(f->file, sizeof f->file, "%s/orders.conf", f->dir);
    (void)unsetenv("STATE_DIRECTORY");
    (void)unsetenv("RUNTIME_DIRECTORY");
    (void)unsetenv("XDG_STATE_HOME");
    (void)unsetenv("SSH_AUTH_SOCK");
    (void)setenv("XDG_RUNTIME_DIR", "/tmp/x", 1);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fix *f = *state;

    config_free(f->config);
    config_errors_deinit(&f->errors);
    (void)unlink(f->file);
    (void)rmdir(f->dir);
    free(f);
    return 0;
}

static void load_bytes(struct fix *f, const char *text, size_t len)
{
    FILE *out = fopen(f->file, "w");

    assert_non_null(out);
    assert_int_equal(fwrite(text, 1, len, out), len);
    assert_int_equal(fclose(out), 0);
    config_free(f->config);
    config_errors_deinit(&f->errors);
    f->config = config_load(f->file, &f->errors);
}

static void load(struct fix *f, const char *text)
{
    load_bytes(f, text, strlen(text));
}

static void load_good(struct fix *f, const char *text)
{
    load(f, text);
    if (f->config == NULL) {
        fail_msg("refused: %s", f->errors.lines[0]);
    }
    assert_int_equal(f->errors.count, 0);
}

/* One of the mistakes reads FILE:`tail`... or has `tail` in it. */
static void assert_complains(struct fix *f, const char *tail)
{
    assert_null(f->config);
    for (size_t i = 0; i < f->errors.count; i++) {
        if (strstr(f->errors.lines[i], tail) != NULL) {
            return;
        }
    }
    for (size_t i = 0; i < f->errors.count; i++) {
        print_error("  %s\n", f->errors.lines[i]);
    }
    fail_msg("no line has: %s", tail);
}

static void a_small_file_gets_every_default(void **state)
{
    struct fix *f = *state;

    load_good(f, "[database]\npath = /srv/orders\n");
    struct config *c = f->config;
    assert_string_equal(c->name, "orders");
    assert_string_equal(c->path, "/srv/orders");
    assert_string_equal(c->state_dir, "/var/lib/drover/orders");
    assert_string_equal(c->socket, "/run/drover/orders/control.sock");
    assert_null(c->control_group);
    assert_int_equal(c->lock_timeout_ms, 5000);
    assert_int_equal(c->settle_ms, 1000);
    assert_int_equal(c->rescan_ms, 6 * 3600 * 1000);
    assert_int_equal(c->heartbeat_ms, 1000);
    assert_int_equal(c->silence_ms, 15000);
    assert_int_equal(c->backoff_max_ms, 60000);
    assert_int_equal(c->max_delete_percent, 20);
    assert_int_equal(c->max_delete_keys, 100);
    assert_int_equal(c->log_max_changes, 1000000);
    assert_int_equal(c->log_max_bytes, 128 << 20);
    assert_int_equal(c->cache_max_bytes, 16 << 20);
    assert_int_equal(c->replicas_count, 0);
}

static void every_setting_of_an_ssh_replica_arrives(void **state)
{
    struct fix *f = *state;

    load_good(f, "# comment\n; comment\n\n[database]\npath=/srv/orders\n"
                 "[ replica   eu-1 ]\n"
                 "host = eu-1.example.net\nport: 2222\nuser = u\npath = /o\n"
                 "identity = keys/id\nknown-hosts = hosts\n"
                 "connect-timeout = 3s\nlogin-timeout = 250ms\n"
                 "durability = relaxed\npaused = yes\nsndbuf = 2K\n"
                 "rcvbuf = 4K\n");
    const struct config_replica *r = config_replica(f->config, "eu-1");
    char path[256];

    assert_non_null(r);
    assert_int_equal(r->kind, REPLICA_SSH);
    assert_string_equal(r->host, "eu-1.example.net");
    assert_int_equal(r->port, 2222);
    assert_string_equal(r->user, "u");
    assert_string_equal(r->path, "/o");
    (void)snprintf(path, sizeof path, "%s/keys/id", f->dir);
    assert_string_equal(r->identity, path);
    (void)snprintf(path, sizeof path, "%s/hosts", f->dir);
    assert_string_equal(r->known_hosts, path);
    assert_string_equal(r->command, "drover-replica receive '/o'");
    assert_int_equal(r->connect_timeout_ms, 3000);
    assert_int_equal(r->login_timeout_ms, 250);
    assert_true(r->relaxed);
    assert_true(r->paused);
    assert_int_equal(r->sndbuf_bytes, 2048);
    assert_int_equal(r->rcvbuf_bytes, 4096);
    assert_null(config_replica(f->config, "eu-2"));
}

static void an_ssh_replica_defaults_to_the_same_path_and_our_key(void **state)
{
    struct fix *f = *state;

    load_good(f, "[database]\npath = /srv/it's\n[replica a]\nhost = h\n"
                 "[replica b]\nhost = h\nidentity = agent\n"
                 "command = receive orders\n");
    const struct config_replica *a = &f->config->replicas[0];
    const struct config_replica *b = &f->config->replicas[1];

    assert_string_equal(a->path, "/srv/it's");
    assert_string_equal(a->command, "drover-replica receive '/srv/it'\\''s'");
    assert_string_equal(a->identity, "/var/lib/drover/orders/id_ed25519");
    assert_string_equal(a->known_hosts, "/etc/drover/known_hosts");
    assert_string_equal(a->user, "drover-recv");
    assert_int_equal(a->port, 22);
    assert_null(b->identity);
    assert_string_equal(b->command, "receive orders");
    assert_null(b->argv);
}

static void a_command_without_host_is_split_without_a_shell(void **state)
{
    struct fix *f = *state;

    load_good(f, "[database]\npath = /d\n[replica a]\ncommand = ssh -J b "
                 "'a b' \"c \\\"d\\\" $HOME\" e\\ f g;h ''\n");
    const struct config_replica *r = &f->config->replicas[0];

    assert_int_equal(r->kind, REPLICA_EXEC);
    assert_string_equal(r->argv[0], "ssh");
    assert_string_equal(r->argv[1], "-J");
    assert_string_equal(r->argv[2], "b");
    assert_string_equal(r->argv[3], "a b");
    assert_string_equal(r->argv[4], "c \"d\" $HOME");
    assert_string_equal(r->argv[5], "e f");
    assert_string_equal(r->argv[6], "g;h");
    assert_string_equal(r->argv[7], "");
    assert_null(r->argv[8]);
}

static void systemd_folders_win_over_the_defaults(void **state)
{
    struct fix *f = *state;

    (void)setenv("STATE_DIRECTORY", "/var/lib/a:/var/lib/b", 1);
    (void)setenv("RUNTIME_DIRECTORY", "/run/a", 1);
    load_good(f, "[database]\npath = /d\n");
    assert_string_equal(f->config->state_dir, "/var/lib/a");
    assert_string_equal(f->config->socket, "/run/a/control.sock");
}

static void a_long_line_is_whole_and_a_longer_one_is_refused(void **state)
{
    struct fix *f = *state;
    char text[6000];
    char path[3001];

    memset(path, 'x', sizeof path - 1);
    path[0] = '/';
    path[sizeof path - 1] = '\0';
    (void)snprintf(text, sizeof text, "[database]\npath = %s\n", path);
    load_good(f, text);
    assert_string_equal(f->config->path, path);

    memset(text, 'x', sizeof text);
    memcpy(text, "[database]\npath = /", 19);
    memcpy(text + 5000, "\nsettel = 1s\n", 14);
    load(f, text);
    assert_complains(f, "orders.conf:2: the line is longer than 4096");
    assert_complains(f, "orders.conf:3: unknown setting settel");
}

static void a_files_words_cannot_steer_a_terminal(void **state)
{
    struct fix *f = *state;

    load(f, "[data\033[2J]\n[database]\npath = /x\n");
    assert_complains(f, "orders.conf:1: unknown section [data?[2J]");
}

static void all_mistakes_are_told_in_one_run(void **state)
{
    struct fix *f = *state;

    load(f, "stray = 1\n"
            "[database]\n"
            "lock-timout = 5s\n"      /* 3 */
            "settle = 10\n"           /* 4 */
            "rescan = 6h ; nightly\n" /* 5 */
            "max-delete = 120%\n"     /* 6 */
            "max-delete = 10%\n"      /* 7 */
            "cache = big\n"           /* 8 */
            "port = 22\n"             /* 9 */
            "just words\n"            /* 10 */
            "[databse]\n"             /* 11 */
            "what = ever\n"           /* 12: not told again */
            "[replica]\n"             /* 13 */
            "[replica a/b]\n"         /* 14 */
            "[replica eu]\n"          /* 15 */
            "port = 70000\n"          /* 16 */
            "paused = maybe\n"        /* 17 */
            "durability = yes\n"      /* 18 */
            "host =\n"                /* 19 */
            "[replica eu]\n"          /* 20 */
            "[database\n");           /* 21 */
    assert_complains(f,
                     "orders.conf:1: stray appears before the first [section]");
    assert_complains(f, ":3: unknown setting lock-timout; did you mean "
                        "lock-timeout?");
    assert_complains(f, ":4: settle = 10: a duration needs a unit");
    assert_complains(f, ":5: rescan = ");
    assert_complains(f, "comments must be on lines of their own");
    assert_complains(f, ":6: max-delete = 120%: must be from 0% to 100%");
    assert_complains(f, ":7: max-delete is set twice, first at line 6");
    assert_complains(f, ":8: cache = big");
    assert_complains(f, ":9: port belongs in [replica NAME], not in "
                        "[database]");
    assert_complains(f, ":10: neither a [section]");
    assert_complains(f, ":11: unknown section [databse]; did you mean "
                        "[database]?");
    assert_complains(f, ":13: [replica] needs a name");
    assert_complains(f, ":14: [replica a/b]");
    assert_complains(f, ":16: port = 70000: must be from 1 to 65535");
    assert_complains(f, ":17: paused = maybe: write yes or no");
    assert_complains(f, ":18: durability = yes: write relaxed or durable");
    assert_complains(f, ":19: host has no value");
    assert_complains(f, ":20: [replica eu] is defined twice, first at line 15");
    assert_complains(f, ":21: a section is written [name], alone");
    assert_complains(f, "[database] needs path");
    for (size_t i = 0; i < f->errors.count; i++) {
        /* It has one, which is a mistake that line 19 has already. */
        assert_null(strstr(f->errors.lines[i], "[replica eu] needs host"));
        assert_null(strstr(f->errors.lines[i], ":12:"));
    }
}

static void the_last_line_is_checked_without_its_newline(void **state)
{
    struct fix *f = *state;

    load(f, "[database]\npath = /d\nwords");
    assert_complains(f, ":3: neither");
}

static void a_nul_byte_is_refused(void **state)
{
    struct fix *f = *state;

    load_bytes(f, "[database]\npath = /a\0b\n", 23);
    assert_complains(f, ":2: the line has a NUL byte");
}

static void an_exec_replica_refuses_what_needs_a_host(void **state)
{
    struct fix *f = *state;

    load(f, "[database]\npath = /d\n[replica a]\ncommand = x\nport = 23\n");
    assert_complains(f, ":3: [replica a]: host is missing");
    load(f, "[database]\npath = /d\n[replica a]\ncommand = 'x\n");
    assert_complains(f, "a quote is not closed");
    load(f, "[database]\npath = /d\n[replica empty]\n");
    assert_complains(f, "[replica empty] needs host = HOST");
}

static void settings_that_contradict_are_refused(void **state)
{
    struct fix *f = *state;
    char text[300];

    load(f, "[database]\npath = /d\nheartbeat = 10s\n");
    assert_complains(f, "silence must be at least three heartbeats");
    (void)snprintf(text, sizeof text, "[database]\npath = /d\nsocket = /%0150d",
                   1);
    load(f, text);
    assert_complains(f, "107 bytes");
}

static void a_missing_file_is_told_with_its_reason(void **state)
{
    struct fix *f = *state;

    f->config = config_load(f->file, &f->errors);
    assert_complains(f, "orders.conf: No such file or directory");
    config_errors_deinit(&f->errors);
    f->config = config_load(f->dir, &f->errors);
    assert_complains(f, "is a directory");
}

/* None of them ends, or answers, in the time that a daemon has. */
static void only_a_regular_file_of_a_configurations_size_is_read(void **state)
{
    struct fix *f = *state;

    assert_int_equal(mkfifo(f->file, 0600), 0);
    f->config = config_load(f->file, &f->errors);
    assert_complains(f, "orders.conf: is a FIFO, not a file");
    config_errors_deinit(&f->errors);

    assert_int_equal(unlink(f->file), 0);
    assert_int_equal(symlink("/dev/zero", f->file), 0);
    f->config = config_load(f->file, &f->errors);
    assert_complains(f, "orders.conf: is a device, not a file");
    config_errors_deinit(&f->errors);

    assert_int_equal(unlink(f->file), 0);
    load_good(f, "[database]\npath = /srv/orders\n");
    assert_int_equal(truncate(f->file, (off_t)3 << 30), 0);
    config_free(f->config);
    f->config = config_load(f->file, &f->errors);
    assert_complains(f, "orders.conf: is longer than 1 MiB");
}

static void a_link_to_a_file_is_followed(void **state)
{
    struct fix *f = *state;
    char other[200];

    load_good(f, "[database]\npath = /srv/orders\n");
    (void)snprintf(other, sizeof other, "%s/other", f->dir);
    assert_int_equal(rename(f->file, other), 0);
    assert_int_equal(symlink("other", f->file), 0);
    config_free(f->config);
    f->config = config_load(f->file, &f->errors);
    assert_int_equal(unlink(other), 0);
    assert_non_null(f->config);
}

static void an_empty_file_lacks_its_database(void **state)
{
    load(*state, "");
    assert_complains(*state, "the [database] section is missing");
}

static void replicas_are_equal_only_in_every_field(void **state)
{
    struct fix *f = *state;

    load_good(f, "[database]\npath = /d\n[replica a]\nhost = h\n");
    struct config_replica *r = &f->config->replicas[0];
    struct config_replica other = *r;

    assert_true(config_replica_equal(r, &other));
    other.port = 23;
    assert_false(config_replica_equal(r, &other));
    other = *r;
    other.identity = NULL;
    assert_false(config_replica_equal(r, &other));
    other = *r;
    other.relaxed = true;
    assert_false(config_replica_equal(r, &other));
}

/* --- the command line ---------------------------------------------------- */

static void adhoc(struct fix *f, const char *target)
{
    config_free(f->config);
    config_errors_deinit(&f->errors);
    f->config = config_adhoc(f->dir, &target, 1, &f->errors);
}

static void adhoc_targets_are_told_apart(void **state)
{
    static const struct {
        const char *target, *host, *user, *path, *name;
        unsigned port;
    } ROWS[] = {
        {"bob@eu-1.example.net:/srv/o", "eu-1.example.net", "bob", "/srv/o",
         "eu-1.example.net", 22},
        {"bob@eu:2222:/srv/o", "eu", "bob", "/srv/o", "eu", 2222},
        {"bob@[::1]:2222:o", "::1", "bob", "o", "x-1", 2222},
        {"bob@eu:a@b:c", "eu", "bob", "a@b:c", "eu", 22},
    };
    struct fix *f = *state;

    for (size_t i = 0; i < sizeof ROWS / sizeof *ROWS; i++) {
        adhoc(f, ROWS[i].target);
        if (f->config == NULL) {
            fail_msg("refused: %s", f->errors.lines[0]);
        }
        const struct config_replica *r = &f->config->replicas[0];
        assert_int_equal(r->kind, REPLICA_SSH);
        assert_string_equal(r->host, ROWS[i].host);
        assert_string_equal(r->user, ROWS[i].user);
        assert_string_equal(r->path, ROWS[i].path);
        assert_int_equal(r->port, ROWS[i].port);
        assert_non_null(strstr(r->known_hosts, "/.ssh/known_hosts"));
        assert_true(config_name_is_good(r->name));
    }
    adhoc(f, "exec:prog 'a b'");
    assert_non_null(f->config);
    assert_int_equal(f->config->replicas[0].kind, REPLICA_EXEC);
    assert_string_equal(f->config->replicas[0].argv[1], "a b");
    adhoc(f, "/tmp/drover-copy/");
    assert_non_null(f->config);
    assert_int_equal(f->config->replicas[0].kind, REPLICA_EXEC);
    assert_string_equal(f->config->replicas[0].name, "drover-copy");
    assert_string_equal(f->config->replicas[0].argv[1], "receive");
    assert_string_equal(f->config->replicas[0].argv[2], "/tmp/drover-copy");
    assert_null(f->config->replicas[0].argv[3]);
}

static void adhoc_mistakes_say_what_to_write(void **state)
{
    struct fix *f = *state;

    adhoc(f, "word");
    assert_complains(f, "write ./word");
    adhoc(f, "host:");
    assert_complains(f, "the path is missing");
    adhoc(f, "host:99999:/x");
    assert_complains(f, "port: ");
    adhoc(f, "@host:/x");
    assert_complains(f, "the user before @ is missing");
    adhoc(f, f->dir);
    assert_complains(f, "cannot be inside its database");
    f->config = config_adhoc("/nonexistent", NULL, 0, &f->errors);
    assert_complains(f, "/nonexistent: No such file");
    /* A bad one is no reason to crash at the next. */
    static const char *const two[] = {"host:", "other:/x"};
    config_errors_deinit(&f->errors);
    f->config = config_adhoc(f->dir, two, 2, &f->errors);
    assert_complains(f, "the path is missing");
}

static void adhoc_names_never_clash(void **state)
{
    struct fix *f = *state;
    const char *targets[] = {"a@eu:/x", "a@eu:/y", "a@eu:/z"};

    f->config = config_adhoc(f->dir, targets, 3, &f->errors);
    assert_non_null(f->config);
    assert_string_equal(f->config->replicas[0].name, "eu");
    assert_string_equal(f->config->replicas[1].name, "eu-2");
    assert_string_equal(f->config->replicas[2].name, "eu-3");
}

static void adhoc_places_depend_on_the_path_alone(void **state)
{
    struct fix *f = *state;
    char dotted[200];

    f->config = config_adhoc(f->dir, NULL, 0, &f->errors);
    assert_non_null(f->config);
    (void)snprintf(dotted, sizeof dotted, "%s/./", f->dir);
    struct config *again = config_adhoc(dotted, NULL, 0, &f->errors);
    assert_non_null(again);
    assert_string_equal(f->config->socket, again->socket);
    assert_string_equal(f->config->state_dir, again->state_dir);
    config_free(again);
}

static void a_socket_path_that_cannot_be_bound_is_refused(void **state)
{
    struct fix *f = *state;
    char dir[200];

    if (geteuid() == 0) {
        print_message("skipped: root's sockets are in /run/drover\n");
        skip();
    }
    memset(dir, 'x', sizeof dir - 1);
    dir[0] = '/';
    dir[120] = '\0';
    (void)setenv("XDG_RUNTIME_DIR", dir, 1);
    f->config = config_adhoc(f->dir, NULL, 0, &f->errors);
    assert_complains(f, "107 bytes");
}

static void a_file_of_nothing_but_mistakes_is_told_in_bounds(void **state)
{
    struct fix *f = *state;
    CLEANUP(buf_deinit) struct buf b = BUF_NULL;

    for (unsigned i = 0; i < 20000; i++) {
        buf_printf(&b, "no setting %u\n", i);
    }
    load_bytes(f, (const char *)b.data, b.len);
    assert_null(f->config);
    assert_int_equal(f->errors.count, CONFIG_ERRORS_MAX + 1);
    assert_non_null(strstr(f->errors.lines[CONFIG_ERRORS_MAX], "more"));
    assert_null(f->errors.spots[CONFIG_ERRORS_MAX].file);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

/* Two values of its type; the second is another one. */
static const char *sample(const struct setting *s, bool second)
{
    switch (s->type) {
    case SETTING_DURATION:
        return second ? "31s" : "30s";
    case SETTING_SIZE:
    case SETTING_BUFFER:
        return second ? "2M" : "1M";
    case SETTING_PERCENT:
        return second ? "31%" : "30%";
    case SETTING_COUNT:
        return second ? "5001" : "5000";
    case SETTING_PORT:
        return second ? "23" : "22";
    case SETTING_BOOL:
        return second ? "yes" : "no";
    case SETTING_RELAXED:
        return second ? "relaxed" : "durable";
    case SETTING_TRANSPORT:
        return second ? "openssh" : "libssh2";
    case SETTING_LISTEN:
        return second ? "127.0.0.1:9812" : "127.0.0.1:9811";
    case SETTING_TEXT:
    case SETTING_PATH:
    case SETTING_FAR_PATH:
    case SETTING_HOST:
    case SETTING_ACCOUNT:
    case SETTING_COMMAND:
    case SETTING_NAME:
        break;
    }
    return second ? "b" : "a";
}

/* A setting that is forgotten where settings are compared would be changed in
 * the file and not in the agent, without a word. */
static void a_change_of_any_setting_is_seen(void **state)
{
    (void)state;

    for (const struct setting *s = CONFIG_SETTINGS; s->name != NULL; s++) {
        union {
            struct config config;
            struct config_replica replica;
        } a = {0}, b = {0};
        struct err err;
        char before[300], after[300];

        assert_int_equal(config_set(s, &a, sample(s, false), "/", &err), 0);
        assert_int_equal(config_set(s, &b, sample(s, false), "/", &err), 0);
        assert_true(config_setting_equal(s, &a, &b));
        assert_int_equal(config_set(s, &b, sample(s, true), "/", &err), 0);
        assert_false(config_setting_equal(s, &a, &b));
        (void)config_setting_text(s, &a, before, sizeof before);
        (void)config_setting_text(s, &b, after, sizeof after);
        assert_string_not_equal(before, after);
        if (strcmp(s->section, "replica") == 0) {
            assert_false(config_replica_equal(&a.replica, &b.replica));
        }
        if (before[0] == '"') {
            free(*(void **)(void *)((char *)&a + s->offset));
            free(*(void **)(void *)((char *)&b + s->offset));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_small_file_gets_every_default),
        TEST(every_setting_of_an_ssh_replica_arrives),
        TEST(an_ssh_replica_defaults_to_the_same_path_and_our_key),
        TEST(a_command_without_host_is_split_without_a_shell),
        TEST(systemd_folders_win_over_the_defaults),
        TEST(a_long_line_is_whole_and_a_longer_one_is_refused),
        TEST(a_files_words_cannot_steer_a_terminal),
        TEST(all_mistakes_are_told_in_one_run),
        TEST(the_last_line_is_checked_without_its_newline),
        TEST(a_nul_byte_is_refused),
        TEST(an_exec_replica_refuses_what_needs_a_host),
        TEST(settings_that_contradict_are_refused),
        TEST(a_missing_file_is_told_with_its_reason),
        TEST(only_a_regular_file_of_a_configurations_size_is_read),
        TEST(a_link_to_a_file_is_followed),
        TEST(an_empty_file_lacks_its_database),
        TEST(replicas_are_equal_only_in_every_field),
        TEST(adhoc_targets_are_told_apart),
        TEST(adhoc_mistakes_say_what_to_write),
        TEST(adhoc_names_never_clash),
        TEST(adhoc_places_depend_on_the_path_alone),
        TEST(a_socket_path_that_cannot_be_bound_is_refused),
        TEST(a_file_of_nothing_but_mistakes_is_told_in_bounds),
        cmocka_unit_test(a_change_of_any_setting_is_seen),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
