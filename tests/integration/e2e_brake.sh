# SPDX-License-Identifier: MIT
#
# e2e_brake.sh: what the brake counts.  Tables that are built beside the one
# they replace, or are thrown away again, are nobody's loss; established keys
# are, however many young ones come along.  (What it holds and lets through:
# e2e_guard.sh.)
# shellcheck disable=SC2034,SC2154 # e2e_lib.sh sets and uses variables, too
. "$(dirname "$0")/e2e_lib.sh"

with_500_keys() {
    table t.tbl
    write fill "$P/t.tbl" 0 500 100
    begin_config
    add_replica r1
    start_agent
    must_be r1 streaming
    proven r1
}
# build NAME FIRST NUMBER: a table beside the others, which the replica sees grow.
build() {
    table "$1"
    write fill "$P/$1" "$2" "$3" 100
    expect 0 ctl wait --timeout "${WAIT}s"
}
# take_place NEW: of t.tbl, which is removed.
take_place() {
    must_be r1 streaming
    mv "$P/t.tbl" "$P/t.old.tbl"
    mv "$P/$1" "$P/t.tbl"
    rm -r "$P/t.old.tbl"
}
# (For a moment the live table has no name, and the brake may go on.)
held_nothing() {
    must_be r1 streaming
    proven r1
    must_be r1 streaming
}

# A table of 500 is replaced again and again by one that was built beside it,
# with the same keys and with others; once two builds go on at a time.
build_tables() {
    with_500_keys
    build t.new.tbl 0 500
    take_place t.new.tbl
    held_nothing
    build t.new.tbl 500 500 # other keys
    take_place t.new.tbl
    held_nothing
    build one.tbl 0 800 # larger
    build two.tbl 300 900
    take_place one.tbl
    take_place two.tbl
    held_nothing
    is "$(keys_of "$W/r1")" 900 "the keys of the replica"
}

# The build is found bad and thrown away: the live table stays as it was.
discarded() {
    with_500_keys
    for n in 1000 2500 400; do
        build t.new.tbl 0 $n
        rm -r "$P/t.new.tbl"
        held_nothing
        build u.new.tbl 5000 $n
        mv "$P/u.new.tbl" "$W/away" # in one step
        held_nothing
        rm -r "$W/away"
    done
    write fill "$P/t.tbl" 500 600 100 # temporary keys of the live table
    proven r1
    rm "$P"/t.tbl/k-0005* "$P"/t.tbl/k-0006* "$P"/t.tbl/k-0007* "$P"/t.tbl/k-0008*
    held_nothing
}

# The same in one step, there and back.
exchanged() {
    with_500_keys
    for from in 0 500 200; do
        build t.new.tbl $from 500
        write exchange-dirs "$P" t.tbl t.new.tbl
        proven r1
        rm -r "$P/t.new.tbl"
        held_nothing
    done
}

# Established keys go while others come: in the same table, and in another.
while_others_come() {
    with_500_keys
    table u.tbl
    write fill "$P/u.tbl" 0 2500 100
    proven r1
    write fill "$P/t.tbl" 500 1000 100
    rm "$P"/t.tbl/k-0000* "$P"/t.tbl/k-0001* "$P"/t.tbl/k-0002*
    must_be r1 held
    kept=$(find "$W/r1/t.tbl" -name 'k-000[0-2]*.kv' | wc -l)
    [ "$kept" -ge 200 ] || fail "only $kept of 300 established keys are left"
    write flockd-set "$P/u.tbl" live flows
    must_within "$WAIT" has_value "$W/r1/u.tbl/live.kv" flows
}

streams() { ctl approve r1 >"$W/out" 2>&1 || :; state_is r1 streaming; }
approve_all() {
    must_within "$WAIT" streams
    proven r1
}
# An established table that is renamed is gone for who looks for it; so is one
# whose successor is nearly empty.
renamed_away() {
    with_500_keys
    mv "$P/t.tbl" "$P/u.tbl"
    must_be r1 held
    must_within "$WAIT" test -e "$W/r1/u.tbl/k-000499.kv"
    is "$(find "$W/r1/t.tbl" -name '*.kv' | wc -l)" 500 "the keys under the old name"
    mv "$P/u.tbl" "$P/t.tbl" # back, and nobody has relied on u
    held_nothing
    build t.new.tbl 0 3
    mv "$P/t.tbl" "$W/away"
    mv "$P/t.new.tbl" "$P/t.tbl"
    must_be r1 held
    is "$(find "$W/r1/t.tbl" -name '*.kv' | wc -l)" 500 "the keys of the replaced table"
}

# A restart makes everything established that is there.
after_a_restart() {
    with_500_keys
    build t.new.tbl 0 500
    stop_agent
    start_agent
    must_be r1 streaming
    rm -r "$P/t.new.tbl"
    must_be r1 held
    approve_all
}

"$scenario"
