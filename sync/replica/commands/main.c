/* SPDX-License-Identifier: MIT
 *
 * main: the program drover-replica; its commands are in table.c. */
#include <fcntl.h>
#include <unistd.h>

#include "store/cmdline/version.h"
#include "sync/replica/commands/commands.h"

/* A descriptor 0, 1 or 2 that is closed at the start would become one of our
 * files, and the protocol would be written into it. */
static void hold_standard_fds(void)
{
    for (;;) {
        int fd = open("/dev/null", O_RDWR);
        if (fd < 0) {
            return;
        }
        if (fd > STDERR_FILENO) {
            (void)close(fd);
            return;
        }
    }
}

int main(int argc, char **argv)
{
    struct replica_line line = {
        .receive = RECEIVE_LINE_NULL,
        .max_age_ns = REPLICA_NO_TIME,
    };

    hold_standard_fds();
    version_is(VERSION_BUILD);
    line.receive.line.program = &REPLICA_PROGRAM;
    line.receive.line.out = stdout;
    line.receive.line.err = stderr;
    return cmdline_main(&line.receive.line, argc, argv);
}
