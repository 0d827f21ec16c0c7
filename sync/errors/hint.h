/* SPDX-License-Identifier: MIT
 *
 * hint: the remedy for an error as it happened: its number, the stage it came
 * from (which the message says) and the system's error, with the names that
 * are known filled in.  dr_hint() is what is left when nothing more is known.
 *
 * Never a step that destroys something while a harmless cause is possible; and
 * none where the message itself names what to type. */
#pragma once

#include <stddef.h>

#include "store/base/err.h"

/* What stands for the words in a hint; NULL: the word stays. */
struct hint_names {
    const char *host, *user, *port, *replica;
    const char *dir;     /* DIR: where the trouble is */
    const char *primary; /* PRIMARY: the database on the agent's host */
    const char *file;    /* FILE: key, known_hosts or configuration */
    const char *name;    /* NAME: of the unit's instance */
    const char *known;   /* KNOWN: the host in known_hosts */
    const char *ssh;     /* SSH: the client's command line, up to the host */
    const char *receive; /* RECEIVE: what it asks for there */
    const char *table;   /* TABLE and KEY: of the message */
    const char *key;
    const char *epoch; /* EPOCH: the one to have, of the message */
    const char *pid;   /* PID: of the message */
};

enum { HINT_ROOM = 4000 };

/* Of an error; "" when there is nothing to add. */
const char *hint_of(const struct err *err);
/* Of a number alone, where the receiver is a child of the agent. */
const char *hint_of_child(int id);
/* The same for an agent that no unit of systemd runs: `hint` with a command
 * that starts this one in place of systemctl; to out[HINT_ROOM], which is
 * returned. */
char *hint_without_unit(char *out, const char *hint);
/* The words of struct hint_names replaced.  Returns `out`. */
char *hint_fill(char *out, size_t room, const char *hint,
                const struct hint_names *names);
