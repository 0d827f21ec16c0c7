/* SPDX-License-Identifier: MIT
 *
 * receive_options: see receive_options.h. */
#include "sync/options/receive_options.h"

#include <errno.h>
#include <getopt.h>
#include <grp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "store/base/clock.h"
#include "store/base/quote.h"
#include "store/base/units.h"

int receive_mode(const char *text, mode_t must, mode_t *out, struct err *err)
{
    unsigned mode = 0;
    size_t n = strlen(text);
    bool octal = n > 0 && n <= 5;

    for (size_t i = 0; octal && i < n; i++) {
        octal = text[i] >= '0' && text[i] <= '7';
        mode = mode * 8 + (unsigned)(text[i] - '0');
    }
    if (!octal || mode > 07777) {
        return err_set(err, ERR_INVALID, 0,
                       "%s is not an octal mode such as 0640", text);
    }
    if ((mode & must) != must) {
        return err_set(err, ERR_INVALID, 0,
                       "mode %s would lock the receiver out: it needs %#o",
                       text, (unsigned)must);
    }
    *out = (mode_t)mode;

    return 0;
}

int receive_group(const char *text, gid_t *out, struct err *err)
{
    size_t n = strlen(text);

    if (n > 0 && strspn(text, "0123456789") == n) {
        errno = 0;
        unsigned long id = strtoul(text, NULL, 10);
        if (errno != 0 || id >= UINT32_MAX) {
            return err_set(err, ERR_INVALID, 0, "group %s: number too large",
                           text);
        }
        *out = (gid_t)id;
        return 0;
    }
    errno = 0;
    const struct group *g = getgrnam(text);
    if (g == NULL) {
        return err_set(err, ERR_INVALID, 0,
                       "there is no group %s; make it: groupadd --system %s",
                       text, text);
    }
    *out = g->gr_gid;
    return 0;
}

int receive_policy(const char *text, bool *replace_out, struct err *err)
{
    if (strcmp(text, "wait") == 0) {
        *replace_out = false;
    } else if (strcmp(text, "replace") == 0) {
        *replace_out = true;
    } else {
        return err_set(err, ERR_INVALID, 0,
                       "--on-lock-timeout is wait or replace, not %s", text);
    }
    return 0;
}

/* --- the line ------------------------------------------------------------ */

enum {
    OPT_GROUP = 256,
    OPT_DIR_MODE,
    OPT_FILE_MODE,
    OPT_LOCK_TIMEOUT,
    OPT_ON_LOCK_TIMEOUT,
    OPT_TRASH_KEEP,
    OPT_TRASH_MAX,
    OPT_NO_SANDBOX,
};

static const struct option OPTIONS[] = {
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

/* `word`: where the option stands. */
static int set_option(struct receive_options *o, int option, const char *word,
                      struct err *err)
{
    int64_t ns;
    int rc;

    switch (option) {
    case OPT_GROUP:
        return receive_group(optarg, &o->group, err);
    case OPT_DIR_MODE:
        return receive_mode(optarg, 0700, &o->dir_mode, err);
    case OPT_FILE_MODE:
        return receive_mode(optarg, 0600, &o->file_mode, err);
    case OPT_LOCK_TIMEOUT:
        rc = units_parse_duration(optarg, &ns, err);
        if (rc == 0) {
            o->lock_timeout_ms = ns / NS_PER_MS;
        }
        return rc;
    case OPT_ON_LOCK_TIMEOUT:
        return receive_policy(optarg, &o->replace, err);
    case OPT_TRASH_KEEP:
        return units_parse_duration(optarg, &o->trash_keep_ns, err);
    case OPT_TRASH_MAX:
        return units_parse_size(optarg, &o->trash_max_bytes, err);
    case OPT_NO_SANDBOX:
        o->sandbox = false;
        return 0;
    case ':':
        return err_set(err, ERR_INVALID, 0,
                       "%s needs a value; see drover-replica --help",
                       QUOTED(word, strlen(word)));
    default:
        return err_set(err, ERR_INVALID, 0,
                       "receive: unknown option %s; see drover-replica --help",
                       QUOTED(word, strlen(word)));
    }
}

int receive_options_parse(int argc, char **argv, struct receive_options *out,
                          struct err *err)
{
    int option;

    opterr = 0;
    optind = 0; /* from the beginning, whoever used it before */
    while ((option = getopt_long(argc, argv, ":", OPTIONS, NULL)) != -1) {
        int at = optind > 1 ? optind - 1 : 1;
        int rc = set_option(out, option, argv[at], err);
        if (rc != 0) {
            return rc;
        }
    }
    if (optind != argc - 1) {
        return err_set(
            err, ERR_INVALID, 0,
            "receive needs exactly one directory; see drover-replica --help");
    }
    if (argv[optind][0] == '\0') {
        return err_set(err, ERR_INVALID, 0,
                       "receive: the directory is empty text");
    }
    out->dir = argv[optind];

    return 0;
}
