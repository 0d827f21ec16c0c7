# SPDX-License-Identifier: MIT
#
# e2e_ignored.sh: what lies in a database and is neither key nor table is said:
# counted, with an example; and a warning where programs on the primary read
# what no replica has.
# shellcheck disable=SC2034,SC2154 # e2e_lib.sh sets and uses variables, too
. "$(dirname "$0")/e2e_lib.sh"

begin() {
    begin_config
    add_replica r1
    start_agent
    must_be r1 streaming
    converged r1
}
status_says() { ctl status >"$W/out" 2>&1; grep -q -- "$1" "$W/out"; }
# Status warns of DR-112, and so does verify, which compares what there is.
warns() {
    must_within "$WAIT" status_says "DR-112.*$1"
    is "$(status healthy)" false "healthy beside $1"
    expect 1 ctl status
    out_has "ignored .*$1"
    expect 1 ctl verify
    out_has "DR-112.*$1"
}
well() {
    must_within "$WAIT" status_is healthy true
    expect 0 ctl status
    out_lacks DR-112
}

# Each of these is seen by flockd, and comes and goes under the running agent.
links() {
    table t.tbl
    write flockd-set "$P/t.tbl" k v
    mkdir "$W/elsewhere.tbl"
    write flockd-set "$W/elsewhere.tbl" far away
    echo "not a key" >"$P/t.tbl/notes.txt"
    mkfifo "$P/t.tbl/pipe.kv"
    mkdir "$P/t.tbl/dir.kv"
    begin
    well
    out_has "ignored  3, such as .*t.tbl/"
    is "$(status database.ignored)" 3 "the number of files that are ignored"
    ln -s "$W/elsewhere.tbl/far.kv" "$P/t.tbl/link.kv"
    warns t.tbl/link.kv
    ln -s "$W/elsewhere.tbl" "$P/link.tbl"
    rm "$P/t.tbl/link.kv"
    warns link.tbl
    rm "$P/link.tbl"
    well
    # A table's place.
    mv "$P/t.tbl" "$W/was.tbl"
    ln -s "$W/was.tbl" "$P/t.tbl"
    must_within "$WAIT" status_is 'warnings[id=108].id' 108
    expect 1 ctl status
    out_has "DR-108 something else is in a table's place"
    warns t.tbl
    rm "$P/t.tbl"
    mv "$W/was.tbl" "$P/t.tbl"
    well
    proven r1
}

# What was moved away and linked back to its place is not gone: whenever it is
# looked at, over restarts, and with no memory of it.
aside() { # PATH: the agent has seen the move before the link is there
    mkdir -p "$W/aside"
    mv "$P/$1" "$W/aside/$(basename "$1")"
    moved=$((${moved:-0} + 1))
    write flockd-set "$P/u.tbl" marker "$moved"
    must_within "$WAIT" has_value "$W/r1/u.tbl/marker.kv" "$moved"
    ln -s "$W/aside/$(basename "$1")" "$P/$1"
}
back() {
    rm "$P/$1"
    mv "$W/aside/$(basename "$1")" "$P/$1"
}
all_there() {
    is "$(keys_of "$W/r1")" "$keys" "the number of keys on the replica, $1"
}
# The number is said, and no hint speaks of approving.
said() {
    for id in "$@"; do
        must_within "$WAIT" status_is "warnings[id=$id].id" "$id"
    done
    expect 1 ctl status
    out_lacks "approve"
    all_there "$*"
}
relinked() {
    for t in t a/b u big; do table "$t.tbl"; done
    for t in t a/b u; do write fill "$P/$t.tbl" 0 5 40; done
    write fill "$P/big.tbl" 0 300 40
    write flockd-set "$P" one value
    write flockd-set "$P/u.tbl" marker 0
    begin_config
    # Long enough for a slow machine between the two system calls.
    sed -i 's/^settle = .*/settle = 5s/' "$conf"
    add_replica r1
    start_agent
    must_be r1 streaming
    converged r1
    keys=$(keys_of "$W/r1")
    aside t.tbl
    said 108
    back t.tbl
    well
    aside one.kv
    said 112
    aside a
    aside big.tbl
    said 108
    # Sets elsewhere flow, and a restart remembers.
    keys=$((keys + 1))
    for how in TERM KILL blank; do
        stop_agent "$(echo "$how" | sed s/blank/TERM/)"
        [ "$how" != blank ] || rm -f "$W/state-agent/index"
        start_agent
        must_within "$WAIT" status_is 'warnings[id=112].id' 112
        write flockd-set "$P/u.tbl" after "$how"
        must_within "$WAIT" has_value "$W/r1/u.tbl/after.kv" "$how"
        expect 1 ctl verify
        expect 1 ctl status
        out_has "DR-108"
        out_lacks "approve"
        all_there "after $how"
    done
    # Not even approved is it deleted.
    code=0
    ctl approve r1 >"$W/out" 2>&1 || code=$?
    expect 1 ctl verify
    all_there "when it was approved"
    for at in one.kv a big.tbl; do back "$at"; done
    # What verify found is repaired a minute later, or by what its hint names.
    expect 0 ctl resync r1
    well
    proven r1
    # And what was only moved away goes.
    mv "$P/t.tbl" "$P/one.kv" "$W/aside"
    proven r1
    [ ! -e "$W/r1/t.tbl" ] && [ ! -e "$W/r1/one.kv" ] || fail "what was moved away stays"
}

# Other files than flockd's, and no key: not a copy of it.
foreign() {
    mkdir -p "$P/users"
    for i in 1 2 3 4 5 6; do
        echo "{}" >"$P/users/$i.json"
    done
    begin
    warns users/
    out_has "none of the 6 files"
    write flockd-set "$P" key 1
    well
    is "$(status database.ignored)" 6 "the number of files that are ignored"
}

"$scenario"
