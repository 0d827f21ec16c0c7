/* SPDX-License-Identifier: MIT
 *
 * command_client: how commands find the agent's socket, ask, and show what
 * comes back.
 *
 * The socket, first match wins: --socket; $DROVER_SOCKET; the one that
 * --config's or --db's file names; the only one that answers in
 * /run/drover/NAME/control.sock or in the user's directory of ad hoc sockets.
 */
#include <errno.h>
#include <glob.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <termios.h>
#include <unistd.h>

#include "agent/base/object.h"
#include "agent/cli/command.h"
#include "agent/cli/render/render.h"
#include "store/base/cleanup.h"
#include "store/base/clock.h"
#include "sync/errors/state.h"

enum { PROGRESS_LINE_MS = 10000, SOCKETS_MAX = 32 };

/* --- Ctrl-C -------------------------------------------------------------- */

/* Written before the handler is installed, read by it: for a program that
 * ends there, and has one terminal. */
static const char *interrupt_text;
static struct termios interrupt_terminal;
static bool interrupt_restores;

static void on_interrupt(int sig)
{
    (void)sig;
    if (interrupt_restores) {
        (void)tcsetattr(STDIN_FILENO, TCSANOW, &interrupt_terminal);
    }
    if (interrupt_text != NULL) {
        ssize_t n =
            write(STDOUT_FILENO, interrupt_text, strlen(interrupt_text));
        (void)n;
    }
    _exit(EXIT_INTERRUPTED);
}

void cli_on_interrupt(const char *text)
{
    struct sigaction action = {.sa_handler = on_interrupt};

    interrupt_text = text;
    (void)sigaction(SIGINT, &action, NULL);
    (void)sigaction(SIGTERM, &action, NULL);
}

void cli_on_interrupt_restore(const struct termios *was, const char *text)
{
    interrupt_terminal = *was;
    interrupt_restores = true;
    cli_on_interrupt(text);
}

/* --- the socket ---------------------------------------------------------- */

/* Someone listens there (perhaps not for us). */
static bool is_alive(const char *path)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};

    if (strlen(path) > CONTROL_PATH_MAX) {
        return false;
    }
    memcpy(addr.sun_path, path, strlen(path) + 1);
    CLEANUP(fd_closep)
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    return fd >= 0 &&
           (connect(fd, (struct sockaddr *)&addr, sizeof addr) == 0 ||
            errno == EACCES || errno == EAGAIN);
}

struct found {
    char *paths[SOCKETS_MAX];
    size_t count;
};

static void found_deinit(struct found *f)
{
    for (size_t i = 0; i < f->count; i++) {
        free(f->paths[i]);
    }
}

static void find_below(struct found *f, const char *dir, const char *pattern)
{
    CLEANUP(freep) char *whole = NULL;
    glob_t g = {0};

    if (asprintf(&whole, "%s/%s", dir, pattern) < 0) {
        whole = NULL;
        return;
    }
    if (glob(whole, 0, NULL, &g) == 0) {
        for (size_t i = 0; i < g.gl_pathc && f->count < SOCKETS_MAX; i++) {
            char *path = is_alive(g.gl_pathv[i]) ? strdup(g.gl_pathv[i]) : NULL;
            if (path != NULL) {
                f->paths[f->count++] = path;
            }
        }
    }
    globfree(&g);
}

static int find_only(struct cli *cli, bool quiet, char **path_out)
{
    CLEANUP(found_deinit) struct found f = {0};
    CLEANUP(freep) char *own = config_adhoc_socket_dir();
    struct err err = {0};

    find_below(&f, cli->run_dir, "*/control.sock");
    if (own != NULL) {
        find_below(&f, own, "*.sock");
    }
    if (f.count == 1) {
        *path_out = TAKE_PTR(f.paths[0]);
        return 0;
    }
    if (quiet) {
        return f.count == 0 ? EX_UNAVAILABLE : EX_USAGE;
    }
    if (f.count == 0) {
        (void)err_set(
            &err, ERR_CLOSED, 0, "no agent answers in %s%s%s", cli->run_dir,
            own != NULL && strcmp(own, cli->run_dir) != 0 ? " or " : "",
            own != NULL && strcmp(own, cli->run_dir) != 0 ? own : "");
        err.id = DR_NO_AGENT;
        return cli_fail_err(cli, &err);
    }
    (void)cmdline_fail(
        &cli->line, EX_USAGE,
        "several agents run; choose one with --db NAME or --socket "
        "PATH:");
    for (size_t i = 0; i < f.count; i++) {
        (void)fprintf(cli->line.err, "  --socket %s\n", f.paths[i]);
    }
    return EX_USAGE;
}

