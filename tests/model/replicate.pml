/* SPDX-License-Identifier: MIT
 *
 * replicate: one primary, its agent, one or two replicas, and what goes wrong
 * between them: P2 (forward), P3 (converge), P4 (durable), P5 (no blind
 * deletes) and P9 (true), for every order in which a bounded number of changes
 * and faults can happen.  See README.md for the bounds and for what is left
 * out.
 *
 * Each process does one kind of thing, a step at a time, whenever it can; what
 * cannot be told apart from outside is one step (d_step).
 *
 *     writers   the applications on the primary
 *     watch     hands events over; says when the queue was empty
 *     pool      looks at keys
 *     agent     sends, hears, compares, scans
 *     replica   one receiver
 *     faults    cuts links, kills, takes the power away
 *     truth_of_claims, the_end   nothing but checks
 */
#include "world.pml"
#include "changelog.pml"
#include "sender.pml"
#include "session.pml"
#include "receiver.pml"
#include "stalled.pml"
#include "compare.pml"

byte cuts_left = CUTS;
byte power_left = POWER;
byte restarts_left = RESTARTS;
byte overflows_left = OVERFLOWS;
byte naks_left = NAKS;
byte edits_left = EDITS;

proctype writers()
{
end:
    do
    :: d_step { changes_left > 0 && truth[0] < LAST(0) && !locked -> printf("writer: key 0\n");
        world_write(0);
        locked = LOCKED > 0 }
    :: d_step { changes_left > 0 && truth[1] < LAST(1) -> printf("writer: key 1\n"); world_write(1) }
    :: d_step { changes_left > 0 && overflows_left > 0 && truth[0] < LAST(0) &&
                LOCKED == 0 -> printf("writer: key 0, unseen\n");
        overflows_left--;
        world_write_unseen(0) }
    :: d_step { changes_left > 0 && overflows_left > 0 && truth[1] < LAST(1) -> printf("writer: key 1, unseen\n");
        overflows_left--;
        world_write_unseen(1) }
    od
}

proctype watch()
{
end:
    do
    :: d_step { event[0] -> printf("watch: key 0\n"); event[0] = false; primary_hint_key(0) }
    :: d_step { event[1] -> printf("watch: key 1\n"); event[1] = false; primary_hint_key(1) }
    :: d_step { overflow -> printf("watch: overflow, a scan begins\n"); primary_index_stale() }
    :: d_step { !event[0] && !event[1] && !overflow && index_ready &&
                (!marked || mark_tail != tail_seq || mark[0] != truth[0] ||
                 mark[1] != truth[1]) -> printf("watch: drained\n");
        primary_drained() }
    od
}

proctype pool()
{
#ifdef BREAK_LOOKS
    byte late_look;
#endif
end:
    do
    :: d_step { look[0] == 0 && IS_AWAITED(0) && !locked -> printf("look: reads key 0 at %d\n", truth[0]);
        look[0] = truth[0] + 1 }
    :: d_step { look[1] == 0 && IS_AWAITED(1) -> printf("look: reads key 1 at %d\n", truth[1]); look[1] = truth[1] + 1 }
    :: d_step { LOCKED == 2 && locked -> printf("writer: lets go of key 0\n");
        locked = false }
    :: d_step { MAY_NOTE -> printf("look: key 0 stands stalled\n");
        stalled_note() }
#ifdef BREAK_LOOKS
    /* A second look may begin before the first is answered. */
    :: d_step { look[0] != 0 && late_look == 0 && IS_AWAITED(0) ->
        printf("look: another one\n");
        late_look = look[0];
        look[0] = truth[0] + 1;
        read_missed[0] = 0 }
    :: d_step { look[0] == 0 && late_look != 0 && IS_AWAITED(0) ->
        printf("look: key 0 answered late\n");
        look[0] = late_look;
        late_look = 0;
        primary_key_read(0) }
#endif
    :: d_step { look[0] != 0 -> printf("look: key 0 answered\n"); primary_key_read(0); tidy() }
    :: d_step { look[1] != 0 -> printf("look: key 1 answered\n"); primary_key_read(1); tidy() }
    od
}

