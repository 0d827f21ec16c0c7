/* SPDX-License-Identifier: MIT
 *
 * cmd_events: `drover events`: what happened, from the agent, or where none
 * runs from the record that it left in its state directory.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "agent/base/log.h"
#include "agent/cli/command.h"
#include "agent/cli/render/render_field.h"
#include "agent/config/config.h"
#include "agent/events/events.h"
#include "agent/events/events_since.h"
#include "store/base/cleanup.h"
#include "store/base/clock.h"
#include "sync/errors/state.h"

enum {
    EVENTS_TIMEOUT_MS = 10000,
    LAST = 100, /* without --since */
    FOLLOW_NS = 500 * 1000 * 1000,
};

struct pages {
    struct cli *cli;
    struct events *record; /* NULL: the agent is asked */
    uint64_t from, last;
    int64_t since_ms;
    uint64_t seen; /* the last number that was printed; 0: none yet */
    bool follow;
};

/* 0, or the exit code after printing what is wrong. */
static int parse_since(struct cli *cli, struct pages *p)
{
    struct events_since since = {0};
    struct err err;

    p->last = cli->since == NULL ? LAST : 0;
    if (cli->since != NULL &&
        events_since_parse(cli->since, clock_real_ns(), &since, &err) < 0) {
        return cmdline_fail(&cli->line, EX_USAGE, "--since %s", err.msg);
    }
    p->from = since.number;
    p->since_ms = since.ns / NS_PER_MS;
    return EXIT_GOOD;
}

/* --- a page -------------------------------------------------------------- */

static json_t *ask_record(const struct pages *p)
{
    const struct events_query q = {.from = p->from,
                                   .since_ns = p->since_ms * NS_PER_MS,
                                   .last = p->last,
                                   .replicas = p->cli->line.words,
                                   .count = p->cli->line.count};

    return events_answer(p->record, &q);
}

static int ask_agent(const struct pages *p, json_t **out)
{
    json_t *request = cli_request_of(p->cli, "events");

    (void)json_object_set_new(request, "from",
                              json_integer((json_int_t)p->from));
    (void)json_object_set_new(request, "since_ms", json_integer(p->since_ms));
    (void)json_object_set_new(request, "last",
                              json_integer((json_int_t)p->last));
    return cli_request(p->cli, request, EVENTS_TIMEOUT_MS, out);
}

static void print_time(const struct cli *cli, const json_t *event)
{
    const char *text = json_string_value(json_object_get(event, "time"));
    struct tm tm = {0};
    char when[40] = "?";
    const char *rest =
        text != NULL ? strptime(text, "%Y-%m-%dT%H:%M:%S", &tm) : NULL;

    if (rest != NULL) {
        time_t at = timegm(&tm);
        (void)localtime_r(&at, &tm);
        (void)strftime(when, sizeof when, "%Y-%m-%d %H:%M:%S", &tm);
    }
    bool has_ms =
        rest != NULL && rest[0] == '.' && strspn(rest + 1, "0123456789") >= 3;
    (void)fprintf(cli->line.out, "%s%.4s", when, has_ms ? rest : "");
}

/* What was written nowhere. */
static void print_gap(const struct pages *p, const json_t *event,
                      uint64_t number)
{
    uint64_t missing = 0;

    if (p->cli->line.count == 0 && field_count(event, "missing", &missing) &&
        missing > 0 && missing < number) {
        (void)fprintf(p->cli->line.out,
                      "... no record of events %" PRIu64 " to %" PRIu64
                      " (the host or its disk failed)\n",
                      number - missing, number - 1);
    }
}

static void print_word(const struct pages *p, const char *before,
                       const char *text)
{
    (void)fputs(before, p->cli->line.out);
    render_clean(p->cli->line.out, text);
}

static void print_event(struct pages *p, const json_t *event)
{
    FILE *out = p->cli->line.out;
    uint64_t number = (uint64_t)json_integer_value(json_object_get(event, "n"));
    const char *replica = field_text(event, "replica", NULL);
    json_int_t dr = json_integer_value(json_object_get(event, "dr"));
    int level = log_level_of(field_text(event, "level", ""));

    print_gap(p, event, number);
    p->seen = number;
    print_time(p->cli, event);
    (void)fprintf(out, " #%" PRIu64, number);
    (void)fprintf(out, " %-7s", level >= 0 ? log_level_word(level) : "?");
    print_word(p, "  ", field_text(event, "event", "?"));
    if (replica != NULL) {
        print_word(p, " replica=", replica);
    }
    if (dr != 0) {
        (void)fprintf(out, " DR-%03d", (int)dr);
    }
    print_word(p, " ", field_text(event, "text", ""));
    (void)fputc('\n', out);
}