/* NAME's default socket, for a file that cannot be read or is broken: the
 * agent may run all the same. */
static char *default_socket(const struct cli *cli)
{
    char *path = NULL;

    if (cli->db == NULL || !config_name_is_good(cli->db) ||
        asprintf(&path, "%s/%s/control.sock", cli->run_dir, cli->db) < 0) {
        return NULL;
    }
    if (!is_alive(path)) {
        free(path);
        return NULL;
    }
    return path;
}

int cli_find_socket(struct cli *cli, bool quiet, char **path_out)
{
    const char *given =
        cli->socket != NULL ? cli->socket : getenv("DROVER_SOCKET");

    if (cli->socket == NULL && (cli->db != NULL || cli->config_file != NULL)) {
        *path_out = default_socket(cli);
        if (*path_out != NULL) {
            return 0;
        }
        struct config *config = cli_load_config(cli);
        if (config == NULL) {
            return EX_CONFIG;
        }
        *path_out = TAKE_PTR(config->socket);
        config_free(config);
        return 0;
    }
    if (given != NULL && given[0] != '\0') {
        *path_out = strdup(given);
        return *path_out != NULL ? 0 : EXIT_BAD;
    }
    return find_only(cli, quiet, path_out);
}

/* --- asking -------------------------------------------------------------- */

struct shower {
    struct cli *cli;
    int64_t shown_ms; /* when the last line was printed, 0: never */
    bool open;        /* a line on the terminal is not ended */
};

/* On a terminal one line that is written over; else a line now and then. */
static void show_progress(void *arg, const json_t *object)
{
    struct shower *s = arg;
    struct cli *cli = s->cli;
    CLEANUP(buf_deinit) struct buf line = BUF_NULL;
    int64_t now_ms = clock_mono_ns() / NS_PER_MS;

    if (cli->on_progress != NULL &&
        cli->on_progress(cli, object, s->open ? "\r\033[K" : "")) {
        s->open = false;
    }
    if (cli->quiet || (!cli->live && s->shown_ms != 0 &&
                       now_ms - s->shown_ms < PROGRESS_LINE_MS)) {
        return;
    }
    render_progress(&line, object);
    buf_u8(&line, '\0');
    if (line.bad) {
        return;
    }
    s->shown_ms = now_ms;
    if (cli->live) {
        (void)fprintf(cli->line.err, "\r%.110s\033[K", (const char *)line.data);
        s->open = true;
    } else {
        (void)fprintf(cli->line.err, "%s\n", (const char *)line.data);
    }
    (void)fflush(cli->line.err);
}

int cli_request(struct cli *cli, json_t *request, int64_t timeout_ms,
                json_t **result_out)
{
    struct shower shower = {.cli = cli};
    CLEANUP(freep) char *path = NULL;
    json_t *answer = NULL;
    struct err err = {0};

    *result_out = NULL;
    int rc = cli_find_socket(cli, false, &path);
    if (rc != 0) {
        json_decref(request);
        return rc;
    }
    rc = control_call(path, request, timeout_ms, show_progress, &shower,
                      &answer, &err);
    json_decref(request);
    if (shower.open) {
        (void)fputs("\r\033[K", cli->line.err);
    }
    if (rc < 0) {
        return cli_fail_err(cli, &err);
    }
    const json_t *error = json_object_get(answer, "error");
    if (json_is_object(error)) {
        cli_show_error(cli, error, rc);
    } else {
        *result_out = json_incref(json_object_get(answer, "result"));
    }
    json_decref(answer);
    return rc;
}

json_t *cli_request_of(const struct cli *cli, const char *cmd)
{
    json_t *names = json_array();

    for (size_t i = 0; i < cli->line.count; i++) {
        (void)json_array_append_new(names, json_string(cli->line.words[i]));
    }
    return json_pack("{s:s, s:o}", "cmd", cmd, "replicas", names);
}
