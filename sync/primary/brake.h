/* SPDX-License-Identifier: MIT
 *
 * brake: the guard that holds back mass deletes, one per replica.
 *
 * It is put on when a comparison would delete more of a replica's keys than is
 * allowed at once, or when the database lost so many within a minute while the
 * agent looked on.  What counts are *established* keys, which were there for
 * two minutes or since before the agent began: nobody relied on a table that
 * was built and thrown away in that time.  But nor do young keys make up for
 * established ones that went, or allow for more of these; but for those of a
 * table whose directory was replaced, by another with as many keys.  A key's
 * name is what a reader asks for, so a table that is renamed is lost under its
 * old name.
 *
 * From then on no delete goes to that replica, however it came about, while
 * sets flow; it stays on until what is held was approved and is gone, or there
 * is nothing established to delete any more.  A restart of the agent does not
 * take it off: the shell keeps a note of it (ACT_BRAKE).
 *
 * What is held is always found by a comparison, never kept as a queue: a delete
 * that the brake keeps back makes one due.  Each set that was found is a
 * *batch* with a token, a digest of its names; approving a token lets through
 * what that batch had and what is still held of it, and nothing else.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/base/map.h"
#include "store/layout/value.h"
#include "sync/primary/primary.h"

enum {
    BRAKE_TOKENS = 32,    /* showings that may still be approved */
    BRAKE_NAMED = 65536,  /* names asked for, for the counts per table */
    BRAKE_TABLES = 1024,  /* tables counted apart */
    BRAKE_SAMPLES = 1000, /* names kept */
    BRAKE_WINDOW_MS = 60000,
    BRAKE_MOVE_MS = 5000 /* what seems lost may be on its way for so long */
};

struct held_name {
    struct digest name;
    uint32_t shown; /* the first batch that had it */
};

struct held_in_table {
    UT_hash_handle hh;
    uint64_t count;
    size_t len;
    char table[];
};

struct brake {
    int64_t since_ms;  /* on since then; 0: off */
    uint64_t withheld; /* deletes kept back since the last comparison began */
    struct held_name *names; /* the last batch, sorted */
    size_t count;
    struct digest leaves; /* what these add to the replica's root */
    uint32_t shown;       /* number of the last batch */
    struct {
        uint32_t shown;
        uint64_t token;
    } tokens[BRAKE_TOKENS];
    struct digest *approved; /* sorted; of these deletes go */
    size_t approved_count;
    /* For people: of the batch `named`, with `asked` names looked up. */
    uint32_t named;
    uint64_t asked;
    struct held_in_table *tables; /* uthash */
    struct diff_name *samples;
    size_t samples_count;
    /* The most keys that the replica had in this minute and the last. */
    uint64_t most, most_before;
    int64_t window_ms;
    /* The most established keys that the index had in this minute of the
     * replica's and in the one before; the minute began at this time and place
     * in the log.  `met`: these are known. */
    uint64_t established[2];
    int64_t established_ms;
    uint64_t established_tail;
    bool met;
    uint64_t lost;   /* of these, when what is held was last judged */
    uint64_t unsure; /* deletes sent while their number could not be judged */
};

struct compare;
struct flight;
struct repl;

void brake_deinit(struct brake *b);
/* Time goes by, and names get older. */
void brake_tick(struct primary *p);
/* The replica says how many keys it has; `anew`: forget what it had. */
void brake_count(struct primary *p, struct repl *r, uint64_t keys, bool anew);
enum brake_word {
    BRAKE_GO = 1,
    BRAKE_WAIT, /* ask again soon: it cannot be judged now */
    BRAKE_FULL, /* the same, but too many wait already */
    BRAKE_HOLD, /* not now; a comparison is due that will find it */
};
/* May this delete go out now? */
enum brake_word brake_asks(struct primary *p, struct repl *r,
                           const struct flight *f);
/* A comparison begins to look: what is kept back from here on it may miss. */
void brake_compared(struct repl *r);
/* Would the comparison delete too much? */
bool brake_trips(const struct primary *p, const struct compare *c);
/* A repair found its differences: hold them, or take the brake off. */
void brake_judge(struct primary *p, struct compare *c, bool trips);
/* May the comparison delete this one, which only the replica has? */
bool brake_passes(const struct primary *p, const struct compare *c,
                  struct digest name, bool is_table);
/* How many names of what is held the comparison should ask for, for people; one
 * came; all are there. */
size_t brake_ask_names(struct repl *r, struct compare *c);
void brake_named(struct repl *r, const struct wire_name *name);
void brake_all_named(struct repl *r, const struct compare *c);
/* What was approved has been done: look at what is left. */
/* What was shown under the token may go: the next comparison, which is due now,
 * applies it. */
int brake_approve(struct primary *p, struct repl *r, uint64_t token,
                  uint64_t *count_out, struct err *err) MUSTCHECK;
void brake_applied(struct primary *p, struct repl *r, const struct compare *c);
/* Is the delete of that name one of those that were found and are held? */
bool brake_holds(const struct repl *r, struct digest name);
/* Both roots are equal: nothing is held. */
void brake_release(struct primary *p, struct repl *r);
/* The roots differ by exactly what is held, and nothing speaks for another
 * judgement of that. */
bool brake_explains(const struct primary *p, const struct repl *r);
