/* SPDX-License-Identifier: MIT
 *
 * main: the commands of drover-replica. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "store/base/clock.h"
#include "store/base/quote.h"
#include "sync/errors/hint.h"
#include "sync/replica/options.h"
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
    "    --trash-keep D        keep deleted values so long, off by default\n"
    "    --trash-max SIZE      ... and no more of them than this (1G)\n"
    "    --no-sandbox          run without Landlock and seccomp\n"
    "  fresh DIR --max-age D exit 0 fresh, 1 stale, 69 never synced\n"
    "  status DIR [--json]   whose copy it is, how current, who writes it\n"
    "  adopt DIR DBID        take a copy made by other means as a replica of\n"
    "                        the database with this id (drover status shows "
    "it)\n"
    "  promote DIR           make it the primary, with the next epoch\n"
    "    --force               though a receiver is live, or it is no whole "
    "copy\n"
    "    --epoch N             this epoch, also of a directory that is "
    "primary\n"
    "  demote DIR            make a primary a replica; keeps its values aside\n"
    "    --discard             keep none\n"
    "  kept DIR              list kept values that the new primary has not\n"
    "    --restore OUT         copy them to OUT, a new directory, as a "
    "database\n"
    "    --remove              remove what was kept\n"
    "  trash list DIR        deleted values that are kept (--trash-keep)\n"
    "  trash restore DIR OUT copy them to OUT, a new directory, as a database\n"
    "  trash empty DIR       remove them\n"
    "    --table T, --key K, --id ID   only these\n"
    "  undone list|restore|empty   the same of values that a primary undid\n"
    "                        after it had lost its last changes\n"
    "  version, --help\n"
    "\n"
    "Exit codes: 0 good, 1 bad answer, 64 usage, 69 unavailable or never\n"
    "synced, 75 try again, 76 protocol, 77 not permitted, 78 refused by this\n"
    "replica's identity.\n";

enum receive_option {
    OPT_GROUP = 256,
    OPT_DIR_MODE,
    OPT_FILE_MODE,
    OPT_LOCK_TIMEOUT,
    OPT_ON_LOCK_TIMEOUT,
    OPT_TRASH_KEEP,
    OPT_TRASH_MAX,
    OPT_NO_SANDBOX,
};

static const struct option receive_options[] = {
    {"group", required_argument, NULL, OPT_GROUP},
    {"dir-mode", required_argument, NULL, OPT_DIR_MODE},
    {"file-mode", required_argument, NULL, OPT_FILE_MODE},
    {"lock-timeout", required_argument, NULL, OPT_LOCK_TIMEOUT},
    {"on-lock-timeout", required_argument, NULL, OPT_ON_LOCK_TIMEOUT},
    {"trash-keep", required_argument, NULL, OPT_TRASH_KEEP},
    {"trash-max", required_argument, NULL, OPT_TRASH_MAX},
    {"no-sandbox", no_argument, NULL, OPT_NO_SANDBOX},
    {NULL, 0, NULL, 0},
};

static int set_option(struct replica_settings *set, int option, struct err *err)
{
    int64_t ns;
    int rc;

    switch (option) {
    case OPT_GROUP:
        return options_group(optarg, &set->modes.group, err);
    case OPT_DIR_MODE:
        return options_mode(optarg, 0700, &set->modes.dir_mode, err);
    case OPT_FILE_MODE:
        return options_mode(optarg, 0600, &set->modes.file_mode, err);
    case OPT_LOCK_TIMEOUT:
        rc = units_parse_duration(optarg, &ns, err);
        if (rc == 0) {
            set->lock_timeout_ms = ns / NS_PER_MS;
        }
        return rc;
    case OPT_ON_LOCK_TIMEOUT:
        return options_policy(optarg, &set->policy, err);
    case OPT_TRASH_KEEP:
        return units_parse_duration(optarg, &set->trash.keep_ns, err);
    case OPT_TRASH_MAX:
        return units_parse_size(optarg, &set->trash.max_bytes, err);
    case OPT_NO_SANDBOX:
        set->sandbox = false;
        return 0;
    default: /* getopt has said what is wrong */
        return err_set(err, ERR_INVALID, 0, "see drover-replica --help");
    }
}

int receive_main(int argc, char **argv)
{
    struct err err = {0};
    struct replica_settings set = {
        .modes = {.dir_mode = META_DIR_MODE,
                  .file_mode = META_FILE_MODE,
                  .group = (gid_t)-1},
        .policy = LOCK_POLICY_WAIT,
        .lock_timeout_ms = LOCK_TIMEOUT_DEFAULT_MS,
        .sandbox = true,
        .trash = {.max_bytes = TRASH_MAX_DEFAULT},
    };
    int option;

    while ((option = getopt_long(argc, argv, "", receive_options, NULL)) !=
           -1) {
        if (set_option(&set, option, &err) != 0) {
            replica_say_error(&err);
            return EXIT_USAGE;
        }
    }
    if (optind != argc - 1) {
        replica_say("receive wants one directory; see drover-replica --help");
        return EXIT_USAGE;
    }
    set.dir = argv[optind];
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
    (void)printf("drover-replica %s (protocol %d to %d)\n", DROVER_VERSION,
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
    replica_say("there is no command %s; see drover-replica --help", argv[1]);
    return EXIT_USAGE;
}
