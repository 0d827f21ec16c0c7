# SPDX-License-Identifier: MIT
#
# e2e_delete.sh: every way to make a table or the root look empty.  Each must
# delete nothing on the replica, and status must say what is wrong and what to
# type.  (The root moved, replaced or unmounted: e2e_guard.sh.)
# shellcheck disable=SC2034,SC2154 # e2e_lib.sh sets and uses variables, too
. "$(dirname "$0")/e2e_lib.sh"

# Below the brake's bounds, so that nothing but evidence holds a delete back.
small_database() {
    table t.tbl
    table u.tbl
    write fill "$P/t.tbl" 0 40 100
    write fill "$P/u.tbl" 0 40 100
    begin_config
    add_replica r1
    start_agent
    must_be r1 streaming
    proven r1
}
needs_mount() {
    [ "$(id -u)" = 0 ] || skip "only root may mount"
    mkdir "$W/empty"
    mount --bind "$W/empty" "$P" 2>"$W/mount.err" || skip "cannot mount: $(cat "$W/mount.err")"
    umount "$P"
}
# Give deletes every chance: a scan, a comparison, and a start from nothing.
tempt() {
    code=0
    timeout 10 "$DROVER" --socket "$W/agent.sock" resync >"$W/out" 2>&1 || code=$?
    [ $code != 0 ] || fail "a resync says that all is well while $1"
    stop_agent
    [ "${2:-}" != "fresh" ] || rm -f "$W/state-agent/index"
    start_agent
    code=0
    timeout 10 "$DROVER" --socket "$W/agent.sock" resync >"$W/out" 2>&1 || code=$?
    [ $code != 0 ] || fail "after a restart a resync says that all is well while $1"
}
keeps_80() { is "$(keys_of "$W/r1")" 80 "the replica's keys while $1"; }
warns() {
    must_within "$WAIT" status_is "warnings[id=$1].id" "$1"
    expect 1 ctl status
    out_has "DR-$1"
    out_has HINT
}
# All is well again, and what changes flows.
well_again() {
    expect 0 ctl resync
    must_be r1 streaming
    write flockd-set "$P/t.tbl" after "$1"
    proven r1
    write flockd-delete "$P/t.tbl" after
    proven r1
    keeps_80 "$1"
}

# A mount of the same filesystem hides a table: no event tells, and the device
# is the same.
bind_over_table() {
    needs_mount
    small_database
    mkdir "$W/other"
    write fill "$W/other" 100 3 100
    mount --bind "$W/other" "$P/t.tbl"
    tempt "a table is mounted over"
    warns 108
    out_has 't'
    keeps_80 "a table is mounted over"
    [ ! -e "$W/r1/t.tbl/k-000100.kv" ] || fail "a key of another directory was copied"
    tempt "a table is mounted over" fresh
    keeps_80 "a table is mounted over and nothing is remembered"
    # Other tables flow.
    write flockd-set "$P/u.tbl" live flows
    must_within "$WAIT" has_value "$W/r1/u.tbl/live.kv" flows
    write flockd-delete "$P/u.tbl" live
    umount "$P/t.tbl"
    must_within "$WAIT" status_is healthy true
    well_again "unmounted again"
    # The same with another filesystem.
    mount -t tmpfs -o size=1m none "$P/t.tbl"
    tempt "a table is mounted over by tmpfs" fresh
    warns 108
    keeps_80 "a table is mounted over by tmpfs"
    umount "$P/t.tbl"
    must_within "$WAIT" status_is healthy true
    well_again "tmpfs unmounted"
}

# The same for the root: a directory of the same filesystem, empty.
bind_over_root() {
    needs_mount
    small_database
    mount --bind "$W/empty" "$P"
    must_within "$WAIT" status_is database.state lost
    is "$(status database.error.id)" 104 "the reason"
    expect 75 ctl wait --timeout 1s
    keeps_80 "the root is mounted over"
    stop_agent
    start_agent
    must_within "$WAIT" status_is database.state lost
    expect 1 ctl status
    out_has findmnt
    expect 75 ctl wait --timeout 1s
    keeps_80 "the root is mounted over at the start"
    umount "$P"
    must_within "$WAIT" status_is database.state ok
    well_again "unmounted again"
}

# Something else in a table's place, put there before the agent could look.  (A
# table that was seen to be gone, if only for a moment, is gone.)
symlink_for_table() {
    small_database
    mkdir "$W/target"
    kill -STOP "$agent_pid"
    mv "$P/t.tbl" "$W/away"
    ln -s "$W/target" "$P/t.tbl"
    kill -CONT "$agent_pid"
    tempt "a link is in a table's place"
    warns 108
    keeps_80 "a link is in a table's place"
    tempt "a link is in a table's place" fresh
    keeps_80 "a link is in a table's place and nothing is remembered"
    echo a file >"$W/file"
    mv -T "$W/file" "$P/t.tbl"
    tempt "a file is in a table's place"
    keeps_80 "a file is in a table's place"
    kill -STOP "$agent_pid"
    rm "$P/t.tbl"
    mv "$W/away" "$P/t.tbl"
    kill -CONT "$agent_pid"
    must_within "$WAIT" status_is healthy true
    well_again "the table is back"
}

