/* SPDX-License-Identifier: MIT
 *
 * cmdline: see cmdline.h. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "store/cmdline/cmdline_impl.h"

static int no_command(struct cmdline *line)
{
    const struct cmdline_program *program = line->program;
    struct err err = {0};
    char hint[CMDLINE_HINT_BYTES];

    (void)err_set(&err, ERR_INVALID, 0, "the command is missing");
    (void)snprintf(hint, sizeof hint, "%s help", program->name);
    return cmdline_fail_err(line, EX_USAGE, &err, hint);
}

static int run(struct cmdline *line)
{
    const struct cmdline_program *program = line->program;

    if (line->help) {
        cmdline_print_help(line, line->command);
        return EXIT_GOOD;
    }
    if (line->version) {
        return cmdline_version(line);
    }
    if (line->command == NULL && program->bare == NULL) {
        return no_command(line);
    }
    int code = program->begin != NULL ? program->begin(line) : EXIT_GOOD;
    if (code != EXIT_GOOD) {
        return code;
    }
    return line->command != NULL ? line->command->run(line)
                                 : program->bare(line);
}

int cmdline_main(struct cmdline *line, int argc, char **argv)
{
    struct err err = {0};
    int code;

    if (argc > 1 && strcmp(argv[1], "__complete") == 0) {
        code = cmdline_complete(line, argc - 1, argv + 1);
    } else if (cmdline_parse(line, argc, argv, &err) != 0) {
        code = cmdline_fail_err(line, err_exit(err.code, EX_OSERR), &err,
                                line->hint);
    } else {
        code = run(line);
    }
    free(line->all);
    line->all = line->words = NULL;
    /* A full disk or closed pipe must not look like a good answer. */
    if (fflush(line->out) != 0 || ferror(line->out)) {
        code = cmdline_fail(line, EX_IOERR, "write to stdout: %s",
                            strerror(errno));
    }
    return code;
}
