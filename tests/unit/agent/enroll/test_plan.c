/* SPDX-License-Identifier: MIT
 *
 * plan: from words to steps, a drop-in and a line of authorized_keys. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "plan_fixture.h"

#include "store/base/cleanup.h"

#define PRINT "SHA256:Dv0O8CBNL85kQCXHvQ6NTYSogkdd66HCcNOIz4Y+PqU"

static void refused(struct plan_fix *f, const char *target, const char *words)
{
    assert_int_equal(plan_make(f, target), ERR_INVALID);
    if (strstr(f->err.msg, words) == NULL) {
        fail_msg("no \"%s\" in: %s", words, f->err.msg);
    }
}

static void a_host_alone_gets_what_the_readme_has(void **state)
{
    struct plan_fix *f = *state;
    char want[400];

    assert_int_equal(plan_make(f, "eu-1.example.net"), 0);
    assert_string_equal(f->plan.replica.host, "eu-1.example.net");
    assert_string_equal(f->plan.replica.user, "drover-recv");
    assert_string_equal(f->plan.replica.path, "/srv/orders");
    assert_string_equal(f->plan.replica.identity,
                        "/var/lib/drover/orders/id_ed25519");
    assert_string_equal(f->plan.replica.known_hosts, "/etc/drover/known_hosts");
    assert_string_equal(f->plan.group, "orders-read");
    (void)snprintf(want, sizeof want, "%s/orders.d/eu-1.conf", f->dir);
    assert_string_equal(f->plan.dropin, want);
    (void)snprintf(want, sizeof want,
                   "# Made by: drover replica add.  To take it away:\n"
                   "#   drover --config %s/orders.conf replica remove eu-1\n"
                   "[replica eu-1]\nhost = eu-1.example.net\n",
                   f->dir);
    assert_string_equal(f->plan.dropin_text, want);
    CLEANUP(freep)
    char *line = enroll_authorized_line(&f->plan, "ssh-ed25519 AAAA");
    assert_string_equal(line, "restrict,command=\"drover-replica receive "
                              "/srv/orders --group orders-read\" "
                              "ssh-ed25519 AAAA");
}

static void targets_are_taken_apart(void **state)
{
    static const struct {
        const char *target, *user, *host, *path;
        unsigned port;
    } ROWS[] = {
        {"eu:/x", "drover-recv", "eu", "/x", 22},
        {"me@eu", "me", "eu", "/srv/orders", 22},
        {"me@eu:2222:/x y", "me", "eu", "/x y", 2222},
        {"[fe80::1]:/x", "drover-recv", "fe80::1", "/x", 22},
        {"me@[::1]", "me", "::1", "/srv/orders", 22},
        {"[::1]:2222:/x", "drover-recv", "::1", "/x", 2222},
        {"eu:/a@b:c", "drover-recv", "eu", "/a@b:c", 22},
    };
    struct plan_fix *f = *state;

    for (size_t i = 0; i < sizeof ROWS / sizeof *ROWS; i++) {
        if (plan_make(f, ROWS[i].target) < 0) {
            fail_msg("%s: %s", ROWS[i].target, f->err.msg);
        }
        assert_string_equal(f->plan.replica.user, ROWS[i].user);
        assert_string_equal(f->plan.replica.host, ROWS[i].host);
        assert_string_equal(f->plan.replica.path, ROWS[i].path);
        assert_int_equal(f->plan.replica.port, ROWS[i].port);
    }
}

static void what_cannot_be_is_refused_with_what_to_write(void **state)
{
    struct plan_fix *f = *state;

    refused(f, "eu:orders", "write the whole path");
    refused(f, "eu:2222", "write the whole path");
    refused(f, "eu:/", "a copy needs one of its own");
    refused(f, "eu:/../.", "a copy needs one of its own");
    refused(f, "eu:/a\nb", "control character");
    refused(f, "eu:/a\177", "control character");
    refused(f, "-eu:/x", "must not begin with '-'");
    refused(f, "-x@eu:/x", "must not begin with '-'");
    refused(f, "a b@eu:/x", "one name");
    refused(f, "e u:/x", "neither a host's name");
    refused(f, "", "");
    refused(f, "@eu:/x", "the user before @ is missing");
    f->request.via = "-oProxyCommand=x";
    refused(f, "eu", "must not begin with '-'");
    f->request.via = "";
    refused(f, "eu", "is empty");
    f->request.via = "root@eu\nx";
    refused(f, "eu", "control character");
    f->request.via = "ssh://root@eu:22";
    assert_int_equal(plan_make(f, "eu"), 0);
    f->request.fingerprint = "aa:bb";
    refused(f, "eu", "write SHA256:");
    f->request.fingerprint = PRINT "=";
    refused(f, "eu", "write SHA256:");
    f->request.fingerprint = PRINT;
    f->request.dir_mode = "0500";
    refused(f, "eu", "--dir-mode: mode 0500 would lock the receiver out");
    f->request.dir_mode = NULL;
    f->request.file_mode = "rw";
    refused(f, "eu", "--file-mode");
    f->request.file_mode = NULL;
    f->request.identity = "id";
    refused(f, "eu", "write the whole path");
    f->request.identity = NULL;
    f->request.receiver = "-x";
    refused(f, "eu", "must not begin with '-'");
    f->request.receiver = NULL;
    f->request.group = "a,b";
    refused(f, "eu", "one name");
    f->request.group = NULL;
    f->request.name = "a b";
    refused(f, "eu", "a replica's name has letters");
}

static void a_database_whose_name_is_no_group_needs_one(void **state)
{
    struct plan_fix *f = *state;

    plan_config(f, "Orders.2", PLAN_DATABASE);
    refused(f, "eu", "--group GROUP");
    f->request.group = "readers";
    assert_int_equal(plan_make(f, "eu"), 0);
    assert_string_equal(f->plan.group, "readers");
    f->request.group = NULL;
    f->request.removing = true;
    assert_int_equal(plan_make(f, "eu"), 0);
    assert_null(f->plan.group);
}

/* What was written is read again as the same replica. */
static void the_drop_in_says_all_that_differs(void **state)
{
    struct plan_fix *f = *state;
    struct config_errors errors = {0};

    f->request.identity = "/keys/one";
    f->request.known_hosts = "/keys/hosts";
    assert_int_equal(plan_make(f, "me@[fe80::1]:2222:/a 'b' \"c"), 0);
    struct config *c = config_load_as_if(f->config->file, f->plan.dropin,
                                         f->plan.dropin_text, &errors);
    if (c == NULL) {
        fail_msg("%s", errors.lines[0]);
    }
    assert_int_equal(c->replicas_count, 1);
    const struct config_replica *r = &c->replicas[0];
    assert_string_equal(r->name, "eu-1");
    assert_string_equal(r->host, "fe80::1");
    assert_string_equal(r->user, "me");
    assert_string_equal(r->path, "/a 'b' \"c");
    assert_string_equal(r->identity, "/keys/one");
    assert_string_equal(r->known_hosts, "/keys/hosts");
    assert_int_equal(r->port, 2222);
    config_free(c);
}

