/* SPDX-License-Identifier: MIT
 *
 * config: inputs that were, or may be, called good and are not, and their
 * neighbours that are good.  A further one is one line of a table. */
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
#include "agent/config/config_probe.h"

static char dir[128], file[160];

static int make_dir(void **state)
{
    const char *tmp = getenv("TMPDIR");

    (void)state;
    (void)snprintf(dir, sizeof dir, "%s/drover-inputs-XXXXXX",
                   tmp != NULL ? tmp : "/tmp");
    assert_non_null(mkdtemp(dir));
    (void)snprintf(file, sizeof file, "%s/orders.conf", dir);
    (void)unsetenv("STATE_DIRECTORY");
    (void)unsetenv("RUNTIME_DIRECTORY");
    return 0;
}

static int remove_dir(void **state)
{
    (void)state;
    (void)unlink(file);
    return rmdir(dir);
}

static struct config *load(const char *text, struct config_errors *errors)
{
    FILE *out = fopen(file, "w");

    assert_non_null(out);
    assert_true(fputs(text, out) >= 0);
    assert_int_equal(fclose(out), 0);
    return config_load(file, errors);
}

/* A file with `line` where it belongs: the 3rd of [database] or the 6th, in a
 * [replica a] that has a host unless the line gives it, or none for `exec`. */
static void file_with(char *out, size_t room, const char *section,
                      const char *line)
{
    bool path = strncmp(line, "path", 4) == 0;

    if (strcmp(section, "database") == 0) {
        (void)snprintf(out, room, "[database]\n%s\n%s\n[replica a]\nhost = h\n",
                       path ? "# the path is below" : "path = /srv/orders",
                       line);
        return;
    }
    (void)snprintf(out, room,
                   "[database]\npath = /srv/orders\n\n[replica a]\n%s\n%s\n",
                   strcmp(section, "exec") == 0 || strncmp(line, "host", 4) == 0
                       ? "# no host"
                       : "host = h",
                   line);
}

