/* SPDX-License-Identifier: MIT
 *
 * cmd_replica_check: see cmd_replica_check.h. */
#include "agent/cli/replica/cmd_replica_check.h"

#include <signal.h>
#include <stdio.h>

#include "agent/check/check.h"
#include "agent/cli/replica/cmd_replica.h"
#include "store/base/cleanup.h"
#include "sync/check/finding_show.h"

enum { CHECK_TIMEOUT_MS = 30000 };

/* As `drover check --json` has them, without its "schema". */
static json_t *to_json(const struct findings *f)
{
    CLEANUP(buf_deinit) struct buf b = BUF_NULL;
    struct json_out j = {.buf = &b};

    json_begin_object(&j, NULL);
    findings_json(f, &j);
    json_end_object(&j);
    return b.bad ? NULL : json_loadb((const char *)b.data, b.len, 0, NULL);
}

static const struct finding *first_failure(const struct findings *f)
{
    for (size_t i = 0; i < f->count; i++) {
        if (f->list[i].level == FINDING_FAIL) {
            return &f->list[i];
        }
    }
    return NULL;
}

static int judge(const char *name, const struct findings *f, struct err *err)
{
    const struct finding *bad = first_failure(f);

    if (findings_exit(f, false) == 0) {
        return 0;
    }
    (void)err_set(err, ERR_REFUSED, 0,
                  "%s is set up, and its check fails: "
                  "%.60s: %.400s",
                  name, bad != NULL ? bad->what : "check",
                  bad != NULL ? bad->text : "out of memory");
    err->id = bad != NULL ? bad->id : 0;
    return err->code;
}

int replica_check(struct cli *cli, const struct config *config,
                  const char *name, struct enroll_step *step, json_t **out,
                  struct err *err)
{
    CLEANUP(config_errors_deinit) struct config_errors mistakes = {0};
    CLEANUP(config_freep)
    struct config *now = config_load(config->file, &mistakes);
    CLEANUP(findings_deinit) struct findings f = FINDINGS_NULL;
    CLEANUP(check_end)
    struct check k = {.config = now,
                      .socket = config->socket,
                      .replicas = &name,
                      .count = 1,
                      .timeout_ms = CHECK_TIMEOUT_MS};

    if (now == NULL) {
        return err_set(err, ERR_INVALID, 0, "%.500s", mistakes.lines[0]);
    }
    (void)signal(SIGPIPE, SIG_IGN);
    check_begin(&k);
    check_run(&k, &f);
    step->state = findings_exit(&f, false) == 0 ? ENROLL_DONE : ENROLL_FAILED;
    (void)snprintf(
        step->text, sizeof step->text, "%zu ok, %zu warnings, %zu failures",
        findings_count(&f, FINDING_OK), findings_count(&f, FINDING_WARN),
        findings_count(&f, FINDING_FAIL));
    if (cli->line.json) {
        *out = to_json(&f);
    } else {
        findings_print(&f, true, cli->line.out);
    }
    return judge(name, &f, err);
}
