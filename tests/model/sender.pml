/* SPDX-License-Identifier: MIT
 *
 * sender: from a place in the log to an acknowledgement.
 *
 *   place --take_off--> WAIT --looked--> READY --produce_one--> SENT --ack-->
 *
 * At most one flight of a key is SENT per replica; a later one is held until
 * it is acknowledged.  A flight keeps its sequence through refusals and
 * reconnects.  A frame that became stale while it waited is looked at again, or
 * sent with a flight behind it for what it misses; the program counts to three
 * first, here either may happen.  The index is a member whose flights end when
 * the key was looked at.
 *
 * Two steps of a read are told apart: the value is read (by the pool), and the
 * core hears of it.  What lies between them is what makes it hard.
 *
 * mirrors: sync/primary/flights.h FLIGHT_WAIT FLIGHT_READY FLIGHT_SENT FLIGHT_BEHIND
 * mirrors: sync/primary/delivery/sender.c take_off sender_acked sender_refused
 * mirrors: sync/primary/delivery/sender.c sender_rewind sender_resume sender_follow sender_known
 * mirrors: sync/primary/delivery/sender.c sender_invalidate sender_resend sender_advance flight_end
 * mirrors: sync/primary/delivery/sender.c wake_held sender_hint
 * mirrors: sync/primary/delivery/frames.c produce_one
 * mirrors: sync/primary/delivery/answers.c primary_key_read */

#define IS_LIVE(m) ((m) == INDEX || session[m] == SESSION_LIVE)
#define IS_FRESH(k) (content[k] != 0 && content_missed[k] == 0)
#define AWAITS(m, k) (IS_LIVE(m) && flight[AT(m, k)] == FLIGHT_WAIT)
#define IS_AWAITED(k) (AWAITS(0, k) || AWAITS(1, k) || \
                       (REPLICAS == 2 && AWAITS(REPLICAS, k)))

/* Forget what was read when nobody is about to send it. */
#define KEEPS(m, k) (flight[AT(m, k)] == FLIGHT_READY || \
                     (place[AT(m, k)] != 0 && IS_LIVE(m)))
inline trim(k)
{
    if
    :: KEEPS(0, k) || KEEPS(1, k) || (REPLICAS == 2 && KEEPS(REPLICAS, k))
    :: else -> content[k] = 0; content_missed[k] = 0
    fi
}

/* The flight is over: a held one goes on. */
inline flight_end(m, k)
{
#ifdef BREAK_RESEND
    sent_state[AT(m, k)] = 0;
#endif
    stalled[AT(m, k)] = false;
    passed[AT(m, k)] = false;
    if
    :: held_seq[AT(m, k)] != 0 ->
        flight_seq[AT(m, k)] = held_seq[AT(m, k)];
        held_seq[AT(m, k)] = 0;
        aside_held[AT(m, k)] = false;
        flight[AT(m, k)] =
            (IS_FRESH(k) && m != INDEX && IS_LIVE(m) -> FLIGHT_READY
                                                     : FLIGHT_WAIT)
    :: else ->
        flight[AT(m, k)] = NO_FLIGHT;
        flight_seq[AT(m, k)] = 0
    fi;
    if
    :: !IS_AWAITED(k) -> trim(k)
    :: else
    fi
}

/* What was sent does not account for `missed`. */
inline sender_follow(m, k, news)
{
#ifdef BREAK_FOLLOW
    skip
#else
    if
    :: (held_seq[AT(m, k)] != 0 && held_seq[AT(m, k)] <= news) ||
       (place[AT(m, k)] != 0 && place[AT(m, k)] < news)
    :: else ->
        assert(held_seq[AT(m, k)] == 0); /* never a third flight */
        held_seq[AT(m, k)] = news
    fi
#endif
}

/* The index has what its flight was for. */
inline sender_known(k)
{
    if
    :: !IS_FRESH(k) && flight_seq[AT(INDEX, k)] >= content_missed[k]
    :: else ->
        if
        :: !IS_FRESH(k) -> sender_follow(INDEX, k, content_missed[k])
        :: else
        fi;
        flight_end(INDEX, k)
    fi
}

/* Start a flight for what member m takes from the log. */
inline take_off(m, k)
{
    if
    :: flight[AT(m, k)] != NO_FLIGHT ->
        assert(held_seq[AT(m, k)] == 0);
        held_seq[AT(m, k)] = place[AT(m, k)];
        place[AT(m, k)] = 0
    :: else ->
        flight_seq[AT(m, k)] = place[AT(m, k)];
        place[AT(m, k)] = 0;
        flight[AT(m, k)] = FLIGHT_WAIT;
        if
        :: IS_FRESH(k) && m == INDEX -> sender_known(k)
        :: IS_FRESH(k) && m != INDEX -> flight[AT(m, k)] = FLIGHT_READY
        :: else
        fi
    fi
}

