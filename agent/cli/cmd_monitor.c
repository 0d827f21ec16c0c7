/* SPDX-License-Identifier: MIT
 *
 * cmd_monitor: `drover health` and `drover metrics`, for monitoring.  Both ask
 * for what everybody may ask for, and get no names of keys.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/cli/command.h"
#include "agent/cli/render/health.h"
#include "agent/metrics/metrics.h"
#include "store/base/cleanup.h"

enum { MONITOR_TIMEOUT_MS = 10000 };

static int ask(struct cli *cli, json_t **status_out)
{
    return cli_request(cli, json_pack("{s:s, s:b}", "cmd", "status", "keys", 0),
                       MONITOR_TIMEOUT_MS, status_out);
}

/* A plugin's caller shows one line of its standard output and nothing else. */
static json_t *ask_quietly(struct cli *cli, struct buf *why)
{
    static const char OURS[] = "drover: ";
    CLEANUP(freep) char *said = NULL;
    size_t len = 0;
    FILE *err = cli->line.err;
    bool json = cli->line.json;
    json_t *status = NULL;

    cli->line.err = open_memstream(&said, &len);
    if (cli->line.err == NULL) {
        cli->line.err = err;
        buf_printf(why, "out of memory");
        return NULL;
    }
    cli->line.json = false;
    (void)ask(cli, &status);
    (void)fclose(cli->line.err);
    cli->line.err = err;
    cli->line.json = json;
    const char *text = said != NULL ? said : "";
    text += strncmp(text, OURS, sizeof OURS - 1) == 0 ? sizeof OURS - 1 : 0;
    buf_printf(why, "%.*s", (int)strcspn(text, "\n|"), text);
    return status;
}

static int print_health(struct cli *cli, enum health_code code,
                        const struct buf *text)
{
    CLEANUP(json_decrefp)
    json_t *o =
        json_pack("{s:s, s:i, s:s%}", "state", health_word(code), "code",
                  (int)code, "text", (const char *)text->data, text->len);

    if (cli->line.json) {
        cli_print_json(cli, o);
    } else {
        (void)fprintf(cli->line.out, "%.*s\n", (int)text->len,
                      (const char *)text->data);
    }
    return (int)code;
}

static int parse_limits(struct cli *cli, struct health_limits *out)
{
    const char *count = cli->max_blocked;

    *out = (struct health_limits){.lag_ns = cli->max_lag_ns,
                                  .silence_ns = cli->max_silence_ns,
                                  .blocked = -1};
    if (count != NULL) {
        size_t digits = strspn(count, "0123456789");
        if (digits == 0 || digits > 9 || count[digits] != '\0') {
            return cmdline_fail(&cli->line, EX_USAGE,
                                "--max-blocked %s: write a number of keys",
                                count);
        }
        out->blocked = strtol(count, NULL, 10);
    }
    return EXIT_GOOD;
}

/* The exit code is that of a monitoring plugin, whatever happened. */
int cmd_health(struct cmdline *line)
{
    struct cli *cli = cli_of(line);
    CLEANUP(buf_deinit) struct buf text = {0};
    CLEANUP(buf_deinit) struct buf why = {0};
    struct health_limits limits;
    int rc = parse_limits(cli, &limits);

    if (rc != EXIT_GOOD) {
        return rc;
    }
    CLEANUP(json_decrefp) json_t *status = ask_quietly(cli, &why);
    enum health_code code = HEALTH_CRITICAL;
    if (status != NULL) {
        code = health_line(status, &limits, &text);
    } else {
        buf_printf(&text, "DROVER %s - %.*s", health_word(code), (int)why.len,
                   (const char *)why.data);
    }
    return print_health(cli, code, &text);
}

int cmd_metrics(struct cmdline *line)
{
    struct cli *cli = cli_of(line);
    CLEANUP(json_decrefp) json_t *status = NULL;
    size_t len = 0;
    int rc = ask(cli, &status);

    if (status == NULL) {
        return rc;
    }
    if (line->json) {
        cli_print_json(cli, status);
        return EXIT_GOOD;
    }
    CLEANUP(freep)
    char *text = metrics_text(
        status, cli->openmetrics ? METRICS_OPENMETRICS : METRICS_PROMETHEUS,
        &len);
    if (text == NULL) {
        return cmdline_fail(line, EXIT_BAD, "out of memory");
    }
    (void)fwrite(text, 1, len, line->out);
    return EXIT_GOOD;
}
