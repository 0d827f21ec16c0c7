/* SPDX-License-Identifier: MIT
 *
 * receiver: the replica's end: take frames, apply, make durable, acknowledge.
 *
 * A change waits in the slot of its key, because the agent has at most one per
 * key unanswered; slots are applied in any order, as when a reader holds one of
 * the keys.  A commit makes all that was applied durable and acknowledges it.
 * What is applied and not yet committed is seen by readers and may or may not
 * survive a power loss.
 *
 * A SAME is a SET whose value is not there to be staged: it takes is_same()'s
 * way, or is refused and comes again as a SET, as after any other refusal.
 *
 * mirrors: sync/receiver/receiver_stage.c stage_set stage_same is_same
 * mirrors: sync/receiver/receiver_apply.c apply_change apply_same
 * mirrors: sync/receiver/receiver_commit.c commit_group sync_directories report_index
 * mirrors: sync/receiver/receiver_commit.c acknowledge refuse_applied
 * mirrors: sync/receiver/receiver_end.c receiver_sync_earlier
 * mirrors: sync/receiver/receiver_query.c receiver_scanned query_ping query_list
 * mirrors: sync/replica/receive.c end_input */

/* Off; up, before its READY; after; its link is gone and it does not know. */
mtype:receiver = { RECEIVER_OFF, RECEIVER_SCANS, RECEIVER_ON, RECEIVER_ALONE };
mtype:receiver receiver[MEMBERS] = RECEIVER_OFF;
byte receiver_ix[MEMBERS * KEYS];
bool all_synced[MEMBERS];

mtype:slot = { NO_CHANGE, CHANGE_QUEUED, CHANGE_DONE };
mtype:slot slot[MEMBERS * KEYS] = NO_CHANGE;
byte slot_state[MEMBERS * KEYS];
byte slot_seq[MEMBERS * KEYS];
bool touched[MEMBERS]; /* directories wait for their sync */

/* A DELETE for a state that nobody looked at; only a broken rule sends it. */
#define GONE_UNSEEN 99

inline receiver_start(r)
{
    receiver[r] = RECEIVER_SCANS;
    for (i : 0 .. KEYS - 1) { receiver_ix[AT(r, i)] = 0 }
    i = 0
}

inline make_all_durable(r)
{
    for (i : 0 .. KEYS - 1) { durable[DISK(r, i)] = visible[DISK(r, i)] }
    i = 0
}

inline receiver_sync_earlier(r)
{
#ifdef BREAK_SYNC_EARLIER
    skip
#else
    if
    :: !all_synced[r] -> make_all_durable(r); all_synced[r] = true
    :: else
    fi
#endif
}

/* The scan at start is over: what is there is known. */
inline receiver_scanned(r)
{
    receiver_sync_earlier(r);
    for (i : 0 .. KEYS - 1) {
        receiver_ix[AT(r, i)] = DIGEST(i, visible[DISK(r, i)])
    }
    i = 0;
    if
    :: receiver[r] == RECEIVER_SCANS ->
        receiver[r] = RECEIVER_ON;
        down[CH(r)]!READY, 0, 0
    :: else
    fi
}

inline stage_set(r, k, state, seq)
{
    assert(slot[AT(r, k)] == NO_CHANGE); /* one per key is unanswered */
    slot[AT(r, k)] = CHANGE_QUEUED;
    slot_state[AT(r, k)] = state;
    slot_seq[AT(r, k)] = seq
}

inline query_ping(r)
{
    if
    :: receiver[r] != RECEIVER_ALONE ->
        down[CH(r)]!PONG, receiver_ix[AT(r, 0)], receiver_ix[AT(r, 1)]
    :: else
    fi
}

inline query_list(r)
{
    if
    :: receiver[r] != RECEIVER_ALONE ->
        down[CH(r)]!LISTING, receiver_ix[AT(r, 0)], receiver_ix[AT(r, 1)]
    :: else
    fi
}

#define IS_DONE(r, k) (slot[AT(r, k)] == CHANGE_DONE)
#define SEQ_DONE(r, k) (IS_DONE(r, k) -> slot_seq[AT(r, k)] : 0)
#define ANY_DONE(r) (IS_DONE(r, 0) || IS_DONE(r, 1))

/* One frame answers all that was applied. */
inline answer(r, kind)
{
    if
    :: receiver[r] != RECEIVER_ALONE ->
        down[CH(r)]!kind, SEQ_DONE(r, 0), SEQ_DONE(r, 1)
    :: else
    fi;
    for (i : 0 .. KEYS - 1) {
        if
        :: IS_DONE(r, i) ->
#if POWER > 0
            if
            :: kind == ACK && receiver[r] != RECEIVER_ALONE ->
                acked_was[DISK(r, i)] = slot_state[AT(r, i)]
            :: else
            fi;
#endif
            slot[AT(r, i)] = NO_CHANGE;
            slot_state[AT(r, i)] = 0;
            slot_seq[AT(r, i)] = 0
        :: else
        fi
    }
    i = 0
}

inline apply_change(r, k)
{
    slot[AT(r, k)] = CHANGE_DONE;
    assert(slot_state[AT(r, k)] != GONE_UNSEEN); /* P5, P2 no blind delete */
    if
    :: !ABSENT(k, slot_state[AT(r, k)]) &&
       receiver_ix[AT(r, k)] == DIGEST(k, slot_state[AT(r, k)]) &&
       receiver_ix[AT(r, k)] == DIGEST(k, visible[DISK(r, k)]) ->
        skip /* is_same() */
    :: else ->
        see_state(r, k, slot_state[AT(r, k)]);
        touched[r] = true;
        if
        :: ABSENT(k, slot_state[AT(r, k)]) -> receiver_ix[AT(r, k)] = 0
        :: else
        fi
    fi;
#ifdef BREAK_ACK_EARLY
    receiver_ix[AT(r, k)] = DIGEST(k, slot_state[AT(r, k)]);
    answer(r, ACK);
#endif
}

inline commit_group(r)
{
    /* sync_directories() */
    if
    :: touched[r] -> make_all_durable(r); touched[r] = false
    :: else
    fi;
    receiver_sync_earlier(r);
    /* report_index() */
    for (i : 0 .. KEYS - 1) {
        if
        :: IS_DONE(r, i) ->
            receiver_ix[AT(r, i)] = DIGEST(i, slot_state[AT(r, i)])
        :: else
        fi
    }
    i = 0;
    answer(r, ACK)
}

/* The directories' sync failed: nothing that was applied is certain. */
inline refuse_applied(r)
{
    for (i : 0 .. KEYS - 1) {
        if
        :: IS_DONE(r, i) -> receiver_ix[AT(r, i)] = 0
        :: else
        fi
    }
    i = 0;
    answer(r, NAK)
}

/* The process ends, at any point: staged values are gone, the disk stays. */
inline receiver_end(r)
{
    receiver[r] = RECEIVER_OFF;
    all_synced[r] = false;
    touched[r] = false;
    for (i : 0 .. KEYS - 1) {
        slot[AT(r, i)] = NO_CHANGE;
        slot_state[AT(r, i)] = 0;
        slot_seq[AT(r, i)] = 0;
        receiver_ix[AT(r, i)] = 0
    }
    i = 0;
    do
    :: len(up[CH(r)]) > 0 -> up[CH(r)]?_, _, _, _
    :: else -> break
    od;
    skip
}
