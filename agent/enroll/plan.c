/* SPDX-License-Identifier: MIT
 *
 * plan: see plan.h. */
#include "agent/enroll/plan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "agent/config/config_files.h"
#include "agent/config/config_text.h"
#include "agent/enroll/pinned.h"
#include "store/base/cleanup.h"
#include "store/base/quote.h"
#include "sync/options/receive_options.h"

enum { SSH_PORT = 22, GROUP_MAX = 32, DIGEST64_CHARS = 43 };

static int no_memory(struct err *err)
{
    return err_set(err, ERR_NOMEM, 0, "out of memory");
}

/* The text with a NUL, the buf's no more; NULL: out of memory. */
static char *take_text(struct buf *b)
{
    buf_u8(b, '\0');
    if (b->bad) {
        return NULL;
    }
    char *text = (char *)b->data;
    *b = (struct buf)BUF_NULL;
    return text;
}

/* --- words --------------------------------------------------------------- */

int enroll_check_word(const char *what, const char *text, struct err *err)
{
    if (text[0] == '\0' || text[0] == '-') {
        return err_set(err, ERR_INVALID, 0, "%s %s: %s", what, QUOTED_STR(text),
                       text[0] == '-' ? "must not begin with '-': that is an "
                                        "option to programs"
                                      : "is empty");
    }
    for (const char *p = text; *p != '\0'; p++) {
        if ((unsigned char)*p < ' ' || *p == '\177') {
            return err_set(err, ERR_INVALID, 0,
                           "%s %s: has a control "
                           "character",
                           what, QUOTED_STR(text));
        }
    }
    return 0;
}

static int check_path(const char *what, const char *text, struct err *err)
{
    if (enroll_check_word(what, text, err) < 0) {
        return err->code;
    }
    return text[0] == '/' ? 0
                          : err_set(err, ERR_INVALID, 0,
                                    "%s %s: write the whole path, from /", what,
                                    QUOTED_STR(text));
}

void enroll_quote(struct buf *out, const char *text)
{
    static const char BARE[] = "abcdefghijklmnopqrstuvwxyz"
                               "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./@%+,=:-";

    if (text[0] != '\0' && text[strspn(text, BARE)] == '\0') {
        buf_put(out, text, strlen(text));
        return;
    }
    buf_u8(out, '\'');
    for (const char *p = text; *p != '\0'; p++) {
        if (*p == '\'') {
            buf_put(out, "'\\''", 4);
        } else {
            buf_put(out, p, 1);
        }
    }
    buf_u8(out, '\'');
}

/* --- what was typed ------------------------------------------------------ */

static int check_fingerprint(const char *text, struct err *err)
{
    static const char DIGITS[] = "abcdefghijklmnopqrstuvwxyz"
                                 "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+/";
    const char *digits = text + strlen("SHA256:");

    if (strncmp(text, "SHA256:", strlen("SHA256:")) != 0 ||
        strlen(digits) != DIGEST64_CHARS ||
        digits[strspn(digits, DIGITS)] != '\0') {
        return err_set(err, ERR_INVALID, 0,
                       "--fingerprint %s: write SHA256: and %d characters, as "
                       "ssh-keygen -lf prints it",
                       QUOTED_STR(text), DIGEST64_CHARS);
    }
    return 0;
}

static int check_modes(const struct enroll_request *q, struct err *err)
{
    mode_t ignored;

    if (q->dir_mode != NULL &&
        receive_mode(q->dir_mode, 0700, &ignored, err) < 0) {
        return err_wrap(err, "--dir-mode");
    }
    if (q->file_mode != NULL &&
        receive_mode(q->file_mode, 0600, &ignored, err) < 0) {
        return err_wrap(err, "--file-mode");
    }
    return 0;
}

