# SPDX-License-Identifier: MIT
#
# e2e_faults.sh: links are cut, processes killed and stopped, locks held.
# shellcheck disable=SC2034,SC2154 # e2e_lib.sh sets and uses variables, too
. "$(dirname "$0")/e2e_lib.sh"

seed() { echo "${E2E_SEED:-$(od -An -N4 -tu4 /dev/urandom | tr -d ' ')}"; }

start_reader() { # NAME
    mkdir -p "$W/$1"
    "$E2E_BIN/e2e_reader" "$W/$1" >"$W/$1.out" 2>"$W/$1.err" &
    reader=$!
}
stop_reader() { # NAME
    kill "$reader"
    wait "$reader" || fail "a reader on $1: $(cat "$W/$1.out")"
    say "$1: $(cat "$W/$1.out")"
}
start_churn() { # RATE
    "$E2E_BIN/e2e_writer" churn "$P" "$(seed)" 0 "$1" >"$W/churn.out" 2>"$W/churn.err" &
    churn=$!
}
stop_churn() {
    kill "$churn"
    wait "$churn" || fail "the writer: $(cat "$W/churn.err")"
    say "$(cat "$W/churn.out")"
}
acked() { status "$(of "$1" acked_changes)"; }
acked_more() { [ "$(acked "$1")" -gt "$2" ]; }

# --- links ----------------------------------------------------------------------------

# Cut in mid-stream, again and again: by the network, or by killing the other end.
link_cut() {
    begin_config
    add_replica r1
    start_agent
    start_reader r1
    must_be r1 streaming
    start_churn 400
    for round in 1 2 3; do
        must_within "$WAIT" acked_more r1 100
        write big "$P" large 40000000 $round
        if [ "$link" = ssh ] && [ $round -lt 3 ]; then
            lab cut
            must_be r1 retrying
            [ "$(status "$(of r1 error.id)")" -gt 200 ] || fail "no reason is shown"
            lab restore
        else
            for pid in $(receivers_of "$W/r1"); do kill -KILL "$pid"; done
        fi
        must_be r1 streaming
    done
    stop_churn
    converged r1
    stop_reader r1
    proven r1
    is "$(find "$W/r1" -name '.drover-tmp.*' | wc -l)" 0 "what cut values left behind"
}

# Killed with no chance to say goodbye, in the middle of its work.
agent_killed() {
    begin_config
    add_replica r1
    add_replica r2
    start_agent
    start_reader r1
    start_churn 400
    for round in 1 2 3; do
        must_be r1 streaming
        acked=$(acked r1)
        must_within "$WAIT" acked_more r1 "$((acked + 50))"
        stop_agent KILL
        start_agent
    done
    stop_churn
    converged r1 r2
    stop_reader r1
    proven r1 r2
}