#define IS_READY(r, k) (flight[AT(r, k)] == FLIGHT_READY)

/* A ready flight becomes a frame. */
inline produce_one(r, k)
{
    up[CH(r)]!SET, k, content[k] - 1, flight_seq[AT(r, k)];
    printf("agent: sends key %d at %d, seq %d\n", k, content[k] - 1,
           flight_seq[AT(r, k)]);
    flight[AT(r, k)] = FLIGHT_SENT;
#ifdef BREAK_RESEND
    sent_state[AT(r, k)] = content[k];
#endif
    if
    :: !IS_FRESH(k) -> sender_follow(r, k, content_missed[k])
    :: else
    fi;
    trim(k)
}

/* The receiver of the last session is gone: .drover/lock is free. */
#define CAN_CONNECT(r) (session[r] == SESSION_DOWN && receiver[r] == RECEIVER_OFF)

/* A heartbeat that can prove something. */
#define CAN_PROVE(r) (session[r] == SESSION_LIVE && digests_known[r] && \
                      index_ready && \
                      !ping_out[r] && SESSION_QUIET(r) && \
                      mismatches[r] < MISMATCHES_PROVE && \
                      (IS_OWED(r) || !proven[r]))

#define DOWN_IS(r, kind) (down[CH(r)]?[kind, _, _])

proctype agent(byte r)
{
    byte a, b;
end:
    do
    :: d_step { CAN_CONNECT(r) -> printf("agent: connects to %d\n", r); receiver_start(r); on_hello_ok(r) }
    /* frames out */
    :: d_step { IS_READY(r, 0) -> produce_one(r, 0) }
    :: d_step { IS_READY(r, 1) -> produce_one(r, 1) }
    :: d_step { IS_READY(r, 0) && !IS_FRESH(0) -> flight[AT(r, 0)] = FLIGHT_WAIT }
    :: d_step { IS_READY(r, 1) && !IS_FRESH(1) -> flight[AT(r, 1)] = FLIGHT_WAIT }
    :: d_step { CAN_PROVE(r) -> printf("agent: PING\n"); heartbeat_ping(r) }
    /* frames in */
    :: d_step { session[r] == SESSION_LIVE && DOWN_IS(r, ACK) ->
        down[CH(r)]?ACK, a, b; printf("agent: ACK %d %d\n", a, b);
        if :: a != 0 -> on_ack(r, a) :: else fi;
        if :: b != 0 -> on_ack(r, b) :: else fi;
        sender_advance(r);
        a = 0; b = 0;
        tidy() }
    :: d_step { session[r] == SESSION_LIVE && DOWN_IS(r, NAK) ->
        down[CH(r)]?NAK, a, b; printf("agent: NAK %d %d\n", a, b);
        if :: a != 0 -> on_nak(r, a) :: else fi;
        if :: b != 0 -> on_nak(r, b) :: else fi;
        a = 0; b = 0 }
    :: d_step { session[r] == SESSION_LIVE && DOWN_IS(r, READY) ->
        down[CH(r)]?READY, _, _; printf("agent: READY\n");
        on_ready(r) }
    :: d_step { session[r] == SESSION_LIVE && DOWN_IS(r, PONG) ->
        down[CH(r)]?PONG, a, b; printf("agent: PONG %d %d\n", a, b);
        on_pong(r, a, b);
        a = 0; b = 0 }
    :: d_step { session[r] == SESSION_LIVE && DOWN_IS(r, LISTING) ->
        down[CH(r)]?LISTING, a, b; printf("agent: LISTING %d %d\n", a, b);
        compare_listing(r, a, b);
        a = 0; b = 0 }
    /* comparisons */
    :: d_step { MAY_BEGIN(r) -> printf("compare: begins\n"); reconcile_begin(r) }
    :: d_step { phase[r] == COMPARE_WALKING && diff[AT(r, 0)] != NO_DIFF -> printf("compare: key 0\n");
        primary_walk(r, 0) }
    :: d_step { phase[r] == COMPARE_WALKING && diff[AT(r, 1)] != NO_DIFF -> printf("compare: key 1\n");
        primary_walk(r, 1) }
    :: d_step { MAY_FINISH(r) -> printf("compare: finished\n"); compare_finish(r) }
    od
}

