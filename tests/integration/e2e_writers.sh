# SPDX-License-Identifier: MIT
#
# e2e_writers.sh: however a program changes a key, the change arrives.
# shellcheck disable=SC2034,SC2154 # e2e_lib.sh sets and uses variables, too
. "$(dirname "$0")/e2e_lib.sh"

arrives() { # KEY VALUE [HOW]
    must_within "$WAIT" has_value "$W/r1/t.tbl/$1.kv" "$2"
}
goes() { must_within "$WAIT" test ! -e "$W/r1/t.tbl/$1.kv"; }

# Each kind of writer alone, so that none hides behind another's event; rescans
# are off.
every_kind() {
    T=$P/t.tbl
    table t.tbl
    begin_config
    add_replica r1
    start_agent
    must_be r1 streaming

    for kind in flockd-create in-place trunc rename link tmpfile flockd-set mmap; do
        write $kind "$T" "new-$kind" "new by $kind"
        arrives "new-$kind" "new by $kind"
    done
    for kind in flockd-set flockd-update in-place trunc rename mmap; do
        write flockd-set "$T" "old-$kind" "a first value that is longer than the next"
        arrives "old-$kind" "a first value that is longer than the next"
        write $kind "$T" "old-$kind" "then by $kind"
        arrives "old-$kind" "then by $kind"
    done
    converged r1

    write flockd-set "$T" left "left"
    write flockd-set "$T" right "right"
    converged r1
    write exchange "$T" left right
    arrives left right
    arrives right left

    write away "$T" left
    goes left
    write delete "$T" right
    goes right
    write flockd-set "$T" third "third"
    converged r1
    write flockd-delete "$T" third
    goes third
    proven r1
    is "$(status database.overflows)" 0 overflows
}

# An empty value that a writer committed arrives; a placeholder of a lock that
# nobody fills is the same to flockd's readers, and arrives after it settled.
empty_values() {
    T=$P/t.tbl
    table t.tbl
    begin_config
    add_replica r1
    start_agent
    must_be r1 streaming
    write flockd-set "$T" empty-set ""
    write rename "$T" empty-renamed ""
    write flockd-create "$T" empty-created ""
    write flockd-set "$T" emptied "something"
    converged r1
    write flockd-set "$T" emptied ""
    write ghost "$T" ghost
    proven r1
    is "$(find "$W/r1/t.tbl" -name '*.kv' -empty | wc -l)" 5 "the number of empty values"
}

# Changes that raise no event at all are found by the next rescan.
silent_writers() {
    T=$P/t.tbl
    table t.tbl
    mkdir "$W/elsewhere"
    for key in cut linked mapped; do
        write flockd-set "$T" $key "0123456789"
    done
    ln "$T/linked.kv" "$W/elsewhere/other-name"
    RESCAN=1s begin_config
    add_replica r1
    start_agent
    must_be r1 streaming
    converged r1
    write truncate "$T" cut 4
    arrives cut 0123
    write linked "$W/elsewhere/other-name" "by another name"
    arrives linked "by another name"
    "$E2E_BIN/e2e_writer" map "$T" mapped "stored in memory" "$W/mapped" &
    mapper=$!
    must_within "$WAIT" test -e "$W/mapped"
    arrives mapped "stored in memory"
    kill "$mapper"
    wait "$mapper"
    proven r1
}

# What changes no key: metadata, temporaries, files and folders of others.
no_change() {
    T=$P/t.tbl
    table t.tbl
    write big "$T" a 300000 1
    begin_config
    add_replica r1
    start_agent
    must_be r1 streaming
    converged r1
    before=$(stat -c '%i %Z' "$W/r1/t.tbl/a.kv")
    sent=$(status "$(of r1 sent_bytes)")
    write touch "$T" a
    : >"$T/a.kv1234567"
    : >"$T/no-key"
    mkdir "$T/plain"
    proven r1
    is "$(stat -c '%i %Z' "$W/r1/t.tbl/a.kv")" "$before" "the replica's file"
    sent=$(($(status "$(of r1 sent_bytes)") - sent))
    [ "$sent" -lt 100000 ] || fail "$sent bytes were sent"
    is "$(find "$W/r1/t.tbl" -mindepth 1 | wc -l)" 1 "the number of files in the replica's table"
}

# flockd creates a key empty, and gives up when that file's lock is busy: the
# agent's looks and scans must not be what makes it busy.
creates() {
    table t.tbl
    begin_config
    add_replica r1
    start_agent
    must_be r1 streaming
    "$E2E_BIN/e2e_writer" creates "$P/t.tbl" 4000 50 >"$W/creates.log" 2>&1 &
    writer=$!
    while kill -0 "$writer" 2>/dev/null; do
        ctl verify --content >"$W/out" 2>&1 || [ $? = 1 ] || fail "verify"
    done
    wait "$writer" || fail "the agent's lock was in the way: $(cat "$W/creates.log")"
    proven r1
}

# Local applications read on all replicas while everything changes: every value
# is whole, none goes back, none goes missing.
readers() {
    seed=${E2E_SEED:-$(od -An -N4 -tu4 /dev/urandom | tr -d ' ')}
    begin_config
    add_replica r1
    add_replica r2
    start_agent
    mkdir -p "$W/r1" "$W/r2"
    for r in r1 r2; do
        "$E2E_BIN/e2e_reader" "$W/$r" >"$W/$r.out" 2>"$W/$r.err" &
        eval "reader_$r=$!"
    done
    "$E2E_BIN/e2e_writer" churn "$P" "$seed" 4000 800 >&2 || fail "churn"
    converged r1 r2
    for r in r1 r2; do
        eval "pid=\$reader_$r"
        kill "$pid"
        wait "$pid" || fail "a reader on $r: $(cat "$W/$r.out")"
        say "$r: $(cat "$W/$r.out")"
        grep -q '^[1-9][0-9][0-9]' "$W/$r.out" || fail "it did not read"
    done
    proven r1 r2
}

"$scenario"
