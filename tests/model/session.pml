/* SPDX-License-Identifier: MIT
 *
 * session: one connection to one replica, and what may be claimed.
 *
 * HELLO and HELLO_OK are one step here (epoch.pml has them apart), and so are
 * the cut of a link and the agent's hearing of it: a frame sent into a dead
 * link is the same as one lost in it.  Frames arrive in order or are lost with
 * the link; a receiver whose link was cut may still take some of what was on
 * its way.  One PING is under way at a time.
 *
 * mirrors: sync/primary/facade/session.c on_hello_ok on_ready on_ack on_nak on_pong
 * mirrors: sync/primary/facade/session.c primary_link_up primary_link_down compare_roots
 * mirrors: sync/primary/heartbeat.c heartbeat_ping fresh_mark
 * mirrors: sync/primary/facade/session.c MISMATCHES_PROVE
 * mirrors: sync/primary/facade/primary.c primary_passed primary_index_ready
 * mirrors: sync/primary/facade/primary.c primary_index_stale primary_compare_soon
 * mirrors: sync/primary/primary_impl.h live_tail forgotten
 * mirrors: sync/primary/session.h digests_known
 * mirrors: sync/primary/due.h soon lag_unknown generation
 * mirrors: sync/primary/heartbeat.h ping_tail ping_generation mismatches
 * mirrors: sync/primary/flights.h passed */

/* Frames.  SET and DELETE are one kind, told apart by the state. */
mtype = { SET, PING, LIST, ACK, NAK, PONG, READY, LISTING };

/* to the receiver: kind, key, state, sequence */
chan up[REPLICAS] = [KEYS + 2] of { mtype, byte, byte, byte };
/* to the agent: kind and, for each key, the sequence or the digest */
chan down[REPLICAS] = [KEYS + 3] of { mtype, byte, byte };

/* --- the agent's memory ---------------------------------------------------- */

bool index_ready;
byte scan_at; /* of the agent's scan: the next key */
byte ix[KEYS];

mtype:session = { SESSION_DOWN, SESSION_LIVE };
mtype:session session[MEMBERS] = SESSION_DOWN;
bool digests_known[MEMBERS];
bool forgotten[MEMBERS];
byte live_tail[MEMBERS];
bool owed[MEMBERS];
bool owed_soon[MEMBERS];
bool blind[MEMBERS];
/* `debts` did not grow since the last PING went, since the comparison began */
bool ping_generation[MEMBERS];
bool compare_debts[MEMBERS];
bool ping_out[MEMBERS];  /* its PONG is awaited */
byte mismatches[MEMBERS];

#ifdef BREAK_OWED
#define IS_OWED(r) (false)
#else
/* due_any() */
#define IS_OWED(r) (owed[r] || owed_soon[r] || blind[r] || \
                    passed[AT(r, 0)] || passed[AT(r, 1)])
#endif

/* primary_passed(r, mark), and a PING that says "fresh as of the mark". */
#define PASSED(r) (session[r] == SESSION_LIVE && marked && !IS_OWED(r) && \
                   index_ready && WATERMARK_PASSED(r, mark_tail))

inline add_debt(r)
{
    ping_generation[r] = false;
    compare_debts[r] = false
}

inline due_now(r)
{
    owed[r] = true;
    blind[r] = true;
    add_debt(r);
    live_tail[r] = tail_seq
}

inline due_soon(r)
{
    owed_soon[r] = true;
    blind[r] = true;
    add_debt(r);
    live_tail[r] = tail_seq
}

inline due_paid(r, same_debts)
{
#ifdef BREAK_DEBTS
    owed[r] = false; owed_soon[r] = false; blind[r] = false
#else
    if
    :: same_debts -> owed[r] = false; owed_soon[r] = false; blind[r] = false
    :: else
    fi
#endif
}

/* --- up and down ----------------------------------------------------------- */

inline on_hello_ok(r)
{
    session[r] = SESSION_LIVE;
    forgotten[r] = false;
    live_tail[r] = tail_seq;
#ifndef BREAK_CONNECT
    owed[r] = true;
#endif
    sender_resume(r)
}

inline on_ready(r)
{
    digests_known[r] = true;
#ifndef BREAK_CONNECT
    owed[r] = true;
    add_debt(r)
#endif
}

