/* SPDX-License-Identifier: MIT
 *
 * cmdline_say: what a command says: failures, as text and with --json as an
 * object, too; and the frame of every answer in JSON. */
#include <stdarg.h>
#include <string.h>

#include "store/base/cleanup.h"
#include "store/cmdline/cmdline_impl.h"

struct json_out cmdline_json_begin(struct buf *b)
{
    struct json_out j = {.buf = b};

    json_begin_object(&j, NULL);
    json_uint(&j, "schema", CMDLINE_SCHEMA);
    return j;
}

void cmdline_json_end(struct cmdline *line, struct json_out *j)
{
    json_end_object(j);
    buf_u8(j->buf, '\n');
    if (!j->buf->bad) {
        (void)fwrite(j->buf->data, 1, j->buf->len, line->out);
        buf_clear(j->buf);
    }
}

static void print_json(struct cmdline *line, int code, const struct err *err,
                       const char *hint)
{
    CLEANUP(buf_deinit) struct buf b = BUF_NULL;
    struct json_out j = cmdline_json_begin(&b);

    json_begin_object(&j, "error");
    json_int(&j, "id", err->id);
    json_text(&j, "text", err->msg);
    json_text(&j, "hint", hint);
    json_int(&j, "exit", code);
    json_end_object(&j);
    cmdline_json_end(line, &j);
}

int cmdline_fail_err(struct cmdline *line, int code, const struct err *err,
                     const char *hint)
{
    bool one_line = line->command != NULL && line->command->one_line;
    const char *before = hint[0] == '\0' ? ""
                         : one_line      ? "; "
                                         : "\n      HINT: ";
    char id[32] = "";

    if (line->json) {
        print_json(line, code, err, hint);
    }
    if (err->id != 0) {
        (void)snprintf(id, sizeof id, "DR-%d ", err->id);
    }
    /* One write: others may be using the same stderr. */
    (void)fprintf(line->err, "%s: %s%s%s%s\n", line->program->name, id,
                  err->msg, before, hint);
    return code;
}

__attribute__((format(printf, 4, 0))) static int
fail(struct cmdline *line, int code, const char *hint, const char *fmt,
     va_list args)
{
    struct err err = {0};

    (void)vsnprintf(err.msg, sizeof err.msg, fmt, args);
    return cmdline_fail_err(line, code, &err, hint);
}

int cmdline_fail(struct cmdline *line, int code, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    (void)fail(line, code, "", fmt, args);
    va_end(args);
    return code;
}

int cmdline_fail_usage(struct cmdline *line, const char *fmt, ...)
{
    char hint[CMDLINE_HINT_BYTES];
    va_list args;

    cmdline_usage(line->program, line->command, hint, sizeof hint);
    va_start(args, fmt);
    (void)fail(line, EX_USAGE, hint, fmt, args);
    va_end(args);
    return EX_USAGE;
}
