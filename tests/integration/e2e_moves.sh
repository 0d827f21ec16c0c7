# SPDX-License-Identifier: MIT
#
# e2e_moves.sh: tables that are moved, swapped, and moved out and in, while the
# rest of the database goes on: only what moved is looked at.
# shellcheck disable=SC2034,SC2154 # e2e_lib.sh sets and uses variables, too
. "$(dirname "$0")/e2e_lib.sh"

scans() { grep -c 'event=scan ' "$W/agent.log" || :; }
no_scan_since() { is "$(scans)" "$1" "the number of scans of everything"; }

# The others: 20,000 keys that nobody moves.
big_database() {
    DATABASE_EXTRA='max-delete = 100%' # a quarter goes at once
    for t in 0 1 2 3; do
        table "big$t.tbl"
        write fill "$P/big$t.tbl" 0 "${KEYS:-5000}" 40
    done
    table w.tbl
    mkdir "$W/away"
    begin_config
    add_replica r1
    add_replica r2
    start_agent
    must_be r1 streaming
    must_be r2 streaming
    proven r1 r2
}
start_mover() {
    "$E2E_BIN/e2e_mover" "$@" >"$W/swaps" 2>"$W/mover.err" &
    mover=$!
    must_within "$WAIT" test -s "$W/swaps"
}
stop_mover() {
    kill -TERM $mover
    wait $mover || fail "the mover: $(cat "$W/mover.err")"
}
swapped() { wc -l <"$W/swaps"; }
swapped_since() { [ "$(swapped)" -gt "$1" ]; }
freshness() { stat -c %.9Y "$W/$1/.drover/freshness"; }
is_fresh() { awk -v a="$(freshness "$1")" -v b="$2" 'BEGIN { exit !(a > b) }'; }

# While a program swaps, `wait` ends again and again and covers what was written
# before it, freshness goes on, and nobody scans.
goes_on() { # KIND KEYS PAUSE_US
    say "swaps: $*"
    before=$(scans)
    start_mover "$1" "$P" "$W/away" t "$2" "$3"
    for n in 1 2 3; do
        write flockd-set "$P/w.tbl" live "$1 $n"
        now=$(date +%s.%N)
        swaps=$(swapped)
        expect 0 ctl wait --timeout "${WAIT}s"
        has_value "$W/r1/w.tbl/live.kv" "$1 $n" || fail "wait ended too early"
        has_value "$W/r2/w.tbl/live.kv" "$1 $n" || fail "wait ended too early"
        must_within "$WAIT" is_fresh r1 "$now"
        must_within "$WAIT" swapped_since "$swaps"
    done
    stop_mover
    say "$(swapped) swaps"
    converged r1 r2
    [ "${4:-}" = scans ] || no_scan_since "$before"
    proven r1 r2
}

# The new table is built beside the old one and takes its place: in the usual
# rhythm, and as fast as can be, which is faster than a look at it.
steady() {
    big_database
    goes_on rename 200 300000
    goes_on exchange 200 300000
    goes_on rename 100 0
    goes_on exchange 100 0
    is "$(status database.overflows)" 0 overflows
}

# It is built outside, and the old one is moved there.
outside() {
    big_database
    goes_on outside 200 300000
    goes_on outside 100 0
    # One that was never looked at since the start, and is not small.
    before=$(scans)
    mv "$P/big3.tbl" "$W/away/big3"
    converged r1 r2
    [ ! -e "$W/r1/big3.tbl" ] || fail "a table that was moved out is still there"
    mv "$W/away/big3" "$P/big3.tbl"
    mv "$P/w.tbl" "$P/w.bak"
    converged r1 r2
    mv "$P/w.bak" "$P/w.tbl"
    proven r1 r2
    no_scan_since "$before"
}

# Many at once, by one move of what they are in and by one each.
together() {
    for d in 0 1 2 3 4 5 6 7; do
        for t in 0 1 2 3 4 5 6; do
            table "many/$d/$t.tbl/in.tbl"
            write fill "$P/many/$d/$t.tbl" 0 5 40
            write fill "$P/many/$d/$t.tbl/in.tbl" 0 5 40
        done
    done
    KEYS=250 big_database
    before=$(scans)
    mv "$P/many" "$P/others"
    converged r1 r2
    kill -STOP "$agent_pid"
    for d in "$P"/others/*; do
        for t in "$d"/*.tbl; do mv "$t" "${t%.tbl}-moved.tbl"; done
    done
    kill -CONT "$agent_pid"
    converged r1 r2
    mv "$P/others" "$W/away/others"
    converged r1 r2
    [ ! -e "$W/r1/others" ] || fail "what was moved out is still there"
    mv "$W/away/others" "$P/big0.tbl/back"
    converged r1 r2
    no_scan_since "$before"
    proven r1 r2
}

# Moves under the hands of the first scan, which tells nobody what it puts into
# the index, and of those that follow.
while_scanning() {
    KEYS=2000 big_database
    stop_agent
    rm -f "$W/state-agent/index"
    start_mover rename "$P" "$W/away" big1 400 500000
    for n in 1 2; do
        start_agent
        must_be r1 streaming
        for k in 1 2; do
            write flockd-set "$P/w.tbl" live "$n $k"
            expect 0 ctl wait --timeout "${WAIT}s"
            has_value "$W/r1/w.tbl/live.kv" "$n $k" || fail "wait ended too early"
            expect 0 ctl resync
        done
        stop_agent
        rm -f "$W/state-agent/index"
    done
    start_agent
    must_be r1 streaming
    stop_mover
    converged r1 r2
    proven r1 r2
}

# Any move, nested and half seen, beside writers: what is left is equal.
at_random() {
    seed=${E2E_SEED:-$(od -An -N4 -tu4 /dev/urandom | tr -d ' ')}
    say "seed $seed"
    DATABASE_EXTRA='max-delete = 100%' # most of it goes at times
    mkdir "$W/away"
    # Where files are and no key is left, status warns (DR-112).
    write flockd-set "$P" stays v
    begin_config
    add_replica r1
    add_replica r2
    start_agent
    must_be r1 streaming
    for n in 1 2 3 4 5 6; do
        "$E2E_BIN/e2e_mover" random "$P" "$W/away" $((seed + n)) $((n * 100)) || fail "mover"
        converged r1 r2
    done
    proven r1 r2
    say "scans: $(scans)"
}

"$scenario"
