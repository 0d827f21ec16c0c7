/* SPDX-License-Identifier: MIT
 *
 * cmd_agent: agent and init: the commands that work on a database themselves
 * instead of asking a running agent.
 */
#include <inttypes.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include "agent/base/log.h"
#include "agent/cli/command.h"
#include "agent/config/config_probe.h"
#include "agent/control/control.h"
#include "agent/daemon/daemon.h"
#include "agent/identity/identity.h"
#include "agent/identity/known.h"
#include "store/base/cleanup.h"
#include "store/base/hex.h"
#include "store/base/quote.h"
#include "store/layout/db.h"
#include "sync/errors/state.h"

static struct config *load_adhoc(struct cli *cli)
{
    struct config_errors errors = {0};
    struct config *config = config_adhoc(
        cli->line.words[0], cli->line.words + 1, cli->line.count - 1, &errors);

    if (errors.count > 0) {
        (void)cli_fail_list(cli, EX_USAGE, 0, "", &errors);
    }
    config_errors_deinit(&errors);
    return config;
}

/* What the file names, as this process meets it.  Exit code. */
static int probe(struct cli *cli, const struct config *c)
{
    CLEANUP(config_probe_deinit) struct config_probe p = {0};

    config_probe(c, &p);
    if (p.mistakes.count > 0) {
        (void)cli_fail_list(cli, EX_CONFIG, DR_CONFIG, "", &p.mistakes);
    }
    for (size_t i = 0; i < p.warnings.count; i++) {
        log_event(LOG_WARNING, "config", NULL, DR_CONFIG, "%s",
                  p.warnings.lines[i]);
    }
    return p.mistakes.count > 0 ? EX_CONFIG : 0;
}

/* Keys to other hosts and the database's values are in this process's memory:
 * it leaves no core dump, and only root may look into it.  A child is started
 * by exec and is like any other again, but for the core dump. */
