/* SPDX-License-Identifier: MIT
 *
 * chaos_tool: what the driver of a chaos run cannot do itself.
 *
 *     chaos_tool journal FILE RECORDS   make the journal
 *     chaos_tool tables                 the tables that stay, one per line
 *     chaos_tool hold shared|exclusive SECONDS FILE...
 *                                       hold these files' locks; what is
 *                                       locked by others is passed over
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include "tests/chaos/chaos_journal.h"
#include "tests/chaos/chaos_names.h"

static int hold(const char *how, double seconds, int count, char **files)
{
    int op = strcmp(how, "shared") == 0 ? LOCK_SH : LOCK_EX;
    struct timespec until = {
        .tv_sec = (time_t)seconds,
        .tv_nsec = (long)((seconds - (double)(time_t)seconds) * 1e9)};
    int got = 0;

    for (int i = 0; i < count; i++) {
        int fd = open(files[i], O_RDONLY | O_CLOEXEC);
        if (fd >= 0 && flock(fd, op | LOCK_NB) == 0) {
            got++;
        }
    }
    (void)printf("%d of %d\n", got, count);
    (void)fflush(stdout);
    (void)nanosleep(&until, NULL);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 4 && strcmp(argv[1], "journal") == 0) {
        journal_create(argv[2], NAMES_SLOTS,
                       (uint32_t)strtoul(argv[3], NULL, 10));
        return 0;
    }
    if (argc == 2 && strcmp(argv[1], "tables") == 0) {
        for (unsigned t = 0; t < NAMES_TABLES; t++) {
            if (names_table(t)->life == NAMES_STAYS && t < 4) {
                (void)puts(names_table(t)->dir);
            }
        }
        return 0;
    }
    if (argc > 4 && strcmp(argv[1], "hold") == 0) {
        return hold(argv[2], strtod(argv[3], NULL), argc - 4, argv + 4);
    }
    return 64;
}
