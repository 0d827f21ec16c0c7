# SPDX-License-Identifier: MIT
#
# e2e_handover.sh: one primary at a time.  Promote and demote, planned and not;
# the old primary returns, a copy of it appears, an agent outlives its time.
# shellcheck disable=SC2034,SC2154 # e2e_lib.sh sets and uses variables, too
. "$(dirname "$0")/e2e_lib.sh"

start_churn() { # DB RATE
    "$E2E_BIN/e2e_writer" churn "$1" "${E2E_SEED:-7}" 0 "$2" >"$W/churn.out" 2>"$W/churn.err" &
    churn=$!
}
stop_churn() {
    kill "$churn"
    wait "$churn" || fail "the writer: $(cat "$W/churn.err")"
}
equal() { # A B
    "$E2E_BIN/e2e_tree" diff "$1" "$2" >"$W/tree" 2>&1 ||
        fail "$1 and $2 differ: $(head -n 5 "$W/tree")"
}
acked_more() { [ "$(status "$(of "$1" acked_changes)")" -gt "$2" ]; }
error_is() { must_within "$WAIT" status_is "$(of "$1" error.id)" "$2"; }
epoch_of() { cat "$1/.drover/epoch"; }
fresh_in() { grep -q "epoch=$2 " "$1/.drover/freshness"; }
no_receiver() { [ -z "$(receivers_of "$1")" ]; }

# --- planned ------------------------------------------------------------------------

# hand_over FROM TO EPOCH: what the manual says, to the letter.  (That TO was whole
# once is seen by its freshness, which comes a heartbeat after the last value.)
hand_over() {
    expect 0 ctl wait --timeout "${WAIT}s"
    must_within "$WAIT" fresh_in "$2" "$3"
    stop_agent
    expect 0 "$DROVER_REPLICA" demote "$1"
    expect 0 "$DROVER_REPLICA" promote "$2"
}
planned() {
    begin_config
    add_replica r1
    add_replica r2
    start_agent
    start_churn "$P" 300
    must_be r1 streaming
    must_be r2 streaming
    must_within "$WAIT" acked_more r1 500
    stop_churn
    cp -a "$P" "$W/as-it-was"
    hand_over "$P" "$W/r1" 1
    out_has "epoch 2"
    equal "$W/as-it-was" "$W/r1"
    # Who has been demoted does not start again by mistake.
    code=0
    timeout "$WAIT" "$DROVER" agent --config "$W/agent.conf" >"$W/out" 2>&1 || code=$?
    is $code 78 "the exit status of an agent on a demoted database"
    out_has DR-110
    out_has "drover-replica promote"

    begin_config second "$W/r1"
    add_replica r2
    add_replica primary
    start_agent second
    start_churn "$W/r1" 300
    must_be r2 streaming
    must_be primary streaming
    status_is database.epoch 2 || fail "the agent's epoch is $(status database.epoch)"
    expect 0 ctl status
    out_has "epoch 2"
    must_within "$WAIT" acked_more primary 500
    stop_churn
    expect 0 ctl wait --timeout "${WAIT}s"
    expect 0 ctl verify --content
    equal "$W/r1" "$W/r2"
    equal "$W/r1" "$P"
    expect 0 "$DROVER_REPLICA" kept --remove "$P"

    # And back, to where the agent's old state still lies.
    cp -a "$W/r1" "$W/as-it-was-then"
    hand_over "$W/r1" "$P" 2
    out_has "epoch 3"
    equal "$W/as-it-was-then" "$P"
    start_agent
    must_be r1 streaming
    must_be r2 streaming
    write flockd-set "$P" after "the second handover"
    proven r1 r2
    # Nothing was lost on the way, so nothing differs but what came after.
    must_within "$WAIT" fresh_in "$W/r1" 3
    expect 0 "$DROVER_REPLICA" kept "$W/r1"
    out_has "gone 0, different 0"
    out_has "not among them: 1"
}

