/* SPDX-License-Identifier: MIT
 *
 * changelog: one ordered, coalescing log of changes for all members.
 *
 * A place is a sequence for one member and one key (the nodes of the program
 * hold the same as sets of members).  A hint makes a place for those who have
 * neither a place nor an unsent flight for the key, because these will read
 * the value later anyway.  What was read, or is being read, does not account
 * for the hint: that *news* gets a sequence of its own.
 *
 * mirrors: sync/primary/log/changelog.h changelog_add changelog_take changelog_forget
 * mirrors: sync/primary/log/changelog.h missed tail_seq
 * mirrors: sync/primary/facade/primary.c shorten_log
 * mirrors: sync/primary/delivery/sender.c audience */

byte tail_seq;
/* Nothing was added to the log since the last PING went at a quiet moment
 * (ping_tail), since equal roots proved equality. */
bool ping_tail[MEMBERS];
bool proven[MEMBERS];
inline next_seq()
{
    tail_seq++;
    ping_tail[1] = false;
    proven[1] = false;
#if REPLICAS == 2
    ping_tail[2] = false;
    proven[2] = false
#endif
}

byte place[MEMBERS * KEYS]; /* 0: none */

/* A record: what a read found (state + 1, 0: CONTENT_UNKNOWN), and the first
 * hint since that look began. */
byte content[KEYS];
byte content_missed[KEYS];
/* The read under way: the state it read + 1, 0: there is none. */
byte look[KEYS];
byte read_missed[KEYS];

/* Flights (sender.pml): the first of a key, and one that waits behind it. */
mtype:flight = { NO_FLIGHT, FLIGHT_WAIT, FLIGHT_READY, FLIGHT_SENT };
mtype:flight flight[MEMBERS * KEYS] = NO_FLIGHT;
byte flight_seq[MEMBERS * KEYS];
byte held_seq[MEMBERS * KEYS]; /* FLIGHT_BEHIND, 0: none */
/* They stand stalled, because the key cannot be read for long: the first flight,
 * the held one; and a comparison ended without them (stalled.pml). */
bool stalled[MEMBERS * KEYS];
bool aside_held[MEMBERS * KEYS];
bool passed[MEMBERS * KEYS];

#define HAS_UNSENT(m, k) (flight[AT(m, k)] == FLIGHT_WAIT || \
                          flight[AT(m, k)] == FLIGHT_READY || \
                          held_seq[AT(m, k)] != 0)
#define COUNT_OF(m, k) ((flight[AT(m, k)] != NO_FLIGHT -> 1 : 0) + \
                        (held_seq[AT(m, k)] != 0 -> 1 : 0))
#define FLIGHTS(m) (COUNT_OF(m, 0) + COUNT_OF(m, 1))
#define PENDING(m) (place[AT(m, 0)] != 0 || place[AT(m, 1)] != 0)
#define IDLE(m) (FLIGHTS(m) == 0 && !PENDING(m))
#define SESSION_QUIET(r) (IDLE(r) && IDLE(INDEX))
#define HAS_RECORD(k) (look[k] != 0 || \
    (place[AT(0, k)] != 0 || COUNT_OF(0, k) != 0) || \
    (place[AT(1, k)] != 0 || COUNT_OF(1, k) != 0) || \
    (REPLICAS == 2 && (place[AT(REPLICAS, k)] != 0 || \
                       COUNT_OF(REPLICAS, k) != 0)))

#ifdef BREAK_WATERMARK
byte highest_acked[MEMBERS];
#endif
#ifdef BREAK_RESEND
byte sent_state[MEMBERS * KEYS];
#endif

/* "Everything up to there": below the first place and the first flight. */
#define NOT_BELOW(seq, w) ((seq) == 0 || (seq) > (w))
#define KEY_PASSED(m, k, w) (NOT_BELOW(place[AT(m, k)], w) && \
    (flight[AT(m, k)] == NO_FLIGHT || flight_seq[AT(m, k)] > (w)) && \
    NOT_BELOW(held_seq[AT(m, k)], w))
#ifdef BREAK_WATERMARK
#define WATERMARK_PASSED(m, w) ((m) != INDEX -> highest_acked[m] >= (w) : \
                                (KEY_PASSED(m, 0, w) && KEY_PASSED(m, 1, w)))