proctype scanner()
{
end:
    do
    :: d_step { scan_at == 0 -> printf("scan: key 0\n"); scan_key() }
    :: d_step { scan_at == 1 -> printf("scan: key 1, ready\n"); scan_key() }
    od
}

proctype replica(byte r)
{
    byte k, v, s;
end:
    do
    :: d_step { receiver[r] != RECEIVER_OFF && up[CH(r)]?[SET, _, _, _] ->
        up[CH(r)]?SET, k, v, s; printf("replica: takes key %d at %d\n", k, v);
        stage_set(r, k, v, s);
        k = 0; v = 0; s = 0 }
    :: d_step { receiver[r] != RECEIVER_OFF && up[CH(r)]?[PING, _, _, _] ->
        up[CH(r)]?PING, _, _, _;
        query_ping(r) }
    :: d_step { receiver[r] != RECEIVER_OFF && up[CH(r)]?[LIST, _, _, _] ->
        up[CH(r)]?LIST, _, _, _;
        query_list(r) }
    :: d_step { slot[AT(r, 0)] == CHANGE_QUEUED -> printf("replica: applies key 0\n"); apply_change(r, 0) }
    :: d_step { slot[AT(r, 1)] == CHANGE_QUEUED -> printf("replica: applies key 1\n"); apply_change(r, 1) }
    :: d_step { ANY_DONE(r) -> printf("replica: commits\n"); commit_group(r) }
    :: d_step { ANY_DONE(r) && naks_left > 0 ->
        naks_left--;
        printf("replica: sync fails\n");
        refuse_applied(r) }
    :: d_step { receiver[r] == RECEIVER_SCANS -> printf("replica: scanned\n"); receiver_scanned(r) }
    :: d_step { receiver[r] == RECEIVER_ALONE -> printf("replica: receiver ends\n"); receiver_end(r) }
    od
}

inline cut(r)
{
    if
    :: session[r] == SESSION_LIVE ->
        receiver[r] = RECEIVER_ALONE;
        /* what it answers from now on is lost: sequences mean nothing */
        slot_seq[AT(r, 0)] = 0; slot_seq[AT(r, 1)] = 0;
        for (j : 1 .. len(up[CH(r)])) {
            up[CH(r)]?frame, f0, f1, f2;
            up[CH(r)]!frame, f0, f1, 0
        }
        j = 0; frame = 0; f0 = 0; f1 = 0; f2 = 0;
        primary_link_down(r)
    :: else
    fi
}

/* The agent's memory is gone, but for the index it saved. */
inline agent_dies()
{
    for (i : 0 .. MEMBERS * KEYS - 1) {
        place[i] = 0;
        flight[i] = NO_FLIGHT;
        flight_seq[i] = 0;
        held_seq[i] = 0;
        stalled[i] = false;
        aside_held[i] = false;
        passed[i] = false
    }
    for (i : 0 .. KEYS - 1) {
        content[i] = 0; content_missed[i] = 0;
        look[i] = 0; read_missed[i] = 0;
        event[i] = false
    }
    i = 0;
    overflow = false;
    tail_seq = 0;
    marked = false; mark_tail = 0; mark[0] = 0; mark[1] = 0;
    index_ready = false;
    scan_at = 0
}

/* A replica that was just added to the log: primary_replica_add(). */
inline primary_replica_add(r)
{
    owed[r] = true;
    owed_soon[r] = false;
    blind[r] = true;
    forgotten[r] = true;
    live_tail[r] = 0;
    ping_generation[r] = false; compare_debts[r] = false;
    mismatches[r] = 0
}

