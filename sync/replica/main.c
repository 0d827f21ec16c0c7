/* SPDX-License-Identifier: MIT
 *
 * main: the commands of drover-replica. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "store/base/clock.h"
#include "store/base/quote.h"
#include "store/cmdline/version.h"
#include "sync/errors/hint.h"
#include "sync/options/receive_options.h"
#include "sync/replica/replica.h"

enum { LOCK_TIMEOUT_DEFAULT_MS = 10000 };
#define TRASH_MAX_DEFAULT (UINT64_C(1) << 30)

static const char help_text[] =
    "drover-replica: the replica's side of Drover\n"
    "\n"
    "Examples:\n"
    "  in ~/.ssh/authorized_keys of the replica's user, one line per primary:\n"
    "    restrict,command=\"drover-replica receive /srv/orders --group "
    "orders-read\" ssh-ed25519 AAAA...\n"
    "  in an application's start script:\n"
    "    drover-replica fresh /srv/orders --max-age 10s || exit 1\n"
    "  by hand:\n"
    "    drover-replica status /srv/orders\n"
    "\n"
    "Commands:\n"
    "  receive DIR           take changes from an agent on stdin (for ssh)\n"
    "    --group G             group of new directories and values\n"
    "    --dir-mode MODE       mode of new directories (2750)\n"
    "    --file-mode MODE      mode of values (0640)\n"
    "    --lock-timeout D      how long a reader's lock is respected before\n"
    "                          the policy decides (10s)\n"
    "    --on-lock-timeout P   wait: keep waiting (default); replace: put the\n"
    "                          value in place anyway, readers keep the old "
    "one\n"
    "    --trash-keep D        keep deleted values for this long (off)\n"
    "    --trash-max SIZE      ... and no more of them than this (1G)\n"
    "    --no-sandbox          run without Landlock and seccomp\n"
    "  fresh DIR --max-age D exit 0 fresh, 1 stale, 69 never synced\n"
    "  status DIR [--json]   whose copy it is, how current, who writes it\n"
    "  adopt DIR DBID        take a copy made by other means as a replica of\n"
    "                        the database with this id (drover status shows "
    "it)\n"
    "  promote DIR           make it the primary, with the next epoch\n"
    "    --force               even if a receiver is connected or the copy\n"
    "                        is incomplete\n"
    "    --epoch N             begin this epoch, also on a primary\n"
    "  demote DIR            make a primary a replica; keeps its values\n"
    "    --discard             do not keep the old values\n"
    "  kept DIR              list kept values the new primary does not have\n"
    "    --restore OUT         copy them to OUT, a new directory, as a DB\n"
    "    --remove              remove what was kept\n"
    "  trash list DIR        deleted values that are kept (--trash-keep)\n"
    "  trash restore DIR OUT copy them to OUT, a new directory, as a DB\n"
    "  trash empty DIR       remove them\n"
    "    --table T, --key K, --id ID   only these\n"
    "  undone list|restore|empty   the same for values that a primary\n"
    "                        undid after it had lost its last changes\n"
    "  version, --help\n"
    "\n"
    "Exit codes: 0 good, 1 bad answer, 64 usage, 69 unavailable or never\n"
    "synced, 75 try again, 76 protocol, 77 not permitted, 78 refused by this\n"
    "replica's identity.\n";

int receive_main(int argc, char **argv)
{
    struct err err = {0};
    struct receive_options o = {.group = (gid_t)-1,
                                .dir_mode = META_DIR_MODE,
                                .file_mode = META_FILE_MODE,
                                .lock_timeout_ms = LOCK_TIMEOUT_DEFAULT_MS,
                                .sandbox = true,
                                .trash_max_bytes = TRASH_MAX_DEFAULT};

    if (receive_options_parse(argc, argv, &o, &err) != 0) {
        replica_say_error(&err);
        return EXIT_USAGE;
    }
    const struct replica_settings set = {
        .dir = o.dir,
        .modes = {.dir_mode = o.dir_mode,
                  .file_mode = o.file_mode,
                  .group = o.group},
        .policy = o.replace ? LOCK_POLICY_REPLACE : LOCK_POLICY_WAIT,
        .lock_timeout_ms = o.lock_timeout_ms,
        .sandbox = o.sandbox,
        .trash = {.keep_ns = o.trash_keep_ns, .max_bytes = o.trash_max_bytes},
    };
    replica_serves(set.dir);

    return receive_run(&set);
}

static int help_main(int argc, char **argv)
{
    (void)argc, (void)argv;
    (void)fputs(help_text, stdout);
    return EXIT_GOOD;
}

static int version_main(int argc, char **argv)
{
    (void)argc, (void)argv;
    (void)printf("drover-replica %s (protocol %d to %d)\n", version_text(),
                 WIRE_PROTO_MIN, WIRE_PROTO_MAX);
    return EXIT_GOOD;
}

static const struct command {
    const char *name;
    int (*run)(int argc, char **argv);
} commands[] = {
    {"receive", receive_main},   {"fresh", fresh_main},
    {"status", status_main},     {"adopt", adopt_main},
    {"promote", promote_main},   {"demote", demote_main},
    {"kept", kept_main},         {"trash", trash_main},
    {"undone", undone_main},     {"version", version_main},
    {"--version", version_main}, {"help", help_main},
    {"--help", help_main},       {"-h", help_main},
};

/* A descriptor 0, 1 or 2 that is closed at the start would become one of our
 * files, and the protocol would be written into it. */
static void hold_standard_fds(void)
{
    for (;;) {
        int fd = open("/dev/null", O_RDWR);
        if (fd < 0) {
            return;
        }
        if (fd > STDERR_FILENO) {
            (void)close(fd);
            return;
        }
    }
}

int main(int argc, char **argv)
{
    hold_standard_fds();
    if (argc < 2) {
        (void)fputs(help_text, stderr);
        return EXIT_USAGE;
    }
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        if (strcmp(argv[1], commands[i].name) != 0) {
            continue;
        }
        int code = commands[i].run(argc - 1, argv + 1);
        if (fflush(stdout) != 0 && code == EXIT_GOOD) {
            code = EXIT_UNAVAILABLE;
        }
        return code;
    }
    replica_say("unknown command %s; see drover-replica --help", argv[1]);
    return EXIT_USAGE;
}
