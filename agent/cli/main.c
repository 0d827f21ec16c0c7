/* SPDX-License-Identifier: MIT
 *
 * main: the program `drover`; everything is in command.c. */
#include "agent/cli/command.h"

int main(int argc, char **argv)
{
    struct cli cli = {
        .out = stdout,
        .err = stderr,
        .run_dir = "/run/drover",
        .etc_dir = "/etc/drover",
        .var_dir = "/var/lib/drover",
    };
    int rc = command_main(&cli, argc, argv);

    /* A full disk or closed pipe must not look like a good answer. */
    if (fflush(stdout) != 0 && rc == 0) {
        return EXIT_BAD_ANSWER;
    }
    return rc;
}
