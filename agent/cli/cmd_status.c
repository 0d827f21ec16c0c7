/* SPDX-License-Identifier: MIT
 *
 * cmd_status: `drover status`, once or again and again.
 *
 * Watching draws with plain ANSI on the alternate screen.  On a terminal `q`
 * ends it with 0; Ctrl-C always ends it with 130, and the terminal is put back
 * by whoever ends first: the loop or the signal's handler.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "agent/cli/command.h"
#include "agent/cli/render/render.h"
#include "agent/cli/render/screen.h"
#include "store/base/cleanup.h"
#include "store/base/clock.h"

#define SCREEN_ENTER "\033[?1049h\033[?25l"
#define SCREEN_LEAVE "\033[?25h\033[?1049l"

enum {
    STATUS_TIMEOUT_MS = 10000,
    /* of a terminal that does not say */
    UNKNOWN_ROWS = 21,
    UNKNOWN_COLUMNS = 80,
};

static json_t *status_request(void)
{
    return json_pack("{s:s, s:b}", "cmd", "status", "keys", 1);
}

/* *table_out, if not NULL: where the table ends. */
static int show_once(struct cli *cli, long *table_out)
{
    json_t *result = NULL;
    int rc = cli_request(cli, status_request(), STATUS_TIMEOUT_MS, &result);

    if (result == NULL) {
        return rc;
    }
    if (cli->line.json) {
        cli_print_json(cli, result);
    } else if (!cli->quiet) {
        render_status_table(cli->line.out, result, cli->color);
        if (table_out != NULL) {
            *table_out = ftell(cli->line.out);
        }
        render_status_rest(cli->line.out, result);
    }
    json_decref(result);
    return rc;
}

/* "2" is seconds, as with watch(1); "500ms" works too. */
static int parse_every(struct cli *cli, int64_t *ns_out)
{
    const char *text = cli->watch.value;
    struct err err = {0};

    *ns_out = NS_PER_S;
    if (text == NULL) {
        return 0;
    }
    if (text[0] != '\0' && strspn(text, "0123456789") == strlen(text) &&
        strlen(text) < 7) {
        *ns_out = strtol(text, NULL, 10) * NS_PER_S;
    } else if (units_parse_duration(text, ns_out, &err) < 0) {
        return cmdline_fail(&cli->line, EX_USAGE, "--watch=%s", err.msg);
    }
    return *ns_out >= 100 * NS_PER_MS
               ? 0
               : cmdline_fail(&cli->line, EX_USAGE, "--watch: at least 100ms");
}

/* Frames are built whole and written at once: no flicker. */
static void draw(struct cli *cli, const char *text)
{
    (void)fputs("\033[H", cli->line.out);
    for (const char *p = text; *p != '\0'; p++) {
        if (*p == '\n') {
            (void)fputs("\033[K", cli->line.out);
        }
        (void)fputc(*p, cli->line.out);
    }
    (void)fputs("\033[J", cli->line.out);
    (void)fflush(cli->line.out);
}

/* The table stands first: what does not fit is below it. */
static void draw_fitting(struct cli *cli, const char *text, size_t table)
{
    struct winsize size = {0};
    char *fitting = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&fitting, &len);

    if (out == NULL) {
        return;
    }
    bool known = ioctl(fileno(cli->line.out), TIOCGWINSZ, &size) == 0 &&
                 size.ws_row > 0 && size.ws_col > 0;
    /* Two lines for the last words; the cursor stays behind them. */
    screen_fit(out, text, table,
               !known            ? UNKNOWN_ROWS
               : size.ws_row > 3 ? size.ws_row - 3U
                                 : 1U,
               known ? size.ws_col : UNKNOWN_COLUMNS, "drover status");
    (void)fputs("\nq quits\n", out);
    (void)fclose(out);
    if (fitting != NULL) {
        draw(cli, fitting);
    }
    free(fitting);
}

static void draw_status(struct cli *cli)
{
    char *text = NULL;
    size_t len = 0;
    long table = 0;
    struct cli frame = *cli;

    frame.line.out = open_memstream(&text, &len);
    if (frame.line.out == NULL) {
        return;
    }
    frame.line.err =
        frame.line.out; /* "no agent answers" is part of the picture */
    (void)show_once(&frame, &table);
    (void)fclose(frame.line.out);
    if (text != NULL) {
        draw_fitting(cli, text, table > 0 ? (size_t)table : 0);
    }
    free(text);
}

/* True when `q` was typed within `ns`. */
static bool quit_within(int64_t ns)
{
    int64_t end = clock_mono_ns() + ns;
    int64_t left = ns;

    while (left > 0) {
        struct pollfd p = {.fd = STDIN_FILENO, .events = POLLIN};
        char c;

        if (poll(&p, 1, (int)(left / NS_PER_MS) + 1) > 0) {
            ssize_t n = read(STDIN_FILENO, &c, 1);
            if (n == 1 && (c == 'q' || c == 'Q')) {
                return true;
            }
            if (n <= 0 && errno != EINTR) {
                return true; /* the terminal went away */
            }
        }
        left = end - clock_mono_ns();
    }
    return false;
}

static int watch_terminal(struct cli *cli, int64_t every_ns)
{
    struct termios was;
    struct termios raw;

    if (tcgetattr(STDIN_FILENO, &was) != 0) {
        return cmdline_fail(&cli->line, EX_USAGE,
                            "--watch: stdin is not a terminal");
    }
    raw = was;
    raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
    cli_on_interrupt_restore(&was, SCREEN_LEAVE);
    (void)tcsetattr(STDIN_FILENO, TCSANOW, &raw);
    (void)fputs(SCREEN_ENTER, cli->line.out);
    do {
        draw_status(cli);
    } while (!quit_within(every_ns));
    (void)fputs(SCREEN_LEAVE, cli->line.out);
    (void)fflush(cli->line.out);
    (void)tcsetattr(STDIN_FILENO, TCSANOW, &was);
    return 0;
}

/* Into a file or pipe: one picture, or JSON object, after the other. */
static int watch_stream(struct cli *cli, int64_t every_ns)
{
    cli_on_interrupt(NULL);
    for (;;) {
        (void)show_once(cli, NULL);
        if (fflush(cli->line.out) != 0) {
            return EXIT_BAD;
        }
        clock_sleep_ns(every_ns);
    }
}

int cmd_status(struct cmdline *line)
{
    struct cli *cli = cli_of(line);
    int64_t every_ns;

    if (!cli->watch.given) {
        return show_once(cli, NULL);
    }
    int rc = parse_every(cli, &every_ns);
    if (rc != 0) {
        return rc;
    }
    if (!cli->line.json && isatty(STDIN_FILENO) &&
        isatty(fileno(cli->line.out))) {
        return watch_terminal(cli, every_ns);
    }
    return watch_stream(cli, every_ns);
}