static const struct {
    const char *section, *line, *words;
} BAD[] = {
    /* a comment behind a value */
    {"database", "path = /srv/x # comment", "comments must be on lines"},
    {"database", "path: /srv/x # comment", "comments must be on lines"},
    {"database", "path = /srv/x\t; comment", "comments must be on lines"},
    {"database", "path = /srv/x // comment", "comments must be on lines"},
    {"database", "path = # comment", "comments must be on lines"},
    {"database", "path = ;", "comments must be on lines"},
    {"database", "rescan = 6h ; nightly", "comments must be on lines"},
    {"database", "cache = 16M #", "comments must be on lines"},
    {"database", "control-group = wheel # admins", "comments must be on lines"},
    {"database", "name = orders ; the name", "comments must be on lines"},
    {"replica", "host = eu-1.example.net ; the first one", "comments must be"},
    {"replica", "user = bob #", "comments must be on lines"},
    {"replica", "identity = /k # key", "comments must be on lines"},
    {"replica", "identity = agent ; of the session",
     "comments must be on lines"},
    {"replica", "known-hosts = /k ;", "comments must be on lines"},
    {"replica", "port = 22 # the usual", "comments must be on lines"},
    {"replica", "paused = yes ; for now", "comments must be on lines"},
    {"replica", "durability = durable # of course",
     "comments must be on lines"},
    {"replica", "command = receive orders # forced", "; quote a word"},
    {"exec", "command = drover-replica receive /r ; local", "; quote a word"},
    {"exec", "command = drover-replica receive /r #", "; quote a word"},
    /* quotes around one */
    {"database", "path = \"/srv/orders\"", "without quotes"},
    {"database", "path = '/srv/orders'", "without quotes"},
    {"database", "path = \u201c/srv/orders\u201d", "without quotes"},
    {"database", "path = \u00ab/srv/orders\u00bb", "without quotes"},
    {"database", "path = `/srv/orders`", "without quotes"},
    {"database", "path = srv/orders\"", "without quotes"},
    {"database", "name = \"orders\"", "a name has letters"},
    {"database", "state-dir = \"/var/lib/x\"", "without quotes"},
    {"database", "socket = '/run/x.sock'", "without quotes"},
    {"database", "control-group = \"wheel\"", "without quotes"},
    {"database", "rescan = \"6h\"", "not a duration"},
    {"replica", "host = \"eu-1\"", "without quotes"},
    {"replica", "user = 'bob'", "without quotes"},
    {"replica", "path = \"/srv/orders\"", "without quotes"},
    {"replica", "identity = \"/k\"", "without quotes"},
    {"replica", "known-hosts = \"/k\"", "without quotes"},
    {"replica", "command = \"receive orders\"", "without quotes"},
    {"exec", "command = \"drover-replica receive /r\"", "without quotes"},
    {"exec", "command = \u201cdrover-replica receive /r\u201d",
     "without quotes"},
    /* places and addresses that cannot be right */
    {"database", "path = /srv/orders/.drover", "own .drover is none"},
    {"database", "state-dir = /srv/orders", ":3: state-dir = /srv/orders: "},
    {"exec", "command = drover-replica receive /var/lib/drover/orders",
     "the agent's state lies there"},
    {"replica", "host = 999.1.1.1", "neither a host's name nor its address"},
    {"replica", "host = 10.0.0.1.5", "neither a host's name nor its address"},
    {"replica", "port = 65536", ":6: port = "},
    /* options to other programs */
    {"replica", "host = -oProxyCommand=x", "must not begin with '-'"},
    {"replica", "host = -", "must not begin with '-'"},
    {"replica", "user = -l", "must not begin with '-'"},
    {"replica", "path = -x", "must not begin with '-'"},
    {"replica", "command = -c id", "must not begin with '-'"},
    {"exec", "command = -c id", "must not begin with '-'"},
    {"database", "control-group = -g", "must not begin with '-'"},
    /* more than one thing in a value */
    {"replica", "host = eu-1:2222", "port = NUMBER"},
    {"replica", "host = bob@eu-1", "user = NAME"},
    {"replica", "host = [::1]", "without brackets"},
    {"replica", "host = [::1]:22", "without brackets"},
    {"replica", "host = eu-1, eu-2", "neither a host's name"},
    {"replica", "host = eu 1", "neither a host's name"},
    {"replica", "host = ssh://eu-1", "neither a host's name"},
    {"replica", "host = eu-1;reboot", "neither a host's name"},
    {"replica", "host = $(id)", "neither a host's name"},
    {"replica", "user = bob:staff", "one name"},
    {"replica", "user = bob smith", "one name"},
    {"database", "control-group = wheel adm", "one name"},
    {"database", "control-group = wheel,adm", "one name"},
    {"database", "path = /srv/orders;", "nothing may follow"},
    {"database", "path = /srv/orders,", "nothing may follow"},
    {"database", "path = eu-1:/srv/orders", "a path on this host"},
    {"replica", "path = eu-1:/srv/orders", "the host is host"},
    {"database", "path = file:///srv/orders", "not an address"},
    {"database", "path == /srv/orders", "one '='"},
    {"database", "path := /srv/orders", "one '='"},
    {"database", "path : = /srv/orders", "one '='"},
    {"replica", "host = = h", "one '='"},
    /* what is not expanded */
    {"database", "path = ~/orders", "nothing is expanded"},
    {"database", "path = $HOME/orders", "nothing is expanded"},
    {"database", "state-dir = ${STATE_DIRECTORY}", "nothing is expanded"},
    {"replica", "path = ~bob/orders", "nothing is expanded"},
    {"replica", "identity = ~/.ssh/id_ed25519", "nothing is expanded"},
    {"replica", "known-hosts = ~/.ssh/known_hosts", "nothing is expanded"},
    {"database", "path = /srv/\x1b[2J", "control character"},
    /* numbers */
    {"database", "heartbeat = 1 sek", "not a duration"},
    {"database", "heartbeat = 1", "needs a unit"},
    {"database", "heartbeat = 1 s s", "not a duration"},
    {"database", "cache = 16 MB", "not a size"},
    {"database", "max-delete = 20", "%"},
    {"database", "max-delete-keys = 1 000", "write a number"},
    {"database", "max-delete-keys = 1,000", "write a number"},
    {"replica", "port = 2 2", "write a number"},
    {"replica", "port = 0x16", "write a number"},
    /* places */
    {"database",
     "socket = /run/0123456789/0123456789/0123456789/0123456789/0123456789/"
     "0123456789/0123456789/0123456789/0123456789/0123456789/0123456789/x",
     "107 bytes"},
    {"database", "silence = 1s", "three heartbeats"},
    {"database", "heartbeat = 10s", "three heartbeats"},
    {"exec", "command = drover-replica receive /srv/orders", "cannot be its"},
    {"exec", "command = drover-replica receive /srv/orders/copy", "cannot be"},
    {"exec", "command = drover-replica receive /srv", "cannot be its"},
    {"exec", "command = drover-replica receive --group g /srv/orders/./r",
     "cannot be its"},
    {"exec", "command = sudo -u r drover-replica receive /srv/orders/x",
     "cannot be its"},
};