static void print_page(struct pages *p, const json_t *page)
{
    const json_t *events = json_object_get(page, "events"), *event;
    size_t i;

    if (p->cli->line.json) {
        if (json_array_size(events) > 0 || p->seen == 0) {
            cli_print_json(p->cli, page);
        }
        p->seen = 1;
        return;
    }
    json_array_foreach(events, i, event) {
        if (!p->cli->quiet) {
            print_event(p, event);
        }
    }
    if (i == 0 && p->seen == 0 && !p->follow && !p->cli->quiet) {
        (void)fprintf(p->cli->line.out, "no events\n");
    }
}

/* EXIT_GOOD: there may be another page at *more_out. */
static int show_page(struct pages *p, bool *more_out)
{
    CLEANUP(json_decrefp) json_t *page = NULL;
    int rc = EXIT_GOOD;

    if (p->record != NULL) {
        page = ask_record(p);
    } else {
        rc = ask_agent(p, &page);
    }
    if (page == NULL) {
        return rc != EXIT_GOOD ? rc : EX_OSERR;
    }
    print_page(p, page);
    p->from = (uint64_t)json_integer_value(json_object_get(page, "next"));
    p->last = 0;
    *more_out = json_is_true(json_object_get(page, "more"));
    return fflush(p->cli->line.out) == 0 ? EXIT_GOOD : EXIT_BAD;
}

static int show_all(struct pages *p)
{
    bool more = true;
    int rc = EXIT_GOOD;

    while (rc == EXIT_GOOD && (more || p->follow)) {
        rc = show_page(p, &more);
        if (rc == EXIT_GOOD && !more && p->follow) {
            clock_sleep_ns(FOLLOW_NS);
        }
    }
    return rc;
}

/* --- without an agent ---------------------------------------------------- */

static int fail_record(struct cli *cli, const struct config *c,
                       const struct err *err)
{
    return cmdline_fail(&cli->line,
                        err->code == ERR_PERM ? EX_NOPERM : EX_UNAVAILABLE,
                        "no agent answers, and its record in %s cannot be "
                        "read: %s",
                        c->state_dir, err->msg);
}

/* Some of it may not be there to be read. */
static int show_what_is_there(struct pages *p, const struct config *c)
{
    struct err err;
    int rc = show_all(p);

    if (rc == EXIT_GOOD && events_trouble(p->record, &err)) {
        rc = fail_record(p->cli, c, &err);
    }
    return rc;
}

/* What happens comes from an agent alone. */
static int fail_to_follow(struct cli *cli)
{
    struct err err;

    (void)err_set(&err, ERR_CLOSED, 0,
                  "no agent answers, so nothing happens that could be "
                  "followed; what happened: the same without --follow");
    err.id = DR_NO_AGENT;
    return cli_fail_err(cli, &err);
}

static int show_record(struct pages *p)
{
    struct cli *cli = p->cli;
    CLEANUP(config_freep) struct config *c = cli_load_config(cli);
    struct err err;

    if (c == NULL) {
        return EX_CONFIG;
    }
    CLEANUP(fd_closep)
    int fd = open(c->state_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        (void)err_sys(&err, errno, "the directory");
        return fail_record(cli, c, &err);
    }
    p->record = events_open_to_read(fd, &err);
    if (p->record == NULL) {
        return fail_record(cli, c, &err);
    }
    int rc = show_what_is_there(p, c);
    events_close(p->record);
    return rc;
}

/* Whoever named a configuration gets what is there, whether or not an agent
 * runs.  0, or the exit code after printing why that cannot be told. */
static int find_agent(struct cli *cli, bool *there_out)
{
    CLEANUP(freep) char *path = NULL;
    CLEANUP(json_decrefp) json_t *answer = NULL;
    struct err err;

    *there_out = true;
    if (cli->config_file == NULL && cli->db == NULL) {
        return EXIT_GOOD; /* who asks it finds out */
    }
    int code = cli_find_socket(cli, true, &path);
    if (code != 0) {
        return code;
    }
    json_t *request = json_pack("{s:s}", "cmd", "version");
    int rc = control_call(path, request, EVENTS_TIMEOUT_MS, NULL, NULL, &answer,
                          &err);
    json_decref(request);
    *there_out = rc >= 0 || err.id != DR_NO_AGENT;
    return EXIT_GOOD;
}

int cmd_events(struct cmdline *line)
{
    struct cli *cli = cli_of(line);
    struct pages p = {.cli = cli, .follow = cli->follow};
    bool there;
    int rc = parse_since(cli, &p);

    if (rc == EXIT_GOOD) {
        rc = find_agent(cli, &there);
    }
    if (rc != EXIT_GOOD) {
        return rc;
    }
    if (cli->follow) {
        cli_on_interrupt(NULL);
    }
    return there         ? show_all(&p)
           : cli->follow ? fail_to_follow(cli)
                         : show_record(&p);
}