/* "agent" in a configuration is the SSH agent. */
static int check_identity(const char *text, struct err *err)
{
    if (strcmp(text, "agent") == 0) {
        return err_set(err, ERR_INVALID, 0,
                       "--identity agent: the other host lets in one key, and "
                       "an SSH agent may have any; name a key's file (for a "
                       "file of that name: ./agent), or write the replica's "
                       "section by hand, with identity = agent");
    }
    return check_path("--identity", text, err);
}

static int check_request(const struct enroll_request *q, struct err *err)
{
    if (!config_name_is_good(q->name)) {
        return err_set(err, ERR_INVALID, 0,
                       "%s: a replica's name has letters, digits, '.', '_' "
                       "and '-' only, and at most 64 of them",
                       QUOTED_STR(q->name));
    }
    if ((q->via != NULL && enroll_check_word("--via", q->via, err) < 0) ||
        (q->fingerprint != NULL &&
         check_fingerprint(q->fingerprint, err) < 0) ||
        (q->identity != NULL && check_identity(q->identity, err) < 0) ||
        (q->known_hosts != NULL &&
         check_path("--known-hosts", q->known_hosts, err) < 0) ||
        (q->authorized_keys != NULL &&
         check_path("--authorized-keys", q->authorized_keys, err) < 0) ||
        (q->receiver != NULL &&
         enroll_check_word("--receiver", q->receiver, err) < 0)) {
        return err->code;
    }
    return check_modes(q, err);
}

/* The readers' group: orders-read for the database orders. */
static int choose_group(struct enroll_plan *plan, struct err *err)
{
    static const char GOOD[] = "abcdefghijklmnopqrstuvwxyz0123456789_-";
    const char *given = plan->request->group;
    const char *db = plan->config->name;

    if (given == NULL && plan->request->removing) {
        return 0; /* it stays, whatever it is */
    }
    if (given != NULL) {
        if (config_check_text(SETTING_ACCOUNT, given, err) < 0 ||
            enroll_check_word("--group", given, err) < 0) {
            return err->code;
        }
        plan->group = strdup(given);
    } else if (asprintf(&plan->group, "%s-read", db) < 0) {
        plan->group = NULL;
    } else if (strlen(plan->group) > GROUP_MAX ||
               plan->group[strspn(plan->group, GOOD)] != '\0' ||
               strchr("0123456789", plan->group[0]) != NULL) {
        return err_set(err, ERR_INVALID, 0,
                       "%s cannot be a group's name; say with --group GROUP "
                       "who reads the copy",
                       plan->group);
    }
    return plan->group != NULL ? 0 : no_memory(err);
}

/* --- the target ---------------------------------------------------------- */

/* HOST without anything behind it means the directory that it is here. */
static bool has_dir(const char *target)
{
    const char *at = strpbrk(target, "@:");
    const char *host = at != NULL && *at == '@' ? at + 1 : target;
    const char *rest = host[0] == '[' ? strchr(host, ']') : host;

    return rest != NULL && strchr(rest, ':') != NULL;
}

static int take_target(struct enroll_plan *plan, struct err *err)
{
    const char *target = plan->request->target;
    CLEANUP(freep) char *whole = NULL;
    struct config_replica *r = &plan->replica;

    if (asprintf(&whole, "%s%s%s", target, has_dir(target) ? "" : ":",
                 has_dir(target) ? "" : plan->config->path) < 0) {
        whole = NULL;
        return no_memory(err);
    }
    if (config_take_target(whole, r, err) < 0) {
        return err_wrap(err, "%s", QUOTED_STR(target));
    }
    if (check_path("the directory", r->path, err) < 0 ||
        enroll_check_word("the user", r->user, err) < 0) {
        return err->code;
    }
    return strspn(r->path, "/.") == strlen(r->path)
               ? err_set(err, ERR_INVALID, 0,
                         "the directory %s: a copy needs one of its own",
                         r->path)
               : 0;
}