static const struct {
    const char *section, *line;
} GOOD[] = {
    {"database", "path = /srv/my orders"},
    {"database", "path = /srv/orders#2"},
    {"database", "path = /srv/a;b"},
    {"database", "path = /srv/it's"},
    {"database", "path = /srv/o\"quoted\""},
    {"database", "path = /srv/a:b"},
    {"database", "path = -orders"},
    {"database", "path: /srv/orders"},
    {"database", "path=/srv/orders"},
    {"database", "path = ../orders"},
    {"database", "path = /srv/a=b"},
    {"database", "path = /srv/\u00e9t\u00e9"},
    {"database", "rescan = 6h"},
    {"database", "rescan = 6 h"},
    {"database", "rescan = 6 hours"},
    {"database", "rescan = 0"},
    {"database", "heartbeat = 1 sec"},
    {"database", "heartbeat = 1  s"},
    {"database", "heartbeat = 1500 ms"},
    {"database", "silence = 1 min"},
    {"database", "backoff-max = 2 minutes"},
    {"database", "cache = 16 M"},
    {"database", "cache = 16 MiB"},
    {"database", "max-delete = 20 %"},
    {"database", "control-group = domain\\admins"},
    {"replica", "host = eu-1.example.net"},
    {"replica", "host = 192.0.2.1"},
    {"replica", "host = ::1"},
    {"replica", "host: ::1"},
    {"replica", "host = fe80::1%eth0"},
    {"replica", "host = under_score"},
    {"replica", "user = bob@example.net"},
    {"replica", "user = drover-recv"},
    {"replica", "path = orders"},
    {"replica", "path = /srv/-x"},
    {"replica", "identity = agent"},
    {"replica", "port: 2222"},
    {"replica", "command = receive orders"},
    {"replica", "command = cd /srv; exec drover-replica receive x#1"},
    {"exec", "command = ssh -T bob@eu-1 'drover-replica receive /r; true'"},
    {"exec", "command = ssh -T bob@eu-1 \"receive # it\""},
    {"exec", "command = \"/opt/my programs/receive\""},
    {"exec", "command = ssh eu-1 drover-replica receive /srv/orders"},
    {"exec", "command = drover-replica receive /srv/orders2"},
};

static void print_lines(const struct config_errors *e)
{
    for (size_t i = 0; i < e->count; i++) {
        print_error("  %s\n", e->lines[i]);
    }
}

static void what_only_looks_good_is_a_mistake_of_its_line(void **state)
{
    char text[1000], at[200];

    (void)state;
    for (size_t i = 0; i < sizeof BAD / sizeof *BAD; i++) {
        struct config_errors errors = {0};
        unsigned line = strcmp(BAD[i].section, "database") == 0 ? 3 : 6;

        file_with(text, sizeof text, BAD[i].section, BAD[i].line);
        struct config *c = load(text, &errors);
        (void)snprintf(at, sizeof at, "%s:%u: ", file, line);
        if (c != NULL || errors.count != 1 ||
            strncmp(errors.lines[0], at, strlen(at)) != 0 ||
            strstr(errors.lines[0], BAD[i].words) == NULL) {
            print_lines(&errors);
            fail_msg("[%s] %s: line %u and \"%s\" are missing", BAD[i].section,
                     BAD[i].line, line, BAD[i].words);
        }
        /* Its name, too: for programs that ask. */
        const char *name = errors.spots[0].setting;
        assert_int_equal(errors.spots[0].line, line);
        assert_non_null(name);
        assert_int_equal(strncmp(BAD[i].line, name, strlen(name)), 0);
        assert_non_null(strstr(errors.lines[0], name));
        config_errors_deinit(&errors);
    }
}

