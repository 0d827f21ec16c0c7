/* SPDX-License-Identifier: MIT
 *
 * hint: (number, stage, system error) -> words that a hint must have, and words
 * it must not have.  A further case is one line. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "sync/errors/hint.h"
#include "sync/errors/state.h"

static void a_hint_is_of_what_happened(void **state)
{
    static const struct {
        int id, sys;
        const char *message, *has, *lacks;
    } ROWS[] = {
        {DR_IS_PRIMARY, 0, "/r: is a primary itself (it has .drover/primary)",
         "drover-replica status DIR", "demote"},
        {DR_IS_PRIMARY, 0, "/r was promoted: it is a primary itself now",
         "drover-replica status DIR", "demote"},
        {DR_OLD_EPOCH, 0, "epoch 2", "who is primary now?",
         "stop its writers "
         "and this agent"},
        {DR_HANDSHAKE, 0, "h:22, banner: the other end closed the connection",
         "MaxStartups", "aes128-ctr"},
        {DR_HANDSHAKE, ECONNRESET,
         "h:22, handshake: the connection broke: Connection reset by peer",
         "a ban", "aes128-ctr"},
        {DR_HANDSHAKE, 0, "h:22, channel: Channel open failure (libssh2 -21)",
         "maxsessions", "aes128-ctr"},
        {DR_HANDSHAKE, 0,
         "h:22, handshake: no algorithms in common.  The server needs",
         "transport = openssh", "aes128"},
        {DR_HANDSHAKE, 0, "h:22, handshake: timed out", "transport = openssh",
         NULL},
        {DR_HANDSHAKE, 0,
         "child 7 (ssh) ended with exit status 255; last line on stderr: "
         "kex_exchange_identification: Connection closed by remote host",
         "MaxStartups", "transport"},
        {DR_HANDSHAKE, 0,
         "child 7 (ssh) ended with exit status 255; last line on stderr: "
         "Unable to negotiate with 10.0.0.1 port 22: no matching cipher found",
         "SSH -v true", "transport"},
        {DR_HANDSHAKE, 0,
         "child 7 (ssh) ended with exit status 255; it said: "
         "kex_exchange_identification: Connection closed by remote host; last "
         "line on stderr: Connection closed by UNKNOWN port 65535",
         "ProxyCommand", "journalctl"},
        {DR_CONNECT, 0,
         "it said: ssh: connect to host jump port 22: Connection refused; last "
         "line on stderr: Connection closed by UNKNOWN port 65535",
         "jump host", "HOST"},
        {DR_HOST_KEY_CHANGED, 0, "HOST KEY CHANGED",
         "ssh-keygen -R KNOWN -f FILE; ssh-keyscan -p PORT HOST >>FILE", NULL},
        {DR_HOST_KEY_UNKNOWN, 0,
         "child 7 (ssh) ended with exit status 255; last line on "
         "stderr: Host key verification failed.",
         "ssh-keyscan", "drover-replica receive"},
        {DR_CHILD, 0, "child 7 (ssh) ended with exit status 255", "SSH true",
         "drover-replica receive"},
        {DR_NOISE, 0, "got: \"This account is currently not available.\"",
         "usermod -s /bin/sh USER", "profile"},
        {DR_NO_RECEIVER, 0,
         "child 7 (x) ended with exit status 127 (command "
         "not found)",
         "command = ...", NULL},
        {DR_LINK_LOST, 0, "child 7 (x) ended with exit status 1", "by hand",
         "authorized_keys"},
        {DR_AUTH, 0, "refused k. To see which: journalctl -u ssh -n 20",
         "drover retry REPLICA", "authorized_keys"},
        {DR_AUTH, 0, "child 4 (ssh) ended with exit status 255",
         "authorized_keys", NULL},
        {DR_LINK_LOST, 0,
         "h:22, streaming: the receiver ended with exit "
         "status 1",
         "drover-replica receive", "reconnects"},
        {DR_LINK_LOST, 0, "the receiver was killed by signal KILL", "oom",
         "reconnects"},
        {DR_LINK_LOST, ECONNRESET, "the connection broke", "reconnects", NULL},
        {DR_NO_RECEIVER, 0, "cannot be run there (exit status 127)",
         "install drover", NULL},
        {DR_NO_RECEIVER, 0, "refuses its command line (exit status 64)",
         "drover-replica --help", "install"},
        {DR_NO_RECEIVER, 0, "refuses its command line (exit status 78)",
         "drover retry REPLICA", "install"},
        {DR_REPLICA_NOT_EMPTY, 0, "or if it is a copy: drover-replica adopt /r",
         "", "empty"},
        {DR_CHILD, 0, "child 7 (false) ended with exit status 1", "by hand",
         "nothing to do"},
        {DR_REPLICA_DIR, EROFS, "/r", "ReadWritePaths=DIR", "belong to"},
        {DR_REPLICA_DIR, 0, "/r: Read-only file system", "ReadWritePaths=DIR",
         "belong to"},
        {DR_REPLICA_DIR, EACCES, "/r", "ls -ld DIR", "ReadWritePaths"},
        {DR_REPLICA_IO, 0, "a: Read-only file system", "ReadWritePaths=DIR",
         NULL},
        {DR_REPLICA_IO, EIO, "a: Input/output error", "dmesg",
         "ReadWritePaths"},
        {DR_REPLICA_IO, EACCES, "list t.tbl: Permission denied", "ls -la DIR",
         "dmesg"},
        {DR_REPLICA_IO, 0, "t.tbl: Invalid cross-device link", "umount",
         "dmesg"},
        {DR_INSTALL, EBUSY, "table t, key k", "umount", "remove"},
        {DR_COVERED, EXDEV, "table p/q: something is mounted there or above it",
         "findmnt -rno TARGET", "TABLE"},
        {DR_COVERED, 0, "table (root) key a cannot be read on the primary",
         "findmnt -rno TARGET", "umount DIR"},
        {DR_COVERED, ENOTDIR, "table (root): a file is there",
         "findmnt -rno TARGET", "rm the link"},
        {DR_BLOCKED, 0, "by a process that has ended or is hidden (pid 7)",
         "fuser -v DIR/TABLE.tbl/KEY.kv", "ps -fp"},
        {DR_LOCKED_THERE, 0, "by a process that has ended or is hidden (pid 7)",
         "fuser -v DIR/TABLE.tbl/KEY.kv", "ps -fp"},
        {DR_DIFFERENT, 0,
         "it differs from the primary after 3 comparisons that repaired what "
         "they found",
         "lsof +D DIR", "drover resync"},
        {DR_LAG, 0, "replica a, which is paused: what it lacks",
         "drover resume", "slow"},
        {DR_STATE_DIR, EROFS, "s", "ReadWritePaths=DIR", NULL},
        {DR_STATE_DIR, ENOSPC, "s", "df -h DIR", "ReadWritePaths"},
        {DR_STATE_DIR, 0, "events is no regular file (a link",
         "mv DIR/events DIR/events.old", "rm "},
        {DR_STATE_DIR, ENOSPC, "the record of events in /s cannot be written",
         "df -h DIR", "every value"},
        {DR_NO_IDENTITY, EROFS, "s", "ReadWritePaths=PRIMARY", NULL},
        {DR_NO_AGENT, 0, "no agent answers", "drover@NAME",
         "systemctl status 'drover@*'"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof ROWS / sizeof *ROWS; i++) {
        struct err err = {0};
        (void)err_set(&err, ERR_IO, ROWS[i].sys, "%s", ROWS[i].message);
        err.id = ROWS[i].id;
        const char *hint = hint_of(&err);
        if ((ROWS[i].has[0] == '\0') != (hint[0] == '\0') ||
            strstr(hint, ROWS[i].has) == NULL ||
            (ROWS[i].lacks != NULL && strstr(hint, ROWS[i].lacks) != NULL)) {
            fail_msg("DR-%d %s: %s", ROWS[i].id, ROWS[i].message, hint);
        }
    }
}

static void without_a_unit_nothing_is_of_one(void **state)
{
    static const struct {
        int id, sys;
        const char *message, *has;
    } ROWS[] = {
        {DR_STATE_DIR, EROFS, "s", "findmnt -T DIR"},
        {DR_NO_IDENTITY, EROFS, "s", "drover init PRIMARY"},
        {DR_REPLICA_DIR, EROFS, "s", "findmnt -T DIR"},
        {DR_REPLICA_IO, EROFS, "s", "findmnt -T DIR"},
        {DR_INSTALL, EROFS, "s", "findmnt -T DIR"},
        {DR_TWO_PRIMARIES, 0, "stop one and restart it",
         "drover agent -c FILE"},
        {DR_LAG, 0, "s", "drover status"},
    };
    char out[HINT_ROOM];

    (void)state;
    for (size_t i = 0; i < sizeof ROWS / sizeof *ROWS; i++) {
        struct err err = {0};
        (void)err_set(&err, ERR_IO, ROWS[i].sys, "%s", ROWS[i].message);
        err.id = ROWS[i].id;
        (void)hint_without_unit(out, hint_of(&err));
        if (strstr(out, ROWS[i].has) == NULL ||
            strstr(out, "systemctl") != NULL || strstr(out, "unit") != NULL) {
            fail_msg("DR-%d: %s", ROWS[i].id, out);
        }
    }
}

static void known_names_are_filled_in(void **state)
{
    const struct hint_names names = {.host = "eu-1",
                                     .user = "recv",
                                     .port = "22",
                                     .ssh = "ssh",
                                     .dir = "/srv/o",
                                     .primary = "/p"};
    char out[HINT_ROOM], small[8];

    (void)state;
    assert_string_equal(hint_fill(out, sizeof out,
                                  "ssh -p PORT USER@HOST; ls DIR/TABLE.tbl; "
                                  "REPLICA demote PRIMARY; HOSTS, DIRECTORY, "
                                  "OpenSSH, xHOST",
                                  &names),
                        "ssh -p 22 recv@eu-1; ls /srv/o/TABLE.tbl; REPLICA "
                        "demote /p; HOSTS, DIRECTORY, OpenSSH, xHOST");
    assert_string_equal(hint_fill(small, sizeof small, "on HOST: look", &names),
                        "on eu-1");
}

static void a_child_has_no_network(void **state)
{
    static const int IDS[] = {DR_LINK_LOST, DR_FLAPPING, DR_NOISE, DR_PROTOCOL};

    (void)state;
    for (size_t i = 0; i < sizeof IDS / sizeof *IDS; i++) {
        const char *hint = hint_of_child(IDS[i]);
        assert_true(hint[0] != '\0');
        assert_null(strstr(hint, "ssh"));
        assert_null(strstr(hint, "ping"));
    }
    assert_string_equal(hint_of_child(DR_BRAKE), dr_hint(DR_BRAKE));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_hint_is_of_what_happened),
        cmocka_unit_test(without_a_unit_nothing_is_of_one),
        cmocka_unit_test(known_names_are_filled_in),
        cmocka_unit_test(a_child_has_no_network),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