static void keep_memory_private(void)
{
    struct rlimit none = {0};

    (void)setrlimit(RLIMIT_CORE, &none);
    (void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
}

static const struct daemon_doors DOORS = {
    .listen = control_listen,
    .close = control_close,
};

static int set_level(struct cli *cli)
{
    int level = cli->log_level != NULL ? log_level_of(cli->log_level)
                : cli->verbose > 0     ? LOG_DEBUG
                : cli->quiet           ? LOG_WARNING
                                       : LOG_INFO;

    if (level < 0) {
        return cmdline_fail(&cli->line, EX_USAGE,
                            "--log-level %s: write error, warning, notice, "
                            "info or debug",
                            cli->log_level);
    }
    log_set_level(level);
    return EXIT_GOOD;
}

static int set_log(struct cli *cli)
{
    const char *format = cli->log_format != NULL ? cli->log_format : "text";

    if (strcmp(format, "text") != 0 && strcmp(format, "json") != 0) {
        return cmdline_fail(&cli->line, EX_USAGE,
                            "--log-format %s: write text or json", format);
    }
    log_set_json(format[0] == 'j');
    return set_level(cli);
}

int cmd_agent(struct cmdline *line)
{
    struct cli *cli = cli_of(line);
    bool has_file = cli->config_file != NULL || cli->db != NULL;
    struct config *config;
    struct err err = {0};

    int code = set_log(cli);
    if (code != EXIT_GOOD) {
        return code;
    }
    if (has_file == (cli->line.count > 0) || cli->line.count == 1) {
        return cmdline_fail_usage(line, "agent needs --config FILE, or DIR and "
                                        "TARGETs");
    }
    config = has_file ? cli_load_config(cli) : load_adhoc(cli);
    if (config == NULL) {
        return has_file ? EX_CONFIG : EX_USAGE;
    }
    if (has_file && probe(cli, config) != 0) {
        config_free(config);
        return EX_CONFIG;
    }
    if (cli->socket != NULL) {
        free(config->socket);
        config->socket = strdup(cli->socket);
        if (config->socket == NULL) {
            config_free(config);
            return cmdline_fail(&cli->line, EXIT_BAD, "out of memory");
        }
    }
    if (config_make_dirs(config, &err) < 0) {
        err.id = err.id != 0 ? err.id : DR_STATE_DIR;
        config_free(config);
        return cli_fail_err(cli, &err);
    }
    keep_memory_private();
    /* A client or child that went away is an error of write(). */
    (void)signal(SIGPIPE, SIG_IGN);
    return daemon_run(config, &DOORS);
}

/* --- init ---------------------------------------------------------------- */

struct init {
    const char *dir;
    struct db db;
    uint8_t id[IDENTITY_BYTES];    /* it is to have, or has */
    uint8_t there[IDENTITY_BYTES]; /* it has */
    bool has, wanted, known;
    struct known_state state; /* if it is known */
    uint64_t epoch;           /* that it was given, 0: none */
};

static bool is_id(const uint8_t *a, const uint8_t *b)
{
    return memcmp(a, b, IDENTITY_BYTES) == 0;
}

/* It has an id, and that is not the one it should have. */
static int refuse_other_id(struct cli *cli, const struct init *in)
{
    const uint8_t *want = in->wanted ? in->id : in->state.id;
    const char *dir = QUOTED(in->dir, strlen(in->dir));
    char hex[IDENTITY_HEX_BYTES], other[IDENTITY_HEX_BYTES];

    (void)hex_encode(hex, want, IDENTITY_BYTES);
    (void)hex_encode(other, in->there, IDENTITY_BYTES);
    return cmdline_fail(
        &cli->line, EX_CONFIG,
        "%s has database id %s, not %s%s%s; if that was made when "
        "the old one was lost, stop the agent, then: mv "
        "%s/" META_DIR "/id %s/" META_DIR "/id.%.8s && drover init "
        "--id %s %s",
        dir, other, hex, in->wanted ? "" : ", by which an agent knows it: ",
        in->wanted ? "" : in->state.dir, dir, dir, other, hex, dir);
}

/* It has none, and an agent knows it by one that was not asked for. */
static int refuse_new_id(struct cli *cli, const struct init *in)
{
    const char *dir = QUOTED(in->dir, strlen(in->dir));
    char hex[IDENTITY_HEX_BYTES];

    (void)hex_encode(hex, in->state.id, IDENTITY_BYTES);
    if (known_is_empty(&in->db)) {
        return cmdline_fail(
            &cli->line, EX_CONFIG,
            "%s has neither an id nor a key, but an agent (its "
            "state is in %s) knows it as database %s: is its disk "
            "mounted? findmnt -T %s",
            dir, in->state.dir, hex, dir);
    }
    return cmdline_fail(
        &cli->line, EX_CONFIG,
        "%s has lost its id: an agent (its state is in %s) knows it "
        "as database %s, and with another id every replica would "
        "need a new copy; give it back: drover init --id %s %s; if "
        "another database is to be there from now on: mv %s/%s "
        "%s/%s.old",
        dir, in->state.dir, hex, hex, dir, in->state.dir, IDENTITY_RECORD,
        in->state.dir, IDENTITY_RECORD);
}

/* What is there, what is asked for, and what agents know.  Exit code. */
static int look(struct cli *cli, struct init *in)
{
    struct err err = {0};

    in->wanted = cli->id != NULL;
    if (in->wanted &&
        !hex_decode(in->id, sizeof in->id, cli->id, strlen(cli->id))) {
        return cmdline_fail(&cli->line, EX_USAGE,
                            "--id %s: an id has 32 hexadecimal "
                            "digits",
                            cli->id);
    }
    int rc = identity_read(&in->db, in->there, &err);
    if (rc < 0 && rc != ERR_NOTFOUND) {
        return cli_fail_err(cli, &err);
    }
    in->has = rc == 0;
    const char *dir = cli->state_dir != NULL ? cli->state_dir : cli->var_dir;
    in->known = dir != NULL && known_find(dir, &in->db, &in->state);
    if (in->has && ((in->wanted && !is_id(in->there, in->id)) ||
                    (in->known && !is_id(in->there, in->state.id)))) {
        return refuse_other_id(cli, in);
    }
    return !in->has && in->known && !(in->wanted && is_id(in->id, in->state.id))
               ? refuse_new_id(cli, in)
               : 0;
}

/* Positive: it was there already. */
static int give_id(struct init *in, struct err *err)
{
    if (in->has || !in->wanted) {
        return identity_make(&in->db, in->id, err);
    }
    /* Replicas take another directory under an epoch they know for a second
     * primary: this is a new term. */
    if (in->known && in->state.epoch > 0 && in->state.epoch < UINT64_MAX) {
        in->epoch = in->state.epoch + 1;
    }
    return identity_restore(&in->db, in->id, in->epoch, err);
}

static void report_demoted_epoch(struct cli *cli, const struct init *in)
{
    const char *dir = QUOTED(in->dir, strlen(in->dir));

    if (in->epoch > 0) {
        (void)fprintf(cli->line.out,
                      "Epoch %" PRIu64 ": the agent's state in %s has %" PRIu64
                      ", and this "
                      "is a new term to its replicas\n",
                      in->epoch, in->state.dir, in->state.epoch);
        return;
    }
    (void)fprintf(cli->line.out,
                  "Epoch 1: no agent's state that can be read here has its "
                  "epoch. Replicas that followed it need a higher one than "
                  "they know (on a replica: drover-replica status DIR); before "
                  "the agent starts: drover-replica promote --epoch N %s\n",
                  dir);
}

static void tell(struct cli *cli, const struct init *in, bool made)
{
    char hex[IDENTITY_HEX_BYTES];
    bool restored = made && in->wanted;
    const char *dir = QUOTED(in->dir, strlen(in->dir));

    (void)hex_encode(hex, in->id, sizeof in->id);
    if (cli->line.json) {
        json_t *o = json_pack("{s:s, s:b}", "id", hex, "made", made);
        if (restored) {
            (void)json_object_set_new(
                o, "epoch",
                json_integer((json_int_t)(in->epoch > 0 ? in->epoch : 1)));
        }
        cli_print_json(cli, o);
        json_decref(o);
        return;
    }
    if (cli->quiet) {
        return;
    }
    (void)fprintf(cli->line.out, "%s: %s database id %s\n", dir,
                  restored ? "was given back"
                  : made   ? "was given"
                           : "has",
                  hex);
    if (restored) {
        report_demoted_epoch(cli, in);
    }
    (void)fprintf(cli->line.out,
                  "Next: drover agent %s HOST:PATH, or a file in "
                  "/etc/drover (man drover.conf)\n",
                  dir);
}

int cmd_init(struct cmdline *line)
{
    struct cli *cli = cli_of(line);
    struct init in = {.dir = cli->line.words[0]};
    struct err err = {0};

    if (db_open(&in.db, in.dir, false, &err) < 0) {
        return cli_fail_err(cli, &err);
    }
    int code = look(cli, &in);
    int rc = code == 0 ? give_id(&in, &err) : 0;
    db_close(&in.db);
    if (rc < 0) {
        return cli_fail_err(cli, &err);
    }
    if (code == 0) {
        tell(cli, &in, rc != IDENTITY_THERE);
    }
    return code;
}