/* The files that its login needs, as the configuration would have them. */
static int take_files(struct enroll_plan *plan, struct err *err)
{
    const struct enroll_request *q = plan->request;
    struct config_replica *r = &plan->replica;

    if (q->identity != NULL) {
        r->identity = strdup(q->identity);
    } else if (asprintf(&r->identity, "%s/id_ed25519",
                        plan->config->state_dir) < 0) {
        r->identity = NULL;
    }
    if (q->known_hosts != NULL) {
        free(r->known_hosts);
        r->known_hosts = strdup(q->known_hosts);
    }
    r->name = strdup(q->name);
    return r->name != NULL && r->identity != NULL && r->known_hosts != NULL
               ? 0
               : no_memory(err);
}

/* --- is it there already? ------------------------------------------------ */

static bool is_same(const struct config_replica *a,
                    const struct config_replica *b)
{
    return a->kind == REPLICA_SSH && strcasecmp(a->host, b->host) == 0 &&
           (a->port != 0 ? a->port : SSH_PORT) ==
               (b->port != 0 ? b->port : SSH_PORT) &&
           config_same_text(a->user, b->user) &&
           config_same_text(a->path, b->path) &&
           config_same_text(a->identity, b->identity) &&
           config_same_text(a->known_hosts, b->known_hosts);
}

static int look_for_name(struct enroll_plan *plan, struct err *err)
{
    const struct config *c = plan->config;
    const struct config_replica *r = config_replica(c, plan->replica.name);

    if (r != NULL && !plan->request->removing && !is_same(r, &plan->replica)) {
        return err_set(err, ERR_EXISTS, 0,
                       "%s is defined at %s:%u, with another target or other "
                       "files; see drover replica list",
                       r->name, config_file_of(c, r->where.head),
                       r->where.head.line);
    }
    plan->defined = r;
    return 0;
}

/* --- the drop-in --------------------------------------------------------- */

static void put_setting(struct buf *b, const char *name, const char *value)
{
    buf_printf(b, "%s = %s\n", name, value);
}

/* Only what differs from what would be without it. */
static int write_text(struct enroll_plan *plan, struct err *err)
{
    CLEANUP(buf_deinit) struct buf b = BUF_NULL;
    const struct config_replica *r = &plan->replica;
    struct config_replica preset = {0};

    if (!config_preset_replica(&preset, err)) {
        return err->code;
    }
    buf_printf(&b,
               "# Made by: drover replica add.  To take it away:\n"
               "#   drover --config %s replica remove %s\n"
               "[replica %s]\n",
               QUOTED_STR(plan->config->file), r->name, r->name);
    put_setting(&b, "host", r->host);
    if (r->port != 0 && r->port != preset.port) {
        buf_printf(&b, "port = %u\n", r->port);
    }
    if (!config_same_text(r->user, preset.user)) {
        put_setting(&b, "user", r->user);
    }
    if (!config_same_text(r->path, plan->config->path)) {
        put_setting(&b, "path", r->path);
    }
    if (plan->request->identity != NULL) {
        put_setting(&b, "identity", r->identity);
    }
    if (!config_same_text(r->known_hosts, preset.known_hosts)) {
        put_setting(&b, "known-hosts", r->known_hosts);
    }
    config_replica_deinit(&preset);
    plan->dropin_text = take_text(&b);
    return plan->dropin_text != NULL ? 0 : no_memory(err);
}

static int place_dropin(struct enroll_plan *plan, struct err *err)
{
    plan->dropin_dir = config_dropins_dir(plan->config->file);
    if (plan->dropin_dir == NULL) {
        return err_set(err, ERR_INVALID, 0,
                       "%s: only a file that is named NAME.conf has drop-ins",
                       plan->config->file);
    }
    if (asprintf(&plan->dropin, "%s/%s.conf", plan->dropin_dir,
                 plan->replica.name) < 0) {
        plan->dropin = NULL;
        return no_memory(err);
    }
    return write_text(plan, err);
}

/* --- the plan ------------------------------------------------------------ */

