#!/bin/sh
# SPDX-License-Identifier: MIT
#
# e2e_resources.sh SCENARIO LINK: limits that are hit, much at once, and much
# over a long time.  Each has a short form for CI and takes numbers from the
# environment for a long one; tests/soak/run.sh sets them.  "figures:" lines say
# what was measured.
. "$(dirname "$0")/e2e_lib.sh"

LONG=${DROVER_LONG:-}

figures() { printf 'figures: %s: %s\n' "$scenario" "$*"; }

# --- one process --------------------------------------------------------------------

rss_kib() { awk '/^VmRSS/ { print $2 }' "/proc/$1/status"; }
peak_kib() { awk '/^VmHWM/ { print $2 }' "/proc/$1/status"; }
threads() { awk '/^Threads/ { print $2 }' "/proc/$1/status"; }
# Only root may look into the agent.
descriptors() { find "/proc/$1/fd" -mindepth 1 2>/dev/null | wc -l; }
cpu_ticks() { sed 's/.*) //' "/proc/$1/stat" | awk '{ print $12 + $13 }'; }
the_receiver() {
    set -- "$(receivers_of "$W/$1" | head -n 1)"
    [ -n "$1" ] || fail "no receiver is live"
    echo "$1"
}
# Its end may be a second old before the status says so.
has_receiver() { [ -n "$(receivers_of "$W/$1")" ]; }
state_of_processes() {
    printf 'agent %s KiB, %s descriptors, %s threads' "$(rss_kib "$agent_pid")" \
        "$(descriptors "$agent_pid")" "$(threads "$agent_pid")"
    for r in "$@"; do
        p=$(the_receiver "$r")
        printf '; %s %s KiB, %s descriptors, %s threads' "$r" "$(rss_kib "$p")" \
            "$(descriptors "$p")" "$(threads "$p")"
    done
}
# A process that spins takes most of a second of each second.
is_calm() {
    before=$(cpu_ticks "$1")
    sleep 3 # what is measured is what it does in this time
    after=$(cpu_ticks "$1")
    [ $((after - before)) -lt 150 ] || fail "$2 spins: $((after - before)) ticks in 3 s"
}

# --- inotify's limits -----------------------------------------------------------------

# Again in a user namespace, where they can be set without touching the host's.
in_a_namespace() {
    [ -z "${E2E_NAMESPACE:-}" ] || return 0
    unshare -Ur true 2>/dev/null || skip "no user namespaces here"
    code=0
    E2E_NAMESPACE=1 unshare -Ur sh "$0" "$scenario" "$link" || code=$?
    exit $code
}
limit() { echo "$2" >"/proc/sys/user/max_inotify_$1"; }

# inotify_limited WATCHES INSTANCES NUMBER SYSCTL
inotify_limited() {
    in_a_namespace
    if ! limit watches "$1" 2>/dev/null || ! limit instances "$2" 2>/dev/null; then
        skip "the limits cannot be set here"
    fi
    RESCAN=1h begin_config
    add_replica r
    i=0
    while [ $i -lt 40 ]; do
        table "t$i.tbl"
        write rename "$P/t$i.tbl" k "$i"
        i=$((i + 1))
    done
    start_agent
    # Told in words, with what to type, in the log and in the status.
    must_within "$WAIT" grep -q "$3" "$W/agent.log"
    ctl status >"$W/out" 2>&1 || :
    out_has "$3"
    out_has "$4"
    expect_json 1 ctl status --json
    [ "$(out_json warnings[0].id)" = "${3#DR-}" ] || fail "no warning $3 in the status"
    # Slower, but true: without a call for anything.
    must_within "$WAIT" same r
    write rename "$P/t39.tbl" k changed
    write delete "$P/t38.tbl" k
    table late.tbl
    write rename "$P/late.tbl" k new
    must_within "$WAIT" same r
    is_calm "$agent_pid" "the agent without watches"
    proven r
    # Raised, and all is well again by itself.
    limit watches 100000
    limit instances 100
    must_within "$WAIT" status_is warnings "[]"
    must_be r streaming
    write rename "$P/t39.tbl" k again
    proven r
    expect 0 ctl status
    stop_agent
}
watch_limit() { inotify_limited 5 100 DR-101 fs.inotify.max_user_watches; }
instance_limit() { inotify_limited 1000 0 DR-102 fs.inotify.max_user_instances; }

# --- descriptors ---------------------------------------------------------------------