# --- unplanned ------------------------------------------------------------------------

# The primary's host dies with changes that never left; the most current replica
# is promoted, the others follow, the old primary returns.
unplanned() {
    table t.tbl
    write fill "$P/t.tbl" 0 200 100
    begin_config
    add_replica r1
    add_replica r2
    start_agent
    must_be r1 streaming
    must_within "$WAIT" fresh_in "$W/r1" 1
    must_be r2 streaming
    expect 0 ctl pause r2
    write flockd-set "$P/t.tbl" k-000003 "only r1 has it"
    expect 0 ctl wait r1 --timeout "${WAIT}s"
    stop_agent KILL
    must_within "$WAIT" no_receiver "$W/r1"
    must_within "$WAIT" no_receiver "$W/r2"
    write flockd-set "$P/t.tbl" lost "never left"
    write flockd-set "$P/t.tbl" k-000001 "changed and never left"
    write flockd-delete "$P/t.tbl" k-000002
    # Which one is the most current is a time to compare.
    expect 0 "$DROVER_REPLICA" status "$W/r1"
    out_has "on the primary's clock"
    expect 0 "$DROVER_REPLICA" promote "$W/r1"
    out_has "before 20"
    out_has "may be changes made after that"
    is "$(epoch_of "$W/r1")" 2 "the epoch"

    begin_config second "$W/r1"
    add_replica r2
    start_agent second
    must_be r2 streaming
    has_value "$W/r2/t.tbl/k-000003.kv" "only r1 has it" || fail "r2 did not catch up with the new primary"
    write flockd-set "$W/r1/t.tbl" k-000004 "of the new term"
    expect 0 ctl wait --timeout "${WAIT}s"
    cp -a "$W/r2" "$W/r2-was"

    # The old one is back: told so by each replica, and nothing of it goes in.
    second=$agent_pid
    start_agent
    expect 0 ctl resume r2 # the pause outlived the agent
    error_is r2 303
    error_is r1 310
    expect 1 ctl status
    out_has DR-303
    out_has DR-310
    out_has "HINT: "
    out_has "drover-replica demote $P"
    out_has "epoch 2"
    is "$(status "$(of r2 state)")" failed "the state"
    write flockd-set "$P/t.tbl" more "of the old primary"
    expect 75 ctl wait --timeout 1s
    equal "$W/r2-was" "$W/r2"
    # Not while its agent runs.
    expect 75 "$DROVER_REPLICA" demote "$P"
    out_has "pid $agent_pid"
    stop_agent
    expect 0 "$DROVER_REPLICA" demote "$P"
    out_has "kept-1"
    # Nothing is known to be lost before the new primary's copy is here.
    expect 69 "$DROVER_REPLICA" kept "$P"
    out_has "not complete"

    agent=second
    agent_pid=$second
    add_primary=$W/second.conf
    conf=$add_primary
    add_replica primary
    expect 0 ctl reload
    must_be primary streaming
    expect 0 ctl wait --timeout "${WAIT}s"
    equal "$W/r1" "$P"
    must_within "$WAIT" fresh_in "$P" 2
    expect 1 "$DROVER_REPLICA" kept "$P"
    out_has "gone .*t lost"
    out_has "gone .*t more"
    out_has "different .*t k-000001"
    out_has "different .*t k-000004"
    out_has "gone 2, different 2"
    out_has "not among them: 1"
    # Nothing that walks the directories takes kept values for tables or keys.
    found=$(find "$P/.drover" -name '*.tbl' -o -name '*.kv')
    is "$found" "" "tables and keys in .drover"
    expect 1 "$DROVER_REPLICA" kept --restore "$W/lost" "$P"
    out_has "4 values, as listed"
    is "$("$DROVER_KV" "$W/lost" get lost --table t)" "never left" "the kept value"
    expect_json 1 "$DROVER_REPLICA" kept --json --restore "$W/again" "$P"
    out_has '"gone":2,"different":2,"added":1}],"complete":true,"removed":false,"restored":4}'
    expect 0 "$DROVER_REPLICA" kept --remove "$P"
    expect 0 "$DROVER_REPLICA" kept "$P"
    out_has "no values are kept"
}

