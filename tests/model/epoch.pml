/* SPDX-License-Identifier: MIT
 *
 * epoch: who may write to one replica's directory (P10, one primary).
 *
 * Four agents want it: the old primary's (epoch 1), the same one restarted
 * (another instance of the same origin), one of a copy of the old primary's
 * directory (same epoch, another origin), and that of the promoted primary
 * (epoch 2).  Each connects when it likes, and again after its receiver ended;
 * any receiver may be killed at any step, outlive its agent, or be asked for the
 * lock by another.  What is in .drover/ survives; the rest does not.
 *
 * A receiver's steps are those of disk_identify(): check, lock, check again,
 * store, HELLO_OK; then groups: look for a takeover, and only then rename.  The
 * watcher looks, too, at any time.
 *
 * mirrors: sync/replica/disk/disk.c disk_identify
 * mirrors: sync/replica/meta/session.c session_check session_lock session_superseded
 * mirrors: sync/replica/meta/session.c ask_for_lock write_takeover try_lock
 * mirrors: sync/replica/meta/session.c session_lock session_follow
 * mirrors: sync/replica/watcher.c receive_check_takeover leave_now watch_once
 * mirrors: sync/replica/receive.c op_stage_sync
 * mirrors: sync/replica/meta/meta.h meta_ident_write META_FILE_TAKEOVER META_FILE_LOCK
 * mirrors: sync/identity/term.h term_check term_follow TERM_AGENTS TERM_NEW */

#ifndef CONNECTS
#define CONNECTS 2 /* connections of each agent */
#endif
#ifndef KILLS
#define KILLS 1 /* receivers killed, or powered off */
#endif
#ifndef GROUPS
#define GROUPS 1 /* groups that one receiver applies */
#endif
#ifndef CUTS
#define CUTS 1 /* agents that die or lose their link, unseen by the receiver */
#endif

#ifndef WITHOUT
#define WITHOUT 0 /* leave one of the agents out */
#endif

#define NOBODY 0
#define NEWEST 4 /* the agent with the highest epoch */

/* Of agent 1 .. 4. */
#define EPOCH(a) ((a) == NEWEST -> 2 : 1)
#define ORIGIN(a) ((a) <= 2 -> 1 : (a))

/* .drover/replica: the term. */
byte term_epoch;
byte term_origin;
byte term_agents[2]; /* newest first */
/* .drover/lock: whose receiver holds it; .drover/takeover: who asks for it. */
byte lock;
byte takeover;
byte kills_left = KILLS, cuts_left = CUTS;

bool up[5];        /* a receiver of this agent runs */
bool live[5];      /* ... and has sent HELLO_OK */
bool link_gone[5]; /* ... and the agent's end of the connection is gone */

/* What has happened, for the checks alone. */
byte accepted_was; /* the highest epoch that got a HELLO_OK */
byte applied_epoch_was, applied_origin_was;
bool replaced_was[5]; /* another agent of its term came after it */

/* May this agent feed the replica? */
#ifdef BREAK_EPOCH
#define LOWER(a) false
#else
#define LOWER(a) (EPOCH(a) < term_epoch)
#endif
#ifdef BREAK_ORIGIN
#define OTHER(a) false
#else
#define OTHER(a) (EPOCH(a) == term_epoch && ORIGIN(a) != term_origin)
#endif
#ifdef BREAK_AGENTS
#define RETURNS(a) false
#else
#define RETURNS(a) (EPOCH(a) == term_epoch && term_agents[1] == (a))
#endif
#define TERM_CHECK(a) (!LOWER(a) && !OTHER(a) && !RETURNS(a))

/* Must the receiver of agent `a` leave? */
#ifdef BREAK_TAKEOVER
#define SUPERSEDED(a) false
#else
#define SUPERSEDED(a) (takeover != NOBODY && \
    (takeover == (a) || EPOCH(takeover) > EPOCH(a) || link_gone[a]))
#endif

inline term_follow(a)
{
    if
    :: term_epoch != EPOCH(a) ->
        term_epoch = EPOCH(a);
        term_origin = ORIGIN(a);
        term_agents[0] = a;
        term_agents[1] = NOBODY
    :: term_epoch == EPOCH(a) && term_agents[0] != a ->
        replaced_was[term_agents[0]] = true;
        term_agents[1] = term_agents[0];
        term_agents[0] = a
    :: else
    fi
}

#define SAME_PRIMARY(a) (EPOCH(a) != applied_epoch_was || \
                         ORIGIN(a) == applied_origin_was)

