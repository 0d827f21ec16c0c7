/* SPDX-License-Identifier: MIT
 *
 * bench_verbs: the verbs of bench_tool; each prints its result, returns an exit
 * status, and ends the program when something fails. */
#pragma once

#include <stdbool.h>

#include "tests/bench/bench_data.h"

/* bench_write.c */
int verb_fill(int argc, char **argv, struct data *d);
int verb_change(int argc, char **argv, struct data *d);
int verb_large(int argc, char **argv, struct data *d);
/* bench_live.c */
int verb_churn(int argc, char **argv, struct data *d);
int verb_latency(int argc, char **argv, struct data *d);
/* bench_kv.c */
int verb_read(int argc, char **argv, struct data *d);
int verb_write(int argc, char **argv, struct data *d);
/* bench_limits.c */
int verb_scan(int argc, char **argv, struct data *d);
int verb_limits(int argc, char **argv, struct data *d);
/* bench_ssh.c */
int verb_ssh_bulk(int argc, char **argv, struct data *d);