#define COUNT_ASIDE(m, k) ((stalled[AT(m, k)] -> 1 : 0) + \
                           (aside_held[AT(m, k)] -> 1 : 0))
#define HAS_ROOM(m) (FLIGHTS(m) - COUNT_ASIDE(m, 0) - COUNT_ASIDE(m, 1) < WINDOW)

inline sender_advance(m)
{
    do
    :: IS_LIVE(m) && HAS_ROOM(m) && place[AT(m, 0)] != 0 &&
       (place[AT(m, 1)] == 0 || place[AT(m, 1)] > place[AT(m, 0)]) ->
        take_off(m, 0)
    :: IS_LIVE(m) && HAS_ROOM(m) && place[AT(m, 1)] != 0 &&
       (place[AT(m, 0)] == 0 || place[AT(m, 0)] > place[AT(m, 1)]) ->
        take_off(m, 1)
    :: else -> break
    od;
    skip
}

inline sender_advance_all()
{
    sender_advance(INDEX);
    sender_advance(1);
#if REPLICAS == 2
    sender_advance(2)
#endif
}

/* The core hears what a read read. */
inline primary_key_read(k)
{
    content[k] = look[k];
    content_missed[k] = read_missed[k];
    look[k] = 0;
    read_missed[k] = 0;
    ix[k] = DIGEST(k, content[k] - 1);
    /* place_all() */
    for (i : 1 .. REPLICAS) {
        if
        :: AWAITS(i, k) ->
            flight[AT(i, k)] = FLIGHT_READY;
            stalled[AT(i, k)] = false
        :: else
        fi
    }
    i = 0;
    if
    :: flight[AT(INDEX, k)] == FLIGHT_WAIT -> sender_known(k)
    :: else -> trim(k)
    fi;
    sender_advance_all()
}

/* Every flight that was sent must be sent again. */
inline sender_rewind(m)
{
    for (j : 0 .. KEYS - 1) {
        if
        :: flight[AT(m, j)] != NO_FLIGHT ->
            flight[AT(m, j)] = FLIGHT_WAIT;
            stalled[AT(m, j)] = false
        :: else
        fi;
        trim(j)
    }
    j = 0
}

inline sender_resume(m)
{
    for (j : 0 .. KEYS - 1) {
        if
#ifdef BREAK_RESEND
        :: flight[AT(m, j)] == FLIGHT_WAIT && sent_state[AT(m, j)] != 0 ->
            up[CH(m)]!SET, j, sent_state[AT(m, j)] - 1, flight_seq[AT(m, j)];
            flight[AT(m, j)] = FLIGHT_SENT
#endif
        :: flight[AT(m, j)] == FLIGHT_WAIT && IS_FRESH(j) ->
            flight[AT(m, j)] = FLIGHT_READY;
            stalled[AT(m, j)] = false
        :: else
        fi
    }
    j = 0;
    sender_advance(m)
}

/* Events were lost: what is on its way may be outdated. */
inline sender_invalidate()
{
#ifdef BREAK_DOUBT
    skip
#else
    for (j : 0 .. KEYS - 1) {
        if
        :: HAS_RECORD(j) ->
            n = 0;
            for (i : 0 .. REPLICAS) {
                if
                :: (place[AT(i, j)] != 0 || COUNT_OF(i, j) != 0) &&
                   NEEDS_PLACE(i, j) ->
                    place[AT(i, j)] = tail_seq + 1;
                    n = 1
                :: else
                fi
            }
            if :: n == 1 -> next_seq() :: else fi;
            note_news(j)
        :: else
        fi
    }
    i = 0; j = 0; n = 0;
    sender_advance_all()
#endif
}

/* The replica lost its places: what is under way there may be outdated by a
 * change that it will not be told of, and arrive after a comparison looked. */
inline sender_resend(m)
{
#ifdef BREAK_REDO
    skip
#else
    for (j : 0 .. KEYS - 1) {
        if
        :: flight[AT(m, j)] != NO_FLIGHT ->
            note_news(j);
            if
            :: flight[AT(m, j)] == FLIGHT_SENT ->
                next_seq();
                sender_follow(m, j, tail_seq)
            :: else
            fi
        :: else
        fi
    }
    j = 0
#endif
}

inline sender_acked(m, k)
{
#ifdef BREAK_WATERMARK
    if
    :: flight_seq[AT(m, k)] > highest_acked[m] ->
        highest_acked[m] = flight_seq[AT(m, k)]
    :: else
    fi;
#endif
    flight_end(m, k)
}
