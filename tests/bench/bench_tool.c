/* SPDX-License-Identifier: MIT
 *
 * bench_tool: what a benchmark does to databases, in C so that the tool itself
 * costs little.  Prints one line of NAME=NUMBER words per result.
 *
 *     bench_tool fill ROOT KEYS DATA          write a database
 *     bench_tool change ROOT KEYS COUNT DATA  set COUNT of the keys anew
 *     bench_tool large ROOT COUNT BYTES DATA  large values in table t0
 *     bench_tool churn ROOT REPLICA KEYS COUNT RATE DATA
 *         COUNT sets over KEYS keys, RATE a second (0: as fast as it goes),
 * then waits until the replica has the last of each bench_tool latency ROOT
 * REPLICA COUNT GAP_US KEYS DATA sets one key after the other and waits for
 * each on the replica bench_tool read ROOT KEYS raw|drover THREADS SECONDS DATA
 *     bench_tool write ROOT KEYS raw|drover THREADS SECONDS DATA
 *     bench_tool scan ROOT DATA               readdir and stat of everything
 *     bench_tool limits DIR                   what this machine's disk can do
 *     bench_tool ssh-bulk PORT USER KEY FILE COMMAND
 *         FILE to the input of COMMAND by libssh2 alone, over the loopback
 *
 * DATA is SEED TABLES MIN MAX, see bench_data.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/bench/bench_verbs.h"

static const struct verb {
    const char *name;
    int (*run)(int argc, char **argv, struct data *d);
    int args;  /* without DATA */
    bool data; /* takes DATA, opens the tables */
} verbs[] = {
    {"fill", verb_fill, 2, true},       {"change", verb_change, 3, true},
    {"large", verb_large, 3, true},     {"churn", verb_churn, 5, true},
    {"latency", verb_latency, 5, true}, {"read", verb_read, 5, true},
    {"write", verb_write, 5, true},     {"scan", verb_scan, 1, true},
    {"limits", verb_limits, 1, false},  {"ssh-bulk", verb_ssh_bulk, 5, false},
};

int main(int argc, char **argv)
{
    for (size_t i = 0; argc > 1 && i < sizeof verbs / sizeof verbs[0]; i++) {
        const struct verb *v = &verbs[i];
        struct data d = {.tables = 0};
        if (strcmp(argv[1], v->name) != 0) {
            continue;
        }
        if (argc - 2 != v->args + (v->data ? 4 : 0)) {
            break;
        }
        if (v->data) {
            char **at = argv + 2 + v->args;
            d.root = argv[2];
            d.seed = strtoull(at[0], NULL, 10);
            d.tables = (unsigned)strtoul(at[1], NULL, 10);
            d.min_bytes = strtoull(at[2], NULL, 10);
            d.max_bytes = strtoull(at[3], NULL, 10);
            if (d.tables == 0 || d.tables > DATA_TABLES_MAX ||
                d.max_bytes < d.min_bytes) {
                break;
            }
            data_open(&d);
        }
        return v->run(v->args, argv + 2, &d);
    }
    (void)fprintf(stderr, "bench_tool: see the head of bench_tool.c\n");

    return 64;
}