# soft_limit PID N; the hard one stays, so that it can be raised again.
soft_limit() { prlimit --pid "$1" "--nofile=$2:" || skip "prlimit does not work here"; }

new_tables() {
    i=0
    while [ $i -lt 30 ]; do
        table "$1$i.tbl"
        write rename "$P/$1$i.tbl" k "$i"
        i=$((i + 1))
    done
}

# The agent can open nothing more: no key, no connection, no child.
agent_descriptors() {
    command -v prlimit >/dev/null || skip "needs prlimit"
    RESCAN=2s begin_config
    add_replica r
    new_tables a
    start_agent
    must_be r streaming
    proven r
    soft_limit "$agent_pid" 8
    new_tables b
    # Told that it is busy or not at all; it does not hang, nor does the agent.
    for _ in 1 2 3; do timeout 20 "$DROVER" --socket "$W/agent.sock" version >/dev/null 2>&1 || :; done
    receiver=$(the_receiver r)
    kill -KILL "$receiver"
    is_calm "$agent_pid" "the agent without descriptors"
    kill -0 "$agent_pid" || fail "the agent ended"
    write rename "$P/a1.tbl" k "written meanwhile"
    soft_limit "$agent_pid" 1024
    must_within "$WAIT" answers
    must_be r streaming
    proven r
    expect 0 ctl status
    stop_agent
}

# The receiver can open nothing more.
receiver_descriptors() {
    command -v prlimit >/dev/null || skip "needs prlimit"
    begin_config
    add_replica r
    new_tables a
    start_agent
    must_be r streaming
    proven r
    receiver=$(the_receiver r)
    soft_limit "$receiver" 5
    new_tables b
    write fill "$P/a0.tbl" 0 500 100
    is_calm "$agent_pid" "the agent"
    [ ! -d "/proc/$receiver" ] || is_calm "$receiver" "the receiver without descriptors"
    # The same process, if it is still there; a new one has its own limit.
    [ ! -d "/proc/$receiver" ] || soft_limit "$receiver" 1024 || :
    must_be r streaming
    proven r
    stop_agent
}

# --- much --------------------------------------------------------------------------------

# A replica is away while a few keys change very often.
replica_down() {
    keys=${DROVER_KEYS:-2000} changes=${DROVER_CHANGES:-20000}
    RESCAN=0 begin_config
    add_replica gone
    add_replica there
    table t.tbl
    write fill "$P/t.tbl" 0 "$keys" 100
    start_agent
    must_be gone streaming
    must_be there streaming
    converged gone there
    expect 0 ctl pause gone
    before=$(status "$(of gone acked_changes)")
    # Once through all keys, then the others: memory must not grow with these.
    write many "$P/t.tbl" "$keys" "$keys" 100
    expect 0 ctl wait there --timeout "${WAIT}s"
    rss=$(rss_kib "$agent_pid")
    began=$(date +%s)
    write many "$P/t.tbl" "$changes" "$keys" 100
    expect 0 ctl wait there --timeout "$((WAIT * 10))s"
    ended=$(date +%s)
    grown=$(($(rss_kib "$agent_pid") - rss))
    expect 0 ctl resume gone
    converged gone there
    sent=$(($(status "$(of gone acked_changes)") - before))
    figures "$changes changes of $keys keys in $((ended - began)) s; the agent had $rss KiB after" \
        "one round, $grown KiB more at the end; catching up took $sent changes"
    [ $grown -lt 20000 ] || [ -n "${E2E_SANITIZED:-}" ] || fail "the agent grew by $grown KiB"
    [ $sent -ge "$keys" ] || fail "$sent changes cannot have brought $keys keys up to date"
    # The comparison with which a session begins may send a key once more, while
    # the log's change of it is still on its way; never once per change.
    [ $sent -le $((2 * keys + keys / 10)) ] || fail "$sent changes were sent for $keys keys"
    stop_agent
}

# Many tables, with one key each.
many_tables() {
    count=${DROVER_TABLES:-1000}
    RESCAN=0 begin_config
    add_replica r
    i=0
    while [ $i -lt "$count" ]; do
        echo "$P/t$i.tbl"
        i=$((i + 1))
    done | xargs mkdir
    for t in "$P"/t*.tbl; do echo "$t" >"$t/k.kv"; done
    began=$(date +%s)
    start_agent
    must_within $((WAIT * 10)) state_is r streaming
    expect 0 ctl wait --timeout "$((WAIT * 10))s"
    ended=$(date +%s)
    same r || fail "r differs: $(head -n 5 "$W/tree")"
    [ "$(status database.tables)" -ge "$count" ] || fail "not all tables are known"
    write rename "$P/t7.tbl" k changed
    converged r
    figures "$count tables: $((ended - began)) s to the first copy; $(state_of_processes r);" \
        "peak $(peak_kib "$agent_pid") and $(peak_kib "$(the_receiver r)") KiB"
    stop_agent
}