# The new primary had less than a replica that follows it: it goes back, in a new
# epoch, and claims no freshness on the way.
behind() {
    table t.tbl
    write fill "$P/t.tbl" 0 50 100
    begin_config
    add_replica r1
    add_replica r2
    start_agent
    must_be r1 streaming
    must_within "$WAIT" fresh_in "$W/r1" 1
    must_be r2 streaming
    expect 0 ctl pause r1
    must_within "$WAIT" no_receiver "$W/r1"
    write flockd-set "$P/t.tbl" k-000001 "r2 alone has it"
    write flockd-set "$P/t.tbl" extra "r2 alone has it"
    expect 0 ctl wait r2 --timeout "${WAIT}s"
    stop_agent KILL
    expect 0 "$DROVER_REPLICA" promote "$W/r1"
    begin_config second "$W/r1"
    add_replica r2
    start_agent second
    must_be r2 streaming
    expect 0 ctl wait --timeout "${WAIT}s"
    equal "$W/r1" "$W/r2"
    [ ! -e "$W/r2/t.tbl/extra.kv" ] || fail "r2 kept a key that its primary has not"
    must_within "$WAIT" fresh_in "$W/r2" 2
}

# --- against a primary that is still there --------------------------------------------

live_primary() {
    table t.tbl
    write fill "$P/t.tbl" 0 50 100
    begin_config
    add_replica r1
    start_agent
    must_be r1 streaming
    must_within "$WAIT" fresh_in "$W/r1" 1
    expect 75 "$DROVER_REPLICA" promote "$W/r1"
    out_has DR-301
    out_has "promote --force"
    out_has "replica r1"
    proven r1
    is "$(status "$(of r1 attempts)")" 0 "new connections of the agent"
    # It cannot be reached, but its link stands: silent for three heartbeats.
    kill -STOP "$agent_pid"
    expect 0 "$DROVER_REPLICA" promote "$W/r1"
    kill -CONT "$agent_pid"
    error_is r1 310
    expect 1 ctl status
    # It may as well be a wrong directory: nothing that gives one up.
    out_lacks "drover-replica demote"
    out_has "drover-replica status"
    is "$(keys_of "$W/r1")" 50 "the keys of the promoted one"
    # Sets that come after it go nowhere.
    write flockd-set "$P/t.tbl" late "of the old primary"
    expect 75 ctl wait --timeout 1s
    [ ! -e "$W/r1/t.tbl/late.kv" ] || fail "the old primary wrote into the new one"
}

