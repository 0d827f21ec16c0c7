/* SPDX-License-Identifier: MIT
 *
 * ssh_line: settings -> ssh's command line, and back.  A further case is one
 * line. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "agent/config/config.h"
#include "agent/config/ssh_line.h"

static const char *or_none(const struct buf *b)
{
    const char *text = ssh_line_text(b);

    return text != NULL ? text : "";
}

static void settings_become_a_command(void **state)
{
    static const struct {
        const char *identity, *known_hosts, *command;
        uint16_t port;
        const char *client, *remote, *dir;
    } ROWS[] = {
        {"/k", "/h", "drover-replica receive '/srv/o'", 22,
         "ssh -T -o BatchMode=yes -i /k -o IdentitiesOnly=yes -o "
         "UserKnownHostsFile=/h u@h1",
         "drover-replica receive /srv/o", "/srv/o"},
        {NULL, "/a b", "drover-replica receive '/x y'", 2222,
         "ssh -T -o BatchMode=yes -p 2222 -o 'UserKnownHostsFile=\"/a b\"' "
         "u@h1",
         "'drover-replica receive '\\''/x y'\\'''", "/x y"},
        {NULL, NULL, "receive", 0, "ssh -T -o BatchMode=yes u@h1", "receive",
         ""},
    };

    (void)state;
    for (size_t i = 0; i < sizeof ROWS / sizeof *ROWS; i++) {
        const struct config_replica r = {
            .kind = REPLICA_SSH,
            .host = (char *)(uintptr_t) "h1",
            .user = (char *)(uintptr_t) "u",
            .identity = (char *)(uintptr_t)ROWS[i].identity,
            .known_hosts = (char *)(uintptr_t)ROWS[i].known_hosts,
            .command = (char *)(uintptr_t)ROWS[i].command,
            .port = ROWS[i].port,
        };
        struct ssh_line l;
        assert_true(ssh_line_of(&l, &r));
        assert_string_equal(or_none(&l.client), ROWS[i].client);
        assert_string_equal(or_none(&l.remote), ROWS[i].remote);
        char *dir = ssh_line_dir(&l);
        assert_string_equal(dir != NULL ? dir : "", ROWS[i].dir);
        free(dir);
        /* What the remote shell gets is what was configured. */
        char **words = NULL;
        struct err err;
        assert_int_equal(config_split_words(or_none(&l.client), &words, &err),
                         0);
        config_free_words(words);
        assert_int_equal(config_split_words(or_none(&l.remote), &words, &err),
                         0);
        if (words[1] == NULL) {
            assert_string_equal(words[0], ROWS[i].command);
        }
        config_free_words(words);
        ssh_line_deinit(&l);
    }
}

/* Word by word: what the client gets is what was configured. */
static void the_transport_is_a_command(void **state)
{
    static const char *const WORDS[] = {"ssh",
                                        "-a",
                                        "-x",
                                        "-o",
                                        "StrictHostKeyChecking=yes",
                                        "-o",
                                        "ControlPath=none",
                                        "-o",
                                        "ClearAllForwardings=yes",
                                        "-o",
                                        "PermitLocalCommand=no",
                                        "-o",
                                        "ConnectTimeout=2",
                                        "-T",
                                        "-o",
                                        "BatchMode=yes",
                                        "-p",
                                        "2222",
                                        "-i",
                                        "/k 1",
                                        "-o",
                                        "IdentitiesOnly=yes",
                                        "-o",
                                        "UserKnownHostsFile=\"/a b\"",
                                        "u@h1",
                                        "drover-replica receive '/x y'"};
    const struct config_replica r = {
        .kind = REPLICA_SSH,
        .host = (char *)(uintptr_t) "h1",
        .user = (char *)(uintptr_t) "u",
        .identity = (char *)(uintptr_t) "/k 1",
        .known_hosts = (char *)(uintptr_t) "/a b",
        .command = (char *)(uintptr_t) "drover-replica receive '/x y'",
        .port = 2222,
        .connect_timeout_ms = 1001,
    };

    (void)state;
    char **words = ssh_line_argv(&r);
    assert_non_null(words);
    for (size_t i = 0; i < sizeof WORDS / sizeof *WORDS; i++) {
        assert_string_equal(words[i], WORDS[i]);
    }
    assert_null(words[sizeof WORDS / sizeof *WORDS]);
    config_free_words(words);
}

static void a_command_is_read(void **state)
{
    static const struct {
        const char *command;
        const char *host, *user, *port, *identity, *known_hosts, *client, *dir;
    } ROWS[] = {
        {"ssh -T u@h drover-replica receive /srv/o", "h", "u", "", "", "",
         "ssh -T u@h", "/srv/o"},
        {"/usr/bin/ssh -Tp 22 -l me -o IdentityFile=/i -i /k h -v "
         "'drover-replica receive /x'",
         "h", "me", "22", "/k", "",
         "/usr/bin/ssh -Tp 22 -l me -o "
         "IdentityFile=/i -i /k h -v",
         "/x"},
        {"ssh -J bastion ssh://u@h:99/ receive", "h", "u", "99", "", "",
         "ssh -J bastion ssh://u@h:99/", ""},
        {"sudo -u x ssh -oUserKnownHostsFile=/h h", "h", "", "", "", "/h",
         "ssh -oUserKnownHostsFile=/h h", ""},
        {"ssh -o 'UserKnownHostsFile=\"/a b\"' -o 'Port 7' h", "h", "", "7", "",
         "/a b", "ssh -o 'UserKnownHostsFile=\"/a b\"' -o 'Port 7' h", ""},
        {"drover-replica receive /ssh", "", "", "", "", "", "", ""},
        {"ssh -p", "", "", "", "", "", "ssh -p", ""},
    };

    (void)state;
    for (size_t i = 0; i < sizeof ROWS / sizeof *ROWS; i++) {
        struct config_replica r = {.kind = REPLICA_EXEC};
        struct ssh_line l;
        struct err err;
        assert_int_equal(config_split_words(ROWS[i].command, &r.argv, &err), 0);
        assert_int_equal(ssh_line_of(&l, &r), ROWS[i].host[0] != '\0');
        assert_string_equal(or_none(&l.host), ROWS[i].host);
        assert_string_equal(or_none(&l.user), ROWS[i].user);
        assert_string_equal(or_none(&l.port), ROWS[i].port);
        assert_string_equal(or_none(&l.identity), ROWS[i].identity);
        assert_string_equal(or_none(&l.known_hosts), ROWS[i].known_hosts);
        assert_string_equal(or_none(&l.client), ROWS[i].client);
        char *dir = ssh_line_dir(&l);
        assert_string_equal(dir != NULL ? dir : "", ROWS[i].dir);
        free(dir);
        ssh_line_deinit(&l);
        config_free_words(r.argv);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(settings_become_a_command),
        cmocka_unit_test(the_transport_is_a_command),
        cmocka_unit_test(a_command_is_read),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