# The power goes: what was written last is not there any more (old files come
# back, new ones are gone), though the replica has it.  It follows, and tells.
power_lost() {
    table t.tbl
    table u.tbl
    write fill "$P/t.tbl" 0 40 100
    begin_config
    add_replica r1
    start_agent
    must_be r1 streaming
    proven r1
    is "$(status "$(of r1 undone)")" null "what was undone at first"
    cp -a "$P" "$W/disk" # what is on the disk
    for k in 1 2 3 4 5 6; do
        printf 'newer %s' $k >"$W/value" && mv "$W/value" "$P/t.tbl/k-00000$k.kv"
        printf 'lost %s' $k >"$W/value" && mv "$W/value" "$P/u.tbl/lost-$k.kv"
    done
    converged r1
    stop_agent KILL

    # Killed, and no more: nothing is undone, whatever changes meanwhile.
    rm "$P/t.tbl/k-000039.kv"
    start_agent
    must_be r1 streaming
    converged r1
    is "$(status "$(of r1 undone)")" null "what was undone after a kill"
    stop_agent KILL
    rm "$W/disk/t.tbl/k-000039.kv"

    # Another boot.
    sed -i 's/^boot [0-9a-f]*/boot 00000000000000000000000000000001/' "$W/state-agent/running"
    rm -r "$P"/*.tbl
    cp -a "$W/disk/"*.tbl "$P"
    start_agent
    must_be r1 streaming
    converged r1
    is "$(status "$(of r1 undone.extra)")" 6 "the keys that were removed"
    is "$(status "$(of r1 undone.different)")" 6 "the keys that were replaced"
    is "$(status "warnings[0].id")" 403 "the warning"
    expect 1 ctl status
    out_has "replica r1 was ahead: 6 keys removed there"
    out_has "drover-replica undone list $W/r1"
    expect 0 "$DROVER_REPLICA" undone list "$W/r1"
    is "$(wc -l <"$W/out")" 12 "the number of values kept"
    out_has u/lost-6
    expect 0 "$DROVER_REPLICA" undone restore "$W/r1" "$W/back"
    for k in 1 2 3 4 5 6; do
        has_value "$W/back/t.tbl/k-00000$k.kv" "newer $k" || fail "newer $k is not there"
        has_value "$W/back/u.tbl/lost-$k.kv" "lost $k" || fail "lost $k is not there"
    done
    # It says so from its first word on freshness on.
    must_within "$WAIT" "$DROVER_REPLICA" status "$W/r1" >/dev/null
    expect 0 "$DROVER_REPLICA" status "$W/r1"
    out_has "undone *12 values"

    # Seen; what comes later is new.
    expect 0 ctl reload
    is "$(status "$(of r1 undone)")" null "what was undone, after a reload"
    stop_agent
    rm "$P/t.tbl/k-000020.kv"
    start_agent
    must_be r1 streaming
    converged r1
    is "$(status "$(of r1 undone)")" null "what was undone after an orderly stop"
    expect 0 "$DROVER_REPLICA" undone list "$W/r1"
    is "$(wc -l <"$W/out")" 12 "the number of values kept in the end"
}

# Nothing changed: a restart moves no values, and reads none again.
unchanged_restart() {
    table t.tbl
    write fill "$P/t.tbl" 0 1000 2000
    begin_config
    add_replica r1
    start_agent
    must_be r1 streaming
    # A file as young as the clock's step may change unseen; so it is read again.
    must_within "$WAIT" older_than "$P/t.tbl" 3
    must_within "$WAIT" older_than "$W/r1/t.tbl" 3
    expect 0 ctl resync
    proven r1
    for how in TERM KILL; do
        stop_agent $how
        rm -f "$W/ready"
        "$E2E_BIN/e2e_opens" "$P/t.tbl" "$W/ready" >"$W/opened" &
        opens=$!
        "$E2E_BIN/e2e_opens" "$W/r1/t.tbl" "$W/ready2" >"$W/opened2" &
        opens2=$!
        must_within "$WAIT" test -e "$W/ready"
        must_within "$WAIT" test -e "$W/ready2"
        [ $how = KILL ] || write rename "$P/t.tbl" k-000500 "the only change"
        start_agent
        must_be r1 streaming
        expect 0 ctl wait --timeout "${WAIT}s"
        kill $opens $opens2
        wait $opens || fail e2e_opens
        wait $opens2 || fail e2e_opens
        sent=$(status "$(of r1 sent_bytes)")
        say "after $how: $sent bytes sent, $(wc -l <"$W/opened") keys opened here, $(wc -l <"$W/opened2") there"
        [ "$sent" -lt 50000 ] || fail "$sent bytes were sent"
        if [ $how = TERM ]; then
            is "$(sort -u "$W/opened")" k-000500.kv "what was read again"
            is "$(sort -u "$W/opened2")" k-000500.kv "what was opened on the replica"
        fi
        converged r1
    done
    expect 0 ctl verify --content
}
older_than() { [ $(($(date +%s) - $(find "$1" -type f -printf '%C@\n' | sort -n | tail -n 1 | cut -d. -f1))) -gt "$2" ]; }

# The kernel's queue overflows while the agent cannot read it.
overflow() {
    queue=$(cat /proc/sys/fs/inotify/max_queued_events)
    [ "$queue" -le 100000 ] || skip "fs.inotify.max_queued_events is $queue"
    table a.tbl
    table b.tbl
    write fill "$P/a.tbl" 0 1000 100
    write fill "$P/b.tbl" 0 200 100 # the brake lets so many be renamed
    begin_config
    add_replica r1
    start_agent
    must_be r1 streaming
    converged r1
    kill -STOP "$agent_pid"
    write many "$P/a.tbl" $((queue / 4 + 500)) 900 200
    rm "$P"/b.tbl/k-0000*.kv
    table c.tbl/d.tbl
    write fill "$P/c.tbl/d.tbl" 0 50 100
    mv "$P/b.tbl" "$P/e.tbl"
    kill -CONT "$agent_pid"
    converged r1
    [ "$(status database.overflows)" -ge 1 ] || fail "no overflow was counted"
    write flockd-set "$P/c.tbl/d.tbl" live "and watched again"
    proven r1
}

# A receiver that does nothing holds up neither status nor the other replica.
stopped_receiver() {
    SILENCE=10s # on a slow machine, too, what comes before is done by then
    table t.tbl
    begin_config
    add_replica r1
    add_replica r2
    start_agent
    must_be r1 streaming
    must_be r2 streaming
    stopped=$(receivers_of "$W/r1")
    for pid in $stopped; do kill -STOP "$pid"; done
    write fill "$P/t.tbl" 0 500 4000
    converged r2
    for i in 1 2 3 4 5; do
        timeout 2 "$DROVER" --socket "$W/agent.sock" status >"$W/out" || [ $? = 1 ] ||
            fail "status does not answer at once"
    done
    [ "$(keys_of "$W/r1")" -lt 500 ] || fail "the stopped receiver worked"
    expect 75 ctl wait r1 --timeout 500ms
    out_has r1
    # Silence gives the link up; the newcomer cannot take the replica from a
    # process that does not run.
    must_be r1 retrying
    timeout 2 "$DROVER" --socket "$W/agent.sock" status >"$W/out" || [ $? = 1 ] ||
        fail "status does not answer at once"
    for pid in $stopped; do kill -CONT "$pid"; done
    must_be r1 streaming
    proven r1 r2
}

# Send buffers of a few KiB and a new key exchange every 64 KiB, both ways.
small_buffers() {
    need_lab --rekey 64K --option "ClientAliveInterval 1"
    table t.tbl
    write fill "$P/t.tbl" 0 500 3000
    begin_config
    REPLICA_EXTRA='sndbuf = 8K
rcvbuf = 8K' add_replica r1
    start_agent
    must_be r1 streaming
    start_reader r1
    start_churn 300
    write big "$P" large 8000000 1
    # The other way: names that differ are sent back.
    expect 0 ctl wait --timeout "${WAIT}s"
    rm "$W/r1"/t.tbl/k-0001*.kv
    expect 1 ctl verify --content
    out_has "100 missing"
    expect 0 ctl resync
    stop_churn
    converged r1
    stop_reader r1
    proven r1
    is "$(status "$(of r1 attempts)")" 0 "the number of new connections"
}

# --- locks -----------------------------------------------------------------------------

blocked() { status "blocked[side=$1].$2"; }
blocked_is() { [ "$(blocked "$1" "$2")" = "$3" ]; }

# A writer holds a key's exclusive lock in the middle of a value.
lock_on_primary() {
    table t.tbl
    write flockd-set "$P/t.tbl" held "the first value"
    write flockd-set "$P/t.tbl" other "1"
    begin_config
    add_replica r1
    add_replica r2
    start_agent
    must_be r1 streaming
    converged r1 r2
    "$E2E_BIN/e2e_writer" hold-exclusive "$P/t.tbl/held.kv" "$W/ready" "the second value, longer" &
    holder=$!
    must_within "$WAIT" test -e "$W/ready"
    for i in 2 3 4; do
        write flockd-set "$P/t.tbl" other $i
        must_within "$WAIT" has_value "$W/r1/t.tbl/other.kv" $i
        must_within "$WAIT" has_value "$W/r2/t.tbl/other.kv" $i
    done
    must_within "$WAIT" blocked_is primary pid "$holder"
    is "$(blocked primary key)" held "the blocked key"
    is "$(blocked primary table)" t "its table"
    expect 75 ctl wait --timeout 300ms
    expect 0 ctl status
    out_has "blocked  *t/held .*pid $holder"
    is "$(cat "$W/r1/t.tbl/held.kv")" "the first value" "the replica's value"
    kill "$holder"
    wait "$holder"
    converged r1 r2
    is "$(cat "$W/r1/t.tbl/held.kv")" "the second value, longer" "the replica's value"
    proven r1 r2
    must_within "$WAIT" status_is blocked_count 0
}

# A key that stays locked holds up nothing else: neither an agent that starts,
# nor a new replica's first copy, nor a comparison.
lock_at_start() {
    table t.tbl
    write fill "$P/t.tbl" 0 100 100
    write flockd-set "$P/t.tbl" held "the first value"
    "$E2E_BIN/e2e_writer" hold-exclusive "$P/t.tbl/held.kv" "$W/ready" "the second value, longer" &
    holder=$!
    must_within "$WAIT" test -e "$W/ready"
    begin_config
    add_replica r1
    start_agent
    must_within "$WAIT" test -e "$W/r1/t.tbl/k-000099.kv"
    write flockd-delete "$P/t.tbl" k-000007
    must_within "$WAIT" test ! -e "$W/r1/t.tbl/k-000007.kv"
    rm "$W/r1/t.tbl/k-000008.kv"
    expect 1 ctl verify --content
    out_has "1 missing, 0 extra, 0 different"
    out_has "; 1 not compared"
    out_has "DR-107.* table t key held is locked .*pid $holder"
    expect 1 ctl resync
    out_has DR-107
    must_within "$WAIT" test -e "$W/r1/t.tbl/k-000008.kv"
    expect 75 ctl wait --timeout 300ms
    [ ! -e "$W/r1/t.tbl/held.kv" ] || fail "a value was read while a writer held its lock"
    is "$(status 'replicas[name=r1].equal_as_of')" null "equal as of"
    kill "$holder"
    wait "$holder"
    converged r1
    proven r1
    is "$(cat "$W/r1/t.tbl/held.kv")" "the second value, longer" "the replica's value"
}

# A reader on a replica keeps its share lock.
lock_on_replica() {
    table t.tbl
    write flockd-set "$P/t.tbl" held "the first value"
    begin_config
    add_replica r1 --lock-timeout 300ms
    add_replica r2
    start_agent
    must_be r1 streaming
    converged r1 r2
    "$E2E_BIN/e2e_writer" hold-shared "$W/r1/t.tbl/held.kv" "$W/ready" &
    holder=$!
    must_within "$WAIT" test -e "$W/ready"
    write flockd-set "$P/t.tbl" held "the second value"
    write flockd-set "$P/t.tbl" other "flows"
    must_within "$WAIT" has_value "$W/r1/t.tbl/other.kv" flows
    must_within "$WAIT" has_value "$W/r2/t.tbl/held.kv" "the second value"
    must_within "$WAIT" blocked_is replica pid "$holder"
    is "$(blocked replica key)" held "the blocked key"
    is "$(blocked replica replica)" r1 "where it is blocked"
    expect 75 ctl wait r1 --timeout 300ms
    # What waits is not thrown away, nor is the newest value missed.
    write flockd-set "$P/t.tbl" held "the third value"
    write flockd-delete "$P/t.tbl" other
    must_within "$WAIT" test ! -e "$W/r1/t.tbl/other.kv"
    is "$(cat "$W/r1/t.tbl/held.kv")" "the first value" "the locked value"
    kill "$holder"
    wait "$holder"
    converged r1 r2
    proven r1 r2
}

# The same with the policy that does not wait: the reader keeps the old value,
# whole, and new readers see the new one.
lock_replaced() {
    table t.tbl
    write flockd-set "$P/t.tbl" held "the first value"
    begin_config
    add_replica r1 --lock-timeout 300ms --on-lock-timeout replace
    start_agent
    must_be r1 streaming
    converged r1
    "$E2E_BIN/e2e_writer" hold-shared "$W/r1/t.tbl/held.kv" "$W/ready" &
    holder=$!
    must_within "$WAIT" test -e "$W/ready"
    exec 9<"$W/r1/t.tbl/held.kv"
    write flockd-set "$P/t.tbl" held "the second value"
    converged r1
    is "$(cat <&9)" "the first value" "what the reader still sees"
    is "$(cat "$W/r1/t.tbl/held.kv")" "the second value" "what a new reader sees"
    must_within "$WAIT" status_is "$(of r1 replaced)" 1
    kill "$holder"
    wait "$holder"
    proven r1
}

"$scenario"