int enroll_plan_make(const struct enroll_request *request,
                     const struct config *config, struct enroll_plan *out,
                     struct err *err)
{
    *out = (struct enroll_plan){.request = request, .config = config};
    out->receiver =
        request->receiver != NULL ? request->receiver : "drover-replica";
    if (check_request(request, err) < 0 ||
        !config_preset_replica(&out->replica, err) ||
        take_target(out, err) < 0 || choose_group(out, err) < 0 ||
        take_files(out, err) < 0 || look_for_name(out, err) < 0) {
        return err->code;
    }
    return place_dropin(out, err);
}

void enroll_plan_deinit(struct enroll_plan *plan)
{
    config_replica_deinit(&plan->replica);
    free(plan->group);
    free(plan->dropin_dir);
    free(plan->dropin);
    free(plan->dropin_text);
}

const char *enroll_step_name(enum enroll_step_id id)
{
    static const char *const NAMES[] = {
        [ENROLL_KEY] = "login key", [ENROLL_HOST_KEY] = "host key",
        [ENROLL_THERE] = "replica", [ENROLL_DROPIN] = "drop-in",
        [ENROLL_RELOAD] = "reload", [ENROLL_COPY] = "first copy",
        [ENROLL_CHECK] = "check",
    };

    return NAMES[id];
}

char *enroll_step_goal(const struct enroll_plan *plan, enum enroll_step_id id)
{
    CLEANUP(buf_deinit) struct buf b = BUF_NULL;
    const struct config_replica *r = &plan->replica;
    char host[PINNED_HOST_BYTES];

    pinned_host(r->host, r->port != 0 ? r->port : SSH_PORT, host);
    switch (id) {
    case ENROLL_KEY:
        buf_printf(&b, "make %s", r->identity);
        break;
    case ENROLL_HOST_KEY:
        buf_printf(&b, "pin the key of %s in %s", host, r->known_hosts);
        break;
    case ENROLL_THERE:
        buf_printf(&b, "group %s, directory %s and the login of %s",
                   plan->group, r->path, r->user);
        if (plan->request->via != NULL) {
            buf_printf(&b, ", over ssh %s", plan->request->via);
        }
        break;
    case ENROLL_DROPIN:
        buf_printf(&b, "write %s", plan->dropin);
        break;
    case ENROLL_RELOAD:
        buf_printf(&b, "the agent of %s reads it", plan->config->name);
        break;
    case ENROLL_COPY:
        buf_printf(&b, "wait until %s is streaming", r->name);
        break;
    case ENROLL_CHECK:
        buf_printf(&b, "drover check %s", r->name);
        break;
    case ENROLL_STEPS:
        break;
    }
    return take_text(&b);
}

/* --- what lets the agent in ---------------------------------------------- */

char *enroll_forced_command(const struct enroll_plan *plan)
{
    CLEANUP(buf_deinit) struct buf b = BUF_NULL;
    const struct enroll_request *q = plan->request;

    enroll_quote(&b, plan->receiver);
    buf_printf(&b, " receive ");
    enroll_quote(&b, plan->replica.path);
    if (plan->group != NULL) {
        buf_printf(&b, " --group ");
        enroll_quote(&b, plan->group);
    }
    if (q->dir_mode != NULL) {
        buf_printf(&b, " --dir-mode %s", q->dir_mode);
    }
    if (q->file_mode != NULL) {
        buf_printf(&b, " --file-mode %s", q->file_mode);
    }
    return take_text(&b);
}

char *enroll_authorized_line(const struct enroll_plan *plan, const char *key)
{
    CLEANUP(freep) char *command = enroll_forced_command(plan);
    CLEANUP(buf_deinit) struct buf b = BUF_NULL;

    if (command == NULL) {
        return NULL;
    }
    buf_printf(&b, "restrict,command=\"");
    for (const char *p = command; *p != '\0'; p++) {
        if (*p == '"') {
            buf_u8(&b, '\\'); /* sshd takes it away again, and no other */
        }
        buf_put(&b, p, 1);
    }
    buf_printf(&b, "\" %s", key);
    return take_text(&b);
}
