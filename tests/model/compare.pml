/* SPDX-License-Identifier: MIT
 *
 * compare: compare one replica with the index, and repair what differs.
 *
 * With two keys there is one bucket: TOP, BUCKETS and LISTING are one question
 * (LIST) and one answer.  What differs goes into the log for this replica
 * alone, where the ordinary path looks at the key and sends what is there: for
 * what only the replica has at once, for the rest when the walk comes to it.
 * A name that the walk does not find is not on disk any more, and its entry in
 * the index is swept.  One that it finds may reach the log any time later
 * (compare_feed.c): the walk comes to each key by itself, at any time.
 *
 * mirrors: sync/primary/compare/compare_run.c may_compare maybe_own go_on compare_disconnected
 * mirrors: sync/primary/due.c due_now due_soon due_any due_paid
 * mirrors: sync/primary/compare/compare_end.c compare_finish
 * mirrors: sync/primary/compare/compare_diff.c compare_listing merge_asked round_done
 * mirrors: sync/primary/compare/compare_names.c compare_drain
 * mirrors: sync/primary/compare/compare_walk.c primary_walk_found sweep sweep_name
 * mirrors: sync/primary/compare/compare_feed.c feed_name feed_step repair */

mtype:phase = { COMPARE_NONE, COMPARE_LISTING, COMPARE_WALKING,
                COMPARE_DRAINING };
mtype:phase phase[MEMBERS] = COMPARE_NONE;
byte barrier[MEMBERS]; /* DRAINING */
mtype:diff = { NO_DIFF, DIFF_MISSING, DIFF_EXTRA, DIFF_VALUE };
mtype:diff diff[MEMBERS * KEYS] = NO_DIFF;
byte here[MEMBERS * KEYS]; /* the index' digest when it was compared */

#ifdef BREAK_LIVE_TAIL
#define INDEX_SAW(r) (true)
#else
#define INDEX_SAW(r) ASIDE_REACHED(INDEX, live_tail[r])
#endif
#ifdef BREAK_DELETE
#define COMPLETE (true)
#else
#define COMPLETE index_ready
#endif

#define MAY_COMPARE(r) (session[r] == SESSION_LIVE && digests_known[r] && \
                        COMPLETE && INDEX_SAW(r))
/* maybe_own(): `soon` means at a quiet moment or after a while, so at any. */
#define MAY_BEGIN(r) (MAY_COMPARE(r) && phase[r] == COMPARE_NONE && \
                      (owed[r] || owed_soon[r]))

inline reconcile_begin(r)
{
    phase[r] = COMPARE_LISTING;
    compare_debts[r] = true;
    adopt_stalled(r);
    up[CH(r)]!LIST, 0, 0, 0
}

inline reconcile_repair(r, k)
{
    sender_hint(k, false, r);
    sender_advance_all()
}

#define ANY_DIFF(r) (diff[AT(r, 0)] != NO_DIFF || diff[AT(r, 1)] != NO_DIFF)

inline compare_drain(r)
{
    if
    :: !ANY_DIFF(r) ->
        phase[r] = COMPARE_DRAINING;
        barrier[r] = tail_seq
    :: else
    fi
}

/* One key of the answer. */
inline merge(r, k, there)
{
    if
    :: there != ix[k] && ix[k] == 0 -> diff[AT(r, k)] = DIFF_EXTRA
    :: there != ix[k] && ix[k] != 0 ->
        diff[AT(r, k)] = (there == 0 -> DIFF_MISSING : DIFF_VALUE);
        here[AT(r, k)] = ix[k]
    :: else
    fi
}

inline compare_listing(r, there0, there1)
{
    if
    :: phase[r] == COMPARE_LISTING ->
        merge(r, 0, there0);
        merge(r, 1, there1);
        phase[r] = COMPARE_WALKING;
        compare_drain(r)
    :: else
    fi
}

/* The replica's name of a key, or the walk, comes to key k. */
inline primary_walk(r, k)
{
    if
#ifdef BREAK_DELETE
    :: diff[AT(r, k)] == DIFF_EXTRA ->
        /* What the index lacks is gone: no read. */
        if
        :: place[AT(r, k)] == 0 && COUNT_OF(r, k) == 0 ->
            next_seq();
            flight[AT(r, k)] = FLIGHT_SENT;
            flight_seq[AT(r, k)] = tail_seq;
            up[CH(r)]!SET, k, GONE_UNSEEN, tail_seq
        :: else
        fi
#endif
    :: diff[AT(r, k)] == DIFF_EXTRA || !ABSENT(k, truth[k]) ->
        reconcile_repair(r, k)
    :: else ->
        if
        /* sweep_name() */
        :: HAS_RECORD(k) && diff[AT(r, k)] == DIFF_VALUE ->
            sender_hint(k, false, INDEX);
#ifndef BREAK_SWEEP
            sender_hint(k, false, r);
#endif
            sender_advance_all()
        :: HAS_RECORD(k) && diff[AT(r, k)] != DIFF_VALUE ->
            sender_hint(k, false, INDEX);
            sender_advance_all()
        :: !HAS_RECORD(k) && ix[k] == here[AT(r, k)] ->
            ix[k] = 0;
#ifndef BREAK_SWEEP
            if
            :: diff[AT(r, k)] == DIFF_VALUE -> due_soon(r)
            :: else
            fi
#endif
        :: else
        fi
    fi;
    diff[AT(r, k)] = NO_DIFF;
    here[AT(r, k)] = 0;
    compare_drain(r)
}

#define MAY_FINISH(r) (phase[r] == COMPARE_DRAINING && MAY_COMPARE(r) && \
                       ASIDE_REACHED(r, barrier[r]))

inline compare_finish(r)
{
    phase[r] = COMPARE_NONE;
    stalled_pass(r);
    barrier[r] = 0;
    due_paid(r, compare_debts[r]);
    mismatches[r] = 0
}