static void what_only_looks_bad_is_good(void **state)
{
    char text[1000];

    (void)state;
    for (size_t i = 0; i < sizeof GOOD / sizeof *GOOD; i++) {
        struct config_errors errors = {0};

        file_with(text, sizeof text, GOOD[i].section, GOOD[i].line);
        struct config *c = load(text, &errors);
        if (c == NULL || errors.count != 0) {
            print_lines(&errors);
            fail_msg("[%s] %s: refused", GOOD[i].section, GOOD[i].line);
        }
        config_free(c);
    }
}

/* --- two replicas -------------------------------------------------------- */

static void two_replicas_of_one_target_are_a_mistake(void **state)
{
    static const struct {
        const char *a, *b;
        bool same;
    } ROWS[] = {
        {"host = h", "host = h", true},
        {"host = h", "host = H", true},
        {"host = h", "host = h\ndurability = relaxed", true},
        {"host = h\npath = /srv/orders", "host = h", true},
        {"host = h", "host = h2", false},
        {"host = h", "host = h\npath = /b", false},
        {"host = h", "host = h\nport = 23", false},
        {"host = h", "host = h\nuser = bob", false},
        {"host = h", "host = h\nidentity = /another", false},
        {"host = h", "host = h\ncommand = receive b", false},
        {"command = x y", "command = x  y", true},
        {"command = x y", "command = x z", false},
        {"command = drover-replica receive /r",
         "command = /usr/bin/drover-replica receive --file-mode 0644 /r/",
         true},
        {"command = drover-replica receive /r",
         "command = sudo -u bob drover-replica receive /./r", true},
        {"command = drover-replica receive /r",
         "command = drover-replica receive /r/s", false},
        {"command = ssh a drover-replica receive /r",
         "command = ssh b drover-replica receive /r", false},
    };
    char text[1000];

    (void)state;
    for (size_t i = 0; i < sizeof ROWS / sizeof *ROWS; i++) {
        struct config_errors errors = {0};

        (void)snprintf(text, sizeof text,
                       "[database]\npath = /srv/orders\n[replica a]\n%s\n"
                       "[replica b]\n%s\n",
                       ROWS[i].a, ROWS[i].b);
        struct config *c = load(text, &errors);
        if ((c == NULL) != ROWS[i].same ||
            (c == NULL && strstr(errors.lines[0], "have one target") == NULL)) {
            print_lines(&errors);
            fail_msg("%s | %s", ROWS[i].a, ROWS[i].b);
        }
        config_free(c);
        config_errors_deinit(&errors);
    }
}

/* --- what the file names ------------------------------------------------- */

static bool has(const struct config_errors *e, const char *words)
{
    for (size_t i = 0; i < e->count; i++) {
        if (strstr(e->lines[i], words) != NULL) {
            return true;
        }
    }
    return false;
}