by_force() {
    table t.tbl
    write fill "$P/t.tbl" 0 50 100
    begin_config
    add_replica r1
    add_replica r2
    start_agent
    must_be r1 streaming
    must_within "$WAIT" fresh_in "$W/r1" 1
    must_be r2 streaming
    must_within "$WAIT" fresh_in "$W/r2" 1
    expect 0 "$DROVER_REPLICA" promote --force "$W/r1"
    out_has "epoch 2"
    error_is r1 310
    # A receiver that is stopped does not leave; it is named, and ended by hand.
    pid=$(receivers_of "$W/r2")
    kill -STOP "$pid"
    expect 75 "$DROVER_REPLICA" promote --force "$W/r2"
    out_has "kill -KILL"
    out_has "pid $pid"
    [ -e "$W/r2/.drover/replica" ] || fail "it was promoted beside a receiver"
    kill -KILL "$pid"
    expect 0 "$DROVER_REPLICA" promote --force "$W/r2"
    # Two of one epoch now: a third copy follows the first that comes, and only it.
    stop_agent
    rm "$P"/t.tbl/*.kv
    begin_config second "$W/r1"
    add_replica r3
    start_agent second
    must_be r3 streaming
    expect 0 ctl wait --timeout "${WAIT}s"
    stop_agent
    write flockd-set "$W/r2/t.tbl" mine "of the other one"
    begin_config third "$W/r2"
    add_replica r3
    start_agent third
    error_is r3 309
    equal "$W/r1" "$W/r3"
}

# --- two primaries -----------------------------------------------------------------------

# A copy of the primary with its identity: a disk image, a restored backup.
two_primaries() {
    table t.tbl
    write fill "$P/t.tbl" 0 100 100
    begin_config
    add_replica r1
    start_agent
    must_be r1 streaming
    proven r1
    cp -a "$P" "$W/copy"
    write flockd-set "$P/t.tbl" k-000001 "newer than the copy"
    expect 0 ctl wait --timeout "${WAIT}s"
    first=$agent_pid
    begin_config second "$W/copy"
    add_replica r1
    start_agent second
    error_is r1 309
    expect 1 ctl status
    out_has DR-309
    out_has "promote --epoch 2"
    # Nor when the first is gone: one epoch, one primary.
    second=$agent_pid
    agent=agent
    agent_pid=$first
    stop_agent
    must_within "$WAIT" no_receiver "$W/r1"
    agent=second
    agent_pid=$second
    tries=$(status "$(of r1 attempts)")
    must_within "$WAIT" tried_again "$tries"
    status_is "$(of r1 error.id)" 309 || fail "the copy got in when the first was gone"
    equal "$P" "$W/r1"
    # The copy is the right one: what the message says to type.
    expect 75 "$DROVER_REPLICA" promote --epoch 2 "$W/copy"
    stop_agent
    expect 0 "$DROVER_REPLICA" promote --epoch 2 "$W/copy"
    start_agent second
    must_be r1 streaming
    expect 0 ctl wait --timeout "${WAIT}s"
    equal "$W/copy" "$W/r1"
    stop_agent
    start_agent
    error_is r1 303
    equal "$W/copy" "$W/r1"
}
tried_again() { [ "$(status "$(of r1 attempts)")" -gt "$1" ]; }

# The directory is replaced by a copy under a running agent: it is another
# primary then, also for the agent.
replaced_by_copy() {
    table t.tbl
    write fill "$P/t.tbl" 0 100 100
    begin_config
    add_replica r1
    start_agent
    must_be r1 streaming
    proven r1
    mv "$P" "$W/away"
    must_within "$WAIT" status_is database.state lost
    cp -a "$W/away" "$W/copy"
    rm "$W"/copy/t.tbl/k-00000*.kv
    mv "$W/copy" "$P"
    code=0
    wait "$agent_pid" || code=$?
    is "$code" 1 "the exit status of an agent whose directory is another one"
    start_agent
    error_is r1 309
    equal "$W/away" "$W/r1"
}

# An agent is stopped (a hung host, a suspended machine), another one of the same
# directory takes its place, and then it wakes up.
outlived() {
    table t.tbl
    write fill "$P/t.tbl" 0 100 100
    begin_config
    add_replica r1
    start_agent
    must_be r1 streaming
    first=$agent_pid
    kill -STOP "$first"
    SILENCE=15s begin_config second
    add_replica r1
    start_agent second
    must_be r1 streaming
    write flockd-set "$P/t.tbl" k-000001 "sent by the second"
    expect 0 ctl wait --timeout "${WAIT}s"
    kill -CONT "$first"
    second=$agent_pid
    agent=agent
    agent_pid=$first
    error_is r1 309
    expect 1 ctl status
    out_has "restart it"
    # The second one is not disturbed, and stays when the first keeps trying.
    agent=second
    agent_pid=$second
    write flockd-set "$P/t.tbl" k-000002 "sent by the second, too"
    proven r1
    is "$(status "$(of r1 attempts)")" 0 "new connections of the second agent"
    stop_agent
    agent=agent
    agent_pid=$first
    stop_agent
    start_agent
    must_be r1 streaming
    proven r1
}

# --- roles -----------------------------------------------------------------------------------

roles() {
    table t.tbl
    write fill "$P/t.tbl" 0 20 100
    begin_config
    add_replica r1
    start_agent
    must_be r1 streaming
    must_within "$WAIT" fresh_in "$W/r1" 1
    # A replica is not a primary for anybody.
    code=0
    "$DROVER" init "$W/r1" >"$W/out" 2>&1 || code=$?
    [ $code != 0 ] || fail "a replica was given an id"
    out_has DR-110
    code=0
    timeout "$WAIT" "$DROVER" agent "$W/r1" "$W/r9" >"$W/out" 2>&1 || code=$?
    is $code 78 "the exit status of an agent on a replica"
    out_has DR-110
    [ ! -e "$W/r1/.drover/id" ] || fail "an agent made an id in a replica"
    [ ! -e "$W/r9" ] || fail "an agent fed from a replica"
    # A running agent's database becomes a replica without demote's care.
    cp "$W/r1/.drover/replica" "$P/.drover/replica"
    must_within "$WAIT" status_is database.error.id 110
    write flockd-set "$P/t.tbl" late "of no primary"
    expect 75 ctl wait --timeout 1s
    [ ! -e "$W/r1/t.tbl/late.kv" ] || fail "a replica was replicated"
    rm "$P/.drover/replica"
    must_within "$WAIT" status_is database.state ok
    proven r1
    stop_agent
    # Commands on what is neither, and on nothing.
    mkdir "$W/neither"
    expect 78 "$DROVER_REPLICA" promote "$W/neither"
    expect 78 "$DROVER_REPLICA" demote "$W/neither"
    expect 78 "$DROVER_REPLICA" promote "$W/nothing"
    expect 64 "$DROVER_REPLICA" promote
    expect 64 "$DROVER_REPLICA" promote --epoch 0 "$W/r1"
    expect 64 "$DROVER_REPLICA" demote --keep "$P"
    expect 64 "$DROVER_REPLICA" kept
    # What fresh and status say of a primary.
    expect 0 "$DROVER_REPLICA" promote "$W/r1"
    expect 0 "$DROVER_REPLICA" fresh "$W/r1" --max-age 1s
    out_has "primary"
    expect_json 0 "$DROVER_REPLICA" status --json "$W/r1"
    is "$(out_json role)" primary "the role"
    is "$(out_json epoch)" 2 "the epoch"
}

# Root promotes what belongs to somebody else: it stays his.
owners() {
    [ "$(id -u)" = 0 ] || skip "only root can give files away"
    command -v setpriv >/dev/null || skip "needs setpriv"
    table t.tbl
    write fill "$P/t.tbl" 0 20 100
    begin_config
    add_replica r1
    start_agent
    must_be r1 streaming
    proven r1
    must_within "$WAIT" fresh_in "$W/r1" 1
    stop_agent
    chown -Rh 65534:65534 "$W/r1"
    chmod 755 "$W" "$W/r1" "$W/r1/.drover"
    code=0
    setpriv --reuid 65533 --regid 65533 --clear-groups "$DROVER_REPLICA" promote "$W/r1" >"$W/out" 2>&1 || code=$?
    is $code 77 "the exit status for a stranger"
    out_has "runuser -u"
    expect 0 "$DROVER_REPLICA" promote "$W/r1"
    is "$(find "$W/r1" ! -uid 65534 | head -n 3)" "" "what is not the owner's after promote"
    expect 0 "$DROVER_REPLICA" demote "$W/r1"
    is "$(find "$W/r1" ! -uid 65534 | head -n 3)" "" "what is not the owner's after demote"
    setpriv --reuid 65534 --regid 65534 --clear-groups "$DROVER_REPLICA" promote --force "$W/r1" >"$W/out" 2>&1 ||
        fail "the owner may not promote: $(cat "$W/out")"
}

# --- killed at every step ------------------------------------------------------------------

# killed_at CALL N COMMAND...: true when it was killed at its Nth such call, which
# is not done then.  (The next call's turn is "after it".)
killed_at() {
    inject="inject=$1:signal=KILL:when=$2"
    traced=$1
    shift 2
    code=0
    strace -f -qq -o "$W/strace.out" -e "trace=$traced" -e "$inject" "$@" >"$W/out" 2>&1 || code=$?
    [ $code != 0 ]
}
# at_every_step CHECK FRESH COMMAND: COMMAND DIR is killed at each call of FRESH's
# copy that can change something, and then CHECK is called.
at_every_step() {
    steps=0
    for call in openat rename renameat renameat2 unlink unlinkat fsync syncfs fchmod fchown \
        linkat mkdirat mkdir write flock ftruncate pwrite64; do
        n=1
        while
            rm -rf "$W/one"
            cp -a "$2" "$W/one"
            killed_at $call $n "$DROVER_REPLICA" "$3" "$W/one"
        do
            "$1" "$call $n"
            n=$((n + 1))
            steps=$((steps + 1))
        done
    done
    say "$3: killed at $steps steps"
}
# Whatever was cut off, the directory is one or the other, as each tool sees it.
whole() { # DIR
    "$DROVER_REPLICA" status "$1" >"$W/status.out" 2>&1 || :
    if [ -e "$1/.drover/replica" ]; then
        grep -q '^replica ' "$W/status.out" || fail "status of a replica: $(cat "$W/status.out")"
        code=0
        "$DROVER" init "$1" >"$W/out" 2>&1 || code=$?
        [ $code != 0 ] || fail "an unfinished $2 is a primary for the agent"
    else
        grep -q '^primary ' "$W/status.out" || fail "status of a primary: $(cat "$W/status.out")"
        code=0
        "$DROVER_REPLICA" receive --no-sandbox "$1" </dev/null >"$W/out" 2>&1 || code=$?
        is $code 78 "the exit status of a receiver on a primary"
    fi
}
killed() {
    strace -o /dev/null true 2>/dev/null || skip "strace may not trace here"
    [ -z "${E2E_SANITIZED:-}" ] || skip "the leak checker cannot run under strace"
    table t.tbl
    write fill "$P/t.tbl" 0 5 100
    begin_config
    add_replica r1
    start_agent
    must_be r1 streaming
    proven r1
    must_within "$WAIT" fresh_in "$W/r1" 1
    stop_agent
    equal "$P" "$W/r1"
    cp -a "$P" "$W/original"
    at_every_step finish_promotion "$W/r1" promote
    [ $steps -gt 40 ] || fail "promote has $steps steps"
    at_every_step finish_demotion "$W/original" demote
    [ $steps -gt 40 ] || fail "demote has $steps steps"
}
finish_promotion() {
    whole "$W/one" promotion
    expect 0 "$DROVER_REPLICA" promote "$W/one"
    is "$(epoch_of "$W/one")" 2 "the epoch after a kill at $1"
    is "$(cat "$W/one/.drover/id")" "$(cat "$P/.drover/id")" "the id after a kill at $1"
    is "$(find "$W/one/.drover" -mindepth 1 | sed 's|.*/||' | sort | tr '\n' ' ')" \
        "epoch id lock promoted " "what is left after a kill at $1"
}
finish_demotion() {
    whole "$W/one" demotion
    expect 0 "$DROVER_REPLICA" demote "$W/one"
    expect 69 "$DROVER_REPLICA" kept "$W/one"
    out_has "5 values; now gone 0, different 0"
    equal "$W/original" "$W/one"
    is "$(find "$W/one/.drover" -mindepth 1 -maxdepth 1 | sed 's|.*/||' | sort | tr '\n' ' ')" \
        "kept-1 replica " "what is left after a kill at $1"
}

"$scenario"
