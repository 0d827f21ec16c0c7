/* SPDX-License-Identifier: MIT
 *
 * main: the program `drover`; everything is in command.c. */
#include "agent/cli/command.h"
#include "store/cmdline/version.h"

int main(int argc, char **argv)
{
    struct cli cli = {
        .line = {.out = stdout, .err = stderr},
        .run_dir = "/run/drover",
        .etc_dir = "/etc/drover",
        .var_dir = "/var/lib/drover",
    };

    version_is(VERSION_BUILD);
    return command_main(&cli, argc, argv);
}