# The directory ends in the middle, with an error.
readdir_error() {
    command -v strace >/dev/null || skip "needs strace"
    strace -o /dev/null true 2>/dev/null || skip "strace may not trace here"
    [ -z "${E2E_SANITIZED:-}" ] || skip "the leak checker cannot run under strace"
    small_database
    stop_agent
    # The first piece of the listing comes, the second fails: and the root's
    # listing is whole.
    cat >"$W/bin-drover" <<END
#!/bin/sh
exec strace -f -qq -o "$W/strace.log" -P "$P/t.tbl" -e trace=getdents64 \
    -e inject=getdents64:error=EIO:when=2+2 "$DROVER" "\$@"
END
    chmod +x "$W/bin-drover"
    real=$DROVER
    DROVER=$W/bin-drover
    rm -f "$W/state-agent/index"
    start_agent
    DROVER=$real
    warns 103
    out_has 'Input/output error'
    code=0
    timeout 10 "$DROVER" --socket "$W/agent.sock" resync >"$W/out" 2>&1 || code=$?
    [ $code != 0 ] || fail "a resync says that all is well while a table cannot be listed"
    write flockd-set "$P/u.tbl" live flows
    must_within "$WAIT" has_value "$W/r1/u.tbl/live.kv" flows
    is "$(keys_of "$W/r1")" 81 "the replica's keys while a table cannot be listed"
    grep -q INJECTED "$W/strace.log" || fail "no error was injected"
    write flockd-delete "$P/u.tbl" live
    # strace ends with the agent.
    kill -TERM "$(cat "/proc/$agent_pid/task/$agent_pid/children")" || fail "no agent to end"
    wait "$agent_pid" || :
    agent_pid=''
    start_agent
    must_be r1 streaming
    well_again "the disk is well again"
}

# The identity is gone, is damaged, or is another's.
identity_damaged() {
    small_database
    id=$(cat "$P/.drover/id")
    for kind in missing corrupt empty foreign link; do
        rm "$P/.drover/id"
        case $kind in
        corrupt) echo 'no id' >"$P/.drover/id" ;;
        empty) : >"$P/.drover/id" ;;
        foreign) printf '%032d\n' 7 >"$P/.drover/id" ;;
        link) ln -s /etc/hostname "$P/.drover/id" ;;
        esac
        rm "$P/t.tbl/k-000001.kv" # evidence of a delete that must not count
        must_within "$WAIT" status_is database.state lost
        expect 1 ctl status
        out_has DR-104
        out_has HINT
        keeps_80 "the id is $kind"
        stop_agent
        start_agent
        must_within "$WAIT" status_is database.state lost
        expect 75 ctl wait --timeout 1s
        keeps_80 "the id is $kind at the start"
        rm -f "$P/.drover/id"
        echo "$id" >"$P/.drover/id"
        must_within "$WAIT" status_is database.state ok
        write fill "$P/t.tbl" 1 1 100
        well_again "the id is back"
    done
}

# A directory moved away and another moved to its name, before the agent looked:
# the keys of the first are gone, and nothing but the move told so.
moved_and_replaced() {
    small_database
    mkdir "$P/v.tbl"
    write fill "$P/v.tbl" 500 7 100
    proven r1
    stopped_moves() {
        kill -STOP "$agent_pid"
        "$@"
        kill -CONT "$agent_pid"
    }
    from_outside() {
        mkdir "$W/fresh"
        write fill "$W/fresh" 900 5 100
        mv "$P/t.tbl" "$W/away"
        mv "$W/fresh" "$P/t.tbl"
    }
    stopped_moves from_outside
    proven r1
    is "$(keys_of "$W/r1")" 52 "the replica's keys (40 + 7 + 5)"
    from_inside() {
        mv "$P/u.tbl" "$P/w.tbl"
        mv "$P/v.tbl" "$P/u.tbl"
    }
    stopped_moves from_inside
    proven r1
    # Out of sight, but not out of the database's directory: no table any more.
    mv "$P/w.tbl" "$P/w.old"
    proven r1
    is "$(keys_of "$W/r1")" 12 "the replica's keys (7 + 5)"
    # And back to life.
    mv "$P/w.old" "$P/w.tbl"
    proven r1
    is "$(keys_of "$W/r1")" 52 "the replica's keys"
}

"$scenario"