static void a_name_is_taken_by_another_target_alone(void **state)
{
    struct plan_fix *f = *state;

    plan_config(f, "orders",
                PLAN_DATABASE "[replica eu-1]\nhost = EU\nport = 22\n"
                              "[replica here]\ncommand = drover-replica "
                              "receive /copy\n");
    assert_int_equal(plan_make(f, "eu"), 0);
    assert_non_null(f->plan.defined);
    assert_int_equal(plan_make(f, "eu:22:/srv/orders"), 0);
    assert_int_equal(plan_make(f, "us"), ERR_EXISTS);
    assert_non_null(strstr(f->err.msg, "orders.conf:3"));
    assert_int_equal(plan_make(f, "eu:23:/srv/orders"), ERR_EXISTS);
    assert_int_equal(plan_make(f, "me@eu"), ERR_EXISTS);
    f->request.name = "here";
    assert_int_equal(plan_make(f, "eu"), ERR_EXISTS);
    f->request.name = "other";
    assert_int_equal(plan_make(f, "us"), 0);
    assert_null(f->plan.defined);
}

/* sh takes the word as it was. */
static void every_word_comes_through_a_shell_as_it_is(void **state)
{
    static const char *const WORDS[] = {
        "plain/word-1.2",
        "",
        "it's",
        "a b",
        "\"",
        "\\",
        "$HOME",
        "`x`",
        "a;b&c|d",
        "*?[a]",
        "~",
        "#x",
        "'",
        "''",
        "!",
        "\xff\xfe",
        "a=b",
        "-n",
    };

    (void)state;
    for (size_t i = 0; i < sizeof WORDS / sizeof *WORDS; i++) {
        CLEANUP(buf_deinit) struct buf b = BUF_NULL;
        char got[100] = "";
        buf_printf(&b, "printf '%%s' ");
        enroll_quote(&b, WORDS[i]);
        buf_u8(&b, '\0');
        FILE *p = popen((const char *)b.data, "r");
        assert_non_null(p);
        size_t n = fread(got, 1, sizeof got - 1, p);
        got[n] = '\0';
        assert_int_equal(pclose(p), 0);
        assert_string_equal(got, WORDS[i]);
    }
}

