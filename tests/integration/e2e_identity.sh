#!/bin/sh
# SPDX-License-Identifier: MIT
#
# e2e_identity.sh: which directory is it that a replica's link leads to?  One that
# was complete and is empty now, one under two names, a copy of another replica,
# the database itself or a place in it: nothing is written there, the operator is
# told in words, and the log has few lines.  See e2e_lib.sh.
# shellcheck disable=SC2034 # e2e_lib.sh uses variables, too
. "$(dirname "$0")/e2e_lib.sh"

error_is() { status_is "$(of "$1" error.id)" "$2"; }
# refused NAME NUMBER WORDS: it is failed with that number, and says these words.
refused() {
    must_within "$WAIT" error_is "$1" "$2"
    must_be "$1" failed # the reason is there before, while it is asked to leave
    expect 1 ctl status
    text=$(status "$(of "$1" error.text)")
    case $text in *"$3"*) ;; *) fail "\"$3\" is not in: $text" ;; esac
}
# Lines of the log that tell of this replica.
told() { grep -c "replica=$1\b" "$W/agent.log" || :; }
# quiet NAME...: few lines, and a few more per failed try (one comes each second).
quiet() {
    for r in "$@"; do
        lines=$(told "$r")
        tries=$(grep "replica=$r\b" "$W/agent.log" | grep -cE 'link_down|connect_failed' || :)
        [ "$lines" -le $((25 + 5 * tries)) ] || fail "$lines lines about $r in the log"
    done
}
is_empty() { [ -z "$(ls -A "$1")" ]; }
# add_at NAME DIR: a replica in that directory; the configuration does not tell
# that it is one of this host, where the same would be a mistake of a line.
add_at() {
    printf "[replica %s]\\ncommand = sh -c 'exec \"%s\" receive \"%s\"'\\n" "$1" "$DROVER_REPLICA" "$2" >>"$conf"
}

begin() {
    table a.tbl
    table a.tbl/b.tbl
    "$DROVER_KV" "$P" set --table a one 1
    "$DROVER_KV" "$P" set --table a.tbl/b two 2
    "$DROVER_KV" "$P" set --table a three 3
    begin_config
}

# A heartbeat has found it complete, and the agent remembers that.
known_whole() {
    must_within "$WAIT" grep -q " complete .* $1\$" "$W/state-agent/replicas"
}

blank() {
    begin
    add_replica r
    start_agent
    proven r
    known_whole r
    # Its disk is not mounted any more.
    mv "$W/r" "$W/away"
    mkdir "$W/r"
    refused r 320 "r had 3 keys and is empty now: is its disk mounted?"
    out_has "drover resync --anew r"
    is_empty "$W/r" || fail "something was written under the mount point"
    # Nor is the directory itself made, where the disk is one above it.
    rmdir "$W/r"
    expect 0 ctl reload
    refused r 320 "does not exist"
    [ ! -e "$W/r" ] || fail "the directory was made"
    # A restart forgets nothing.
    stop_agent
    mkdir "$W/r"
    start_agent
    refused r 320 "r had 3 keys and is empty now"
    is_empty "$W/r" || fail "something was written under the mount point"
    # The disk is back: it goes on by itself.
    rmdir "$W/r"
    mv "$W/away" "$W/r"
    "$DROVER_KV" "$P" set --table a four 4
    proven r
    quiet r
}

anew() {
    begin
    add_replica r
    start_agent
    proven r
    known_whole r
    mv "$W/r" "$W/away"
    mkdir "$W/r"
    refused r 320 "empty now"
    expect 64 ctl resync --anew
    expect 64 ctl resync --anew --dry-run r
    expect 64 ctl resync --anew other
    expect 0 ctl resync --anew r
    proven r
    known_whole r
    expect 0 ctl status
    # The old one is a stranger now.
    mv "$W/r" "$W/new"
    mv "$W/away" "$W/r"
    refused r 321 "another directory is there now"
    # An agent with a new state directory takes what is there.
    stop_agent
    rm -rf "$W/state-agent"
    start_agent
    proven r
    quiet r
}

# A replica of an earlier version has no id: it gets one.
earlier() {
    begin
    add_replica r
    start_agent
    proven r
    known_whole r
    stop_agent
    id=$(grep '^self ' "$W/r/.drover/replica")
    sed -i '/^self /d' "$W/r/.drover/replica"
    start_agent
    proven r
    is "$(grep '^self ' "$W/r/.drover/replica")" "$id" "the id"
    stop_agent
    rm -rf "$W/state-agent"
    sed -i '/^self /d' "$W/r/.drover/replica"
    start_agent
    proven r
    grep -q '^self ' "$W/r/.drover/replica" || fail "it has no id"
}