/* A rename: from here on readers see what this agent sent. */
inline apply(a)
{
    printf("receiver of agent %d: applies a change of epoch %d\n", a, EPOCH(a));
#ifndef BREAK_LOCK
    assert(lock == a); /* P10: one receiver at a time */
#endif
    assert(EPOCH(a) >= accepted_was); /* P10: a lower epoch is refused */
    assert(SAME_PRIMARY(a)); /* P10: one primary in an epoch */
    assert(!replaced_was[a]); /* P10: who was replaced does not come back */
    applied_epoch_was = EPOCH(a);
    applied_origin_was = ORIGIN(a)
}

inline leave(a)
{
    if :: lock == a -> lock = NOBODY :: else fi;
    live[a] = false;
    link_gone[a] = false;
    up[a] = false
}

/* disk_identify(), and what follows. */
inline session(a)
{
    /* session_check() */
    if
    :: atomic { !TERM_CHECK(a) -> leave(a) }
    :: atomic { TERM_CHECK(a) }
    fi;
    /* session_lock() */
    do
#ifdef BREAK_LOCK
    :: atomic { lock != NOBODY -> takeover = NOBODY; lock = a; break }
#endif
    :: atomic { lock == NOBODY -> lock = a; takeover = NOBODY; break }
    :: atomic { lock != NOBODY && takeover != a ->
        printf("receiver of agent %d: asks for the lock\n", a);
        takeover = a /* write_takeover(), again when somebody took it away */ }
    :: atomic { lock != NOBODY && takeover == a && a != NEWEST ->
        printf("receiver of agent %d: refused, busy\n", a);
        takeover = NOBODY;
        leave(a) /* session_lock() */ }
    od;
    /* session_check(), now that nobody else can change it */
#ifndef BREAK_RECHECK
    if
    :: atomic { !TERM_CHECK(a) -> leave(a) }
    :: atomic { TERM_CHECK(a) }
    fi;
#endif
    /* session_follow(), meta_ident_write(): on disk before HELLO_OK */
    atomic {
#ifndef BREAK_STORE
        term_follow(a);
#endif
        printf("receiver of agent %d: HELLO_OK, epoch %d\n", a, EPOCH(a));
        accepted_was = (EPOCH(a) > accepted_was -> EPOCH(a) : accepted_was);
        live[a] = true;
        groups = GROUPS
    };
    do
    /* a group: op_stage_sync() looks for a takeover; then the renames */
    :: atomic { groups > 0 && !SUPERSEDED(a) -> groups-- };
        atomic { apply(a) }
    :: atomic { SUPERSEDED(a) ->
        printf("receiver of agent %d: leaves, superseded\n", a);
        leave(a) }
#ifndef BREAK_SILENCE
    :: atomic { link_gone[a] -> /* the end of input, or silence for too long */
        printf("receiver of agent %d: ends\n", a);
        leave(a) }
#endif
    od
}

/* One agent's connections, one after the other: two of one agent differ in
 * nothing but the process that holds the lock. */
proctype agent(byte a)
{
    byte connects = CONNECTS, groups;
end:
    do
    :: atomic { connects > 0 || a == NEWEST ->
        printf("agent %d: connects\n", a);
        connects = (connects > 0 -> connects - 1 : 0);
        up[a] = true
        };
        { session(a) } unless { !up[a] }; /* killed, or it left */
        groups = 0
    od
}

proctype faults()
{
    byte a;
end:
    do
    :: atomic { kills_left > 0 && (up[1] || up[2] || up[3] || up[4]) ->
        select(a : 1 .. NEWEST);
        if
        :: up[a] ->
            printf("fault: receiver of agent %d is killed\n", a);
            kills_left--;
            leave(a)
        :: else
        fi;
        a = 0 }
    :: atomic { cuts_left > 0 && (up[1] || up[2] || up[3] || up[4]) ->
        select(a : 1 .. NEWEST);
        if
        :: up[a] && !link_gone[a] ->
            printf("fault: agent %d is gone, its receiver is not\n", a);
            cuts_left--;
            link_gone[a] = true
        :: else
        fi;
        a = 0 }
    od
}

#define OUTLIVED (link_gone[1] || link_gone[2] || link_gone[3] || link_gone[4])

/* In the end the highest epoch has the replica. */
proctype the_end()
{
end:
    do
    :: atomic { timeout ->
        assert(live[NEWEST]); /* P10: the old ones give way */
        assert(!OUTLIVED); /* P10: who outlived its agent ends by itself */
        break }
    od
}

init {
    atomic {
        run agent(1);
        if :: WITHOUT != 2 -> run agent(2) :: else fi;
        if :: WITHOUT != 3 -> run agent(3) :: else fi;
        run agent(NEWEST);
        run faults();
        run the_end()
    }
}