/* `%s` in a line is the test's directory; it has `file` with `contents`. */
static void a_file_is_held_against_this_host(void **state)
{
    static const struct {
        const char *section, *line, *contents;
        char kind; /* m, w, n; '-': no word */
        const char *words;
    } ROWS[] = {
        {"database", "control-group = no-such-group-here", NULL, 'm',
         ":3: control-group = no-such-group-here: no such group"},
        {"database", "control-group = root", NULL, '-', "control-group"},
        {"database", "path = %s/named", "a file", 'm', ":3: path = "},
        {"database", "path = %s/absent", NULL, 'n', ":3: path = "},
        {"replica", "identity = %s/named", NULL, 'n',
         ":6: [replica a] identity"},
        {"replica", "identity = %s/named", "no key", 'w',
         ":6: [replica a] identity: "},
        {"replica", "identity = %s", NULL, 'w', ":6: [replica a] identity: "},
        {"replica", "known-hosts = %s/named", NULL, 'n',
         ":6: [replica a] known-hosts: "},
        {"replica", "known-hosts = %s/named", "h ssh-ed25519 AAAA!\n", 'w',
         ":6: [replica a] known-hosts: "},
        {"replica", "known-hosts = %s/named", "# none\n", '-', "known-hosts"},
        {"exec", "command = %s/absent receive /r", NULL, 'w',
         ":6: [replica a] command: "},
        {"exec", "command = no-such-program-here receive /r", NULL, 'w',
         ":6: [replica a] command: "},
        {"exec", "command = sh receive /r", NULL, 'w',
         ":6: [replica a] command: sh does not name drover-replica"},
        {"exec", "command = /bin/cat", NULL, 'w',
         ":6: [replica a] command: /bin/cat does not name drover-replica"},
        {"exec", "command = sh -c 'exec /b/drover-replica receive /r'", NULL,
         '-', "does not name"},
        {"exec", "command = ssh -T bob@eu-1", NULL, '-', "does not name"},
        {"exec", "command = drover-replica receive /r --group no-such-group-x",
         NULL, 'w',
         ":6: [replica a] command: there is no group no-such-group-x"},
        {"exec", "command = nice /b/drover-replica receive /r --grup root",
         NULL, 'w',
         ":6: [replica a] command: unknown option --grup; did you mean "
         "--group?"},
        {"exec", "command = drover-replica receive /r --file-mode 0999", NULL,
         'w', ":6: [replica a] command: 0999 is not an octal mode"},
        {"exec", "command = drover-replica receive /r --lock-timeout", NULL,
         'w', ":6: [replica a] command: --lock-timeout needs an argument"},
        {"exec", "command = drover-replica receive", NULL, 'w',
         ":6: [replica a] command: receive needs DIR"},
        {"exec", "command = drover-replica receive --help", NULL, 'w',
         ":6: [replica a] command: receive needs DIR"},
        {"exec", "command = drover-replica receive /r /s", NULL, 'w',
         ":6: [replica a] command: receive takes fewer arguments: /s"},
        {"exec", "command = drover-replica receive \"\"", NULL, 'w',
         ":6: [replica a] command: receive: the directory is empty text"},
        {"exec", "command = drover-replica", NULL, 'w',
         ":6: [replica a] command: drover-replica alone takes no changes"},
        {"exec", "command = nice /b/drover-replica status /r", NULL, 'w',
         ":6: [replica a] command: drover-replica status takes no changes"},
        {"exec", "command = sudo -u drover-replica drover-replica receive /r",
         NULL, '-', "takes no changes"},
        {"exec", "command = drover-replica receive r", NULL, 'w',
         ":6: [replica a] command: r is taken from the agent's working"},
        {"exec",
         "command = nice drover-replica receive --group 5 --file-mode=0640 "
         "--on-lock-timeout replace --trash-max 1M --no-sandbox /r",
         NULL, '-', "command: r"},
        {"replica", "user = me@h", NULL, 'w', ":6: [replica a] user: me@h"},
        {"replica", "user = me@example.org", NULL, 'n',
         ":6: [replica a] user: me@example.org"},
        {"database", "state-dir = /proc/self", NULL, 'w', ":3: state-dir = "},
        {"database", "state-dir = /srv/orders/state", NULL, 'w',
         ":3: state-dir = /srv/orders/state: lies in the database"},
        {"replica", "transport = openssh", NULL, '-', "transport"},
        {"database", "metrics-listen = %s/named", "", 'w',
         ": is there already, and is no socket"},
        {"database", "metrics-listen = %s/absent", NULL, '-', "metrics-listen"},
    };
    char text[1000], line[400], named[200];

    (void)state;
    (void)snprintf(named, sizeof named, "%s/named", dir);
    for (size_t i = 0; i < sizeof ROWS / sizeof *ROWS; i++) {
        struct config_errors errors = {0};
        struct config_probe p = {0};

        if (ROWS[i].contents != NULL) {
            FILE *f = fopen(named, "w");
            assert_non_null(f);
            assert_true(fputs(ROWS[i].contents, f) >= 0);
            assert_int_equal(fclose(f), 0);
            assert_int_equal(chmod(named, 0600), 0);
        }
        const char *in = strstr(ROWS[i].line, "%s");
        (void)snprintf(line, sizeof line, "%.*s%s%s",
                       in != NULL ? (int)(in - ROWS[i].line) : 300,
                       ROWS[i].line, in != NULL ? dir : "",
                       in != NULL ? in + 2 : "");
        file_with(text, sizeof text, ROWS[i].section, line);
        struct config *c = load(text, &errors);
        assert_non_null(c);
        config_probe(c, &p);
        if (has(&p.mistakes, ROWS[i].words) != (ROWS[i].kind == 'm') ||
            has(&p.warnings, ROWS[i].words) != (ROWS[i].kind == 'w') ||
            has(&p.notes, ROWS[i].words) != (ROWS[i].kind == 'n')) {
            print_lines(&p.mistakes);
            print_lines(&p.warnings);
            print_lines(&p.notes);
            fail_msg("%s: %c", line, ROWS[i].kind);
        }
        config_free(c);
        config_probe_deinit(&p);
        (void)unlink(named);
    }
}