twice() {
    begin
    add_replica r
    start_agent
    proven r
    add_at s "$W/r"
    expect 0 ctl reload
    refused s 322 "s leads to the directory of r"
    state_is r streaming || fail "r is disturbed"
    "$DROVER_KV" "$P" set --table a four 4
    expect 0 ctl wait r --timeout "${WAIT}s"
    same r || fail "r differs"
    # One of them is stopped: the other does not slip in.
    expect 0 ctl pause r
    expect 0 ctl reload
    refused s 322 "s leads to the directory of r"
    expect 0 ctl resume r
    must_be r streaming
    quiet r s
    # Under its new name alone it is the same directory.
    sed -i '/^\[replica r\]/,/^command/d' "$conf"
    expect 0 ctl reload
    must_be s streaming
    expect 0 ctl status
}

clone() {
    begin
    add_replica r
    start_agent
    proven r
    cp -a "$W/r" "$W/s"
    add_replica s
    expect 0 ctl reload
    refused s 322 "or to a copy of it"
    state_is r streaming || fail "r is disturbed"
    expect 0 ctl resync --anew s
    proven r s
    expect 0 ctl status
    quiet r s
}

# add_at NAME DIR: a replica in that directory.
# The database's files, to see that nothing was added to it.
files_of() { (cd "$1" && find . | sort); }

# The database itself, places in it, one around it, and one around another: the
# others go on.
nested() {
    begin
    mkdir "$P/plain"
    mkdir -p "$W/around/in" "$W/beside"
    expect 0 "$DROVER" init "$W/around/in"
    add_replica r
    add_at self "$P"
    add_at slash "$P/"
    ln -s "$P" "$W/link"
    add_at link "$W/link"
    add_at plain "$P/plain"
    add_at table "$P/a.tbl"
    add_at missing "$P/copy"
    add_at meta "$P/.drover"
    add_at above "$W"
    add_at around "$W/around"
    add_at within "$W/r/a.tbl"
    start_agent
    proven r
    files_of "$P" >"$W/before"
    for name in self slash link; do
        refused "$name" 323 "is the very database that is sent"
    done
    for name in plain table missing meta; do
        refused "$name" 323 "lies inside the database $P"
    done
    expect 0 ctl reload # a first try may have come before the replica was there
    refused within 323 "lies inside the database $W/r"
    for name in above around; do
        refused "$name" 323 "contains another database"
    done
    expect 1 ctl status
    out_lacks demote
    files_of "$P" >"$W/after"
    cmp -s "$W/before" "$W/after" || fail "files were made: $(diff "$W/before" "$W/after")"
    [ ! -e "$W/.drover" ] || fail "something was written around the database"
    [ ! -e "$W/around/.drover" ] || fail "something was written around a database"
    [ ! -e "$W/r/a.tbl/.drover" ] || fail "something was written in the replica"
    "$DROVER_KV" "$P" set --table a four 4
    expect 0 ctl wait r --timeout "${WAIT}s"
    same r || fail "r differs"
    quiet self slash link plain table missing meta above around within
}

# A directory with a .drover of its own is another database: there from the
# beginning, or made while the agent runs.
below() {
    begin
    mkdir -p "$P/plain/x.tbl" "$P/t.tbl/y.tbl"
    echo 1 >"$P/plain/x.tbl/k.kv"
    echo 1 >"$P/t.tbl/y.tbl/k.kv"
    expect 0 "$DROVER" init "$P/plain"
    expect 0 "$DROVER" init "$P/t.tbl"
    add_replica r
    start_agent
    expect 0 ctl wait --timeout "${WAIT}s"
    expect 0 ctl status
    [ ! -e "$W/r/plain" ] || fail "another database was entered"
    [ ! -e "$W/r/t.tbl" ] || fail "another database was taken for a table"
    is "$("$DROVER_KV" "$P" tables | sort | tr '\n' ' ')" "'' a a.tbl/b " "the list"
    expect 65 "$DROVER_KV" "$P" get --table plain/x k
    expect 65 "$DROVER_KV" "$P" set --table plain/x k 2
    expect 65 "$DROVER_KV" "$P" set --table plain/new k 2
    [ ! -e "$P/plain/new.tbl" ] || fail "a table was made in another database"
    # What changes in there is nobody's here.
    echo 2 >"$P/plain/x.tbl/k.kv"
    mkdir -p "$P/plain/late.tbl"
    echo 3 >"$P/plain/late.tbl/k.kv"
    # One that was a part of it until now: said, and not deleted.
    mkdir "$P/u.tbl"
    echo 1 >"$P/u.tbl/k.kv"
    expect 0 ctl wait --timeout "${WAIT}s"
    has_value "$W/r/u.tbl/k.kv" 1 || fail "u is not there"
    mkdir "$P/u.tbl/.drover"
    must_within "$WAIT" unhealthy
    "$DROVER_KV" "$P" set --table a four 4
    must_within "$WAIT" has_value "$W/r/a.tbl/four.kv" 4
    has_value "$W/r/u.tbl/k.kv" 1 || fail "u was deleted"
    [ ! -e "$W/r/plain" ] || fail "another database was entered"
    rmdir "$P/u.tbl/.drover"
    ctl resync >"$W/out" 2>&1 || :
    must_within "$WAIT" healthy
}
healthy() { ctl status; }
unhealthy() { ! ctl status; }

"$scenario"