#else
/* flight_watermark(m) >= w */
#define WATERMARK_PASSED(m, w) (KEY_PASSED(m, 0, w) && KEY_PASSED(m, 1, w))
#endif

inline note_news(k)
{
    if
    :: (look[k] != 0 && read_missed[k] == 0) ||
       (content[k] != 0 && content_missed[k] == 0) ->
        next_seq();
        if
        :: look[k] != 0 && read_missed[k] == 0 -> read_missed[k] = tail_seq
        :: else
        fi;
        if
        :: content[k] != 0 && content_missed[k] == 0 -> content_missed[k] = tail_seq
        :: else
        fi
    :: else
    fi
}

#define NEEDS_PLACE(m, k) (place[AT(m, k)] == 0 && !HAS_UNSENT(m, k))

/* A change of key k for one member or, with `all`, for all who are not
 * forgotten: sender_hint(). */
inline sender_hint(k, all, only)
{
    n = 0;
    for (i : 0 .. REPLICAS) {
        if
        :: ((all && (i == INDEX || !forgotten[i])) || (!(all) && i == only)) &&
           NEEDS_PLACE(i, k) ->
            place[AT(i, k)] = tail_seq + 1;
            n = 1
        :: else
        fi
    }
    if :: n == 1 -> next_seq() :: else fi;
    note_news(k);
    i = 0; n = 0
}

/* --- sequences -------------------------------------------------------------
 *
 * Only their order counts, so a number that nothing bears any more is taken out
 * of use and those above it move down: runs that differ only in how many
 * changes there were before become one. */

#define BEARS(v) ((v) == n)
#define KEY_BEARS(m, k) (BEARS(place[AT(m, k)]) || BEARS(held_seq[AT(m, k)]) || \
                         BEARS(flight_seq[AT(m, k)]))
#define MEMBER_BEARS(m) (KEY_BEARS(m, 0) || KEY_BEARS(m, 1))
#define RECORD_BEARS(k) (BEARS(content_missed[k]) || BEARS(read_missed[k]))
#define IS_BORNE (MEMBER_BEARS(0) || MEMBER_BEARS(1) || \
                  (REPLICAS == 2 && MEMBER_BEARS(REPLICAS)) || \
                  RECORD_BEARS(0) || RECORD_BEARS(1))
#define ABOVE(v) ((v) > n -> (v) - 1 : (v))  /* a sequence */
#define FROM(v) ((v) >= n -> (v) - 1 : (v)) /* a bound: "up to this one" */

inline move_frames(c)
{
    for (j : 1 .. len(up[c])) {
        up[c]?frame, f0, f1, f2;
        f2 = (frame == SET && f2 > n -> f2 - 1 : f2);
        up[c]!frame, f0, f1, f2
    }
    for (j : 1 .. len(down[c])) {
        down[c]?frame, f0, f1;
        f0 = ((frame == ACK || frame == NAK) && f0 > n -> f0 - 1 : f0);
        f1 = ((frame == ACK || frame == NAK) && f1 > n -> f1 - 1 : f1);
        down[c]!frame, f0, f1
    }
    frame = 0; f0 = 0; f1 = 0; f2 = 0
}

inline tidy()
{
    n = 1;
    do
    :: n > tail_seq -> break
    :: n <= tail_seq && IS_BORNE -> n++
    :: n <= tail_seq && !IS_BORNE ->
        for (i : 0 .. MEMBERS * KEYS - 1) {
            place[i] = ABOVE(place[i]);
            held_seq[i] = ABOVE(held_seq[i]);
            flight_seq[i] = ABOVE(flight_seq[i]);
            slot_seq[i] = ABOVE(slot_seq[i])
        }
        for (i : 0 .. KEYS - 1) {
            content_missed[i] = ABOVE(content_missed[i]);
            read_missed[i] = ABOVE(read_missed[i])
        }
        for (i : 1 .. REPLICAS) {
            live_tail[i] = FROM(live_tail[i]);
            barrier[i] = FROM(barrier[i]);
            move_frames(CH(i))
        }
        mark_tail = FROM(mark_tail);
        tail_seq--
    od;
    i = 0; j = 0; n = 0
}