inline primary_link_down(r)
{
    session[r] = SESSION_DOWN;
    digests_known[r] = false;
    ping_tail[r] = false;
    ping_out[r] = false;
    proven[r] = false;
    sender_rewind(r);
    phase[r] = COMPARE_NONE;
    barrier[r] = 0;
    for (i : 0 .. KEYS - 1) { diff[AT(r, i)] = NO_DIFF; here[AT(r, i)] = 0 }
    i = 0;
#ifndef BREAK_CONNECT
    owed[r] = true;
#endif
#ifndef BREAK_LATE_ACK
    do
    :: len(down[CH(r)]) > 0 -> down[CH(r)]?_, _, _
    :: else -> break
    od;
#endif
    sender_advance_all()
}

/* --- the index ------------------------------------------------------------- */

inline primary_index_ready()
{
    index_ready = true;
    for (i : 1 .. REPLICAS) { due_soon(i) }
    i = 0
}

/* Events were lost: a scan begins. */
inline primary_index_stale()
{
    overflow = false;
    scan_at = 0;
#ifndef BREAK_STALE
    index_ready = false;
#endif
    sender_invalidate();
    for (i : 1 .. REPLICAS) { due_soon(i) }
    i = 0
}

/* The scan comes to one more key; at the end the index is complete. */
inline scan_key()
{
    if
    :: scan_at == 0 && locked ->
        /* what cannot be read now is left to the core */
        sender_hint(0, true, 0);
        sender_advance_all()
    :: else ->
        ix[scan_at] = DIGEST(scan_at, truth[scan_at])
    fi;
    scan_at++;
    if
    :: scan_at == KEYS -> primary_index_ready()
    :: else
    fi
}

inline shorten_log()
{
    n = 0;
    for (i : 0 .. KEYS - 1) {
        for (j : 1 .. REPLICAS) {
            if
            :: place[AT(j, i)] != 0 -> n++
            :: else
            fi
        }
    }
    if
    :: n > LOG_MAX ->
        /* the slowest: the first place */
        n = 0; min_seq = 255;
        for (i : 0 .. KEYS - 1) {
            for (j : 1 .. REPLICAS) {
                if
                :: place[AT(j, i)] != 0 && place[AT(j, i)] < min_seq ->
                    min_seq = place[AT(j, i)];
                    n = j
                :: else
                fi
            }
        }
        min_seq = n;
        for (i : 0 .. KEYS - 1) { place[AT(min_seq, i)] = 0 }
        sender_resend(min_seq);
        n = min_seq;
#ifndef BREAK_FORGET
        due_now(n);
#endif
        forgotten[n] = session[n] == SESSION_DOWN
    :: else
    fi;
    i = 0; j = 0; n = 0; min_seq = 0
}

/* The watch hands an event over. */
inline primary_hint_key(k)
{
    sender_hint(k, true, 0);
    shorten_log();
    sender_advance_all()
}

inline primary_drained()
{
    marked = true;
    mark_tail = tail_seq;
    for (i : 0 .. KEYS - 1) { mark[i] = truth[i] }
    i = 0
}

/* --- heartbeats ------------------------------------------------------------ */

#define MISMATCHES_PROVE 2

inline heartbeat_ping(r)
{
    ping_out[r] = true;
    ping_generation[r] = true;
    ping_tail[r] = true;
    up[CH(r)]!PING, 0, 0, 0
}

/* The digests of both ends may be compared. */
inline compare_roots(r, root0, root1)
{
    if
    :: root0 == ix[0] && root1 == ix[1] ->
        mismatches[r] = 0;
        proven[r] = true;
        assert(!CHECK_CLAIMS || COVERED(r)); /* P9: "equal as of" the mark */
        due_paid(r, ping_generation[r])
    :: else ->
        mismatches[r]++;
        if
        :: mismatches[r] >= MISMATCHES_PROVE && !owed[r] && !owed_soon[r] ->
            due_soon(r)
        :: else
        fi
    fi
}

inline on_pong(r, root0, root1)
{
    ping_out[r] = false;
    if
    :: ping_tail[r] && digests_known[r] && index_ready &&
       SESSION_QUIET(r) ->
        compare_roots(r, root0, root1)
    :: else
    fi
}

inline on_ack(r, seq)
{
    for (j : 0 .. KEYS - 1) {
        if
        :: flight_seq[AT(r, j)] == seq && flight[AT(r, j)] == FLIGHT_SENT ->
            sender_acked(r, j);
            break
        :: else
        fi
    }
#ifndef BREAK_LATE_ACK
    assert(j < KEYS); /* it was in flight */
#endif
    j = 0
}

inline on_nak(r, seq)
{
    for (j : 0 .. KEYS - 1) {
        if
        :: flight_seq[AT(r, j)] == seq && flight[AT(r, j)] == FLIGHT_SENT ->
            flight[AT(r, j)] = FLIGHT_WAIT;
            break
        :: else
        fi
    }
    j = 0
}
