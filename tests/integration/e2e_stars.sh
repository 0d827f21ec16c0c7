# SPDX-License-Identifier: MIT
#
# e2e_stars.sh: flockd's temporary of a key with '*' has a key's name.  While its
# writer lives it is no change; a real key of such a name always arrives.
# shellcheck disable=SC2034,SC2154 # e2e_lib.sh sets and uses variables, too
. "$(dirname "$0")/e2e_lib.sh"

# A writer in the middle of a set of key $1, whose temporary has the digits $2.
hold() {
    rm -f "$W/ready"
    "$E2E_BIN/e2e_writer" hold-temp "$T" "$1" "$2" "$W/ready" "$3" &
    holder=$!
    must_within "$WAIT" test -e "$W/ready"
}
finish() {
    kill "$holder"
    wait "$holder" || fail "the writer failed"
}
begin() {
    T=$P/t.tbl
    table t.tbl
    write flockd-set "$T" 'a*b' "one"
    write flockd-set "$T" other 1
    begin_config
    add_replica r1
    add_replica r2
    start_agent
    must_be r1 streaming
    must_be r2 streaming
    converged r1 r2
}
# The temporary $1 is no trouble and no change, whatever is asked.
nothing_of() {
    must_within "$WAIT" status_is 'unborn[side=primary].key' "$1"
    expect 0 ctl status
    out_has "writing  *t/$1 .*on primary: pid $holder"
    out_lacks blocked
    is "$(status blocked_count)" 0 "the blocked keys"
    is "$(status healthy)" true healthy
    is "$(status "$(of r1 lag_s)")" 0.0 "the lag"
    is "$(status "$(of r1 pending_keys)")" 0 "what is pending"
    expect 0 ctl wait --timeout "${WAIT}s"
    expect 0 ctl verify --content
    [ ! -e "$W/r1/t.tbl/$1.kv" ] || fail "$1 was replicated"
}

# Of a key that is there, and of one that is new; status, wait and verify say
# that all is well, other keys flow, and the rename is the key's change.
held() {
    begin
    for i in 1 2 3; do
        case $i in
        1) key='a*b' digits=77 ;;
        2) key='new*' digits=1234567890 ;;
        3) key='*' digits=123456789 ;;
        esac
        temp=$(printf %s "$key" | sed "s/\*/$digits/")
        hold "$key" "$digits" "value $i"
        nothing_of "$temp"
        write flockd-set "$T" other "beside $i"
        must_within "$WAIT" has_value "$W/r1/t.tbl/other.kv" "beside $i"
        nothing_of "$temp"
        finish
        converged r1 r2
        is "$(cat "$W/r2/t.tbl/$key.kv")" "value $i" "the replica's $key"
        [ ! -e "$W/r1/t.tbl/$temp.kv" ] || fail "$temp was replicated"
        must_within "$WAIT" status_is 'unborn' '[]'
    done
    proven r1 r2
}

# Nothing tells what a killed writer leaves from a key: replicas show what the
# primary's readers see, and the sweep names it, with what to type.
killed() {
    begin
    hold 'a*b' 1234567 "the other half"
    nothing_of a1234567b
    kill -KILL "$holder"
    wait "$holder" 2>/dev/null || :
    must_within "$WAIT" has_value "$W/r1/t.tbl/a1234567b.kv" "the oth"
    proven r1 r2
    expect 0 "$DROVER_KV" "$P" sweep
    is "$(grep -c . "$W/out")" 1 "the number of suspects"
    out_has "^a1234567b: .* 'a\*b' .*"
    [ -e "$T/a1234567b.kv" ] || fail "the sweep removed it"
    sed -n 's/.*: drover-kv /"$DROVER_KV" /p' "$W/out" >"$W/typed"
    expect 0 sh "$W/typed"
    [ ! -e "$T/a1234567b.kv" ] || fail "what it says to type does not delete it"
    expect 0 "$DROVER_KV" "$P" sweep
    is "$(cat "$W/out")" "" "what is left"
    proven r1 r2
    [ ! -e "$W/r1/t.tbl/a1234567b.kv" ] || fail "the replica still has it"

    # An agent that was away meets it in its scan.
    stop_agent
    hold 'a*b' 7654321 "the other half"
    kill -KILL "$holder"
    wait "$holder" 2>/dev/null || :
    start_agent
    proven r1 r2
    is "$(cat "$W/r1/t.tbl/a7654321b.kv")" "the oth" "the key a7654321b"
}

# Keys of such names, by every kind of writer, beside a held temporary; live and
# found by a scan.
real_keys() {
    begin
    hold 'a*b' 99 "held"
    n=10
    for kind in flockd-set flockd-create in-place trunc rename link tmpfile mmap; do
        n=$((n + 1))
        write $kind "$T" "a${n}b" "by $kind"
        must_within "$WAIT" has_value "$W/r1/t.tbl/a${n}b.kv" "by $kind"
        (umask 077 && write $kind "$T" "a12345${n}b" "mine by $kind")
        must_within "$WAIT" has_value "$W/r1/t.tbl/a12345${n}b.kv" "mine by $kind"
    done
    (umask 077 && cp "$T/a11b.kv" "$T/a4294967295b.kv")
    must_within "$WAIT" has_value "$W/r1/t.tbl/a4294967295b.kv" "by flockd-set"
    mv "$T/a11b.kv" "$T/a999999999b.kv"
    must_within "$WAIT" has_value "$W/r1/t.tbl/a999999999b.kv" "by flockd-set"
    must_within "$WAIT" test ! -e "$W/r1/t.tbl/a11b.kv"
    # By its own lock: it was committed and is being written again.
    rm -f "$W/ready2"
    "$E2E_BIN/e2e_writer" hold-exclusive "$T/a12b.kv" "$W/ready2" "in place" &
    second=$!
    must_within "$WAIT" test -e "$W/ready2"
    must_within "$WAIT" status_is 'blocked[side=primary].key' a12b
    kill "$second"
    wait "$second"
    must_within "$WAIT" has_value "$W/r1/t.tbl/a12b.kv" "in place"
    finish
    proven r1 r2

    stop_agent
    for kind in flockd-set flockd-create in-place trunc rename link tmpfile mmap; do
        n=$((n + 1))
        write $kind "$T" "a${n}b" "while away by $kind"
        (umask 077 && write $kind "$T" "a12345${n}b" "mine by $kind")
    done
    start_agent
    proven r1 r2
    is "$(keys_of "$W/r1")" "$(keys_of "$P")" "the number of keys"
    is "$(cat "$W/r1/t.tbl/a${n}b.kv")" "while away by mmap" "the last key"
}

# libdrover's own writers beside a live agent: nothing of theirs looks like a key.
kv() {
    begin
    i=0
    while [ $i -lt 100 ]; do
        i=$((i + 1))
        "$DROVER_KV" "$P" set --table t 'a*b' "value $i" || fail set
        "$DROVER_KV" "$P" set --table t '*' "value $i" || fail set
    done
    "$DROVER_KV" "$P" create --table t 'new*1' "new" || fail create
    head -c 3000000 /dev/zero | "$DROVER_KV" "$P" set --table t 'big*' || fail "set big"
    proven r1 r2
    is "$(find "$W/r1/t.tbl" -type f | wc -l)" 5 "the number of files on the replica"
    expect 0 "$DROVER_KV" "$P" sweep
    is "$(cat "$W/out")" "" "the suspects"
}

"$scenario"
