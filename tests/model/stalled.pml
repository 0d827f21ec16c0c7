/* SPDX-License-Identifier: MIT
 *
 * stalled: a key of the primary that cannot be read for long, and what may go on
 * without it.
 *
 * Its unsent flights stand stalled: no barrier passes them, but the window does
 * not count them and a comparison does not wait for them.  A comparison begins
 * with a place for the replica for each key that the index cannot tell, and
 * those flights that it ends without are *passed*: while there is one nothing
 * is claimed for the replica.
 *
 * mirrors: sync/primary/stalled.c stalled_note stalled_pass
 * mirrors: sync/primary/flights.c flight_reached flight_due_before flight_watermark flight_quiet
 * mirrors: sync/primary/compare/compare_run.c adopt_stalled
 * mirrors: sync/primary/stalled.c stalled_clear stalled_end is_held_up */

/* Everything up to w is acknowledged but what is stalled. */
#define NONE_BUT(seq, is_aside, w) ((seq) == 0 || (seq) > (w) || (is_aside))
#define KEY_REACHED(m, k, w) (NOT_BELOW(place[AT(m, k)], w) && \
    NONE_BUT(flight_seq[AT(m, k)], stalled[AT(m, k)], w) && \
    NONE_BUT(held_seq[AT(m, k)], aside_held[AT(m, k)], w))
#ifdef BREAK_ASIDE
#define ASIDE_REACHED(m, w) WATERMARK_PASSED(m, w)
#else
#define ASIDE_REACHED(m, w) (KEY_REACHED(m, 0, w) && KEY_REACHED(m, 1, w))
#endif

#define WAITS_FIRST(m) (flight[AT(m, 0)] == FLIGHT_WAIT && !stalled[AT(m, 0)])
#define WAITS_HELD(m) (held_seq[AT(m, 0)] != 0 && !aside_held[AT(m, 0)] && \
                       flight[AT(m, 0)] != FLIGHT_SENT)
#define WAITS(m) (WAITS_FIRST(m) || WAITS_HELD(m))

/* Looks at key 0, which is locked, have failed for long. */
#define MAY_NOTE (locked && look[0] == 0 && IS_AWAITED(0) && \
                  (WAITS(0) || WAITS(1) || (REPLICAS == 2 && WAITS(REPLICAS))))
inline stalled_note()
{
    for (i : 0 .. REPLICAS) {
        if :: WAITS_FIRST(i) -> stalled[AT(i, 0)] = true :: else fi;
        if :: WAITS_HELD(i) -> aside_held[AT(i, 0)] = true :: else fi
    }
    i = 0;
    sender_advance_all()
}

/* A comparison begins: what the index cannot tell gets a place. */
inline adopt_stalled(r)
{
#ifdef BREAK_ADOPT
    skip
#else
    if
    :: stalled[AT(INDEX, 0)] && NEEDS_PLACE(r, 0) ->
        next_seq();
        place[AT(r, 0)] = tail_seq;
        sender_advance(r)
    :: else
    fi
#endif
}

/* It ends without what still stands stalled. */
inline stalled_pass(r)
{
#ifdef BREAK_PASSED
    skip
#else
    for (i : 0 .. KEYS - 1) {
        if
        :: (stalled[AT(r, i)] && flight_seq[AT(r, i)] <= barrier[r]) ||
           (aside_held[AT(r, i)] && held_seq[AT(r, i)] <= barrier[r]) ->
            passed[AT(r, i)] = true
        :: else
        fi
    }
    i = 0
#endif
}