proctype faults()
{
end:
    do
    :: d_step { cuts_left > 0 && session[1] == SESSION_LIVE ->
        cuts_left--;
        printf("fault: cut\n");
        cut(1);
        tidy() }
#if REPLICAS == 2
    :: d_step { cuts_left > 0 && session[2] == SESSION_LIVE ->
        cuts_left--;
        printf("fault: cut\n");
        cut(2);
        tidy() }
#endif
    :: atomic { power_left > 0 && receiver[1] != RECEIVER_OFF ->
        power_left--;
        printf("fault: power\n");
        d_step { cut(1); receiver_end(1) };
        /* of each change that was not synced, the disk kept either */
        if :: visible[0] = durable[0] :: durable[0] = visible[0] fi;
        if :: visible[1] = durable[1] :: durable[1] = visible[1] fi;
#if POWER > 0
        assert(visible[0] >= acked_was[0]); /* P4 durable */
        assert(visible[1] >= acked_was[1])  /* P4 durable */
#endif
    }
    :: d_step { edits_left > 0 && receiver[1] == RECEIVER_OFF ->
        edits_left--;
        printf("fault: key 0 is removed from the replica by hand\n");
        visible[0] = 0;
        durable[0] = 0;
#if POWER > 0
        acked_was[0] = 0
#endif
    }
    :: d_step { restarts_left > 0 ->
        restarts_left--;
        printf("fault: agent dies\n");
        cut(1);
#if REPLICAS == 2
        cut(2);
        primary_replica_add(2);
#endif
        agent_dies();
        primary_replica_add(1) }
    od
}

/* At no moment does a barrier pass, or a heartbeat claim, what is not true. */
proctype truth_of_claims()
{
end:
    do
    :: d_step { CHECK_CLAIMS && PASSED(1) && !COVERED(1) -> assert(false) /* P9 claim */ }
#if REPLICAS == 2
    :: d_step { CHECK_CLAIMS && PASSED(2) && !COVERED(2) -> assert(false) /* P9 claim */ }
#endif
    od
}

/* When nothing happens any more all is equal, and known to be so. */
proctype the_end()
{
end:
    do
    :: atomic { timeout ->
#if LOCKED == 1
        assert(SAME(1, 1)); /* P3: one key holds up no other */
#else
        assert(SAME(1, 0) && SAME(1, 1)); /* P3 converge */
        assert(PASSED(1) && proven[1]); /* P3 and it is known */
#endif
#if REPLICAS == 2
        assert(SAME(2, 0) && SAME(2, 1)); /* P3 converge */
        assert(PASSED(2) && proven[2]); /* P3 and it is known */
#endif
        break }
    od
}

/* Where a run begins: a replica that is equal and connected, or (FIRST_COPY) an
 * empty one, an agent that just started, and one key on the primary. */
inline begin_equal(r)
{
    for (i : 0 .. KEYS - 1) {
        visible[DISK(r, i)] = 1;
        durable[DISK(r, i)] = 1;
#if POWER > 0
        acked_was[DISK(r, i)] = 1;
#endif
        receiver_ix[AT(r, i)] = 1
    }
    i = 0;
    receiver[r] = RECEIVER_ON;
    all_synced[r] = true;
    session[r] = SESSION_LIVE;
    digests_known[r] = true;
    proven[r] = true
}

init {
    d_step {
#ifdef FIRST_COPY
        truth[1] = 1;
        primary_replica_add(1);
#if REPLICAS == 2
        primary_replica_add(2)
#endif
#else
        truth[0] = 1; truth[1] = 1;
        ix[0] = 1; ix[1] = 1;
        scan_at = KEYS;
        index_ready = true;
        begin_equal(1);
#if REPLICAS == 2
        begin_equal(2)
#endif
#endif
    };
    atomic {
        run writers(); run watch(); run pool(); run scanner(); run faults();
        run agent(1); run replica(1);
#if REPLICAS == 2
        run agent(2); run replica(2);
#endif
        run truth_of_claims(); run the_end()
    }
}