static void root_asks_as_the_agents_user(void **state)
{
    struct config_errors errors = {0};
    struct config_probe p = {0};
    struct err err = {0};
    char text[1000], key[200];

    (void)state;
    if (geteuid() != 0) {
        print_message("skipped: only root can ask as another\n");
        skip();
    }
    (void)snprintf(key, sizeof key, "%s/hosts", dir);
    FILE *f = fopen(key, "w");
    assert_non_null(f);
    assert_int_equal(fclose(f), 0);
    assert_int_equal(chmod(key, 0600), 0);
    assert_int_equal(chmod(dir, 0755), 0);
    (void)snprintf(text, sizeof text,
                   "[database]\npath = /srv/orders\n[replica a]\nhost = h\n"
                   "known-hosts = %s\nidentity = agent\n",
                   key);
    struct config *c = load(text, &errors);
    assert_non_null(c);
    config_probe(c, &p);
    assert_int_equal(p.warnings.count, 0);
    config_probe_deinit(&p);
    /* 65534 is "nobody", who has an account everywhere. */
    p = (struct config_probe){0};
    assert_int_equal(config_probe_as(c, 65534, &p, &err), 0);
    assert_true(has(&p.warnings, ":5: [replica a] known-hosts: "));
    assert_int_equal(p.warnings.spots[0].line, 5);
    assert_string_equal(p.warnings.spots[0].setting, "known-hosts");
    config_probe_deinit(&p);
    p = (struct config_probe){0};
    assert_true(config_probe_as(c, 3999999999U, &p, &err) < 0);
    config_probe_deinit(&p);
    config_free(c);
    (void)unlink(key);
}

static void
more_replicas_than_an_agent_keeps_are_said_with_the_number(void **state)
{
    struct config_errors errors = {0};
    struct config_probe p = {0};
    char *text = NULL;
    size_t size = 0;

    (void)state;
    FILE *f = open_memstream(&text, &size);
    assert_non_null(f);
    (void)fprintf(f, "[database]\npath = /srv/orders\n");
    for (unsigned i = 0; i < 64; i++) {
        (void)fprintf(f, "[replica r%u]\ncommand = sh %u\n", i, i);
    }
    (void)fclose(f);
    struct config *c = load(text, &errors);
    assert_non_null(c);
    config_probe(c, &p);
    assert_true(has(&p.warnings, ":129: [replica r63]: an agent keeps at most "
                                 "63 replicas and here are 64"));
    config_probe_deinit(&p);
    config_free(c);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_only_looks_good_is_a_mistake_of_its_line),
        cmocka_unit_test(what_only_looks_bad_is_good),
        cmocka_unit_test(two_replicas_of_one_target_are_a_mistake),
        cmocka_unit_test(a_file_is_held_against_this_host),
        cmocka_unit_test(root_asks_as_the_agents_user),
        cmocka_unit_test(
            more_replicas_than_an_agent_keeps_are_said_with_the_number),
    };

    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