# Many keys: the first copy, a restart of both, a verify.
many_keys() {
    count=${DROVER_KEYS:-5000}
    RESCAN=0 begin_config
    add_replica r
    table t.tbl
    write fill "$P/t.tbl" 0 "$count" 100
    began=$(date +%s)
    start_agent
    must_within $((WAIT * 30)) state_is r streaming
    expect 0 ctl wait --timeout "$((WAIT * 30))s"
    copied=$(($(date +%s) - began))
    same r || fail "r differs: $(head -n 5 "$W/tree")"
    peaks="$(peak_kib "$agent_pid") and $(peak_kib "$(the_receiver r)") KiB"
    processes=$(state_of_processes r)
    stop_agent
    began=$(date +%s)
    start_agent
    must_within $((WAIT * 30)) state_is r streaming
    expect 0 ctl wait --timeout "$((WAIT * 30))s"
    again=$(($(date +%s) - began))
    [ "$(status "$(of r acked_changes)")" -le $((count / 100)) ] || fail "a restart sends what is there"
    began=$(date +%s)
    expect 0 ctl verify
    verified=$(($(date +%s) - began))
    figures "$count keys: first copy $copied s; restart to streaming $again s; verify $verified s;" \
        "$processes; peak $peaks; after the restart: $(state_of_processes r)"
    stop_agent
}

# Changes of every kind, reconnects and commands without end.
soak() {
    seconds=${DROVER_SECONDS:-20}
    RESCAN=5s begin_config
    add_replica r1
    add_replica r2
    table t.tbl
    write fill "$P/t.tbl" 0 2000 300
    start_agent
    must_be r1 streaming
    must_be r2 streaming
    converged r1 r2
    "$E2E_BIN/e2e_writer" churn "$P" "${E2E_SEED:-1}" 1000000000 400 >"$W/churn.log" 2>&1 &
    churn=$!
    began=$(date +%s) round=0
    at_start=''
    while [ $(($(date +%s) - began)) -lt "$seconds" ]; do
        round=$((round + 1))
        if [ $((round % 3)) = 0 ]; then
            must_within "$WAIT" has_receiver r1
            kill -KILL "$(the_receiver r1)"
        fi
        [ $((round % 7)) != 0 ] || { ctl pause r2 && ctl resume r2; } >/dev/null
        ctl status --json >/dev/null || :
        timeout 60 "$DROVER" --socket "$W/agent.sock" wait r2 --timeout 50s >/dev/null 2>&1 || :
        must_be r1 streaming
        # The start is when everything has happened once.
        [ $round != 8 ] || at_start=$(descriptors "$agent_pid"),$(threads "$agent_pid"),$(rss_kib "$agent_pid")
        [ $round != 8 ] || figures "at the start: $(state_of_processes r1 r2)"
    done
    kill "$churn"
    wait "$churn" || :
    proven r1 r2
    figures "after $round rounds in $(($(date +%s) - began)) s: $(state_of_processes r1 r2)"
    [ -n "$at_start" ] || { say "too slow here to have a start"; stop_agent; return; }
    end_fds=$(descriptors "$agent_pid")
    start_fds=${at_start%%,*}
    start_rss=${at_start##*,}
    # A scan or a client may be under way at either time.
    [ "$end_fds" -le $((start_fds + 20)) ] || fail "descriptors: $start_fds, then $end_fds"
    is "$(threads "$agent_pid")" "$(echo "$at_start" | cut -d, -f2)" "the number of threads"
    [ "$(rss_kib "$agent_pid")" -le $((start_rss * 3 / 2 + 8000)) ] || [ -n "${E2E_SANITIZED:-}" ] ||
        fail "the agent's memory: $start_rss KiB, then $(rss_kib "$agent_pid") KiB"
    stop_agent
}

[ -z "$LONG" ] || WAIT=$((WAIT * 5))
case $scenario in
watch_limit | instance_limit | agent_descriptors | receiver_descriptors | replica_down | many_tables | many_keys | soak)
    $scenario
    ;;
*) fail "no scenario $scenario" ;;
esac