/* What sshd makes of it: \" is a quote, everything else stays. */
static void
a_forced_command_survives_the_quotes_of_authorized_keys(void **state)
{
    struct plan_fix *f = *state;

    f->request.dir_mode = "2770";
    f->request.file_mode = "0660";
    f->request.receiver = "/opt/x y/drover-replica";
    assert_int_equal(plan_make(f, "eu:/a \"b\\\"c'"), 0);
    CLEANUP(freep) char *command = enroll_forced_command(&f->plan);
    assert_string_equal(command,
                        "'/opt/x y/drover-replica' receive '/a \"b\\\"c'\\''' "
                        "--group orders-read --dir-mode 2770 --file-mode 0660");
    CLEANUP(freep) char *line = enroll_authorized_line(&f->plan, "T K");
    assert_string_equal(
        line, "restrict,command=\"'/opt/x y/drover-replica' receive "
              "'/a \\\"b\\\\\"c'\\''' --group orders-read --dir-mode 2770 "
              "--file-mode 0660\" T K");
}

static void the_ssh_agent_is_no_file(void **state)
{
    struct plan_fix *f = *state;

    f->request.identity = "agent";
    assert_int_equal(plan_make(f, "eu"), ERR_INVALID);
    assert_non_null(strstr(f->err.msg, "identity = agent"));
}

static void each_step_has_a_name_and_a_goal(void **state)
{
    struct plan_fix *f = *state;

    f->request.via = "root@eu";
    assert_int_equal(plan_make(f, "eu"), 0);
    static const char *const PARTS[] = {
        [ENROLL_KEY] = "/var/lib/drover/orders/id_ed25519",
        [ENROLL_HOST_KEY] = "eu in /etc/drover/known_hosts",
        [ENROLL_THERE] = "directory /srv/orders and the login of",
        [ENROLL_DROPIN] = "/orders.d/eu-1.conf",
        [ENROLL_RELOAD] = "the agent of orders",
        [ENROLL_COPY] = "until eu-1 is streaming",
        [ENROLL_CHECK] = "drover check eu-1",
    };
    for (enum enroll_step_id id = ENROLL_KEY; id < ENROLL_STEPS; id++) {
        CLEANUP(freep) char *goal = enroll_step_goal(&f->plan, id);
        assert_non_null(strstr(goal, PARTS[id]));
        assert_true(enroll_step_name(id)[0] != '\0');
    }
}

#define TEST(name)                                                             \
    cmocka_unit_test_setup_teardown(name, plan_setup, plan_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_host_alone_gets_what_the_readme_has),
        TEST(targets_are_taken_apart),
        TEST(what_cannot_be_is_refused_with_what_to_write),
        TEST(a_database_whose_name_is_no_group_needs_one),
        TEST(the_drop_in_says_all_that_differs),
        TEST(a_name_is_taken_by_another_target_alone),
        TEST(every_word_comes_through_a_shell_as_it_is),
        TEST(a_forced_command_survives_the_quotes_of_authorized_keys),
        TEST(the_ssh_agent_is_no_file),
        TEST(each_step_has_a_name_and_a_goal),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
